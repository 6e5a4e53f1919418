// LineFramer: cuts a stream of bytes into lines. A line that lies whole in what was fed is a view
// into it; only what is left at the end is copied, until the rest has come. A line that is too long
// costs that line only: its bytes are dropped as they come, up to its newline. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nb {

class LineFramer {
 public:
  enum class Step { line, more, too_long };

  explicit LineFramer(size_t limit) : limit_(limit) {}

  // What has come. Must stay as it is until next() has said `more`, or keep() was called; then, and
  // only then, may more be fed.
  void feed(std::string_view bytes) { fed_ = bytes; }
  // The next line, without its newline; valid until the next call of anything here. `too_long`: a
  // line, ended or not, has more than `limit` bytes. It is said once for each such line, as soon as
  // it is known; what next() gives afterwards is behind the line's newline.
  Step next(std::string_view& line);
  // Drops the line that is begun and not ended, with what still comes up to its newline.
  void skip_line();
  // Copies what was fed and not yet handed out; next() goes on from there later.
  void keep();

  // Whether anything is kept: lines not yet handed out, or the beginning of one.
  bool holds_bytes() const { return at_ < kept_.size() || !fed_.empty(); }
  size_t capacity() const { return kept_.capacity(); }

 private:
  // Up to here a kept buffer is not given back, so that lines cut by the reads' ends cost nothing.
  static constexpr size_t kSmall = 1024;

  Step next_kept(std::string_view& line);
  // Drops bytes up to the newline; false: it has not come yet.
  bool skip();
  void drop_kept();

  size_t limit_;
  std::string_view fed_;
  std::string kept_;
  size_t at_ = 0;          // of kept_: handed out up to here
  size_t searched_ = 0;    // of kept_: no newline between at_ and here
  bool skipping_ = false;  // in the midst of a line that is dropped
};

}  // namespace nb
