// system.status of a cell of any size: the agent's answer comes in pages.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "ctl/source.h"

namespace nb::ctl {

// All pages, as one object like that of a small cell. `timeout_ms` holds for each page; 0: the
// timeout of the link's options.
Answer whole_status(Source& source, int64_t timeout_ms = 0);

// Joins pages; pure.
class StatusPages {
 public:
  // Adds one page, a JSON object. Returns its cursor, which is empty for the last page.
  std::string add(std::string_view page);
  std::string joined() const;

 private:
  std::string first_;
  // The members of each node, once: a walk may name a node twice.
  struct Members {
    std::string body;
    std::set<std::string, std::less<>> names;
    void add(std::string_view object);
  };
  Members health_, last_seen_, standings_;
};

}  // namespace nb::ctl
