// Short ways to put something into an outbox.
#pragma once

#include <string_view>

#include "outbox/outbox.h"

namespace nb::test {

struct Filler {
  outbox::Outbox& outbox;
  MonoTime now{};
  WallTime wall{};

  // A HASH with one field, and, where given, an entry and a message of the same update.
  outbox::Put hash(std::string_view key, std::string_view value, std::string_view entry = {},
                   std::string_view message = {}, outbox::Waiter waiter = 0) {
    const outbox::FieldView field{"health", value};
    const outbox::SlotUpdate slot{.key = key, .fields = {&field, 1}};
    return put(&slot, entry, message, waiter);
  }
  outbox::Put string(std::string_view key, std::string_view value, Duration ttl = {},
                     outbox::Waiter waiter = 0, bool limited = false) {
    const outbox::FieldView field{"", value};
    const outbox::SlotUpdate slot{.key = key,
                                  .kind = outbox::SlotKind::string,
                                  .fields = {&field, 1},
                                  .ttl = ttl,
                                  .limited = limited};
    return put(&slot, {}, {}, waiter);
  }
  outbox::Put remove(std::string_view key, outbox::Waiter waiter = 0) {
    const outbox::SlotUpdate slot{.key = key, .kind = outbox::SlotKind::remove, .forget = true};
    return put(&slot, {}, {}, waiter);
  }
  outbox::Put event(std::string_view entry, std::string_view message = {},
                    outbox::Waiter waiter = 0, Duration max_age = std::chrono::seconds(5)) {
    return put(nullptr, entry, message, waiter, max_age);
  }

  outbox::Put put(const outbox::SlotUpdate* slot, std::string_view entry_value,
                  std::string_view payload, outbox::Waiter waiter,
                  Duration max_age = std::chrono::seconds(5)) {
    const outbox::FieldView field{"f", entry_value};
    const outbox::EntryUpdate entry{0, "s", 100, {&field, 1}};
    const outbox::MessageUpdate message{"c", payload, max_age};
    return outbox.put(slot, entry_value.empty() ? nullptr : &entry,
                      payload.empty() ? nullptr : &message, now, wall, waiter);
  }
};

// The node's own beat, with an entry and a message if `with_history`.
inline void put_health(outbox::Outbox& outbox, std::string_view json, bool with_history = false,
                       MonoTime now = MonoTime(std::chrono::seconds(1000))) {
  const outbox::FieldView field{"health", json};
  outbox::SlotUpdate slot;
  slot.key = "node:health:hog";
  slot.fields = {&field, 1};
  slot.ttl = std::chrono::seconds(15);
  slot.echo = true;
  const outbox::FieldView past{"health", "{}"};
  const outbox::EntryUpdate entry{0, "stream:node_metrics:hog", 5000, {&past, 1}, 0, {}, true};
  const outbox::MessageUpdate message{"node:events:hog", "{\"type\":\"x\"}",
                                      std::chrono::seconds(5)};
  (void)outbox.put(&slot, with_history ? &entry : nullptr, with_history ? &message : nullptr, now,
                   WallTime{});
}

}  // namespace nb::test
