#include "probe/http_response.h"

#include <http_parser.h>
#include <strings.h>

#include <algorithm>

#include "base/text.h"

namespace nb::probe {
namespace {

constexpr const char* kNames[] = {"content-type", "mcp-session-id", "location", "www-authenticate",
                                  "content-encoding"};
constexpr int kSwitchingProtocols = 101;

bool is_interim(const http_parser& parser) {
  return parser.status_code / 100 == 1;
}

}  // namespace

struct HttpResponse::Parser {
  http_parser raw;

  static HttpResponse& self(http_parser* parser) {
    return *static_cast<HttpResponse*>(parser->data);
  }

  static int on_field(http_parser* parser, const char* at, size_t n) noexcept {
    HttpResponse& r = self(parser);
    if (r.in_value_) r.field_.clear();
    r.in_value_ = false;
    r.field_.append(at, n);
    return 0;
  }

  static int on_value(http_parser* parser, const char* at, size_t n) noexcept {
    HttpResponse& r = self(parser);
    const bool first = !r.in_value_;
    r.in_value_ = true;
    if (r.head_complete_) return 0;  // a trailer
    for (size_t i = 0; i < kHeaders; ++i) {
      if (::strcasecmp(r.field_.c_str(), kNames[i]) != 0) continue;
      if (first) r.values_[i].clear();  // of two headers of one name, the last counts
      r.values_[i].append(at, n);
    }
    return 0;
  }

  static int on_head(http_parser* parser) noexcept {
    HttpResponse& r = self(parser);
    if (parser->status_code == kSwitchingProtocols) return -1;
    if (is_interim(*parser)) return 0;
    r.head_complete_ = true;
    // The parser's word for "no Content-Length" is all ones.
    if (parser->content_length != UINT64_MAX) r.body_expected_ = parser->content_length;
    return 0;
  }

  static int on_body(http_parser* parser, const char* at, size_t n) noexcept {
    HttpResponse& r = self(parser);
    if (!r.head_complete_) return -1;  // an interim response has none
    const size_t room = kMaxBody - r.body_bytes_;
    r.body_.append(at, std::min(n, room));
    r.body_bytes_ += std::min(n, room);
    if (n <= room) return 0;
    r.truncated_ = r.complete_ = true;
    return -1;
  }

  static int on_complete(http_parser* parser) noexcept {
    HttpResponse& r = self(parser);
    if (is_interim(*parser)) {
      for (std::string& value : r.values_) value.clear();
      r.field_.clear();
      return 0;
    }
    r.complete_ = true;
    http_parser_pause(parser, 1);
    return 0;
  }

  static const http_parser_settings& settings() {
    static constexpr http_parser_settings kSettings = {
        .on_message_begin = nullptr,
        .on_url = nullptr,
        .on_status = nullptr,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_head,
        .on_body = on_body,
        .on_message_complete = on_complete,
        .on_chunk_header = nullptr,
        .on_chunk_complete = nullptr,
    };
    return kSettings;
  }
};

HttpResponse::HttpResponse() : parser_(std::make_unique<Parser>()) {
  reset();
}

HttpResponse::~HttpResponse() = default;

void HttpResponse::reset() {
  http_parser_init(&parser_->raw, HTTP_RESPONSE);
  parser_->raw.data = this;
  head_bytes_ = wire_bytes_ = body_bytes_ = 0;
  body_expected_.reset();
  head_complete_ = complete_ = truncated_ = in_value_ = false;
  field_.clear();
  for (std::string& value : values_) value.clear();
  body_.clear();
}

Status HttpResponse::feed(std::string_view bytes) {
  while (!bytes.empty() && !complete_) {
    size_t take = bytes.size();
    if (!head_complete_) {
      take = std::min(take, kMaxHead - head_bytes_);
      if (take == 0) return make_error("the head of the answer is longer than 16 KiB");
      head_bytes_ += take;
    }
    wire_bytes_ += take;
    if (wire_bytes_ > kMaxWire) return make_error("the answer does not end");
    http_parser_execute(&parser_->raw, &Parser::settings(), bytes.data(), take);
    if (complete_) break;
    if (HTTP_PARSER_ERRNO(&parser_->raw) != HPE_OK) return complain();
    bytes.remove_prefix(take);
  }
  return {};
}

Status HttpResponse::end() {
  if (complete_) return {};
  if (wire_bytes_ == 0) return make_error("the server closed the connection without an answer");
  http_parser_execute(&parser_->raw, &Parser::settings(), nullptr, 0);
  if (complete_) return {};
  return make_error("the server closed the connection after %s", progress().c_str());
}

Status HttpResponse::complain() const {
  if (parser_->raw.status_code == kSwitchingProtocols) {
    return make_error("the server switched protocols, which was not asked for");
  }
  if (HTTP_PARSER_ERRNO(&parser_->raw) == HPE_CB_body) {
    return make_error("answer is not HTTP: an interim answer with a body");
  }
  return make_error("answer is not HTTP: %s",
                    http_errno_description(HTTP_PARSER_ERRNO(&parser_->raw)));
}

int HttpResponse::status() const {
  return static_cast<int>(parser_->raw.status_code);
}

bool HttpResponse::is_type(std::string_view type) const {
  const std::string_view mine =
      trim(std::string_view(content_type())
               .substr(0, std::min(content_type().find(';'), content_type().size())));
  return mine.size() == type.size() && ::strncasecmp(mine.data(), type.data(), type.size()) == 0;
}

bool HttpResponse::is_compressed() const {
  return !values_[4].empty() && ::strcasecmp(values_[4].c_str(), "identity") != 0;
}

std::string HttpResponse::progress() const {
  if (wire_bytes_ == 0) return "nothing";
  if (!head_complete_) return format("only %zu bytes of the head", head_bytes_);
  if (!body_expected_) return format("only %zu bytes of a body without end", body_bytes_);
  return format("only %zu of %llu bytes", body_bytes_,
                static_cast<unsigned long long>(*body_expected_));
}

}  // namespace nb::probe
