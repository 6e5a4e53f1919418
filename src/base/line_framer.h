// LineFramer: cuts a stream of bytes into lines. A line that was fed whole is a view into the fed
// bytes. Only an unfinished line at the end is copied, until the rest has come. A line that is too
// long costs that line only: its bytes are dropped as they come, up to the newline. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nb {

class LineFramer {
 public:
  enum class Step { line, more, too_long };

  explicit LineFramer(size_t limit) : limit_(limit) {}

  // Takes bytes that have come. They must stay unchanged until next() returns `more` or keep() is
  // called. Only then may more be fed.
  void feed(std::string_view bytes) { fed_ = bytes; }
  // The next line, without its newline; valid until the next call of any method. `too_long`: a
  // line, ended or not, has more than `limit` bytes. This is returned once for each such line, as
  // soon as it is known. The next result of next() is behind the line's newline.
  Step next(std::string_view& line);
  // Drops the unfinished line, with the bytes that still come up to its newline.
  void skip_line();
  // Copies the fed bytes that next() has not yet handed out. next() goes on with them later.
  void keep();

  // Whether lines that were not yet handed out are kept, or the beginning of one.
  bool holds_bytes() const { return at_ < kept_.size() || !fed_.empty(); }
  size_t capacity() const { return kept_.capacity(); }

 private:
  // A kept buffer up to this size is not freed, so lines that are cut by the end of a read cost no
  // allocation.
  static constexpr size_t kSmall = 1024;

  Step next_kept(std::string_view& line);
  // Drops bytes up to the newline. False if the newline has not come yet.
  bool skip();
  void drop_kept();

  size_t limit_;
  std::string_view fed_;
  std::string kept_;
  size_t at_ = 0;          // kept_ was handed out up to here
  size_t searched_ = 0;    // kept_ has no newline between at_ and here
  bool skipping_ = false;  // within a line that is dropped
};

}  // namespace nb
