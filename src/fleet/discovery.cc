#include "fleet/discovery.h"

#include <algorithm>
#include <utility>

#include "base/name.h"

namespace nb::fleet {

using namespace std::string_view_literals;  // built for size, only these know their length
namespace {

constexpr std::string_view kHealthPrefix = "node:health:";
constexpr std::string_view kProgressPrefix = "stroke:progress:";
// Matches both kinds of keys in one walk: the patterns of Redis have no "or" but for characters.
constexpr std::string_view kEither = "[ns][ot][dr][eo][:k][he][e:][ap][lr]*";
constexpr std::string_view kPage = "1000";

constexpr int kMaxSteps = 300;
constexpr Duration kMaxTime = std::chrono::milliseconds(500);
constexpr Duration kLeastPause = std::chrono::seconds(1);
constexpr Duration kMostPause = std::chrono::seconds(30);
constexpr int kPauseFactor = 20;
// A cell has fewer. A server that invents names does not fill the memory.
constexpr size_t kMaxNames = 1000;
constexpr size_t kMaxUnnamed = 50;
constexpr size_t kMaxSessionName = 256;

}  // namespace

void Discovery::run(Delegate<void()> on_done) {
  cancel();
  on_done_ = on_done;
  began_ = loop_.now();
  steps_ = 0;
  malformed_ = false;
  ask();
}

void Discovery::cancel() {
  reader_.cancel(std::exchange(question_, 0));
  on_done_ = {};
}

void Discovery::ask() {
  const std::string cursor = std::to_string(cursor_);
  const std::string_view command[] = {"SCAN", cursor, "MATCH", kEither, "COUNT", kPage};
  question_ = reader_.ask(
      command, Delegate<void(const redis::ReaderAnswer&)>::to<&Discovery::on_answer>(this));
  if (question_ == 0) finish();
}

void Discovery::on_answer(const redis::ReaderAnswer& answer) {
  question_ = 0;
  // A part that an ACL forbids is left out; the rest of a status is still useful.
  const auto page = redis::read_scan_page(answer.reply);
  if (!page) {
    malformed_ = answer.reply && !answer.reply.is_error();
    cursor_ = 0;
    return finish();
  }
  take(*page);
  cursor_ = page->cursor;
  if (cursor_ == 0) {
    end_of_pass();
    return finish();
  }
  if (++steps_ >= kMaxSteps || loop_.now() - began_ > kMaxTime) return finish();
  ask();
}

void Discovery::take(const redis::ScanPage& page) {
  for (size_t i = 0; i < page.elements.size(); ++i) {
    const std::string_view key = page.text(i);
    if (const auto node = redis::behind(kHealthPrefix, key)) {
      const auto known = nodes_.find(*node);
      if (known != nodes_.end()) {
        known->second = pass_;
      } else if (nodes_.size() < kMaxNames && is_name(*node)) {
        nodes_.try_emplace(std::string(*node), pass_);
      }
    } else if (const auto session = redis::behind(kProgressPrefix, key)) {
      take_session(*session);
    }
  }
}

// On a node one session runs at a time, so of the thousands that have ended none but the latest is
// worth a question.
void Discovery::take_session(std::string_view name) {
  if (name.size() > kMaxSessionName) return;
  const auto parsed = redis::read_session_name(name);
  if (!parsed) {
    const auto known = unnamed_.find(name);
    if (known != unnamed_.end()) {
      known->second = pass_;
    } else if (unnamed_.size() < kMaxUnnamed) {
      unnamed_.try_emplace(std::string(name), pass_);
    }
    return;
  }
  auto known = sessions_.find(parsed->node);
  if (known == sessions_.end()) {
    if (sessions_.size() >= kMaxNames) return;
    known = sessions_.try_emplace(std::string(parsed->node)).first;
  } else if (std::pair(parsed->seconds, parsed->microseconds) <
             std::pair(known->second.seconds, known->second.microseconds)) {
    return;
  }
  known->second = {std::string(name), parsed->seconds, parsed->microseconds, pass_};
}

void Discovery::end_of_pass() {
  const auto is_gone = [&](const auto& item) { return item.second != pass_; };
  std::erase_if(nodes_, is_gone);
  std::erase_if(unnamed_, is_gone);
  std::erase_if(sessions_, [&](const auto& item) { return item.second.pass != pass_; });
  ++pass_;
}

void Discovery::finish() {
  const MonoTime now = loop_.now();
  due_ = now + std::clamp((now - began_) * kPauseFactor, kLeastPause, kMostPause);
  std::exchange(on_done_, {})();
}

}  // namespace nb::fleet
