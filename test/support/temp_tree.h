// A folder that a test fills as it likes and that is gone afterwards.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace nb::test {

class TempTree {
 public:
  TempTree() {
    std::error_code error;
    std::string name = (std::filesystem::temp_directory_path(error) / "nodebeat-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary folder " << name;
    path_ = name;
  }
  // Begins as a copy of `original`.
  explicit TempTree(const std::string& original) : TempTree() {
    std::error_code error;
    std::filesystem::copy(original, path_, std::filesystem::copy_options::recursive, error);
    EXPECT_FALSE(error) << original << ": " << error.message();
  }
  TempTree(const TempTree&) = delete;
  TempTree& operator=(const TempTree&) = delete;
  ~TempTree() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }

  const std::string& path() const { return path_; }
  std::string operator()(std::string_view inside) const { return path_ + std::string(inside); }

  // Writes a file in place, as the kernel changes its own: open descriptors read the new text.
  void write(std::string_view inside, std::string_view text) const {
    const std::string full = (*this)(inside);
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(full).parent_path(), error);
    std::FILE* file = std::fopen(full.c_str(), "we");
    if (file == nullptr) {
      ADD_FAILURE() << "cannot write " << full;
      return;
    }
    EXPECT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
    EXPECT_EQ(std::fclose(file), 0);
  }

  void remove(std::string_view inside) const {
    std::error_code error;
    EXPECT_GT(std::filesystem::remove_all((*this)(inside), error), 0u) << inside;
  }

 private:
  std::string path_;
};

}  // namespace nb::test
