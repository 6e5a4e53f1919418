#include "redis_admin/forms.h"

#include <algorithm>

#include "base/foreign_text.h"
#include "base/text.h"
#include "redis_admin/acl.h"
#include "redis_admin/words.h"

namespace nb::redis_admin {
namespace {

using Kind = Reply::Kind;

// The year 5138. A later second would not fit into 64 bits as microseconds.
constexpr int64_t kMostSeconds = 100'000'000'000;

bool is_status(const Reply& reply, std::string_view word) {
  return reply.kind == Kind::status && reply.text == word;
}

bool are_texts(const std::vector<Reply>& items) {
  return std::all_of(items.begin(), items.end(),
                     [](const Reply& item) { return item.kind == Kind::text; });
}

bool is_info(const Reply& reply) {
  if (reply.kind != Kind::text) return false;
  bool has_version = false;
  for (std::string_view rest = reply.text; !rest.empty();) {
    const std::string_view line = next_line(rest);
    if (line.empty() || line.starts_with('#')) continue;
    if (line.find(':') == line.npos) return false;
    has_version = has_version || line.starts_with("redis_version:");
  }
  return has_version;
}

bool is_setting(std::string_view name, const Reply& reply) {
  if (reply.kind != Kind::list || !are_texts(reply.items)) return false;
  return reply.items.empty() || (reply.items.size() == 2 && reply.items[0].text == name);
}

bool is_time(const Reply& reply) {
  if (reply.kind != Kind::list || reply.items.size() != 2 || !are_texts(reply.items)) return false;
  const auto seconds = parse_number<int64_t>(reply.items[0].text);
  const auto microseconds = parse_number<int64_t>(reply.items[1].text);
  return seconds && *seconds >= 0 && *seconds <= kMostSeconds && microseconds &&
         *microseconds >= 0 && *microseconds < 1'000'000;
}

bool is_page(const Reply& reply) {
  if (reply.kind != Kind::list || reply.items.size() != 2) return false;
  const Reply& cursor = reply.items[0];
  const Reply& keys = reply.items[1];
  return cursor.kind == Kind::text && parse_number<uint64_t>(cursor.text).has_value() &&
         keys.kind == Kind::list && are_texts(keys.items);
}

bool is_stream(const Reply& reply) {
  if (reply.kind != Kind::list || reply.items.size() % 2 != 0) return false;
  bool has_id = false;
  for (size_t i = 0; i < reply.items.size(); i += 2) {
    const Reply& name = reply.items[i];
    const Reply& value = reply.items[i + 1];
    if (name.kind != Kind::text) return false;
    if (name.text != "last-generated-id") continue;
    if (value.kind != Kind::text || !is_stream_id(value.text)) return false;
    has_id = true;
  }
  return has_id;
}

bool are_users(const Reply& reply) {
  if (reply.kind != Kind::list) return false;
  return std::all_of(reply.items.begin(), reply.items.end(), [](const Reply& item) {
    if (item.kind != Kind::text) return false;
    const auto lines = parse_acl(item.text);
    return lines && lines->size() == 1;
  });
}

}  // namespace

bool is_stream_id(std::string_view text) {
  const size_t dash = text.find('-');
  return dash != text.npos && parse_number<uint64_t>(text.substr(0, dash)) &&
         parse_number<uint64_t>(text.substr(dash + 1));
}

bool has_form(Form form, const std::vector<std::string>& command, const Reply& reply) {
  if (reply.is_error()) return true;
  switch (form) {
    case Form::ok:
      return is_status(reply, "OK");
    case Form::pong:
      return is_status(reply, "PONG");
    case Form::queued:
      return is_status(reply, "QUEUED");
    case Form::name:
      return reply.kind == Kind::text && !reply.text.empty();
    case Form::info:
      return is_info(reply);
    case Form::setting:
      return is_setting(command.back(), reply);
    case Form::time:
      return is_time(reply);
    case Form::page:
      return is_page(reply);
    case Form::stream:
      return is_stream(reply);
    case Form::users:
      return are_users(reply);
    case Form::permission:
      return is_status(reply, "OK") || (reply.kind == Kind::text && !reply.text.empty());
    case Form::any:
      return true;
  }
  return false;
}

std::string description(const Reply& reply) {
  constexpr size_t kMostShown = 40;
  switch (reply.kind) {
    case Kind::none:
      return "nothing";
    case Kind::nil:
      return "nil";
    case Kind::status:
      return "'+" + foreign_text(reply.text, kMostShown) + '\'';
    case Kind::error:
      return "'-" + foreign_text(reply.text, kMostShown) + '\'';
    case Kind::integer:
      return "the number " + foreign_text(reply.text, kMostShown);
    case Kind::text:
      return format("a text of %zu bytes", reply.text.size());
    case Kind::list:
      return format("a list of %zu", reply.items.size());
  }
  return {};
}

}  // namespace nb::redis_admin
