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

}  // namespace nb::test
