// Writers that contend for one session, through several agents, while whatever else happens.
//
//   session_writers UPDATES WRITERS SOCKET...
//
// The session holds how many updates each writer has made. A writer adds one to its own count, and
// so recognises its own write whatever it was told: half of the writers by nb_session_change(),
// half by reading and writing themselves. Prints "done N" now and then, and at the end one line of
// JSON:
//   wrong_refusals  a write was refused as a conflict, or as not carried out, and stands there
//   own_conflicts   a conflict with the version that was expected
//   lost            a write was acknowledged, and does not stand there
//   twice           an update stands there twice
//   others          an error that nothing explains
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "nodebeat/client.h"

namespace {

constexpr char kSession[] = "contended";
constexpr size_t kBytes = 4096;
constexpr int kIsThere = 1;  // the callback has seen its own write

size_t writers = 0;
std::atomic<long> left = 0;
std::atomic<long> done = 0;
std::atomic<long> conflicts = 0, doubts = 0, doubts_done = 0, unavailable = 0;
std::atomic<long> wrong_refusals = 0, own_conflicts = 0, lost = 0, twice = 0, others = 0;

// {"session_id":…,"w":[3,0,12]}
std::vector<long> counts_of(const char* state) {
  std::vector<long> counts(writers, 0);
  const char* at = std::strstr(state, "\"w\":[");
  if (at == nullptr) return counts;
  at += 5;
  for (long& count : counts) {
    char* end = nullptr;
    count = std::strtol(at, &end, 10);
    at = end + 1;
  }
  return counts;
}

void write_state(const std::vector<long>& counts, char* fresh, size_t size) {
  std::string out = "{\"w\":[";
  for (const long count : counts) out += std::to_string(count) + ',';
  out.back() = ']';
  out += '}';
  std::snprintf(fresh, size, "%s", out.c_str());
}

class Writer {
 public:
  Writer(size_t number, const char* socket) : number_(number) {
    nb_client_options options{};
    options.size = sizeof options;
    options.socket_path = socket;
    options.name = "writer";
    options.reconnect_ms = 10;
    if (nb_client_open(&options, &client_, nullptr, 0) != NB_OK) std::exit(1);
    options_.size = sizeof options_;
    options_.timeout_ms = 10'000;
    result_.size = sizeof result_;
  }
  ~Writer() { nb_client_close(client_); }

  void run() {
    while (left.fetch_sub(1) > 0) {
      ++mine_;
      expect_ = false;
      while (!(number_ % 2 == 0 ? change() : read_and_write())) {
      }
      ++done;
    }
  }

 private:
  // What the session says of this writer: `mine_` is being written.
  bool is_there(const std::vector<long>& counts) {
    const long stands = counts[number_];
    if (stands < mine_ - 1) ++lost;
    if (stands > mine_) ++twice;
    // Only a write in doubt may be there without this writer knowing.
    if (stands == mine_ && !expect_) ++wrong_refusals;
    return stands == mine_;
  }

  // True if the outcome ends this update. Afterwards `expect_` tells whether it may be there.
  bool ends(int outcome) {
    if (outcome == NB_OK) return true;
    if (outcome == kIsThere) {
      if (expect_) ++doubts_done;
      return true;
    }
    if (outcome == NB_ERR_IN_DOUBT) {
      ++doubts;
      expect_ = true;
    } else if (outcome == NB_ERR_CONFLICT) {
      ++conflicts;
      if (result_.expected_version >= 0 && result_.expected_version == result_.actual_version) {
        ++own_conflicts;
      }
    } else if (outcome == NB_ERR_UNAVAILABLE || outcome == NB_ERR_AWAY ||
               outcome == NB_ERR_TIMEOUT) {
      ++unavailable;
    } else {
      char words[256];
      nb_client_last_error(client_, words, sizeof words);
      std::fprintf(stderr, "session_writers: %d: %s\n", outcome, words);
      ++others;
    }
    return false;
  }

  bool change() {
    const auto add = [](void* user, const char* state, int64_t, char* fresh, size_t size) -> int {
      auto& self = *static_cast<Writer*>(user);
      std::vector<long> counts = counts_of(state);
      if (self.is_there(counts)) return kIsThere;
      counts[self.number_] = self.mine_;
      write_state(counts, fresh, size);
      return 0;
    };
    options_.flags = 0;
    const int outcome =
        nb_session_change(client_, kSession, add, this, memory_, kBytes, &options_, &result_);
    if (result_.attempts > 1) conflicts += result_.attempts - 1;
    return ends(outcome);
  }

  bool read_and_write() {
    options_.flags = 0;
    const int got = nb_session_get(client_, kSession, memory_, kBytes, &options_, &result_);
    if (got != NB_OK) return ends(got);
    std::vector<long> counts = counts_of(memory_);
    if (is_there(counts)) return ends(kIsThere);
    counts[number_] = mine_;
    write_state(counts, memory_, kBytes);
    options_.flags = NB_SESSION_EXPECT;
    options_.expected_version = result_.version;
    const int outcome = nb_session_update(client_, kSession, memory_, &options_, &result_);
    if (outcome == NB_OK && result_.version != options_.expected_version + 1) ++others;
    return ends(outcome);
  }

  size_t number_;
  nb_client* client_ = nullptr;
  nb_session_options options_{};
  nb_session_result result_{};
  long mine_ = 0;        // updates of this writer, with the one that is being made
  bool expect_ = false;  // the one that is being made may have been made already
  char memory_[kBytes] = "";
};

}  // namespace

int main(int count, char** words) {
  if (count < 4) return std::fputs("usage: session_writers UPDATES WRITERS SOCKET...\n", stderr), 2;
  left = std::atol(words[1]);
  const long updates = left;
  writers = std::strtoul(words[2], nullptr, 10);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < writers; ++i) {
    const char* const socket = words[3 + i % static_cast<size_t>(count - 3)];
    threads.emplace_back([=] { Writer(i, socket).run(); });
  }
  for (long said = -1; done < updates; ::usleep(20'000)) {
    if (const long now = done; now / 100 != said / 100) std::printf("done %ld\n", said = now);
    std::fflush(stdout);
  }
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf(
      "{\"updates\":%ld,\"seconds\":%.1f,\"conflicts\":%ld,\"doubts\":%ld,"
      "\"doubts_done\":%ld,\"unavailable\":%ld,\"wrong_refusals\":%ld,"
      "\"own_conflicts\":%ld,\"lost\":%ld,\"twice\":%ld,\"others\":%ld}\n",
      updates, took.count(), conflicts.load(), doubts.load(), doubts_done.load(),
      unavailable.load(), wrong_refusals.load(), own_conflicts.load(), lost.load(), twice.load(),
      others.load());
}
