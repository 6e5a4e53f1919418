// What may answer `nodebeatctl redis check`: any bytes. A reply lies inside what has come, is the
// same however much of it came at first, keeps to its bounds, and an error's words steer no
// terminal.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/foreign_text.h"
#include "redis_admin/reply.h"

namespace {

using nb::redis_admin::Reply;
using nb::redis_admin::ReplyState;

void require(bool holds) {
  if (!holds) std::abort();
}

size_t look(const Reply& reply, size_t depth) {
  require(depth <= nb::redis_admin::kMostReplyDepth);
  require(reply.text.size() <= nb::redis_admin::kMostReplyBytes);
  if (reply.is_error()) require(nb::foreign_text(reply.text) == reply.text);
  size_t items = reply.items.size();
  for (const Reply& item : reply.items) items += look(item, depth + 1);
  return items;
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
