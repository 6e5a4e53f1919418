// session edit: a session's state in an editor, written back with the version that was read. Where
// another program has written meanwhile, both changes are united member by member. Where both have
// changed the same member, the person at the editor decides.
//
// The members of the server (version, times) are left out. The file with the text is removed only
// if the text was written or changes nothing.
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "ctl/commands.h"
#include "ctl/duration.h"
#include "ctl/editor.h"
#include "ctl/json_merge.h"
#include "json/view.h"
#include "terminal/json_text.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

constexpr int64_t kMargin = 500;  // the agent's own deadline is earlier by this
constexpr int64_t kMostTimeout = 60'000;
constexpr int64_t kDefaultTtl = 3'600'000;  // PROTOCOL.md, 3.6.2
constexpr int kConflict = -32002;
constexpr int kInDoubt = -32013;
constexpr size_t kShownColumns = 100;

struct Read {
  Answer answer;
  std::string state;  // the caller's members, without white space
  long long version = 0;
  long long ttl_ms = 0;
};

void tell(const std::string& words) {
  (void)complain(kOk, words);
}

// The first typed letter after a question; 'q' at the end of the input.
char ask(const char* question) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s ", question);
  char line[64];
  if (std::fgets(line, sizeof line, stdin) == nullptr) return 'q';
  return line[0];
}

std::string shown(const std::string& value) {
  return value.empty() ? "nothing" : clip(json_printable(value), kShownColumns, false);
}

class Edit {
 public:
  Edit(const Context& context, const SessionOptions& options)
      : context_(context), options_(options), link_(context.link_options()) {}

  ExitCode run();

 private:
  Answer call(const char* method, ObjectText& params) {
    params.text("session_id", options_.id);
    params.integer("timeout_ms", std::clamp<int64_t>(context_.timeout_ms, 1, kMostTimeout));
    return link_.call(method, params.str(), context_.timeout_ms + kMargin);
  }
  Read read();
  // The typed text, once it is an object; nothing: the person has given up.
  std::optional<std::string> typed();
  Answer write();
  ExitCode unite();
  void show(const Merge& merged) const;
  ExitCode keep(ExitCode exit, const std::string& words) const {
    return complain(exit, words + ". Your text is kept in " + printable(file_.path()));
  }

  const Context& context_;
  const SessionOptions& options_;
  AgentLink link_;
  EditedText file_;
  Read base_;         // the state from which the text was made
  std::string mine_;  // the typed text
  bool missing_ = false;
};

Read Edit::read() {
  Read out;
  ObjectText params;
  out.answer = call("session.get", params);
  if (!out.answer.ok()) return out;
  const json::View answer = json::View::of(out.answer.text);
  // Characters that could steer a terminal become escapes with the same meaning.
  out.state = without_members(json_printable(answer["state"].raw()),
                              {"session_id", "version", "created_at", "updated_at"});
  out.version = answer["version"].integer().value_or(0);
  out.ttl_ms = answer["ttl_ms"].integer().value_or(0);
  return out;
}

std::optional<std::string> Edit::typed() {
  for (;;) {
    std::string text;
    std::string fault = file_.edit(text).value_or("");
    if (fault.empty()) {
      fault = json_fault(text).value_or("");
      if (fault.empty() && !json::View::of(text).is(json::View::Type::object)) {
        fault = "expected an object, {…}";
      }
      if (fault.empty()) return json_compact(text);
      fault = "this is not the JSON of a session: " + fault;
    }
    tell(fault);
    if (ask("[e]dit again, or [q]uit?") != 'e') return std::nullopt;
  }
}

Answer Edit::write() {
  ObjectText params;
  params.raw("state", mine_);
  if (!missing_) params.integer("expected_version", base_.version);
  const auto ttl = parse_duration(options_.ttl);
  // A session that has longer to live keeps its time.
  params.integer("ttl_ms", ttl ? *ttl : std::max<long long>(base_.ttl_ms, kDefaultTtl));
  return call(missing_ ? "session.create" : "session.update", params);
}

void Edit::show(const Merge& merged) const {
  for (const MemberChange& change : merged.theirs) {
    tell(format("  the other program: %s: %s -> %s", printable(change.path).c_str(),
                shown(change.base).c_str(), shown(change.theirs).c_str()));
  }
  for (const MemberChange& change : merged.mine) {
    tell(format("  you: %s: %s -> %s", printable(change.path).c_str(), shown(change.base).c_str(),
                shown(change.mine).c_str()));
  }
  for (const MemberChange& change : merged.both) {
    tell(format("  both: %s: %s -> yours %s, theirs %s", printable(change.path).c_str(),
                shown(change.base).c_str(), shown(change.mine).c_str(),
                shown(change.theirs).c_str()));
  }
}

// After a conflict: unites `mine_` with the present state, to be written again. kOk: go on.
ExitCode Edit::unite() {
  Read now = read();
  if (now.answer.not_found()) {
    tell("the session was deleted meanwhile");
    if (ask("[c]reate it anew with your text, or [q]uit?") != 'c') {
      return keep(kRefused, "nothing was written");
    }
    missing_ = true;
    base_ = Read{};
    base_.state = "{}";
    return kOk;
  }
  if (!now.answer.ok()) return keep(now.answer.exit, now.answer.text);
  Merge merged = merge(base_.state, mine_, now.state);
  const std::string began = missing_ ? "" : format(", and you began with %lld", base_.version);
  tell(format("another program has written the session meanwhile: it has version %lld now%s",
              now.version, began.c_str()));
  show(merged);
  bool edits = false;
  if (merged.both.empty()) {
    tell("the changes touch different members: both are kept");
  } else {
    const char wanted =
        ask("where both have changed the same: keep [m]ine, [t]heirs, [e]dit, or [q]uit?");
    if (wanted == 't') {
      merged = merge(base_.state, mine_, now.state, Prefer::theirs);
    } else if (wanted == 'e') {
      edits = true;
    } else if (wanted != 'm') {
      return keep(kRefused, "nothing was written");
    }
  }
  mine_ = merged.text;
  base_ = std::move(now);
  missing_ = false;
  if (const auto fault = file_.write(json_indented(mine_) + '\n')) return keep(kFound, *fault);
  if (edits) {
    const auto text = typed();
    if (!text) return keep(kFound, "nothing was written");
    mine_ = *text;
  }
  return kOk;
}

ExitCode Edit::run() {
  if (!options_.ttl.empty() && !parse_duration(options_.ttl)) {
    return complain(kUsage, format("--ttl: '%s' is no duration, such as 500ms, 10s, 5min or 1d",
                                   printable(options_.ttl).c_str()));
  }
  if (context_.json || ::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1) {
    return complain(
        kUsage,
        "session edit asks questions, so it wants a terminal and no --json; a script takes "
        "session get and session set --version-is");
  }
  if (const Answer opened = link_.open(); !opened.ok()) return complain(opened);
  base_ = read();
  if (base_.answer.not_found()) {
    return complain(kFound, format("there is no session '%s'; session create makes one",
                                   printable(options_.id).c_str()));
  }
  if (!base_.answer.ok()) return complain(base_.answer);
  if (const auto fault = file_.open(json_indented(base_.state) + '\n')) {
    return complain(kFound, *fault);
  }
  const auto text = typed();
  if (!text) return keep(kFound, "nothing was written");
  mine_ = *text;
  for (;;) {
    if (!missing_ && mine_ == base_.state) {
      file_.drop();
      return say("nothing to change: the session has this state\n");
    }
    const Answer answer = write();
    if (answer.ok()) {
      file_.drop();
      return say("version " + std::string(json::View::of(answer.text)["version"].raw()) + '\n');
    }
    if (answer.code == kInDoubt || answer.exit == kAway || answer.exit == kTimeout) {
      const Read now = read();
      if (now.answer.ok() && now.state == mine_) {
        file_.drop();
        return say(format("version %lld\n", now.version));
      }
    }
    if (answer.code != kConflict && !answer.not_found()) return keep(answer.exit, answer.text);
    if (const ExitCode exit = unite(); exit != kOk) return exit;
  }
}

}  // namespace

ExitCode run_session_edit(const Context& context, const SessionOptions& options) {
  return Edit(context, options).run();
}

}  // namespace nb::ctl
