#include "cell/history.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "fleet/cell_walk.h"
#include "json/view.h"
#include "json/writer.h"
#include "redis/forms.h"
#include "wire/keys.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length
namespace {

// A longer value is no figure.
constexpr size_t kMostValue = 32;

// Backwards, since the newest beat shows where the time ends: a node may have stopped long ago, and
// ids are by Redis' clock.
class HistoryOperation final : public Operation {
 public:
  explicit HistoryOperation(HistoryWish wish)
      : wish_(std::move(wish)),
        stream_(wire::node_metrics_stream(wish_.node)),
        step_(std::max<int64_t>(wish_.range_ms / wish_.points, 1)) {
    json::Writer json(out_);
    json.begin_object().key("node_id").string(wish_.node);
    json.key("step_ms").integer(step_).key("points").begin_array();
  }

 private:
  void begin() override { ask_for("+", "-"); }

  void ask_for(std::string_view end, std::string_view begin) {
    ask(0, {"XREVRANGE", stream_, end, begin, "COUNT", "1"});
  }

  void on_reply(int, redis::Reply reply) override {
    if (reply.is_error()) return refuse(rpc::refused_by_redis(reply.text()));
    if (!redis::is_entries(reply)) return refuse_as_malformed("XREVRANGE");
    if (reply.size() == 0) return finish(true);
    const auto time = redis::read_newest_entry(reply);
    if (!time) return finish(false);
    const int64_t ms =
        std::chrono::floor<std::chrono::milliseconds>(time->time_since_epoch()).count();
    if (told_ == 0) newest_ = ms;
    if (ms > newest_) return refuse_as_malformed("XREVRANGE");
    put(ms, reply[0][1]);
    const int64_t back = ((newest_ - ms) / step_ + 1) * step_;
    if (++told_ == wish_.points || back > std::min(wish_.range_ms, newest_)) return finish(true);
    const size_t longest = (kMostValue + 1) * (wish_.fields.size() + 2);
    if (is_late() || out_.size() + longest > result_bytes()) return finish(false);
    const int64_t begin = std::max<int64_t>(newest_ - wish_.range_ms, 0);
    ask_for(std::to_string(newest_ - back), std::to_string(begin));
  }

  void put(int64_t ms, redis::Reply fields) {
    const std::string_view health = redis::field_of(fields, "health");
    const json::View members = json::View::of(fleet::is_health(health) ? health : "{}"sv);
    if (told_ > 0) out_ += ',';
    json::Writer json(out_);
    json.begin_array().integer(ms);
    for (const std::string& name : wish_.fields) {
      const json::View value = members[name];
      // Of one line, as all that is written as it came.
      const bool is_figure = value.exists() && !value.is(json::View::Type::object) &&
                             !value.is(json::View::Type::array) && value.raw().size() <= kMostValue;
      is_figure ? json.raw(value.raw()) : json.null();
    }
    json.end_array();
  }

  void finish(bool complete) {
    out_ += "],\"complete\":"sv;
    out_ += complete ? "true}"sv : "false}"sv;
    answer(out_);
  }

  HistoryWish wish_;
  std::string stream_;
  int64_t step_;
  int64_t newest_ = 0;
  int64_t told_ = 0;
  std::string out_;
};

}  // namespace

std::unique_ptr<Operation> make_history_operation(HistoryWish wish) {
  return std::make_unique<HistoryOperation>(std::move(wish));
}

}  // namespace nb::cell
