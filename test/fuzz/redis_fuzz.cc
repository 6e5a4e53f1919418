// What a server may send: any bytes, in any pieces, while a greeting, a PING and units wait for
// their replies. Nothing may crash, and no unit may be settled twice or out of order.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "outbox/outbox.h"
#include "redis/pipeline.h"

namespace {

using namespace nb;

class Sink final : public redis::PipelineSink {
 public:
  explicit Sink(outbox::Outbox& outbox) : outbox_(outbox) {}
  void on_greeted() override {
    if (greeted_) std::abort();
    greeted_ = true;
  }
  void on_pong(Duration) override {}
  void on_stored(const outbox::Unit& unit, const redis::SlotEcho&) override {
    outbox_.stored(unit);
  }
  void on_refused(const outbox::Unit& unit, std::string_view) override { outbox_.refused(unit); }

 private:
  outbox::Outbox& outbox_;
  bool greeted_ = false;
};

void fill(outbox::Outbox& outbox) {
  for (int i = 0; i < 3; ++i) {
    outbox::SlotWrite write;
    write.key = "k" + std::to_string(i);
    write.fields = {{"f", "v"}};
    write.ttl = std::chrono::seconds(i);
    write.echo = i == 1;
    outbox::Event event;
    if (i > 0) event.entry = outbox::StreamEntry{0, "s", 10, {{"f", "v"}}};
    if (i > 1) event.message = outbox::Message{"c", "{}", std::chrono::seconds(5)};
    outbox.put(write, event, MonoTime{}, WallTime{});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  outbox::Outbox outbox({"hog", "hog-1", {}});
  fill(outbox);
  outbox.connection_opened();
  Sink sink(outbox);
  redis::Pipeline pipeline(sink, 4096);
  if (data[0] & 1) pipeline.greet({"u", "p", "n", {0, 1}}, MonoTime{});
  outbox::Unit unit;
  while (outbox.next(unit, MonoTime{})) pipeline.send(unit, MonoTime{});
  // The first byte also says how large the pieces are.
  const size_t piece = 1 + (data[0] >> 1) % 64;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  while (!rest.empty()) {
    const size_t n = rest.size() < piece ? rest.size() : piece;
    // Its own allocation, so that a read past the end is seen.
    const std::string bytes(rest.substr(0, n));
    if (pipeline.feed(bytes, MonoTime{})) break;
    rest.remove_prefix(n);
  }
  if (outbox.in_flight() != pipeline.waiting_units()) std::abort();
  return 0;
}
