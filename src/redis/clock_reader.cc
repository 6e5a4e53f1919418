#include "redis/clock_reader.h"

#include "redis/forms.h"

namespace nb::redis {

ClockReader::ClockReader(uv::Loop& loop, Link& link, int database)
    : loop_(loop), link_(link), database_(database) {}

void ClockReader::read() {
  ask(regular_);
}

bool ClockReader::read_now(Delegate<void()> done) {
  now_.done = done;
  return ask(now_);
}

bool ClockReader::ask(Question& question) {
  if (refused_ || question.under_way) return false;
  const std::string_view command[] = {"TIME"};
  question.asked = loop_.now();
  const auto done = Delegate<void(const QueryReply&)>::to<&Question::on_answer>(&question);
  question.under_way =
      link_.query(database_, command, done, Link::QueryOrder::ahead_of_writes) != 0;
  return question.under_way;
}

void ClockReader::on_answer(Question& question, const QueryReply& reply) {
  question.under_way = false;
  if (reply.reply.is_error()) refused_ = true;
  if (const auto time = read_time(reply.reply)) take(*time, question.asked);
  question.done();
}

}  // namespace nb::redis
