#include "wire/lease.h"

#include <algorithm>
#include <limits>

#include "base/name.h"
#include "base/text.h"

namespace nb::wire {
namespace {

constexpr size_t kIdBytes = 128;
constexpr uint32_t kLeastInterval = 250;
constexpr uint32_t kLeastPatience = 1000;
constexpr uint32_t kMostMs = 60 * 60 * 1000;

// Words that are taken one by one; `good` becomes false with the first that is not as it should be.
struct Words {
  std::string_view rest;
  bool good = true;

  std::string_view next() {
    const size_t space = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, space);
    rest.remove_prefix(std::min(space + 1, rest.size()));
    good = good && !word.empty();
    return word;
  }
  std::string_view id() {
    const std::string_view word = next();
    good =
        good && word.size() <= kIdBytes && std::all_of(word.begin(), word.end(), is_name_character);
    return word;
  }
  uint64_t number(uint64_t most = std::numeric_limits<uint64_t>::max()) {
    const auto value = parse_number<uint64_t>(next());
    good = good && value && *value <= most;
    return good ? *value : 0;
  }
};

void put(std::string& out, std::string_view word) {
  out += word;
  out += ' ';
}

void put(std::string& out, uint64_t number) {
  char digits[20];
  put(out, {digits, std::to_chars(digits, digits + sizeof digits, number).ptr});
}

}  // namespace

std::optional<Lease> parse_lease(std::string_view text) {
  if (text.size() > kLeaseBytes) return std::nullopt;
  Words words{text};
  Lease lease;
  lease.boot_id = words.id();
  if (same(lease.boot_id, "-")) lease.boot_id = {};
  lease.instance = words.id();
  lease.seq = words.number();
  lease.interval_ms = static_cast<uint32_t>(words.number(kMostMs));
  lease.patience_ms = static_cast<uint32_t>(words.number(kMostMs));
  if (!words.good || lease.interval_ms < kLeastInterval) return std::nullopt;
  if (lease.patience_ms == 0) return lease;
  if (lease.patience_ms < std::max(lease.interval_ms, kLeastPatience)) return std::nullopt;
  return lease;
}

void print_lease(const Lease& lease, std::string& out) {
  out.clear();
  put(out, lease.boot_id.empty() ? "-" : lease.boot_id);
  put(out, lease.instance);
  put(out, lease.seq);
  put(out, lease.interval_ms);
  put(out, lease.patience_ms);
  out.pop_back();
}

std::optional<Watch> parse_watch(std::string_view text) {
  if (text.size() > kLeaseBytes) return std::nullopt;
  Words words{text};
  Watch watch;
  watch.node = words.id();
  watch.instance = words.id();
  watch.term = words.number();
  watch.seq = words.number();
  watch.looked_at_ms = words.number();
  watch.lag_ms = static_cast<uint32_t>(words.number(std::numeric_limits<uint32_t>::max()));
  if (!words.good || !is_name(watch.node)) return std::nullopt;
  return watch;
}

void print_watch(const Watch& watch, std::string& out) {
  out.clear();
  put(out, watch.node);
  put(out, watch.instance);
  put(out, watch.term);
  put(out, watch.seq);
  put(out, watch.looked_at_ms);
  put(out, watch.lag_ms);
  out.pop_back();
}

std::string_view watch_term_of(std::string_view watch) {
  size_t end = 0;
  for (int words = 0; words < 3 && end != watch.npos; ++words) {
    end = watch.find(' ', end);
    if (end != watch.npos) ++end;
  }
  return watch.substr(0, end);
}

}  // namespace nb::wire
