#include "probe/systemd_check.h"

#include "probe/words.h"

namespace nb::probe {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

using OnAnswer = SystemBus::Query::OnAnswer;

// As systemctl reads a unit's name.
std::string with_suffix(const std::string& unit) {
  constexpr std::string_view kSuffixes[] = {
      ".service", ".socket", ".target", ".device", ".mount", ".automount",
      ".swap",    ".timer",  ".path",   ".slice",  ".scope",
  };
  for (const std::string_view suffix : kSuffixes) {
    if (unit.ends_with(suffix)) return unit;
  }
  return unit + ".service";
}

}  // namespace

SystemdCheck::SystemdCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome)
    : on_outcome_(on_outcome),
      unit_(with_suffix(spec.unit)),
      active_state_(context.bus, OnAnswer::to<&SystemdCheck::on_active_state>(this)),
      load_state_(context.bus, OnAnswer::to<&SystemdCheck::on_load_state>(this)) {}

void SystemdCheck::start() {
  active_state_.ask(unit_, "ActiveState");
}

Outcome SystemdCheck::give_up(const std::string& limit) {
  active_state_.cancel();
  load_state_.cancel();
  return {Finding::unknown, "no answer from systemd within " + limit};
}

void SystemdCheck::on_active_state(const Result<std::string>& state) {
  if (!state) return on_outcome_(failed(state.error()));
  // "reloading" and "refreshing" units run meanwhile; `systemctl is-active` takes them so too.
  if (*state == "active"sv || *state == "reloading"sv || *state == "refreshing"sv) {
    return on_outcome_({Finding::up, unit_ + " is " + *state});
  }
  // systemd calls a unit inactive even if it does not know it.
  if (*state == "inactive"sv) return load_state_.ask(unit_, "LoadState");
  on_outcome_({Finding::down, unit_ + " is " + one_line(*state, 40)});
}

void SystemdCheck::on_load_state(const Result<std::string>& state) {
  if (state && *state == "not-found"sv) {
    return on_outcome_({Finding::down, "there is no unit " + unit_});
  }
  on_outcome_({Finding::down, unit_ + " is inactive"});
}

}  // namespace nb::probe
