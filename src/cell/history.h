// node.history: past beats of a node, thinned by Redis itself: one beat is read for each step of
// time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cell/operation.h"

namespace nb::cell {

struct HistoryWish {
  std::string node;
  int64_t range_ms = 0;  // back from the last beat
  int64_t points = 1;    // at most
  std::vector<std::string> fields;
};

std::unique_ptr<Operation> make_history_operation(HistoryWish wish);

}  // namespace nb::cell
