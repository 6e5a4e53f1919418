// What may stand in Redis where leases and the watch are expected. Each line of the input is a
// step: its first letter says what happens, the rest is a text that somebody has written. Neither
// the parsers nor the classes that read with them may crash; what is read has to be what is written
// again; a watcher wants at most one thing of each node, and nobody is lost whose lease cannot be
// read.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/watch_claim.h"
#include "fleet/watcher.h"
#include "require.h"
#include "wire/lease.h"

namespace {

using namespace nb;
using namespace std::chrono_literals;
using nb::fuzz::require;

void read_again(std::string_view text) {
  std::string again;
  if (const auto lease = wire::parse_lease(text)) {
    wire::print_lease(*lease, again);
    const auto twice = wire::parse_lease(again);
    require(twice && twice->boot_id == lease->boot_id && twice->instance == lease->instance &&
            twice->seq == lease->seq && twice->interval_ms == lease->interval_ms &&
            twice->patience_ms == lease->patience_ms);
  }
  if (const auto watch = wire::parse_watch(text)) {
    wire::print_watch(*watch, again);
    const auto twice = wire::parse_watch(again);
    require(twice && twice->node == watch->node && twice->instance == watch->instance &&
            twice->term == watch->term && twice->seq == watch->seq);
    require(wire::watch_term_of(again).ends_with(' '));
  }
  require(text.starts_with(wire::watch_term_of(text)));
}

struct Cell {
  fleet::Watcher watcher;
  fleet::WatchClaim claim{"self", "self-1", true, Random(1), MonoTime(100s)};
  MonoTime now{100s};
  std::string own;
  std::vector<uint32_t> tickets;

  void look(std::string_view text) {
    watcher.begin_look(now);
    for (size_t i = 0; i < watcher.size(); ++i) watcher.see(i, i % 3 == 2 ? "" : text, now);
    watcher.end_look(now);
    fleet::Watcher::Action action;
    for (size_t actions = 0; watcher.next(action); ++actions) {
      require(actions < watcher.size() + 2);
      if (action.ticket != 0) tickets.push_back(action.ticket);
      if (action.kind == fleet::Watcher::Kind::lost) {
        const auto lease = wire::parse_lease(action.lease);
        require(lease && lease->patience_ms != 0 && action.node != own);
      }
    }
  }
  void report(uint8_t outcome) {
    if (tickets.empty()) return;
    watcher.report(tickets.back(), static_cast<fleet::Watcher::Outcome>(outcome % 4), now);
    tickets.pop_back();
  }
  void claim_step(std::string_view text) {
    const auto step = claim.step(now);
    if (step == fleet::WatchClaim::Step::claim || step == fleet::WatchClaim::Step::renew) {
      const std::string wanted(claim.write(1, 2).wanted);
      claim.on_written(text.empty() ? std::string_view(wanted) : text, now);
      require(!text.empty() || claim.is_holding());
    } else {
      claim.on_read(text, now, now);
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Cell cell;
  cell.own = "self";
  cell.watcher.begin(cell.own);
  while (!input.empty()) {
    const size_t end = std::min(input.find('\n'), input.size());
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
    if (line.empty()) continue;
    const std::string_view text = line.substr(1);
    read_again(text);
    cell.now += 250ms;
    switch (line.front()) {
      case 'n':
        cell.watcher.add_node(text);
        break;
      case 'm':
        cell.watcher.mark_lost(text.substr(0, text.find(' ')), text);
        break;
      case 'r':
        text.empty() ? cell.watcher.begin_register() : cell.watcher.end_register();
        break;
      case 'l':
        cell.look(text);
        break;
      case 't':
        cell.now += std::chrono::seconds(text.size());
        break;
      case 'a':
        cell.watcher.begin_again();
        break;
      case 'o':
        cell.report(text.empty() ? 0 : static_cast<uint8_t>(text.front()));
        break;
      case 'c':
        cell.claim_step(text);
        break;
      default:
        cell.own = text;
        text.empty() ? cell.watcher.end() : cell.watcher.begin(text);
    }
  }
  return 0;
}
