// How fast the outbox and the link are by themselves: units confirmed by a real Redis over one
// connection, beside redis-benchmark with the same commands and bytes, and what a unit allocates.
//
//   outbox_bench PORT [SECONDS]     a redis-server on 127.0.0.1 whose data may be lost
//
// redis-benchmark knows no transactions: where a unit is XADD and PUBLISH it is given what the two
// reach alone, one after the other.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "outbox/outbox.h"
#include "redis/link.h"
#include "redis/plain_transport.h"
#include "support/count_allocations.h"

namespace {

using namespace nb;

constexpr size_t kPayload = 300;
// Kept waiting, so that the link never has to ask for more.
constexpr size_t kWaiting = 4096;

enum class What { publish, xadd_publish, hset, set };

class Bench {
 public:
  Bench(int port, What what, double seconds)
      : what_(what),
        seconds_(seconds),
        loop_(clock_),
        outbox_({"hog", "hog-1", {16 << 20, std::chrono::minutes(10)}}),
        link_(loop_, log_, outbox_, options(port),
              {Delegate<void(const redis::LinkStatus&)>::to<&Bench::on_status>(this), {}, {}},
              &redis::make_plain_transport) {
    outbox_.set_on_settled(Delegate<void(const outbox::Settled&)>::to<&Bench::on_settled>(this));
    link_.start();
    loop_.run();
  }

  double units_per_second = 0;
  double allocations_per_unit = 0;

 private:
  static redis::LinkOptions options(int port) {
    redis::LinkOptions options;
    options.target = {"127.0.0.1", port, ""};
    options.greeting.client_name = "bench";
    options.greeting.databases = {0};
    return options;
  }

  void on_status(const redis::LinkStatus& status) {
    if (status.state != redis::LinkState::steady) return;
    began_ = clock_.now();
    for (size_t i = 0; i < kWaiting; ++i) put(began_);
    link_.wake();
  }

  // Each that is stored makes room for one more.
  void on_settled(const outbox::Settled&) {
    if (++settled_ % 1024 == 0) look(clock_.now());
    put(now_);
  }

  void look(MonoTime now) {
    now_ = now;
    // The first tenth warms up.
    const double t = std::chrono::duration<double>(now - began_).count();
    if (measured_from_ == MonoTime{} && t > seconds_ / 10) {
      measured_from_ = now;
      stored_ = settled_;
      allocations_ = test::allocations;
    }
    if (t < seconds_) return;
    const auto units = static_cast<double>(settled_ - stored_);
    units_per_second = units / std::chrono::duration<double>(now - measured_from_).count();
    allocations_per_unit = static_cast<double>(test::allocations - allocations_) / units;
    loop_.stop();
  }

  void put(MonoTime now) {
    if (what_ == What::publish || what_ == What::xadd_publish) {
      const outbox::FieldView field{"event", payload_};
      const outbox::EntryUpdate entry{0, "bench:stream", 1000, {&field, 1}};
      const outbox::MessageUpdate message{"bench:channel", payload_, std::chrono::hours(1)};
      const bool with_entry = what_ == What::xadd_publish;
      (void)outbox_.put(nullptr, with_entry ? &entry : nullptr, &message, now, WallTime{}, 1);
      return;
    }
    char key[32];
    std::snprintf(key, sizeof key, "bench:key:%05u", next_key_++ % 8192);
    const outbox::FieldView value{what_ == What::hset ? "state" : "", payload_};
    const outbox::SlotUpdate slot{
        .key = key,
        .kind = what_ == What::hset ? outbox::SlotKind::hash : outbox::SlotKind::string,
        .fields = {&value, 1}};
    (void)outbox_.put(&slot, nullptr, nullptr, now, WallTime{}, 1);
  }

  What what_;
  double seconds_;
  std::string payload_ = std::string(kPayload, 'x');
  SystemClock clock_;
  Log log_;
  uv::Loop loop_;
  outbox::Outbox outbox_;
  redis::Link link_;
  unsigned next_key_ = 0;
  MonoTime began_{};
  MonoTime measured_from_{};
  MonoTime now_{};
  uint64_t settled_ = 0;
  uint64_t stored_ = 0;
  long allocations_ = 0;
};

// Requests per second of redis-benchmark over one connection.
double reference(int port, const char* command, int requests) {
  char line[1024];
  std::snprintf(line, sizeof line,
                "redis-benchmark -p %d -c 1 -P 64 -n %d -r 8192 --csv %s %s 2>/dev/null", port,
                requests, command, std::string(kPayload, 'x').c_str());
  FILE* output = ::popen(line, "r");
  if (output == nullptr) return 0;
  double rate = 0;
  // "test","rps",... and then the name, quoted and with spaces, and the figure, quoted.
  while (std::fgets(line, sizeof line, output) != nullptr) {
    const char* figure = std::strstr(line, "\",\"");
    if (figure != nullptr && std::atof(figure + 3) > 0) rate = std::atof(figure + 3);
  }
  ::pclose(output);
  return rate;
}

void report(const char* name, const Bench& bench, double reference_rate) {
  std::printf("%-16s %9.0f units/s   redis-benchmark -P 64 %9.0f   ratio %.2f   %.4f new/unit\n",
              name, bench.units_per_second, reference_rate, bench.units_per_second / reference_rate,
              bench.allocations_per_unit);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: outbox_bench PORT [SECONDS]\n");
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const int port = std::atoi(argv[1]);
  const double seconds = argc > 2 ? std::atof(argv[2]) : 3;
  const auto requests = static_cast<int>(300'000 * seconds);
  const double publish = reference(port, "PUBLISH bench:channel", requests);
  const double xadd = reference(port, "XADD bench:stream MAXLEN '~' 1000 '*' event", requests);
  report("PUBLISH", Bench(port, What::publish, seconds), publish);
  report("XADD+PUBLISH", Bench(port, What::xadd_publish, seconds), 1 / (1 / publish + 1 / xadd));
  report("HSET", Bench(port, What::hset, seconds),
         reference(port, "HSET bench:key:__rand_int__ state", requests));
  report("SET", Bench(port, What::set, seconds),
         reference(port, "SET bench:key:__rand_int__", requests));
  return 0;
}
