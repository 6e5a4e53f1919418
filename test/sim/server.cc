#include "sim/server.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace nb::sim {

std::string node_name(int node) {
  return "n" + std::to_string(node);
}

int node_of(std::string_view name) {
  return parse_number<int>(name.substr(1)).value_or(0);
}

void Server::remember(What what, int node, std::string before) {
  journal_.push_back({world_.now(), what, node, std::move(before)});
}

void Server::set(What what, int node, std::string& place, const std::string& text) {
  if (place == text) return;
  remember(what, node, std::move(place));
  place = text;
}

void Server::list(int node, bool listed) {
  if (listed_[node] == listed) return;
  remember(What::listed, node, listed_[node] ? "1" : "");
  listed_[node] = listed;
}

void Server::add(char kind, int node, const std::string& lease) {
  remember(What::stream, 0, "");
  stream_.push_back({kind, node, lease});
}

bool Server::is_of(const std::string& term) const {
  return !term.empty() && watch_.starts_with(term);
}

Reply Server::execute(const Request& request) {
  using Op = Request::Op;
  Reply reply;
  const int node = request.node;
  if (!takes_writes_ && request.writes()) {
    reply.refused = true;
    return reply;
  }
  switch (request.op) {
    case Op::hello:
      break;
    case Op::lease:
      set(What::lease, node, leases_[node], request.text);
      observer_.on_renewed(node, request.agent);
      break;
    case Op::entry:
      list(node, true);
      break;
    case Op::watch:
      reply.text = watch_;
      break;
    case Op::claim:
      if (watch_ == request.text) {
        set(What::watch, 0, watch_, request.more);
        world_.say("redis: the watch is now '%s'", watch_.c_str());
        observer_.on_claimed(request.agent, request.text);
      }
      reply.text = watch_;
      break;
    case Op::renew:
      if (is_of(request.text)) set(What::watch, 0, watch_, request.more);
      reply.text = watch_;
      break;
    case Op::look:
      for (const uint8_t each : request.nodes) reply.list.emplace_back(each, leases_[each]);
      reply.count = static_cast<int>(std::count(listed_.begin(), listed_.end(), true));
      break;
    case Op::nodes:
      for (int i = 0; i < static_cast<int>(kMostNodes); ++i) {
        if (listed_[i]) reply.list.emplace_back(i, "");
      }
      break;
    case Op::marks:
      for (int i = 0; i < static_cast<int>(kMostNodes); ++i) {
        if (!marks_[i].empty()) reply.list.emplace_back(i, marks_[i]);
      }
      break;
    case Op::lost:
      if (!is_of(request.more)) {
        reply.text = "moved";
      } else if (leases_[node] != (request.absent ? "" : request.text)) {
        reply.text = "changed";
      } else if (marks_[node] == request.text) {
        reply.text = "already";
      } else {
        observer_.on_lost(node, request.text, request.agent);
        set(What::mark, node, marks_[node], request.text);
        add('l', node, request.text);
        reply.text = "announced";
      }
      break;
    case Op::returned:
      if (!is_of(request.more)) {
        reply.text = "moved";
      } else if (marks_[node].empty()) {
        reply.text = "already";
      } else if (marks_[node] == request.text || marks_[node] == leases_[node]) {
        reply.text = "changed";
      } else {
        observer_.on_returned(node, request.text, marks_[node]);
        set(What::mark, node, marks_[node], "");
        add('r', node, request.text);
        reply.text = "announced";
      }
      break;
    case Op::say:
      if (is_of(request.more)) observer_.on_said(request.text);
      break;
    case Op::leave:
      if (is_of(request.more)) set(What::watch, 0, watch_, "");
      break;
  }
  return reply;
}

void Server::stop() {
  world_.say("redis: is stopped");
  stopped_ = true;
}

void Server::go_on() {
  if (!stopped_) return;
  world_.say("redis: goes on");
  stopped_ = false;
  for (const auto& what : std::exchange(waiting_, {})) what();
}

void Server::take_writes(bool takes) {
  if (takes_writes_ == takes) return;
  world_.say(takes ? "redis: takes writes again" : "redis: takes no writes");
  takes_writes_ = takes;
}

void Server::go_down() {
  world_.say("redis: is gone");
  ++generation_;
  ended_ = world_.now();
  up_ = false;
  stopped_ = false;
  waiting_.clear();
}

void Server::come_up(Duration lost) {
  if (up_) {
    ++generation_;
    ended_ = world_.now();
  }
  up_ = true;
  stopped_ = false;
  waiting_.clear();
  world_.say("redis: is a new one, which has lost %lld ms", static_cast<long long>(lost / 1ms));
  while (!journal_.empty() && lost > 0s && journal_.back().time >= ended_ - lost) {
    Undo& undo = journal_.back();
    if (undo.what == What::lease) leases_[undo.node] = undo.before;
    if (undo.what == What::watch) watch_ = undo.before;
    if (undo.what == What::mark) marks_[undo.node] = undo.before;
    if (undo.what == What::listed) listed_[undo.node] = !undo.before.empty();
    if (undo.what == What::stream) stream_.pop_back();
    journal_.pop_back();
  }
}

void Server::empty() {
  world_.say("redis: is emptied");
  leases_.fill({});
  marks_.fill({});
  listed_.fill(false);
  watch_.clear();
  stream_.clear();
  journal_.clear();
}

void Server::forget(int node) {
  set(What::lease, node, leases_[node], "");
  set(What::mark, node, marks_[node], "");
  list(node, false);
  add('f', node, "");
}

void Server::spoil_lease(int node, const std::string& text) {
  set(What::lease, node, leases_[node], text);
}

void Server::spoil_watch(const std::string& text) {
  set(What::watch, 0, watch_, text);
}

}  // namespace nb::sim
