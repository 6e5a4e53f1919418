// HttpResponse: an HTTP/1.x response as it comes in, from any number of pieces. Pure.
//
// The parser is http-parser 2.9.4. Its successor llhttp is in Debian 13 but not in 12; http-parser
// is in both, and what it reads here are the answers of servers that the configuration names. It is
// no longer developed, but its known defects are mended in 2.9.4 and this use is fuzzed
// (test/fuzz/probe_fuzz.cc). Only http_response.cc knows it: an exchange for llhttp stays there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nb::probe {

class HttpResponse {
 public:
  static constexpr size_t kMaxHead = 16 * 1024;  // of all heads, 1xx ones included
  static constexpr size_t kMaxBody = 64 * 1024;
  // On the wire: what chunk framing and trailers may add is bounded too.
  static constexpr size_t kMaxWire = 512 * 1024;

  HttpResponse();
  ~HttpResponse();

  // For the next response; buffers keep their capacity.
  void reset();

  // Takes what came. Interim (1xx) responses are skipped; what follows a complete response is
  // ignored. The error says what is wrong with the answer; then nothing more may be fed.
  Status feed(std::string_view bytes);
  // The peer has closed. OK if the response is complete with that.
  Status end();

  bool head_complete() const { return head_complete_; }
  // All of it is here, or as much as is wanted (truncated).
  bool complete() const { return complete_; }
  // The body is longer than kMaxBody; only its beginning was kept.
  bool truncated() const { return truncated_; }

  // After head_complete().
  int status() const;
  // Header values; empty if not there.
  const std::string& content_type() const { return values_[0]; }
  const std::string& session_id() const { return values_[1]; }  // Mcp-Session-Id
  const std::string& location() const { return values_[2]; }
  const std::string& authenticate() const { return values_[3]; }  // WWW-Authenticate
  // The body is not what it stands for (Content-Encoding).
  bool is_compressed() const;
  // True if the Content-Type is `type`, whatever its parameters.
  bool is_type(std::string_view type) const;

  // What of the body has come, decoded. A consumer of a stream may take it out as it goes.
  std::string& body() { return body_; }

  // How much came: "nothing", "only 17 bytes of the head", "only 17 of 200 bytes".
  std::string progress() const;

 private:
  struct Parser;
  static constexpr size_t kHeaders = 5;

  Status complain() const;

  std::unique_ptr<Parser> parser_;
  size_t head_bytes_ = 0;
  size_t wire_bytes_ = 0;
  size_t body_bytes_ = 0;
  std::optional<uint64_t> body_expected_;
  bool head_complete_ = false;
  bool complete_ = false;
  bool truncated_ = false;
  bool in_value_ = false;
  std::string field_;  // the header's name that is being read
  std::string values_[kHeaders];
  std::string body_;
};

}  // namespace nb::probe
