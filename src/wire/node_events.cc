#include "wire/node_events.h"

#include "base/timestamp.h"
#include "json/writer.h"

namespace nb::wire {
namespace {

json::Writer begin_event(std::string& out, std::string_view type, const EventSource& source) {
  json::Writer json(out);
  json.begin_object().key("type").string(type).key("node_id").string(source.node_id);
  json.key("timestamp").string(format_timestamp(source.timestamp));
  json.key("instance_id").string(source.instance_id);
  return json;
}

void put_client(const EventClient& client, json::Writer& json) {
  if (!client.name.empty()) json.key("client_name").string(client.name);
  json.key("pid").integer(client.pid);
}

}  // namespace

std::string node_up_event(const EventSource& source, std::string_view agent_version,
                          std::string_view boot_id, const BootReason& boot,
                          const std::optional<LastRun>& last_run) {
  std::string out;
  json::Writer json = begin_event(out, "node_up", source);
  json.key("agent_version").string(agent_version).key("boot_id").string(boot_id);
  append_boot(boot, json);
  if (last_run) {
    std::string text;
    append_json(*last_run, text);
    json.key("last_run").raw(text);
  }
  json.end_object();
  return out;
}

std::string node_down_event(const EventSource& source, std::string_view reason) {
  std::string out;
  begin_event(out, "node_down", source).key("reason").string(reason).end_object();
  return out;
}

std::string probe_changed_event(const EventSource& source, const ProbeReport& probe) {
  std::string out;
  json::Writer json = begin_event(out, "probe_changed", source);
  json.key("probe").string(probe.name).key("probe_type").string(probe.type);
  json.key("up").boolean(probe.up.value_or(false)).key("detail").string(probe.detail).end_object();
  return out;
}

std::string node_conflict_event(const EventSource& source, std::string_view other_instance_id) {
  std::string out;
  json::Writer json = begin_event(out, "node_conflict", source);
  json.key("other_instance_id").string(other_instance_id).end_object();
  return out;
}

std::string clock_stepped_event(const EventSource& source, Duration step) {
  std::string out;
  json::Writer json = begin_event(out, "clock_stepped", source);
  json.key("step_ms").integer(std::chrono::round<std::chrono::milliseconds>(step).count());
  json.end_object();
  return out;
}

std::string deadline_event(const EventSource& source, std::string_view type,
                           const EventClient& client, const DeadlineReport& report) {
  const auto ms = [](Duration duration) {
    return std::chrono::floor<std::chrono::milliseconds>(duration).count();
  };
  std::string out;
  json::Writer json = begin_event(out, type, source);
  put_client(client, json);
  json.key("deadline_ms").integer(ms(report.deadline)).key("gap_ms").integer(ms(report.gap));
  json.key("missed").integer(static_cast<int64_t>(report.missed));
  if (!report.reason.empty()) json.key("reason").string(report.reason);
  json.end_object();
  return out;
}

std::string client_lost_event(const EventSource& source, const EventClient& client,
                              const ClientEnd& end) {
  std::string out;
  json::Writer json = begin_event(out, "client_lost", source);
  put_client(client, json);
  json.key("cause").string(end.cause);
  if (!end.signal.empty()) {
    json.key("signal").string(end.signal).key("core_dump").boolean(end.dumped_core);
  }
  if (end.exit_code) json.key("exit_code").integer(*end.exit_code);
  json.key("had_will").boolean(end.had_will).end_object();
  return out;
}

std::string watch_event(const EventSource& source, const WatchNews& news) {
  std::string out;
  json::Writer json = begin_event(out, news.type, source);
  const auto text = [&](const char* key, std::string_view value) {
    if (!value.empty()) json.key(key).string(value);
  };
  text("boot_id", news.boot_id);
  text("cause", news.cause);
  text("how", news.how);
  if (news.last_change_ms) json.key("last_change_ms").integer(*news.last_change_ms);
  if (news.nodes > 0) json.key("silent").integer(news.silent).key("nodes").integer(news.nodes);
  text("watcher", news.watcher);
  json.end_object();
  return out;
}

std::string redis_gone_event(const EventSource& source, std::string_view reason) {
  std::string out;
  begin_event(out, "redis_gone", source).key("reason").string(reason).end_object();
  return out;
}

std::string redis_back_event(const EventSource& source) {
  std::string out;
  begin_event(out, "redis_back", source).end_object();
  return out;
}

std::string events_lost_event(const EventSource& source, uint64_t count, WallTime first,
                              WallTime last) {
  std::string out;
  json::Writer json = begin_event(out, "events_lost", source);
  json.key("count").integer(static_cast<int64_t>(count));
  json.key("from").string(format_timestamp(first)).key("to").string(format_timestamp(last));
  json.end_object();
  return out;
}

}  // namespace nb::wire
