// Any bytes: the guard accepts what another parser (cJSON) does behind the scanner, and nothing
// else; over what it accepts the view says what that says; over the rest it does not read past the
// end.
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "json/guard.h"
#include "json/view.h"
#include "require.h"
#include "rpc/codec.h"
#include "support/json_document.h"

namespace {

namespace json = nb::json;
using nb::fuzz::require;
using nb::test::Json;
using nb::test::JsonDocument;

void compare(json::View view, Json json) {
  std::string scratch;
  require(view.exists() && json.exists());
  require(view.is(json::View::Type::null) == json.is_null());
  require(view.boolean() == json.boolean());
  require(view.string(scratch) == json.string());
  if (const auto text = json.string()) require(view.string_is(*text));
  const auto number = view.number();
  require(number.has_value() == json.number().has_value());
  if (number) require(*number == *json.number());
  if (const auto whole = view.integer()) require(static_cast<double>(*whole) == *number);
  Json child = json.first_child();
  for (const json::Member& member : view.members()) {
    require(json.is_object() && member.name(scratch) == child.name());
    require(member.name_is(child.name()));
    require(view[child.name()].raw().data() == member.value.raw().data());
    compare(member.value, child);
    child = child.next_sibling();
  }
  for (const json::View element : view.elements()) {
    require(json.is_array());
    compare(element, child);
    child = child.next_sibling();
  }
  require(!child.exists());
}

// Whatever it is.
size_t walk(json::View view, int depth) {
  std::string scratch;
  size_t bytes = view.raw().size();
  (void)view.string(scratch);
  (void)view.number();
  (void)view.integer();
  if (depth == 0) return bytes;
  for (const json::Member& member : view.members()) bytes += walk(member.value, depth - 1);
  for (const json::View element : view.elements()) bytes += walk(element, depth - 1);
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const json::View view = json::View::of(input);
  walk(view, 3);
  std::string compact;
  append_compact(view, compact);
  require(compact.size() <= size);

  json::Guard guard;
  const auto document = JsonDocument::parse(input);
  const json::Fault fault = guard.check(input);
  require(document.ok() == (fault.reason == nullptr));
  require(fault.offset <= size);
  if (!document) return 0;

  compare(view, document->root());
  compare(guard.view(), document->root());
  require(guard.check(compact).reason == nullptr);
  std::string again;
  append_compact(json::View::of(compact), again);
  require(again == compact);

  std::string scratch;
  nb::rpc::RawCall call;
  std::string answer;
  if (const auto error = nb::rpc::parse_call(view, scratch, call)) {
    nb::rpc::append_error_response(answer, call.id, *error);
  } else {
    nb::rpc::append_result_response(answer, call.id, "[]");
  }
  require(guard.check(answer).reason == nullptr);
  return 0;
}
