// Ask: a request that is one call to the agent.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "gate/agent.h"
#include "mcp/toolbox.h"

namespace nb::gate {

struct Question {
  std::string method;
  std::string params;  // a JSON object, or empty
  bool writes = false;
  Duration deadline = std::chrono::seconds(3);
};
// state.get of this key.
Question get_question(std::string_view key);

// Makes an outcome (outcome.h) from a call's result.
using Show = std::function<std::string(json::View result)>;
// A sentence that says what to do about a refusal, added to its words; empty: nothing to add.
using Advise = std::function<std::string(const CallFailure& failure)>;

// The tool's result: `show` of the answer, or the failure with the advice.
mcp::WorkPtr ask(Agent& agent, mcp::Reply reply, const Question& question, Show show,
                 Advise advise = {});

// A page of a list: `limit` entries, or fewer, so that they fit into an answer whatever their size.
struct Page {
  std::string method;
  std::string params;  // members besides `limit`, or empty
  int64_t limit = 0;
};
// The meaning of a page: the message, and further members.
using ShowPage = std::pair<std::string_view, std::string> (*)(json::View result);

mcp::WorkPtr ask_page(Agent& agent, mcp::Reply reply, const Page& page, ShowPage show);

// Several questions one after the other: the data of each step is in the work's own members.
class Steps : public mcp::Work {
 protected:
  explicit Steps(Agent& agent)
      : call_(agent, Delegate<void(const CallAnswer&)>::to<&Steps::on_answer>(this)) {}

  void next(const Question& question) {
    call_.start(question.method, question.params, question.deadline);
  }
  // The answer to the last question. It asks the next one, or gives the reply.
  virtual void on_answer(const CallAnswer& answer) = 0;

 private:
  AgentCall call_;
};

}  // namespace nb::gate
