// Runs a fuzz target over the files of a folder, so that what fuzzing once found stays a test with
// any compiler. A folder without files is a failure: then nothing was tested.
#include <dirent.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  const std::string folder = argv[1];
  DIR* const dir = opendir(folder.c_str());
  if (dir == nullptr) {
    std::perror(folder.c_str());
    return 1;
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());

  for (const std::string& name : names) {
    std::printf("%s\n", name.c_str());
    std::fflush(stdout);  // a crash must name its input
    const auto content = nb::read_small_file(folder + "/" + name, 1024 * 1024);
    if (!content) {
      std::fprintf(stderr, "%s\n", content.error().message.c_str());
      return 1;
    }
    // A copy of exactly that size: reading past it is then seen by the sanitizer.
    const std::vector<uint8_t> bytes(content->begin(), content->end());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%zu inputs\n", names.size());
  return names.empty() ? 1 : 0;
}
