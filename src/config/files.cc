#include "config/files.h"

#include <dirent.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace nb::config {
namespace {

constexpr std::string_view kSuffix = ".toml";
constexpr size_t kMaxFiles = 64;

bool is_missing(const std::string& file) {
  struct stat info {};
  return ::stat(file.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

}  // namespace

std::string folder_beside(const std::string& file) {
  const size_t suffix = file.ends_with(kSuffix) ? kSuffix.size() : 0;
  return file.substr(0, file.size() - suffix) + ".d";
}

Result<std::vector<std::string>> files_of(const std::string& file, bool required) {
  std::vector<std::string> files;
  const std::string folder = folder_beside(file);
  DIR* entries = ::opendir(folder.c_str());
  const int fault = entries == nullptr ? errno : 0;
  // If a part of the path is no folder, the file is missing as well; that is reported below.
  if (fault != 0 && !is_missing(folder)) {
    return make_error("%s: %s", folder.c_str(), std::strerror(fault));
  }
  const bool optional = !required || entries != nullptr;
  if (!optional || !is_missing(file)) files.push_back(file);
  if (entries == nullptr) return files;
  const size_t first = files.size();
  while (const dirent* entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name.starts_with('.') || !name.ends_with(kSuffix)) continue;
    files.push_back(folder + "/" + entry->d_name);
    for (size_t i = files.size() - 1; i > first && files[i] < files[i - 1]; --i) {
      files[i].swap(files[i - 1]);
    }
  }
  ::closedir(entries);
  if (files.size() > kMaxFiles) {
    return make_error("%s: more than %zu files", folder.c_str(), kMaxFiles);
  }
  return files;
}

}  // namespace nb::config
