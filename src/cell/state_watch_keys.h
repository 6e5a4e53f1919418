// Part of StateWatch: the watch of one client: its keys, the reads, and the reported values.
#pragma once

#include <initializer_list>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "cell/state_watch.h"

namespace nb::cell {

// A report about a key.
struct StateWatch::News {
  enum class What : uint8_t { nothing, value, deleted, unreadable };
  What what;
  std::string_view text;  // the value as Redis has it; why it cannot be read
  std::string_view source;
};

struct StateWatch::Entry {
  // unread: not since all were looked at again.
  enum class State : uint8_t { told, changed, unread };

  std::string key;
  State state = State::told;
  bool named = false;  // the client has named the key itself: it stays when there is none
  // The last report to the client.
  News::What told = News::What::nothing;
  size_t size = 0;
  size_t hash = 0;
};

// Of one client.
struct StateWatch::Watch {
  // The question: a page of SCAN; the beginning of a value, which bounds the answer; and if that is
  // empty, whether there is a value.
  enum class Step : uint8_t { page, range, value };

  ~Watch() { all->reader_.cancel(question); }
  bool matches(std::string_view key);
  Entry* find(std::string_view key);
  Entry* add(std::string_view key);
  void erase(Entry& entry);
  void begin();
  void go();
  bool tell_ready();
  void ask(Step step, std::initializer_list<std::string_view> command);
  void on_answer(const redis::ReaderAnswer& answer);
  void on_page(redis::Reply reply);
  bool on_value(Entry& entry, const redis::ReaderAnswer& answer);
  bool tell_what_waits(Entry& entry, bool& waits);
  bool tell(Entry& entry, const News& news);
  bool notify(std::string_view method, std::string_view params);

  StateWatch* all = nullptr;
  rpc::ClientId client = 0;
  rpc::Token call = 0;  // answered when changes will be reported
  std::vector<std::string> prefixes;
  std::list<Entry> entries;  // the one that is to be looked at next is the first
  size_t bytes = 0;          // that the entries take
  bool left_out = false;     // there are more keys than have room
  bool left_out_told = false;
  bool ready = false;     // the client was told that it has all values,
  bool lost = false;      // which may no longer be so
  size_t page_of = 0;     // the prefix whose keys are searched
  uint64_t cursor = 0;    // of SCAN
  uint64_t question = 0;  // the reader's
  Step step = Step::range;
  std::string asked;       // the key
  bool asked_put = false;  // a client has set it since
  Entry::State asked_state{};
};

}  // namespace nb::cell
