// Runs a fuzz target's LLVMFuzzerTestOneInput over kept inputs, as a plain program with any
// compiler: run_corpus FILE-OR-FOLDER... It fails if there was nothing to run; a crash is a crash.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kMaxInput = 16 << 20;

void collect(const std::string& path, std::vector<std::string>& files) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    files.push_back(path);
    return;
  }
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) return;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") collect(path + "/" + name, files);
  }
  ::closedir(folder);
}

bool run(const std::string& path) {
  const nb::Result<std::string> input = nb::read_small_file(path, kMaxInput);
  if (!input) {
    std::fprintf(stderr, "%s\n", input.error().message.c_str());
    return false;
  }
  std::fprintf(stderr, "%s\n", path.c_str());  // the last line, if it crashes
  // A copy of exactly this size, so that a sanitizer sees one byte too many.
  const std::vector<uint8_t> bytes(input->begin(), input->end());
  (void)LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) collect(argv[i], files);
  std::sort(files.begin(), files.end());
  bool all_read = !files.empty();
  for (const std::string& file : files) all_read = run(file) && all_read;
  std::printf("%zu inputs\n", files.size());
  return all_read ? 0 : 1;
}
