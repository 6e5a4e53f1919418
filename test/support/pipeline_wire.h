// A pipeline between bytes: what a connection does around it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "redis/pipeline.h"
#include "redis/reply_reader.h"

namespace nb::test {

class PipelineWire {
 public:
  // `Sink` has on_settled() and on_aborted().
  template <class Sink>
  PipelineWire(Sink& sink, size_t max_reply_bytes, int db = 0, std::string_view prefix = {})
      : reader_(max_reply_bytes),
        events_{Delegate<void(const outbox::Unit&,
                              const redis::UnitResult&)>::template to<&Sink::on_settled>(&sink),
                Delegate<void(const outbox::Unit&)>::template to<&Sink::on_aborted>(&sink)},
        db_(db),
        prefix_(prefix) {
    drop();
  }

  void send(const outbox::Unit& unit, MonoTime now) {
    waiting_ += pipeline_->send(unit, output_, now);
  }
  void query(uint64_t id, int db, std::span<const std::string_view> command,
             Delegate<void(const redis::QueryReply&)> done) {
    waiting_ += pipeline_->query(id, db, command, done, output_);
  }
  std::optional<redis::Failure> feed(std::string_view bytes, MonoTime now) {
    if (reader_.feed(bytes)) {
      while (const redis::Reply reply = reader_.next()) {
        if (auto failure = pipeline_->on_reply(reply, now)) return failure;
        --waiting_;
      }
    }
    if (reader_.fault() == nullptr) return std::nullopt;
    return redis::Failure{redis::Trouble::rubbish, reader_.fault()};
  }
  void give_up(std::string_view words) { pipeline_->give_up(words); }

  // The connection is over, and there is a new one.
  void drop() {
    pipeline_.emplace(events_, db_, prefix_);
    waiting_ = 0;
  }

  std::string& output() { return output_; }
  // Replies that are still to come, as the pipeline has said.
  size_t waiting() const { return waiting_; }
  size_t waiting_units() const { return pipeline_->waiting_units(); }

 private:
  redis::ReplyReader reader_;
  redis::PipelineEvents events_;
  int db_;
  std::string prefix_;
  std::optional<redis::Pipeline> pipeline_;
  std::string output_;
  size_t waiting_ = 0;
};

}  // namespace nb::test
