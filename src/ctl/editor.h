// A text of a person's, in the editor of that person's choice. The text stays in its file until it
// is dropped, so that nothing that was typed is lost, whatever fails.
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

  // Makes the file, which nobody else may read. What is wrong, as a sentence.
  std::optional<std::string> open(std::string_view text);
  std::optional<std::string> write(std::string_view text);
  // Runs $VISUAL, $EDITOR, or one that is there, and reads the file.
  std::optional<std::string> edit(std::string& text);
  // Nobody needs the file any more.
  void drop();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace nb::ctl
