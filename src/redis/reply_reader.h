// ReplyReader: hiredis' parser behind the limits of ReplyGauge, for hiredis 0.14 and 1.x. Replies
// are made in an arena of the reader's own, so reading them allocates nothing. The text of a status
// or an error comes from outside, so it is made fit for logs and answers here, where it enters.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "redis/reply.h"
#include "redis/reply_arena.h"
#include "redis/reply_gauge.h"

namespace nb::redis {

class ReplyReader {
 public:
  // A reply that is still incomplete takes at most twice `max_reply_bytes` of memory, the objects
  // of its elements included.
  explicit ReplyReader(size_t max_reply_bytes, const char* too_long = ReplyGauge::kTooLong);
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  // Takes bytes in. False if they are not the protocol or beyond the limits: then fault() says
  // why, and the connection is of no more use.
  bool feed(std::string_view bytes);
  // The next complete reply, valid until the call after that. `none` if more bytes are needed, or
  // if there is a fault.
  Reply next();
  // Whole replies that have come and were not taken by next(): a fault came after them.
  size_t whole_replies() const { return gauge_.whole_replies(); }
  // Null while all is well. Valid until the reader dies.
  const char* fault() const { return fault_; }
  // Set if the fault is a reply beyond a limit, not bytes that are not the protocol.
  ReplyLimit limit() const { return gauge_.limit(); }

 private:
  struct Parser;  // hiredis', whose types stay in reply_reader.cc

  void pass(std::string_view bytes);

  ReplyGauge gauge_;
  const char* fault_ = nullptr;
  ReplyArena arena_;
  bool given_ = false;  // the reply in the arena was handed out
  std::unique_ptr<Parser> parser_;
};

}  // namespace nb::redis
