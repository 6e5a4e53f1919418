#include "gate/ask.h"

#include <utility>

#include "gate/outcome.h"

namespace nb::gate {
namespace {

class Ask final : public Steps {
 public:
  Ask(Agent& agent, mcp::Reply reply, const Question& question, Show show, Advise advise)
      : Steps(agent),
        reply_(reply),
        writes_(question.writes),
        show_(std::move(show)),
        advise_(std::move(advise)) {
    next(question);
  }

 private:
  void on_answer(const CallAnswer& answer) override {
    const mcp::Reply reply = reply_;  // which destroys this
    if (answer.ok()) return reply.tool(show_(answer.result));
    std::string words = words_of(*answer.failure, writes_);
    const std::string advice = advise_ ? advise_(*answer.failure) : "";
    if (!advice.empty()) words += ' ' + advice;
    reply.tool(failure(error_of(*answer.failure), words), true);
  }

  mcp::Reply reply_;
  bool writes_;
  Show show_;
  Advise advise_;
};

}  // namespace

Question get_question(std::string_view key) {
  std::string params;
  add_text(params, "key", key);
  return {"state.get", '{' + params + '}'};
}

mcp::WorkPtr ask(Agent& agent, mcp::Reply reply, const Question& question, Show show,
                 Advise advise) {
  return std::make_unique<Ask>(agent, reply, question, std::move(show), std::move(advise));
}

}  // namespace nb::gate
