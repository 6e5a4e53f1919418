#include "ctl/cell_reader.h"

#include <uv.h>

#include <algorithm>
#include <array>

#include "base/timestamp.h"
#include "ctl/json.h"
#include "json/guard.h"
#include "redis/plain_transport.h"
#include "redis_admin/server.h"
#include "terminal/json_text.h"
#include "terminal/text.h"
#include "wire/keys.h"
#include "wire/lease.h"

namespace nb::ctl {
namespace {

constexpr size_t kPageBytes = 1024 * 1024;
// No agent holds a watch any more that did not change for this long (PROTOCOL.md, 4.10.2).
constexpr Duration kWatchAlive = std::chrono::seconds(5);
constexpr std::string_view kProgressPrefix = "stroke:progress:";

redis::LinkOptions way_to(const config::RedisAddress& address, const std::string& prefix) {
  redis::LinkOptions options;
  options.prefix = prefix;
  options.target = {address.host, address.port, address.unix_path};
  options.greeting.user = address.user;
  options.greeting.password = address.password;
  options.greeting.client_name = "nodebeatctl";
  // A person waits for the result.
  options.backoff.cap = std::chrono::seconds(1);
  options.backoff.base = std::min(options.backoff.base, options.backoff.cap);
  return options;
}

Answer refusal(const std::string& words) {
  return {kRefused, 0, words};
}

}  // namespace

CellReader::CellReader(Options options)
    : options_(std::move(options)),
      place_(redis_admin::place_of(options_.address)),
      loop_(clock_),
      reader_(loop_, way_to(options_.address, options_.prefix), options_.address.db,
              &redis::make_plain_transport),
      subscriber_(loop_, log_, way_to(options_.address, options_.prefix),
                  redis::SubscriberEvents{
                      Delegate<void(std::string_view, std::string_view,
                                    std::string_view)>::to<&CellReader::on_message>(this),
                      Delegate<void(WallTime, WallTime)>::to<&CellReader::on_gap>(this),
                      {}},
                  &redis::make_plain_transport),
      fleet_(loop_, reader_, {},
             fleet::Fleet::Wiring{
                 Delegate<bool()>::to<&CellReader::redis_is_there>(this),
                 Delegate<uint64_t()>::to<&CellReader::link_connects>(this),
                 Delegate<bool()>::to<&CellReader::is_watched>(this),
                 Delegate<std::string_view()>::to<&CellReader::own_health>(this),
                 Delegate<bool(uint64_t, size_t)>::to<&CellReader::has_room>(this),
                 Delegate<size_t(uint64_t)>::to<&CellReader::page_bytes>(this),
                 Delegate<void(uint64_t, std::string_view)>::to<&CellReader::on_page>(this)}) {}

CellReader::~CellReader() {
  fleet_.stop();
  subscriber_.stop();
  reader_.stop();
}

// One turn of the loop, which waits in the poll() that also waits for the caller's descriptors.
int CellReader::turn(std::span<pollfd> more, int timeout_ms) {
  loop_.run_once(false);
  std::array<pollfd, kMostDescriptors + 1> all{};
  const size_t count = std::min(more.size(), kMostDescriptors);
  std::copy_n(more.begin(), count, all.begin());
  all[count] = {uv_backend_fd(loop_.raw()), POLLIN, 0};
  const int own = uv_backend_timeout(loop_.raw());
  if (own >= 0 && (timeout_ms < 0 || own < timeout_ms)) timeout_ms = own;
  const int ready = ::poll(all.data(), count + 1, timeout_ms);
  for (size_t i = 0; i < count; ++i) more[i].revents = ready > 0 ? all[i].revents : short{0};
  loop_.run_once(false);
  return ready;
}

void CellReader::wait(std::span<pollfd> more, int timeout_ms) {
  (void)turn(more, timeout_ms);
}

template <class Done>
bool CellReader::run_until(Done done, int64_t timeout_ms) {
  const MonoTime deadline = clock_.now() + std::chrono::milliseconds(timeout_ms);
  while (!done()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock_.now()).count();
    if (left <= 0) return false;
    (void)turn({}, static_cast<int>(left));
  }
  return true;
}

void CellReader::Asked::on_answer(const redis::ReaderAnswer& answer) {
  done = true;
  const redis::Reply reply = answer.reply;
  answered = reply.is_string() || reply.is_nil() || reply.is_array() || reply.is_error();
  if (reply.is_error()) error = printable(reply.error());
  if (reply.is_string()) text = reply.string();
  if (!reply.is_array() || reply.size() != 2 || !reply[1].is_array()) return;
  text = reply[0].string();
  for (size_t i = 0; i < reply[1].size(); ++i) items.emplace_back(reply[1][i].string());
}

CellReader::Asked CellReader::ask(std::span<const std::string_view> command, int64_t timeout_ms) {
  Asked asked;
  const uint64_t question = reader_.ask(
      command, Delegate<void(const redis::ReaderAnswer&)>::to<&Asked::on_answer>(&asked));
  if (question == 0) return asked;
  if (!run_until([&] { return asked.done; }, timeout_ms)) reader_.cancel(question);
  return asked;
}

CellReader::Asked CellReader::ask_for_watch(int64_t timeout_ms) {
  const std::string_view command[] = {"GETRANGE", wire::kWatchKey, "0", wire::kLeaseEnd};
  return ask(command, timeout_ms);
}

Answer CellReader::failure(ExitCode code, const std::string& words) const {
  return {code, 0, "redis " + printable(place_) + ": " + words};
}

Answer CellReader::fault(const Asked& asked) const {
  if (!asked.error.empty()) return failure(kRefusedByRedis, asked.error);
  if (!reader_.words().empty()) return failure(kAway, printable(reader_.words()));
  return failure(kTimeout, "no answer in time");
}

Answer CellReader::open() {
  // Each user with the right to look at the cell may ask this question.
  const Asked asked = ask_for_watch(options_.timeout_ms);
  if (!asked.answered || !asked.error.empty()) return fault(asked);
  watch_ = asked.text;
  return {};
}

// An agent watches the cell if the words of the watch change: each renewal counts on.
void CellReader::look_at_watch(int64_t timeout_ms) {
  const Asked asked = ask_for_watch(timeout_ms);
  const MonoTime now = clock_.now();
  if (asked.answered && asked.error.empty() && asked.text != watch_) {
    watch_ = asked.text;
    watch_changed_ = now;
    watched_ = !watch_.empty();
  }
  if (now - watch_changed_ > kWatchAlive) watched_ = false;
}

Answer CellReader::call(const std::string& method, const std::string& params, int64_t timeout_ms) {
  if (timeout_ms <= 0) timeout_ms = options_.timeout_ms;
  const JsonDocument given(params.empty() ? std::string_view("{}") : std::string_view(params));
  const auto text = [&](const char* name) { return std::string(given[name].text()); };
  if (method == "system.status") return status(text("cursor"), timeout_ms);
  if (method == "agent.stats") return {kOk, 0, stats()};
  if (method == "client.hello") return {kOk, 0, R"({"node_id":null})"};
  if (method == "state.list") return list(text("prefix"), text("cursor"), timeout_ms);
  if (method == "state.get" && text("key").starts_with(kProgressPrefix)) {
    return progress(text("key"), timeout_ms);
  }
  return refusal("without an agent there is no " + printable(method));
}

Answer CellReader::status(const std::string& cursor, int64_t timeout_ms) {
  if (cursor.empty()) look_at_watch(timeout_ms);
  page_.reset();
  fleet_.ask({1, ++token_, fleet::Fleet::kMostNodes, cursor});
  if (!run_until([&] { return page_.has_value(); }, timeout_ms)) {
    return failure(kTimeout, "the cell was not read in time");
  }
  return {kOk, 0, *page_};
}

void CellReader::on_page(uint64_t token, std::string_view page) {
  if (token == token_) page_ = page;
}

size_t CellReader::page_bytes(uint64_t) const {
  return kPageBytes;
}

std::string CellReader::stats() const {
  const std::string words = printable(reader_.words());
  ObjectText link;
  link.text("state", words.empty() ? "steady" : "waiting").text("target", place_);
  if (!words.empty()) link.text("trouble", words);
  return ObjectText().raw("link", link.str()).raw("clients", "[]").str();
}

Answer CellReader::list(const std::string& prefix, const std::string& cursor, int64_t timeout_ms) {
  // The keys that are asked for here hold no characters of patterns.
  const std::string pattern = prefix + '*';
  const std::string_view command[] = {
      "SCAN", cursor.empty() ? "0" : std::string_view(cursor), "MATCH", pattern, "COUNT", "1000"};
  const Asked asked = ask(command, timeout_ms);
  if (!asked.answered || !asked.error.empty()) return fault(asked);
  std::string keys;
  for (const std::string& key : asked.items) keys += (keys.empty() ? "" : ",") + json_quote(key);
  ObjectText out;
  out.raw("keys", '[' + keys + ']');
  asked.text == "0" ? out.raw("cursor", "null") : out.text("cursor", asked.text);
  return {kOk, 0, out.str()};
}

Answer CellReader::progress(const std::string& key, int64_t timeout_ms) {
  const std::string_view command[] = {"HGET", key, "progress"};
  const Asked asked = ask(command, timeout_ms);
  if (!asked.answered || !asked.error.empty()) return fault(asked);
  if (json_fault(asked.text)) return {kFound, -32001, "there is no such progress"};
  return {kOk, 0, ObjectText().text("key", key).raw("value", json_compact(asked.text)).str()};
}

Answer CellReader::subscribe(const std::string& channel) {
  const bool pattern = is_pattern(channel);
  pattern ? subscriber_.psubscribe(channel) : subscriber_.subscribe(channel);
  using Stage = redis::Subscriber::Stage;
  const auto stage = [&] { return subscriber_.stage(channel, pattern); };
  const bool settled =
      run_until([&] { return stage() == Stage::listening || stage() == Stage::refused; },
                options_.timeout_ms);
  if (!settled) return failure(kTimeout, "no answer in time");
  if (stage() == Stage::refused) {
    return failure(kRefusedByRedis, "this user may not listen to " + printable(channel));
  }
  return {};
}

void CellReader::on_message(std::string_view channel, std::string_view payload, std::string_view) {
  // Redis' own notices of keys are no messages of the cell.
  if (options_.on_event == nullptr || channel.starts_with("__")) return;
  const bool text = json::Guard().check(payload).reason != nullptr;
  const std::string quoted = text ? json_quote(printable(payload)) : std::string();
  options_.on_event(options_.user,
                    {.channel = channel, .json = text ? quoted : payload, .text = text});
}

void CellReader::on_gap(WallTime from, WallTime to) {
  if (options_.on_event == nullptr) return;
  const std::string gap =
      ObjectText().text("from", format_timestamp(from)).text("to", format_timestamp(to)).str();
  options_.on_event(options_.user, {.channel = {}, .json = gap, .gap = true});
}

}  // namespace nb::ctl
