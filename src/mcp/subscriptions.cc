#include "mcp/subscriptions.h"

#include <algorithm>

#include "json/writer.h"

namespace nb::mcp {

struct Subscriptions::Watch {
  void on_change() { owner->on_change(*this); }

  Subscriptions* owner = nullptr;
  std::string uri;
  bool older = false;  // by resources/subscribe
  bool is_due = false;
  bool was_told = false;
  MonoTime told{};
  WorkPtr work;
};

struct Subscriptions::Listen {
  std::string id;  // as it was written
  bool tools = false;
  std::vector<std::string> uris;

  bool has(std::string_view uri) const {
    return std::find(uris.begin(), uris.end(), uri) != uris.end();
  }
};

namespace {

void append_meta(json::Writer& writer, const std::string& id) {
  writer.key("_meta").begin_object();
  writer.key("io.modelcontextprotocol/subscriptionId").raw(id).end_object();
}

std::string updated(std::string_view uri, const std::string* id) {
  std::string params;
  json::Writer writer(params);
  writer.begin_object().key("uri").string(uri);
  if (id != nullptr) append_meta(writer, *id);
  writer.end_object();
  return notification_line("notifications/resources/updated", params);
}

}  // namespace

Subscriptions::Subscriptions(Toolbox& toolbox, const Clock& clock, Events events)
    : toolbox_(toolbox), clock_(clock), events_(events) {}

Subscriptions::~Subscriptions() = default;

bool Subscriptions::subscribe(std::string_view uri) {
  Watch* const found = watch(uri);
  if (found != nullptr) found->older = true;
  return found != nullptr;
}

void Subscriptions::unsubscribe(std::string_view uri) {
  if (Watch* const found = find(uri)) found->older = false;
  drop_unused();
}

bool Subscriptions::listen(std::string_view id, const std::vector<std::string>& uris, bool tools) {
  if (listens_.size() == kMaxListens) return false;
  Listen listen{std::string(id), tools, {}};
  for (const std::string& uri : uris) {
    if (!listen.has(uri) && watch(uri) != nullptr) listen.uris.push_back(uri);
  }
  std::string params;
  json::Writer writer(params);
  writer.begin_object().key("notifications").begin_object();
  if (tools) writer.key("toolsListChanged").boolean(true);
  if (!listen.uris.empty()) {
    writer.key("resourceSubscriptions").begin_array();
    for (const std::string& uri : listen.uris) writer.string(uri);
    writer.end_array();
  }
  writer.end_object();
  append_meta(writer, listen.id);
  writer.end_object();
  listens_.push_back(std::move(listen));
  events_.on_line({notification_line("notifications/subscriptions/acknowledged", params), id});
  return true;
}

bool Subscriptions::cancel(std::string_view id) {
  const bool found =
      std::erase_if(listens_, [&](const Listen& listen) { return listen.id == id; }) > 0;
  if (found) drop_unused();
  return found;
}

bool Subscriptions::is_listening(std::string_view id) const {
  return std::any_of(listens_.begin(), listens_.end(),
                     [&](const Listen& listen) { return listen.id == id; });
}

std::vector<std::string> Subscriptions::listens() const {
  std::vector<std::string> ids;
  for (const Listen& listen : listens_) ids.push_back(listen.id);
  return ids;
}

void Subscriptions::tools_changed(bool older) {
  constexpr char kMethod[] = "notifications/tools/list_changed";
  if (older) events_.on_line({notification_line(kMethod, {}), {}});
  for (const Listen& listen : listens_) {
    if (!listen.tools) continue;
    std::string params;
    json::Writer writer(params);
    writer.begin_object();
    append_meta(writer, listen.id);
    writer.end_object();
    events_.on_line({notification_line(kMethod, params), listen.id});
  }
}

Subscriptions::Watch* Subscriptions::find(std::string_view uri) {
  const auto found = std::find_if(watches_.begin(), watches_.end(),
                                  [&](const auto& watch) { return watch->uri == uri; });
  return found == watches_.end() ? nullptr : found->get();
}

Subscriptions::Watch* Subscriptions::watch(std::string_view uri) {
  if (Watch* const found = find(uri)) return found;
  if (watches_.size() == kMaxWatches) return nullptr;
  auto watch = std::make_unique<Watch>();
  watch->owner = this;
  watch->uri = uri;
  watch->work = toolbox_.watch(uri, Delegate<void()>::to<&Watch::on_change>(watch.get()));
  if (!watch->work) return nullptr;
  watches_.push_back(std::move(watch));
  return watches_.back().get();
}

void Subscriptions::drop_unused() {
  std::erase_if(watches_, [&](const auto& watch) {
    return !watch->older &&
           std::none_of(listens_.begin(), listens_.end(),
                        [&](const Listen& listen) { return listen.has(watch->uri); });
  });
}

void Subscriptions::on_change(Watch& watch) {
  if (watch.is_due) return;
  const MonoTime now = clock_.now();
  if (!watch.was_told || now - watch.told >= kPause) return tell(watch, now);
  watch.is_due = true;
  events_.on_wait(watch.told + kPause - now);
}

void Subscriptions::tell(Watch& watch, MonoTime now) {
  watch.is_due = false;
  watch.was_told = true;
  watch.told = now;
  if (watch.older) events_.on_line({updated(watch.uri, nullptr), {}});
  for (const Listen& listen : listens_) {
    if (listen.has(watch.uri)) events_.on_line({updated(watch.uri, &listen.id), listen.id});
  }
}

void Subscriptions::tick() {
  const MonoTime now = clock_.now();
  MonoTime next = MonoTime::max();
  for (const auto& watch : watches_) {
    if (!watch->is_due) continue;
    if (now - watch->told >= kPause) {
      tell(*watch, now);
    } else {
      next = std::min(next, watch->told + kPause);
    }
  }
  if (next != MonoTime::max()) events_.on_wait(next - now);
}

}  // namespace nb::mcp
