// What the tests of config/ load: texts, variables, and files in a folder that goes with the test.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "config/load.h"

namespace nb::config {

using namespace std::chrono_literals;
using Environment = std::vector<std::pair<std::string, std::string>>;

inline Sources from_text(std::string text) {
  Sources sources;
  sources.file = "f.toml";
  sources.text = std::move(text);
  sources.host_name = "hog.example";
  return sources;
}

inline Loaded loaded(const Sources& sources) {
  Result<Loaded> result = load(sources);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return result ? std::move(*result) : Loaded{};
}

inline Config config_of(std::string text) {
  return loaded(from_text(std::move(text))).config;
}

// The whole message, or "" if there was no error.
inline std::string error_of(const Sources& sources) {
  const Result<Loaded> result = load(sources);
  return result ? "" : result.error().message;
}
inline std::string error_of(std::string text) {
  return error_of(from_text(std::move(text)));
}

inline Sources with_environment(Environment environment) {
  Sources sources = from_text("");
  sources.environment = std::move(environment);
  return sources;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A folder of its own for the files that a test writes.
class Files : public testing::Test {
 protected:
  Files() {
    char name[] = "/tmp/nodebeat-config-XXXXXX";
    dir_ = ::mkdtemp(name);
  }
  ~Files() override {
    std::error_code error;
    std::filesystem::remove_all(dir_, error);
  }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = dir_ + "/" + name;
    FILE* file = std::fopen(path.c_str(), "w");
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    ::chmod(path.c_str(), mode);
    return path;
  }

  std::string dir_;
};

}  // namespace nb::config
