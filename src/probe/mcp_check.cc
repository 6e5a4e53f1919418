#include "probe/mcp_check.h"

#include <utility>

#include "base/text.h"
#include "probe/side_requests.h"

namespace nb::probe {
namespace {

// So many sessions in a row may refuse their first ping before pinging is given up.
constexpr unsigned kMostUnproven = 2;

std::string in_words(Duration d) {
  return human_duration(d / std::chrono::milliseconds(1));
}

}  // namespace

McpCheck::McpCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome)
    : context_(context),
      spec_(spec),
      on_outcome_(on_outcome),
      era_(spec.era == McpEra::automatic ? McpEra::stateless_2026 : spec.era),
      may_switch_(spec.era == McpEra::automatic),
      exchange_(context.loop, {Delegate<void()>::to<&McpCheck::on_progress>(this),
                               Delegate<void(const Status&)>::to<&McpCheck::on_end>(this)}) {}

McpCheck::~McpCheck() {
  drop_session();
}

void McpCheck::start() {
  if (!going_on_) ask(next_question());
}

McpAsk McpCheck::next_question() const {
  if (era_ == McpEra::stateless_2026) return McpAsk::discover;
  return session_ ? McpAsk::ping : McpAsk::initialize;
}

void McpCheck::ask(McpAsk question) {
  asked_ = question;
  asked_at_ = context_.loop.now();
  if (question != McpAsk::ping && !silent_since_) silent_since_ = asked_at_;
  reader_.reset(question, ++id_);
  const McpSession none;
  exchange_.start(spec_.target,
                  mcp_request(question, id_, spec_, context_.version, session_ ? *session_ : none));
}

Outcome McpCheck::give_up(const std::string& limit) {
  const MonoTime now = context_.loop.now();
  if (asked_ == McpAsk::ping || !exchange_.connected()) {
    const Outcome outcome = exchange_.give_up(limit);
    if (asked_ == McpAsk::ping) ping_failed();
    silent_since_.reset();
    going_on_ = false;
    return outcome;
  }
  // Connected, and no answer to a first question.
  const bool has_time = asked_ == McpAsk::initialize || !has_worked_;
  const bool over = now - *silent_since_ >= spec_.start_timeout;
  if (over || !has_time) had_its_time_ = true;
  // With another era to try, a question that may be the wrong one is not waited for.
  const bool may_be_wrong = asked_ == McpAsk::discover && spec_.era == McpEra::automatic;
  going_on_ = has_time && !may_be_wrong && now - asked_at_ < spec_.start_timeout;
  Outcome outcome{Finding::down, exchange_.progress() + " for " + in_words(now - asked_at_)};
  if (!going_on_) {
    const McpSession half_open = mcp_session(exchange_.response(), "");
    exchange_.cancel();
    if (asked_ == McpAsk::initialize) end_session(half_open);
    if (may_be_other_era()) switch_era();
  }
  if (had_its_time_) return outcome;
  outcome.finding = Finding::unknown;
  outcome.detail = format("starting: %s (it may take %s)", outcome.detail.c_str(),
                          in_words(spec_.start_timeout).c_str());
  return outcome;
}

void McpCheck::on_progress() {
  const auto verdict = reader_.look(exchange_.response(), false);
  if (!verdict) return;
  exchange_.cancel();
  settle(*verdict);
}

void McpCheck::on_end(const Status& status) {
  if (status) return settle(*reader_.look(exchange_.response(), true));
  if (status.error().fault == Fault::blind) {
    going_on_ = false;
    return on_outcome_(failed(status.error()));
  }
  McpVerdict verdict;
  verdict.detail = status.error().message;
  settle(verdict);
}

// A server that hangs up on a question that it does not know, or never answers it, says nothing of
// the era; as long as none has worked, the other may.
bool McpCheck::may_be_other_era() const {
  return spec_.era == McpEra::automatic && !has_worked_ && exchange_.sent();
}

void McpCheck::switch_era() {
  era_ = era_ == McpEra::stateless_2026 ? McpEra::session_2025 : McpEra::stateless_2026;
}

void McpCheck::settle(const McpVerdict& verdict) {
  going_on_ = false;
  silent_since_.reset();
  had_its_time_ = false;
  if (asked_ == McpAsk::initialize && !(verdict.up && !verdict.refused)) {
    end_session(mcp_session(exchange_.response(), ""));  // which a refusal may have opened
  }
  if (verdict.refused) return on_outcome_({Finding::up, verdict.detail});
  if (verdict.up) {
    has_worked_ = true;
    may_switch_ = spec_.era == McpEra::automatic;
    for (auto& refusal : refusals_) refusal.reset();
    pings_fail_since_.reset();
    if (asked_ == McpAsk::initialize) open_session(verdict);
    if (asked_ != McpAsk::ping) return on_outcome_({Finding::up, verdict.detail});
    session_->proven = true;
    unproven_ = 0;
    return on_outcome_({Finding::up, session_->server});
  }
  if (asked_ == McpAsk::ping) {
    if (!verdict.other_question) {
      ping_failed();
      return on_outcome_({Finding::down, verdict.detail});
    }
    // The server does not know the session any more.
    unproven_ = session_->proven ? 0 : unproven_ + 1;
    drop_session();
    return ask(McpAsk::initialize);
  }
  const McpVerdict told = more_telling(verdict);
  if (verdict.other_question && spec_.era == McpEra::automatic) {
    switch_era();
    if (std::exchange(may_switch_, false)) return ask(next_question());
  } else if (may_be_other_era()) {
    switch_era();
  }
  on_outcome_({Finding::down, told.detail});
}

// Of the refusals in both eras, the one that tells more; of equals, the newer one. What is no
// refusal (no connection, an error within) is what it is.
McpVerdict McpCheck::more_telling(const McpVerdict& verdict) {
  if (!verdict.other_question) {
    for (auto& refusal : refusals_) refusal.reset();
    return verdict;
  }
  const size_t era = asked_ == McpAsk::discover ? 0 : 1;
  refusals_[era] = verdict;
  const auto& other = refusals_[1 - era];
  return other && other->weight > verdict.weight ? *other : verdict;
}

void McpCheck::open_session(const McpVerdict& verdict) {
  Session session;
  static_cast<McpSession&>(session) = mcp_session(exchange_.response(), verdict.protocol);
  if (unproven_ >= kMostUnproven) return end_session(session);
  session.server = verdict.detail;
  context_.side_requests.send(spec_.target, mcp_initialized(spec_, context_.version, session));
  session_ = std::move(session);
}

void McpCheck::end_session(const McpSession& session) {
  const std::string request = mcp_goodbye(spec_, context_.version, session);
  if (!request.empty()) context_.side_requests.send(spec_.target, request);
}

void McpCheck::drop_session() {
  if (session_) end_session(*session_);
  session_.reset();
}

// A session in which nothing is answered any more is given up in the end: its process in a bridge
// may hang, where a new one would not.
void McpCheck::ping_failed() {
  const MonoTime now = context_.loop.now();
  if (!pings_fail_since_) pings_fail_since_ = now;
  if (now - *pings_fail_since_ < spec_.start_timeout) return;
  pings_fail_since_.reset();
  had_its_time_ = true;
  drop_session();
}

}  // namespace nb::probe
