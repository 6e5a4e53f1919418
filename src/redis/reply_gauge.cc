#include "redis/reply_gauge.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/text.h"
#include "redis/reply.h"
#include "redis/reply_arena.h"

namespace nb::redis {
namespace {

constexpr const char* kNotTheProtocol = "a reply that is not RESP2";

// What an element takes beside its text, with the text's alignment.
constexpr size_t kElementCost = sizeof(Reply) + ReplyArena::kAlignment;

bool is_text(char kind) {
  return kind == '+' || kind == '-';
}

}  // namespace

bool ReplyGauge::charge(size_t bytes) {
  if (bytes > max_reply_bytes_ - cost_) {
    return refuse(ReplyLimit::Of::bytes, max_reply_bytes_, too_long_);
  }
  cost_ += bytes;
  return true;
}

bool ReplyGauge::feed(std::string_view bytes, Delegate<void(std::string_view)> pass) {
  size_t from = 0;  // not passed on yet
  size_t at = 0;
  while (at < bytes.size()) {
    if (body_left_ > 0) {
      const size_t n = std::min(body_left_, bytes.size() - at);
      at += n;
      body_left_ -= n;
      if (body_left_ == 0) end_element();
      continue;
    }
    if (line_ == 0) {
      kind_ = bytes[at++];
      if (!is_text(kind_) && kind_ != ':' && kind_ != '$' && kind_ != '*') {
        return fail(kNotTheProtocol);
      }
      if (!charge(1)) return false;
      line_ = 1;
      number_size_ = 0;
      cr_ = false;
      continue;
    }
    const void* newline = std::memchr(bytes.data() + at, '\n', bytes.size() - at);
    const size_t end =
        newline == nullptr
            ? bytes.size()
            : static_cast<size_t>(static_cast<const char*>(newline) - bytes.data()) + 1;
    // A line feed alone is part of the text, as hiredis sees it.
    const bool ended = newline != nullptr && (end - at > 1 ? bytes[end - 2] == '\r' : cr_);
    cr_ = bytes[end - 1] == '\r';
    if (!charge(end - at)) return false;
    const size_t before = line_;
    line_ += end - at;
    if (!is_text(kind_)) {
      if (end - at > number_.size() - number_size_) return fail(kNotTheProtocol);
      std::memcpy(number_.data() + number_size_, bytes.data() + at, end - at);
      number_size_ += end - at;
    } else if (line_ > kMaxLine) {
      return refuse(ReplyLimit::Of::bytes, kMaxLine, "a line of a reply is longer than 4 MiB");
    } else if (line_ > kKeptLine) {
      pass(bytes.substr(from, at + (before < kKeptLine ? kKeptLine - before : 0) - from));
      from = end;
      // The '\r' may be the last byte that was kept.
      if (ended) pass(line_ == kKeptLine + 1 ? "\n" : "\r\n");
    }
    at = end;
    if (ended && !end_line()) return false;
  }
  if (from < bytes.size()) pass(bytes.substr(from));
  return true;
}

bool ReplyGauge::end_line() {
  line_ = 0;
  if (is_text(kind_)) {
    end_element();
    return true;
  }
  const auto number = parse_number<int64_t>({number_.data(), number_size_ - 2});
  if (!number) return fail(kNotTheProtocol);
  if (kind_ == ':' || *number == -1) {
    end_element();
    return true;
  }
  if (*number < 0) return fail(kNotTheProtocol);
  const auto size = static_cast<uint64_t>(*number);
  if (kind_ == '$') {
    if (size > max_reply_bytes_ || !charge(static_cast<size_t>(size))) {
      return refuse(ReplyLimit::Of::bytes, max_reply_bytes_, too_long_);
    }
    body_left_ = static_cast<size_t>(size) + 2;
    return true;
  }
  if (size > kMaxElements) {
    return refuse(ReplyLimit::Of::elements, kMaxElements, "a reply of more than 65536 elements");
  }
  if (depth_ == kMaxDepth) {
    return refuse(ReplyLimit::Of::depth, kMaxDepth, "a reply that is nested too deep");
  }
  if (!charge(static_cast<size_t>(size) * kElementCost)) return false;
  if (size == 0) {
    end_element();
  } else {
    left_[depth_++] = static_cast<size_t>(size);
  }
  return true;
}

void ReplyGauge::end_element() {
  elements_ended_ = true;
  while (depth_ > 0 && --left_[depth_ - 1] == 0) --depth_;
  if (depth_ > 0) return;
  ++whole_;
  cost_ = 0;
}

}  // namespace nb::redis
