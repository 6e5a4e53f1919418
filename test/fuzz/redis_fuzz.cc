// What a server may send: any bytes, in any pieces, while questions and units wait for their
// replies. Nothing may crash, and no unit may be settled twice or out of order.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "outbox/outbox.h"
#include "support/pipeline_wire.h"

namespace {

using namespace nb;

class Sink {
 public:
  explicit Sink(outbox::Outbox& outbox) : outbox_(outbox) {}
  void on_settled(const outbox::Unit& unit, const redis::UnitResult& result) {
    outbox_.settled(unit, MonoTime{}, result.subscribers, result.refusals);
  }
  void on_aborted(const outbox::Unit& unit) { outbox_.aborted(unit); }

 private:
  outbox::Outbox& outbox_;
};

void fill(outbox::Outbox& outbox) {
  const outbox::FieldView field{"f", "v"};
  for (int i = 0; i < 5; ++i) {
    const std::string key = "k" + std::to_string(i);
    outbox::SlotUpdate slot{.key = key, .fields = {&field, 1}};
    slot.kind = i == 3   ? outbox::SlotKind::string
                : i == 4 ? outbox::SlotKind::remove
                         : outbox::SlotKind::hash;
    slot.ttl = std::chrono::seconds(i);
    slot.echo = i == 1;
    slot.forget = i == 4;
    // In another database: the transaction goes there and back.
    const outbox::EntryUpdate entry{i == 2, "s", 10, {&field, 1}};
    const outbox::MessageUpdate message{"c", "{}", std::chrono::seconds(5)};
    (void)outbox.put(&slot, i == 1 || i == 2 ? &entry : nullptr, i > 1 ? &message : nullptr,
                     MonoTime{}, WallTime{}, static_cast<outbox::Waiter>(i) + 1);
  }
}

// Each query is answered once, whatever happens.
struct Asker {
  int answers = 0;
  void on_reply(const redis::QueryReply& reply) {
    if (!reply.reply && reply.words.empty()) std::abort();
    ++answers;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  outbox::Outbox outbox({"hog", "hog-1", {}});
  fill(outbox);
  outbox.connection_opened();
  Sink sink(outbox);
  test::PipelineWire pipeline(sink, 4096);
  Asker asker;
  const std::string_view words[] = {"GET", "k"};
  const auto done = Delegate<void(const redis::QueryReply&)>::to<&Asker::on_reply>(&asker);
  outbox::Unit unit;
  int queries = 0;
  while (outbox.next(unit, MonoTime{}, WallTime{})) {
    pipeline.send(unit, MonoTime{});
    pipeline.query(static_cast<uint64_t>(++queries), 0, words, done);
  }
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
  pipeline.give_up("over");
  if (asker.answers != queries) std::abort();
  return 0;
}
