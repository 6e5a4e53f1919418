#include "mcp_http/headers.h"

#include "base/foreign_text.h"
#include "base/text.h"
#include "json/writer.h"

namespace nb::mcp_http {
namespace {

using mcp::Era;
using mcp::ErrorWords;

constexpr std::string_view kEncodedBegin = "=?base64?";
constexpr std::string_view kEncodedEnd = "?=";
constexpr size_t kMaxEcho = 100;

std::string quoted(std::string_view text) {
  return '"' + foreign_text(text, kMaxEcho) + '"';
}

// The part before the parameters: "text/html" of "text/html;q=0.9".
std::string_view type_in(std::string_view part) {
  return trim(part.substr(0, part.find(';')));
}

bool covers(std::string_view range, std::string_view type) {
  if (range == "*/*" || http::same_word(range, type)) return true;
  const size_t slash = type.find('/') + 1;
  return range.ends_with("/*") && range.size() == slash + 1 &&
         http::same_word(range.substr(0, slash), type.substr(0, slash));
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// RFC 4648, section 4, with its padding.
std::optional<std::string> base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  while (text.ends_with('=') && text.size() % 4 != 2) text.remove_suffix(1);
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  const bool nothing_left = (bits & ((1U << count) - 1)) == 0;
  return nothing_left ? std::optional(out) : std::nullopt;
}

ErrorWords mismatch(std::string words) {
  return {mcp::kHeaderMismatch, std::move(words), {}};
}

// The header has to agree with the message.
std::optional<ErrorWords> unlike(const http::Request& request, const char* name,
                                 std::string_view said) {
  const size_t count = request.count(name);
  if (count == 0) return mismatch("the header `" + std::string(name) + "` is missing");
  if (count > 1) return mismatch("the header `" + std::string(name) + "` is there twice");
  const auto value = decoded(request.header(name));
  if (value == said) return std::nullopt;
  return mismatch("the header `" + std::string(name) + "` says " + quoted(request.header(name)) +
                  ", the message " + quoted(said));
}

// Which member of the params `Mcp-Name` repeats.
const char* named_by(std::string_view method) {
  if (method == "tools/call" || method == "prompts/get") return "name";
  return method == "resources/read" ? "uri" : nullptr;
}

std::optional<ErrorWords> fault_in_version(std::string_view header, json::View said) {
  std::string scratch;
  const std::string_view meta = said.string(scratch).value_or("");
  if (said.exists() && meta != header) {
    return mismatch("the header `" + std::string(kVersionHeader) + "` says " + quoted(header) +
                    ", `_meta` " + quoted(meta));
  }
  if (header == mcp::kModernRevision || mcp::is_older_revision(header)) return std::nullopt;
  std::string json;
  json::Writer(json).string(foreign_text(header, kMaxEcho));
  return mcp::unsupported_revision(json);
}

std::optional<ErrorWords> fault_in_modern(const http::Request& request,
                                          const mcp::Message& message) {
  if (auto fault = unlike(request, "Mcp-Method", message.method)) return fault;
  const char* const member = named_by(message.method);
  std::string scratch;
  const auto name = member != nullptr ? message.params[member].string(scratch) : std::nullopt;
  if (name) {
    if (auto fault = unlike(request, "Mcp-Name", *name)) return fault;
  }
  return mcp::fault_in_meta(message.params);
}

}  // namespace

bool accepts(const http::Request& request, std::string_view type) {
  bool any = true;
  for (const auto& [name, value] : request.headers) {
    if (!http::same_word(name, "Accept")) continue;
    any = false;
    for (std::string_view rest = value; !rest.empty();) {
      const size_t end = rest.find(',');
      if (covers(type_in(rest.substr(0, end)), type)) return true;
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
  }
  return any;
}

bool has_json(const http::Request& request) {
  return http::same_word(type_in(request.header("Content-Type")), "application/json");
}

Era era_of(const http::Request& request, const mcp::Message& message) {
  const std::string_view header = request.header(kVersionHeader);
  if (mcp::is_older_revision(header)) return Era::older;
  if (!header.empty()) return Era::modern;
  return mcp::revision_in(message.params).exists() ? Era::modern : Era::older;
}

std::optional<ErrorWords> fault_in(const http::Request& request, const mcp::Message& message,
                                   Era era) {
  const json::View said = mcp::revision_in(message.params);
  if (request.count(kVersionHeader) > 1) {
    return mismatch("the header `" + std::string(kVersionHeader) + "` is there twice");
  }
  const std::string_view header = request.header(kVersionHeader);
  if (!header.empty()) {
    if (auto fault = fault_in_version(header, said)) return fault;
  } else if (era == Era::modern) {
    return mismatch("the header `" + std::string(kVersionHeader) + "` is missing");
  }
  return era == Era::modern ? fault_in_modern(request, message) : std::nullopt;
}

std::optional<std::string> decoded(std::string_view value) {
  value = trim(value);
  if (!value.starts_with(kEncodedBegin) || !value.ends_with(kEncodedEnd) ||
      value.size() < kEncodedBegin.size() + kEncodedEnd.size()) {
    return std::string(value);
  }
  value.remove_prefix(kEncodedBegin.size());
  value.remove_suffix(kEncodedEnd.size());
  return base64(value);
}

}  // namespace nb::mcp_http
