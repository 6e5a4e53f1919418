// Any bytes may answer `nodebeatctl redis check`. A reply lies inside the bytes that have come, is
// the same however many came at first, and keeps to its limits. What has the form of an answer can
// be read as one, and no words of a server steer a terminal.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/foreign_text.h"
#include "redis_admin/forms.h"
#include "redis_admin/reply.h"
#include "redis_admin/rules.h"
#include "require.h"

namespace {

using nb::fuzz::require;
using nb::redis_admin::Reply;
using nb::redis_admin::ReplyState;

size_t look(const Reply& reply, size_t depth) {
  require(depth <= nb::redis_admin::kMostReplyDepth);
  require(reply.text.size() <= nb::redis_admin::kMostReplyBytes);
  if (reply.is_error()) require(nb::foreign_text(reply.text) == reply.text);
  size_t items = reply.items.size();
  for (const Reply& item : reply.items) items += look(item, depth + 1);
  return items;
}

bool steers(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return true;
  }
  return false;
}

// What redis_admin/look.cc relies on.
void read_as_an_answer(const Reply& reply) {
  using namespace nb::redis_admin;
  const std::vector<std::string> command = {"CONFIG", "GET", "save"};
  require(!steers(description(reply)));
  const auto is = [&](Form form) { return has_form(form, command, reply) && !reply.is_error(); };
  if (reply.is_error()) require(has_form(Form::time, command, reply));
  if (is(Form::time)) require(reply.items.size() == 2);
  if (is(Form::page)) require(reply.items.size() == 2 && reply.items[1].text.empty());
  if (is(Form::setting)) require(reply.items.size() % 2 == 0 && reply.items.size() <= 2);
  if (is(Form::stream)) require(reply.items.size() >= 2 && reply.items.size() % 2 == 0);
  ServerLook look;
  if (is(Form::info)) look.info = reply.text;
  if (is(Form::users)) {
    for (const Reply& line : reply.items) look.acl.push_back(line.text);
  }
  if (reply.is_error()) look.users_unknown = look.streams_unknown = look.lost = reply.text;
  look.config["bind"] = "127.0.0.1";
  require(!steers(nb::terminal::findings_text(redis_findings(look), {})));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  while (!input.empty()) {
    Reply reply;
    size_t used = 0;
    const ReplyState state = nb::redis_admin::read_reply(input, reply, used);
    if (state != ReplyState::whole) break;
    require(used > 0 && used <= input.size());
    require(look(reply, 0) <= nb::redis_admin::kMostReplyItems);
    read_as_an_answer(reply);
    Reply again;
    size_t same = 0;
    require(nb::redis_admin::read_reply(input.substr(0, used), again, same) == ReplyState::whole);
    require(same == used && again.text == reply.text && again.items.size() == reply.items.size());
    require(nb::redis_admin::read_reply(input.substr(0, used - 1), again, same) ==
            ReplyState::more);
    input.remove_prefix(used);
  }
  return 0;
}
