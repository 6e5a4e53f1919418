#include "agent/config_view.h"

#include <algorithm>
#include <string>
#include <utility>

#include "agent/mapping.h"
#include "base/log.h"
#include "json/writer.h"

namespace nb::agent {
namespace {

void put_lines(json::Writer& json, const char* key, std::string_view lines) {
  json.key(key).begin_array();
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    if (end > 0) json.string(lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  json.end_array();
}

// The warnings that the log of a start or a reload would have.
std::string warnings_of(const config::Loaded& loaded) {
  std::string lines;
  for (const std::string& warning : loaded.warnings) lines += warning + '\n';
  const Log log(
      [](void* user, LogLevel, std::string_view line) {
        static_cast<std::string*>(user)->append(line).append("\n");
      },
      &lines, LogLevel::warning);
  warn_about_secrets(loaded.config, loaded.group_readable, log);
  return lines;
}

}  // namespace

constexpr rpc::Method ConfigView::kMethods[] = {
    rpc::method<&ConfigView::ask>("agent.config", {}, rpc::Right::read, rpc::kReads),
};

ConfigView::ConfigView(uv::Loop& loop, rpc::FrontEnd& front, const config::Sources& sources)
    : front_(front),
      sources_(sources),
      call_(loop, Delegate<void()>::to<&ConfigView::on_read>(this)) {}

void ConfigView::ask(rpc::Call& call) {
  waiting_.push_back(call.put_off());
  if (!call_.running()) begin();
}

void ConfigView::stop() {
  asked_.clear();
  waiting_.clear();
  call_.abandon();
}

// On a thread: the files may lie on a file server that is gone.
void ConfigView::begin() {
  asked_ = std::exchange(waiting_, {});
  const auto reading = std::make_shared<Reading>();
  reading->sources = sources_;
  const Status started = call_.start(
      [reading] { reading->loaded.emplace(config::load(reading->sources)); }, kReadStack);
  if (started) {
    reading_ = reading;
    return;
  }
  for (const rpc::Token token : std::exchange(asked_, {})) {
    front_.refuse(token, rpc::internal(started.error().message));
  }
}

void ConfigView::on_read() {
  const std::shared_ptr<Reading> reading = std::move(reading_);
  const Result<config::Loaded>& loaded = *reading->loaded;
  std::string out;
  json::Writer json(out);
  json.begin_object().key("files").begin_array();
  if (loaded) {
    for (const std::string& file : loaded->files) json.string(file);
  }
  json.end_array();
  put_lines(json, "faults", loaded ? std::string_view() : loaded.error().message);
  put_lines(json, "warnings", loaded ? warnings_of(*loaded) : std::string());
  json.end_object();
  for (const rpc::Token token : std::exchange(asked_, {})) front_.answer(token, out);
  if (!waiting_.empty()) begin();
}

}  // namespace nb::agent
