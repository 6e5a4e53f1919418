#include "gate/scrape.h"

#include <utility>

#include "json/view.h"
#include "json/writer.h"

namespace nb::gate {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFresh = 1s;
// Prometheus waits 10 s by default. A page of the cell takes 3 s at most.
constexpr Duration kMostForPages = 5s;

}  // namespace

Scrape::Scrape(uv::Loop& loop, Agent& agent, std::string version,
               Delegate<metrics::GateFigures()> figures)
    : loop_(loop),
      version_(std::move(version)),
      figures_(figures),
      stats_call_(agent, Delegate<void(const CallAnswer&)>::to<&Scrape::on_stats>(this)),
      health_call_(agent, Delegate<void(const CallAnswer&)>::to<&Scrape::on_health>(this)),
      redis_call_(agent, Delegate<void(const CallAnswer&)>::to<&Scrape::on_redis>(this)),
      status_call_(agent, Delegate<void(const CallAnswer&)>::to<&Scrape::on_page>(this)) {}

void Scrape::handle(const http::Request& request, http::Reply&& reply) {
  waiting_.push_back({std::move(reply), metrics::format_for(request.header("Accept"))});
  if (under_way_ > 0) return;
  const bool is_fresh = gathered_ != MonoTime::min() && loop_.now() - gathered_ < kFresh;
  is_fresh ? answer_all() : begin();
}

void Scrape::begin() {
  began_ = loop_.now();
  pages_.clear();
  under_way_ = 4;
  stats_call_.start("agent.stats");
  health_call_.start("health.get");
  redis_call_.start("redis.inspect");
  ask_page({});
}

void Scrape::ask_page(std::string_view params) {
  status_call_.start("system.status", params);
}

void Scrape::take(const CallAnswer& answer, std::string& text) {
  text = answer.ok() ? answer.result.raw() : std::string_view();
  end_one();
}

void Scrape::on_page(const CallAnswer& answer) {
  if (!answer.ok()) return end_one();
  pages_.emplace_back(answer.result.raw());
  std::string scratch;
  const auto cursor = answer.result["cursor"].string(scratch);
  if (!cursor || loop_.now() - began_ > kMostForPages) return end_one();
  std::string params;
  json::Writer(params).begin_object().key("cursor").string(*cursor).end_object();
  ask_page(params);
}

void Scrape::end_one() {
  if (--under_way_ > 0) return;
  gathered_ = loop_.now();
  answer_all();
}

void Scrape::answer_all() {
  for (Waiter& waiter : std::exchange(waiting_, {})) {
    if (!waiter.reply.is_wanted()) continue;
    waiter.reply.send(
        {.body = text(waiter.format), .type = std::string(metrics::content_type(waiter.format))});
  }
}

std::string Scrape::text(metrics::Format format) const {
  const auto view = [](const std::string& json) {
    return json.empty() ? json::View() : json::View::of(json);
  };
  metrics::Answers answers;
  answers.gate_version = version_;
  answers.gate = figures_();
  answers.agent_is_there = !stats_.empty();
  answers.stats = view(stats_);
  answers.health = view(health_)["health"];
  answers.redis = view(redis_);
  for (const std::string& page : pages_) answers.status.push_back(view(page));
  return metrics::render(answers, format);
}

}  // namespace nb::gate
