#include "base/line_framer.h"

namespace nb {

LineFramer::Step LineFramer::next(std::string_view& line) {
  if (skipping_ && !skip()) return Step::more;
  if (at_ < kept_.size()) return next_kept(line);
  if (!kept_.empty()) drop_kept();
  const size_t newline = fed_.find('\n');
  if (newline == fed_.npos) {
    if (fed_.size() > limit_) {
      skip_line();
      return Step::too_long;
    }
    keep();
    searched_ = kept_.size();
    return Step::more;
  }
  line = fed_.substr(0, newline);
  fed_.remove_prefix(newline + 1);
  return line.size() > limit_ ? Step::too_long : Step::line;
}

LineFramer::Step LineFramer::next_kept(std::string_view& line) {
  size_t newline = kept_.find('\n', searched_);
  if (newline == kept_.npos) {
    searched_ = kept_.size();
    const size_t have = kept_.size() - at_;
    const size_t in_fed = fed_.find('\n');
    const bool ends = in_fed != fed_.npos;
    if (have + (ends ? in_fed : fed_.size()) > limit_) {
      skip_line();
      return Step::too_long;
    }
    if (at_ > 0) {
      kept_.erase(0, at_);
      searched_ -= at_;
      at_ = 0;
    }
    const size_t taken = ends ? in_fed + 1 : fed_.size();
    kept_.append(fed_.substr(0, taken));
    fed_.remove_prefix(taken);
    if (!ends) {
      searched_ = kept_.size();
      return Step::more;
    }
    newline = kept_.size() - 1;
  }
  line = std::string_view(kept_).substr(at_, newline - at_);
  at_ = searched_ = newline + 1;
  return line.size() > limit_ ? Step::too_long : Step::line;
}

void LineFramer::skip_line() {
  skipping_ = true;
  skip();
}

bool LineFramer::skip() {
  if (at_ < kept_.size()) {
    const size_t newline = kept_.find('\n', at_);
    if (newline != kept_.npos) {
      at_ = searched_ = newline + 1;
      skipping_ = false;
      return true;
    }
  }
  drop_kept();
  const size_t newline = fed_.find('\n');
  skipping_ = newline == fed_.npos;
  fed_.remove_prefix(skipping_ ? fed_.size() : newline + 1);
  return !skipping_;
}

void LineFramer::drop_kept() {
  kept_.clear();
  at_ = searched_ = 0;
  if (kept_.capacity() > kSmall) std::string().swap(kept_);  // assigning would keep the memory
}

void LineFramer::keep() {
  if (at_ == kept_.size()) {
    kept_.assign(fed_);
    at_ = searched_ = 0;
  } else {
    kept_.append(fed_);
  }
  fed_ = {};
}

}  // namespace nb
