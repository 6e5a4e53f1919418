// StrokeSearch: which stroke sessions run, and on which node. Agents list theirs; those of other
// programs, which write the progress themselves, are found by their keys.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "gate/ask.h"

namespace nb::gate {

// A session of a program that writes its progress itself, as it is named: stroke_{node}_{seconds}.
struct ForeignStroke {
  std::string_view node;
  uint64_t seconds = 0;
};
// Nothing if an agent has named it, which adds microseconds behind the seconds.
std::optional<ForeignStroke> foreign_stroke(std::string_view session);

class StrokeSearch {
 public:
  struct Session {
    std::string name;
    // An agent lists it. A session of another program may have ended: its progress shows it
    // (is_executing).
    bool is_listed = false;
    uint64_t seconds = 0;  // when it began, as its name says
  };
  // By nodes.
  using Sessions = std::map<std::string, Session>;

  Question first() const;
  // The next question, or nothing: then sessions() has all that was found. A page that could not be
  // read ends the search.
  std::optional<Question> take(const CallAnswer& answer);

  const Sessions& sessions() const { return sessions_; }
  static bool runs(const Session& session, json::View progress) {
    return session.is_listed || progress["is_executing"].boolean().value_or(false);
  }

 private:
  // A server with more keys is not walked to its end.
  static constexpr int kMostPages = 4;

  void take_list(json::View by_node);
  void take_key(std::string_view key);

  Sessions sessions_;
  int pages_ = -1;  // the list of the agents comes first
};

}  // namespace nb::gate
