// Root: the directory under which all of /proc and /sys is looked for, so that tests run on the
// recorded tree of another machine.
#pragma once

#include <string>
#include <string_view>

namespace nb::health {

class Root {
 public:
  // "/" is the machine itself.
  explicit Root(std::string_view root) : prefix_(root) {
    while (!prefix_.empty() && prefix_.back() == '/') prefix_.pop_back();
  }

  // The real path of "/proc/stat" under this root.
  std::string operator()(std::string_view path) const {
    std::string full;
    full.reserve(prefix_.size() + path.size());
    return full.append(prefix_).append(path);
  }

 private:
  std::string prefix_;
};

}  // namespace nb::health
