#include "gate/ask.h"

#include <algorithm>
#include <utility>

#include "gate/outcome.h"
#include "terminal/text.h"

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

class AskPage final : public Steps {
 public:
  AskPage(Agent& agent, mcp::Reply reply, const Page& page, ShowPage show)
      : Steps(agent), reply_(reply), page_(page), show_(show) {
    next(question());
  }

 private:
  Question question() const {
    std::string params = page_.params;
    add_integer(params, "limit", page_.limit);
    return {page_.method, '{' + params + '}'};
  }

  void on_answer(const CallAnswer& answer) override {
    if (!answer.ok()) {
      return reply_.tool(failure(error_of(*answer.failure), words_of(*answer.failure, false)),
                         true);
    }
    const auto [words, members] = show_(answer.result);
    const auto size = static_cast<int64_t>(terminal::json_printable(members).size());
    const auto room = static_cast<int64_t>(kRoom);
    if (size <= room || page_.limit <= 1) return reply_.tool(success(words, members));
    page_.limit = std::max<int64_t>(page_.limit * room / size, 1);
    next(question());
  }

  mcp::Reply reply_;
  Page page_;
  ShowPage show_;
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

mcp::WorkPtr ask_page(Agent& agent, mcp::Reply reply, const Page& page, ShowPage show) {
  return std::make_unique<AskPage>(agent, reply, page, show);
}

}  // namespace nb::gate
