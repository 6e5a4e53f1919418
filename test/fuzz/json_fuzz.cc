// Any bytes: the scanner neither crashes nor lets through what another parser (cJSON) cannot hold,
// and what the writer makes of any text is accepted again, as the same text.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"
#include "json/writer.h"
#include "require.h"
#include "support/json_document.h"

namespace {

using nb::fuzz::require;
using nb::test::Json;
using nb::test::JsonDocument;

void visit(Json value, unsigned depth) {
  require(depth <= 64);
  if (const auto text = value.string()) require(nb::is_valid_utf8(*text));
  if (const auto whole = value.integer()) require(value.number() == static_cast<double>(*whole));
  for (Json child = value.first_child(); child.exists(); child = child.next_sibling()) {
    visit(child, depth + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto document = JsonDocument::parse(input)) visit(document->root(), 0);

  if (input.find('\0') == input.npos && size < 8 * 1024) {
    std::string written;
    nb::json::Writer(written).string(input);
    const auto read = JsonDocument::parse(written);
    require(read.ok());
    const auto text = read->root().string();
    require(text.has_value());
    if (nb::is_valid_utf8(input)) require(*text == input);
  }
  return 0;
}
