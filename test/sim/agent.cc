#include "sim/agent.h"

#include <algorithm>
#include <utility>

#include "wire/lease.h"

namespace nb::sim {
namespace {

constexpr Duration kCommandTimeout = 1900ms;  // redis/link_options.h
constexpr Duration kConnectTimeout = 2s;
constexpr Duration kQuestionTimeout = 4s;
constexpr Duration kIdle = 5s;
constexpr Duration kBeat = 5s;
constexpr Duration kRegisterAge = 10s;
constexpr int kMostRuns = 32;
constexpr Duration kAgain = 250ms;  // after a refusal

}  // namespace

Agent::Agent(World& world, Server& server, Network& network, const Options& options)
    : world_(world),
      server_(server),
      network_(network),
      options_(options),
      name_("a" + std::to_string(options.index)),
      since_(world.now()) {}

// --- the process and its time ---

MonoTime Agent::local() const {
  const Duration time = world_.now().time_since_epoch();
  return MonoTime(time + time / 1'000'000 * options_.clock_ppm + options_.clock_offset);
}

MonoTime Agent::world_time(MonoTime local) const {
  return world_.now() + (local - this->local()) * 1'000'000 / (1'000'000 + options_.clock_ppm) +
         1ns;
}

void Agent::at(MonoTime local, std::function<void()> what) {
  world_.at(world_time(local) + world_.upto(late_),
            [this, life = life_, what = std::move(what)] { run(life, false, what); });
}

void Agent::run(int life, bool is_message, std::function<void()> what) {
  if (life != life_) return;
  if (!frozen_) return what();
  deferred_.push_back({is_message, [this, life, is_message, what = std::move(what)] {
                         run(life, is_message, what);
                       }});
}

void Agent::note_whether_there() {
  if (is_there() == was_there_) return;
  was_there_ = is_there();
  since_ = world_.now();
}

void Agent::start(bool reboot) {
  if (running_) return;
  ++life_;
  if (reboot || boot_ == 0) ++boot_;
  world_.say("%s starts as life %d of boot %d on %s: %lld ms, %lld ms%s", name_.c_str(), life_,
             boot_, node_name(node()).c_str(), static_cast<long long>(options_.interval / 1ms),
             static_cast<long long>(options_.patience / 1ms), options_.enabled ? "" : ", excluded");
  running_ = true;
  stopping_ = false;
  seq_ = 0;
  begun_ = world_.now();
  server_known_ = server_.generation();
  claim_.emplace(node_name(node()), name_ + "-" + std::to_string(life_), options_.enabled,
                 Random(world_.below(UINT64_MAX)), local());
  note_whether_there();
  open(link_);
  renew();
  beat();
}

void Agent::crash(const char* what, bool computer) {
  if (computer) held_.clear();
  if (!running_) return;
  world_.say("%s: %s", name_.c_str(), what);
  ++life_;
  running_ = holding_ = reading_ = busy_ = false;
  frozen_ = false;
  deferred_.clear();
  runs_ = 0;
  for (Channel* channel : {&link_, &reader_}) {
    ++channel->epoch;
    channel->state = State::closed;
    channel->questions.clear();
    channel->failures = 0;
    channel->checks = false;
  }
  watcher_.end();
  claim_.reset();
  note_whether_there();
}

void Agent::say_goodbye() {
  if (!is_there() || stopping_ || link_.state != State::open) return;
  world_.say("%s is told to stop", name_.c_str());
  stopping_ = true;
  wire::print_lease({"b" + std::to_string(boot_), name_ + "-" + std::to_string(life_), ++seq_,
                     static_cast<uint32_t>(options_.interval / 1ms), 0},
                    lease_);
  if (holding_) (void)ask(link_, {Request::Op::leave, 0, -1, "", own_term()}, [](const Reply*) {});
  // It waits for a while for the server to have it.
  put_lease([this](const Reply*) { crash("stops", false); });
  at(local() + 3s, [this] { crash("stops", false); });
}

void Agent::cut() {
  if (!cut_) world_.say("%s is cut off", name_.c_str());
  cut_ = true;
  note_whether_there();
}

void Agent::heal() {
  if (!cut_) return;
  world_.say("%s is no longer cut off", name_.c_str());
  cut_ = false;
  note_whether_there();
  for (const auto& message : std::exchange(held_, {})) message();
}

void Agent::freeze() {
  if (!running_) return;
  world_.say("%s is frozen", name_.c_str());
  frozen_ = true;
  note_whether_there();
}

void Agent::thaw() {
  if (!frozen_) return;
  world_.say("%s is no longer frozen", name_.c_str());
  frozen_ = false;
  note_whether_there();
  // Which comes first, what its clock says or what lies in its sockets, is not known.
  auto all = std::exchange(deferred_, {});
  const bool messages_first = world_.chance(50);
  for (const bool messages : {messages_first, !messages_first}) {
    for (const Deferred& each : all) {
      if (each.is_message == messages) each.what();
    }
  }
}

void Agent::reset_connections() {
  if (!running_) return;
  if (world_.chance(60) && link_.state == State::open) close(link_, "reset");
  if (world_.chance(60) && reader_.state == State::open) close(reader_, "reset");
}

// --- connections ---

Duration Agent::delay() {
  Duration delay = world_.between(network_.least, network_.most);
  if (world_.chance(network_.loss_percent)) delay += network_.again;
  return delay;
}

void Agent::open(Channel& channel) {
  if (channel.state == State::opens || channel.state == State::open) return;
  channel.state = State::opens;
  ++channel.epoch;
  channel.generation = server_.generation();
  channel.ended = false;
  channel.silent = world_.chance(network_.silent_percent);
  channel.out = channel.in = world_.now();
  channel.opened = local();
  const Question hello{0, {Request::Op::hello, options_.index}, local(), {}, {}};
  transmit(channel, hello);
  at(local() + kConnectTimeout, [this, reader = channel.is_reader, epoch = channel.epoch] {
    Channel& late = this->channel(reader);
    if (late.epoch == epoch && late.state == State::opens) close(late, "cannot connect");
  });
}

void Agent::close(Channel& channel, const char* why) {
  world_.say("%s: the %s's connection ends: %s", name_.c_str(),
             channel.is_reader ? "reader" : "link", why);
  if (channel.state == State::open && local() - channel.opened >= 10s) channel.failures = 0;
  ++channel.epoch;
  channel.state = State::waits;
  // Full jitter up to a window that doubles; below the cap no delay is longer than 900 ms.
  const Duration cap = std::min<Duration>(5s, options_.patience / 2);
  const Duration window = std::min<Duration>(100ms * (1 << std::min(channel.failures++, 6)), cap);
  const Duration pause = world_.upto(window < cap ? std::min<Duration>(window, 900ms) : cap);
  auto questions = std::exchange(channel.questions, {});
  if (channel.is_reader && network_.asks_again) {
    // But not what is to be asked on one connection only.
    for (Question& question : std::exchange(questions, {})) {
      (question.request.is_verdict() ? questions : channel.questions)
          .push_back(std::move(question));
    }
  }
  at(local() + pause, [this, reader = channel.is_reader, epoch = channel.epoch] {
    if (this->channel(reader).epoch == epoch) open(this->channel(reader));
  });
  for (const Question& question : questions) question.done(nullptr);
}

bool Agent::ask(Channel& channel, Request request, Done done) {
  const bool on_this_one = !channel.is_reader || request.is_verdict();
  if (on_this_one && channel.state != State::open) return false;
  // An idle connection of the reader is closed.
  if (channel.is_reader && channel.questions.empty() && channel.state == State::open &&
      local() - channel.used > kIdle) {
    channel.state = State::closed;
  }
  channel.used = local();
  if (channel.state == State::closed) open(channel);
  request.agent = options_.index;
  channel.questions.push_back(
      {++ids_, std::move(request), local(), local() + kQuestionTimeout, std::move(done)});
  if (channel.state == State::open) transmit(channel, channel.questions.back());
  if (!channel.checks) check_deadlines(channel.is_reader);
  return true;
}

void Agent::check_deadlines(bool reader) {
  Channel& channel = this->channel(reader);
  const MonoTime now = local();
  channel.checks = true;
  while (reader && !channel.questions.empty() && now >= channel.questions.front().deadline) {
    const Question question = std::move(channel.questions.front());
    channel.questions.pop_front();
    question.done(nullptr);
  }
  if (!channel.questions.empty() && channel.state == State::open &&
      now - channel.questions.front().sent >= kCommandTimeout) {
    close(channel, "no answer");
  }
  channel.checks = !channel.questions.empty();
  if (channel.checks) at(now + 100ms, [this, reader] { check_deadlines(reader); });
}

void Agent::transmit(Channel& channel, const Question& question) {
  channel.out = std::max(channel.out, world_.now() + delay());
  world_.at(channel.out,
            [this, reader = channel.is_reader, epoch = channel.epoch,
             generation = channel.generation, id = question.id,
             request = question.request] { arrive(reader, epoch, generation, id, request); });
}

void Agent::arrive(bool reader, int epoch, int generation, uint64_t id, const Request& request) {
  const auto again = [=, this] { arrive(reader, epoch, generation, id, request); };
  if (cut_) return held_.push_back(again);
  Channel& channel = this->channel(reader);
  if (!server_.is_up() || generation != server_.generation()) {
    if (channel.silent) {
      if (request.op == Request::Op::hello) world_.after(1s, again);  // as the kernel does
      return;
    }
    world_.after(delay(), [this, reader, epoch, life = life_] {
      run(life, true, [this, reader, epoch] {
        if (!cut_ && this->channel(reader).epoch == epoch) close(this->channel(reader), "gone");
      });
    });
    return;
  }
  if (epoch == channel.epoch && channel.ended) return;
  if (server_.is_stopped()) return server_.wait(again);
  // What was sent on a connection that has ended may get there all the same.
  if (epoch != channel.epoch && !world_.chance(network_.lingers_percent)) return;
  if (epoch != channel.epoch) {
    world_.say("redis: something of an ended connection of %s arrives", name_.c_str());
  }
  const Reply reply = server_.execute(request);
  if (epoch != channel.epoch) return;
  const bool matters = request.op == Request::Op::lost || request.op == Request::Op::returned ||
                       request.op == Request::Op::claim || world_.chance(10);
  if (channel.is_reader && matters && world_.chance(network_.spite_percent)) {
    server_.note_cut();
    channel.ended = true;
    world_.after(delay(), [this, epoch, life = life_] {
      run(life, true, [this, epoch] {
        if (!cut_ && reader_.epoch == epoch) close(reader_, "cut off before an answer");
      });
    });
    return;
  }
  channel.in = std::max(channel.in, world_.now() + delay());
  world_.at(channel.in, [this, reader, epoch, id, reply] { respond(reader, epoch, id, reply); });
}

void Agent::respond(bool reader, int epoch, uint64_t id, const Reply& reply) {
  if (cut_) {
    return held_.push_back([=, this] { respond(reader, epoch, id, reply); });
  }
  run(life_, true, [=, this] {
    Channel& channel = this->channel(reader);
    if (channel.epoch != epoch) return;
    if (channel.state == State::opens) return on_open(channel);
    // Answers come in the order of the questions; the one of this answer may have been given up.
    if (channel.questions.empty() || channel.questions.front().id != id) return;
    const Question question = std::move(channel.questions.front());
    channel.questions.pop_front();
    question.done(&reply);
    // The link gives up a connection on which its writes are refused.
    if (reply.refused && !reader && channel.epoch == epoch) close(channel, "refused");
  });
}

void Agent::on_open(Channel& channel) {
  channel.state = State::open;
  channel.opened = local();
  if (channel.is_reader) {
    ++connects_;
    for (Question& question : channel.questions) {
      question.sent = local();
      transmit(channel, question);
    }
    return;
  }
  claim_->on_connected(local());
  // The run id of the server says that it is another one.
  if (std::exchange(server_known_, link_.generation) != link_.generation && holding_) begin_again();
  put_lease();
  (void)ask(link_, {Request::Op::entry, 0, node()}, [](const Reply*) {});
}

// --- the lease ---

void Agent::put_lease(Done done) {
  (void)ask(link_, {Request::Op::lease, 0, node(), lease_}, std::move(done));
}

void Agent::renew() {
  if (stopping_) return;
  const MonoTime due = local() + options_.interval;
  wire::print_lease({"b" + std::to_string(boot_), name_ + "-" + std::to_string(life_), ++seq_,
                     static_cast<uint32_t>(options_.interval / 1ms),
                     static_cast<uint32_t>(options_.patience / 1ms)},
                    lease_);
  put_lease();
  read_watch();
  at(due, [this] { renew(); });
}

// With it a node that the server has lost is in the register again.
void Agent::beat() {
  (void)ask(link_, {Request::Op::entry, 0, node()}, [](const Reply*) {});
  at(local() + kBeat, [this] { beat(); });
}

// --- the watch, as in fleet/watch ---

void Agent::read_watch() {
  if (reading_) return;
  const MonoTime asked = local();
  reading_ = ask(link_, {Request::Op::watch}, [this, asked](const Reply* reply) {
    reading_ = false;
    if (reply != nullptr) {
      claim_->on_read(reply->text, asked, local());
    } else {
      claim_->not_read();
    }
    after_claim();
  });
}

void Agent::arm() {
  MonoTime next = claim_->next_step();
  if (holding_ && !busy_) next = std::min(next, std::max(watcher_.next_look(), local()));
  if (next == MonoTime::max()) return;
  at(std::max(next, local()), [this, timer = ++timer_] {
    if (timer == timer_) on_timer();
  });
}

void Agent::on_timer() {
  const MonoTime now = local();
  switch (claim_->step(now)) {
    case fleet::WatchClaim::Step::read:
      read_watch();
      if (!reading_) claim_->not_read();
      break;
    case fleet::WatchClaim::Step::claim:
      write(false);
      break;
    case fleet::WatchClaim::Step::renew:
      write(true);
      break;
    case fleet::WatchClaim::Step::nothing:
      break;
  }
  if (holding_ && !busy_ && now >= watcher_.next_look()) register_due_ ? read_register() : look();
  arm();
}

void Agent::write(bool renews) {
  // Wall clocks are set as people like.
  const auto write = claim_->write(world_.below(1u << 31), 0);
  (void)ask(reader_,
            {renews ? Request::Op::renew : Request::Op::claim, 0, -1, std::string(write.expected),
             std::string(write.wanted)},
            [this](const Reply* reply) {
              if (reply != nullptr && reply->refused) {
                claim_->refused(local(), kAgain);
              } else if (reply != nullptr) {
                claim_->on_written(reply->text, local());
              } else {
                claim_->not_written(local());
              }
              after_claim();
            });
}

void Agent::after_claim() {
  if (claim_->is_holding() != holding_) {
    holding_ = claim_->is_holding();
    busy_ = false;
    ++looks_;
    ++terms_;
    (void)claim_->had_to_claim_anew();
    if (holding_) {
      trace("watches");
      watcher_.begin(node_name(node()), claim_->was_away(local()));
      look_connects_ = connects_;
      register_due_ = true;
    } else {
      trace("no longer watches");
      watcher_.end();
    }
  } else if (claim_->had_to_claim_anew()) {
    begin_again();
  }
  arm();
}

void Agent::begin_again() {
  trace("begins again");
  busy_ = false;
  ++looks_;
  watcher_.begin_again();
  register_due_ = true;
}

void Agent::read_register() {
  busy_ = true;
  const int token = ++looks_;
  (void)ask(reader_, {Request::Op::nodes},
            [this, token](const Reply* reply) { on_register(reply, false, token); });
}

void Agent::on_register(const Reply* reply, bool marks, int token) {
  if (token != looks_) return;
  if (reply == nullptr) return fail_look();
  if (!marks) {
    watcher_.begin_register();
    registered_size_ = static_cast<int>(reply->list.size());
  }
  for (const auto& [node, lease] : reply->list) {
    if (marks) {
      watcher_.mark_lost(node_name(node), lease);
    } else {
      watcher_.add_node(node_name(node));
    }
  }
  if (!marks) {
    (void)ask(reader_, {Request::Op::marks},
              [this, token](const Reply* marked) { on_register(marked, true, token); });
    return;
  }
  watcher_.end_register();
  register_due_ = false;
  registered_ = local();
  busy_ = false;
  arm();
}

void Agent::look() {
  busy_ = true;
  const int token = ++looks_;
  watcher_.begin_look(local());
  // In one or two batches, between which the server may do other things.
  const size_t cut = world_.chance(30) ? world_.below(watcher_.size() + 1) : watcher_.size();
  parts_ = 2;
  for (const auto& [first, last] : {std::pair(size_t{0}, cut), std::pair(cut, watcher_.size())}) {
    Request request{Request::Op::look};
    std::vector<size_t> indexes;
    for (size_t i = first; i < last; ++i) {
      request.nodes.push_back(static_cast<uint8_t>(node_of(watcher_.node(i))));
      indexes.push_back(i);
    }
    (void)ask(reader_, std::move(request),
              [this, indexes, token](const Reply* reply) { on_look(reply, indexes, token); });
  }
}

void Agent::on_look(const Reply* reply, const std::vector<size_t>& indexes, int token) {
  if (token != looks_) return;
  if (reply == nullptr) return fail_look();
  register_due_ = register_due_ || reply->count != registered_size_;
  for (size_t i = 0; i < indexes.size(); ++i) {
    watcher_.see(indexes[i], reply->list[i].second, local());
  }
  if (--parts_ > 0) return;
  if (std::exchange(look_connects_, connects_) != connects_) {
    begin_again();
    return arm();
  }
  watcher_.end_look(local());
  busy_ = false;
  register_due_ = register_due_ || local() - registered_ >= kRegisterAge;
  act();
  arm();
}

void Agent::fail_look() {
  ++looks_;
  busy_ = false;
  watcher_.fail_look(local());
  arm();
}

void Agent::act() {
  using Kind = fleet::Watcher::Kind;
  using Outcome = fleet::Watcher::Outcome;
  fleet::Watcher::Action action;
  while (holding_ && runs_ < kMostRuns && watcher_.next(action)) {
    Request request{Request::Op::say, 0, -1, "", own_term()};
    if (action.kind == Kind::uncertain) request.text = "uncertain";
    if (action.kind == Kind::sure) request.text = "sure";
    if (!action.node.empty() && world_.traces()) {
      constexpr const char* kWords[] = {"is suspect",
                                        "is no longer suspect",
                                        "is to be lost",
                                        "is to be returned",
                                        "is malformed",
                                        "is recorded after all",
                                        "",
                                        ""};
      trace((std::string(action.node) + " " + kWords[static_cast<size_t>(action.kind)]).c_str());
    }
    if (action.ticket == 0 && request.text.empty()) continue;
    if (action.ticket != 0) {
      request.op = action.kind == Kind::lost ? Request::Op::lost : Request::Op::returned;
      request.node = node_of(action.node);
      request.text = action.lease;
      request.absent = action.absent;
    }
    ++runs_;
    const bool asked = ask(reader_, std::move(request),
                           [this, ticket = action.ticket, term = terms_](const Reply* reply) {
                             --runs_;
                             if (!holding_ || term != terms_) return;
                             const std::string text = reply != nullptr ? reply->text : "";
                             if (text == "moved") claim_->on_moved(local());
                             watcher_.report(ticket,
                                             text == "announced" ? Outcome::announced
                                             : text == "already" ? Outcome::already
                                             : text == "changed" ? Outcome::lease_changed
                                                                 : Outcome::no_answer,
                                             local());
                             act();
                             arm();
                           });
    if (asked) continue;
    --runs_;
    watcher_.report(action.ticket, Outcome::no_answer, local());
  }
}

void Agent::trace(const char* what) const {
  world_.say("%s %s", name_.c_str(), what);
}

}  // namespace nb::sim
