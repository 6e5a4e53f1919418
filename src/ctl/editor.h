// A person's text, in the editor of the person's choice. The text stays in its file until it is
// dropped, so that no typed text is lost, whatever fails.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nb::ctl {

class EditedText {
 public:
  EditedText() = default;
  EditedText(const EditedText&) = delete;
  EditedText& operator=(const EditedText&) = delete;

  // Makes the file, which no other user may read. Returns the fault, as a sentence.
  std::optional<std::string> open(std::string_view text);
  std::optional<std::string> write(std::string_view text);
  // Runs $VISUAL, $EDITOR, or one that is there, and reads the file.
  std::optional<std::string> edit(std::string& text);
  // The file is no longer needed.
  void drop();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace nb::ctl
