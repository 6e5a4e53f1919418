#include "health/network.h"

#include <algorithm>

#include "health/directory.h"
#include "health/fields.h"

namespace nb::health {

std::optional<InterfaceCounters> parse_interface(std::string_view line) {
  const size_t colon = line.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  InterfaceCounters counters;
  counters.name = trim(line.substr(0, colon));
  if (counters.name.empty()) return std::nullopt;
  line.remove_prefix(colon + 1);
  for (int column = 0; column < 16; ++column) {
    const auto value = next_number<uint64_t>(line);
    if (!value) return std::nullopt;
    if (column == 0) counters.rx_bytes = *value;
    if (column == 8) counters.tx_bytes = *value;
  }
  return counters;
}

NetworkReader::NetworkReader(const Log& log, const Root& root, std::vector<std::string> wanted)
    : root_(root), file_(log, root("/proc/net/dev")), wanted_(std::move(wanted)) {}

NetworkReader::Interface* NetworkReader::known(std::string_view name) {
  for (Interface& interface : interfaces_) {
    if (interface.name == name) return &interface;
  }
  return nullptr;
}

bool NetworkReader::is_wanted(std::string_view name) const {
  if (wanted_.empty()) return name != "lo";
  return std::find(wanted_.begin(), wanted_.end(), name) != wanted_.end();
}

void NetworkReader::add(const InterfaceCounters& counters) {
  const bool full = interfaces_.size() >= kMost;
  if (full && (!looking_ || interfaces_.back().physical)) return;
  Interface fresh;
  fresh.name = counters.name;
  fresh.shown = clean_name(counters.name);
  fresh.physical = exists(root_("/sys/class/net/" + fresh.name + "/device"));
  fresh.seen = true;
  fresh.rx_bytes = counters.rx_bytes;
  fresh.tx_bytes = counters.tx_bytes;
  if (full) {
    if (!fresh.physical) return;
    interfaces_.pop_back();
  }
  auto place = interfaces_.end();
  if (fresh.physical) {
    place = std::find_if(interfaces_.begin(), interfaces_.end(),
                         [](const Interface& other) { return !other.physical; });
  }
  interfaces_.insert(place, std::move(fresh));
}

void NetworkReader::feed(const InterfaceCounters& counters, double seconds) {
  Interface* interface = known(counters.name);
  if (interface == nullptr) {
    if (is_wanted(counters.name)) add(counters);
    return;
  }
  interface->seen = true;
  if (seconds <= 0) return;  // called twice at one moment: the previous rates stay
  interface->rated =
      counters.rx_bytes >= interface->rx_bytes && counters.tx_bytes >= interface->tx_bytes;
  if (interface->rated) {
    interface->rx_rate = static_cast<double>(counters.rx_bytes - interface->rx_bytes) / seconds;
    interface->tx_rate = static_cast<double>(counters.tx_bytes - interface->tx_bytes) / seconds;
  }
  interface->rx_bytes = counters.rx_bytes;
  interface->tx_bytes = counters.tx_bytes;
}

void NetworkReader::read(MonoTime now, Scratch& scratch, std::vector<wire::NetworkRate>& out) {
  for (Interface& interface : interfaces_) interface.seen = false;
  const double seconds = std::chrono::duration<double>(now - last_).count();
  last_ = now;
  file_.read(scratch, KernelFile::Part::whole, [&](std::string_view text) {
    bool understood = false;
    while (!text.empty()) {
      const auto counters = parse_interface(next_line(text));
      if (!counters) continue;
      understood = true;
      feed(*counters, seconds);
    }
    // A network namespace without any interface still has the two head lines; lo is in each.
    return understood ? std::optional<bool>(true) : std::nullopt;
  });
  looking_ = false;
  std::erase_if(interfaces_, [](const Interface& interface) { return !interface.seen; });

  size_t count = 0;
  for (const Interface& interface : interfaces_) {
    if (!interface.rated) continue;
    if (count == out.size()) out.resize(count + 1);
    wire::NetworkRate& rate = out[count++];
    rate.interface = interface.shown;
    rate.rx_bytes_per_s = interface.rx_rate;
    rate.tx_bytes_per_s = interface.tx_rate;
  }
  out.resize(count);
}

}  // namespace nb::health
