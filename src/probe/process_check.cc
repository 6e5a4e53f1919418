#include "probe/process_check.h"

#include "base/text.h"

namespace nb::probe {

struct ProcessCheck::Answer {
  Result<ProcessId> found;  // before: what is known
};

ProcessCheck::ProcessCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome)
    : context_(context),
      spec_(spec),
      on_outcome_(on_outcome),
      call_(context.loop, Delegate<void()>::to<&ProcessCheck::on_looked>(this)) {}

void ProcessCheck::start() {
  trying_ = true;
  if (call_.running()) return;  // still held up
  answer_ = std::make_shared<Answer>(Answer{process_});
  const Status started = call_.start(
      [answer = answer_, proc = context_.proc_root, file = spec_.pidfile, text = spec_.command] {
        answer->found = file.empty() ? find_by_command(proc, text, *answer->found)
                                     : find_by_pidfile(proc, file);
      });
  if (started) return;
  trying_ = false;
  on_outcome_(failed(started.error()));
}

Outcome ProcessCheck::give_up(const std::string& limit) {
  trying_ = false;
  const char* what = spec_.pidfile.empty() ? "no look at all processes was possible within "
                                           : "reading the pidfile was not possible within ";
  return {Finding::unknown, what + limit};
}

void ProcessCheck::on_looked() {
  const std::shared_ptr<Answer> answer = std::move(answer_);
  if (!std::exchange(trying_, false)) return;  // too late
  if (!answer->found) return on_outcome_(failed(answer->found.error()));
  process_ = *answer->found;
  on_outcome_({Finding::up, format("process %d", process_.pid)});
}

}  // namespace nb::probe
