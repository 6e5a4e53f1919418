// StrokeValues: the known progress of the running stroke session. It unites all partial updates. No
// allocation.
#pragma once

#include "client/line_writer.h"
#include "nodebeat/client.h"

namespace nb::client {

class StrokeValues {
 public:
  static constexpr size_t kDescriptionBytes = 4096;
  static constexpr size_t kNameBytes = 256;

  // NB_OK, or why a push is not taken.
  static int check(const nb_stroke& stroke);

  // As RobotValues::merge().
  void merge(const nb_stroke& stroke);
  void clear() { has_ = 0; }

  uint32_t known() const { return has_; }
  // The longest text of write() after `stroke` is merged into the known values, or alone.
  size_t bound_with(const nb_stroke& stroke) const;
  static size_t bound(const nb_stroke& stroke);

  // One stroke.update with these of the known members.
  void write(LineWriter& out, uint32_t members) const;
  // One stroke.start, straight from the caller's checked values.
  static void write_start(LineWriter& out, const nb_stroke& stroke);

 private:
  uint32_t has_ = 0;
  int64_t integers_[6] = {};
  int64_t timestamp_ = 0;
  bool executing_ = false;
  bool paused_ = false;
  bool dataset_null_ = false;
  size_t text_size_[4] = {};
  size_t text_escaped_[4] = {};
  char text_[2 * (kDescriptionBytes + kNameBytes)] = {};
};

}  // namespace nb::client
