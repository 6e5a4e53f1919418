#include "dialogs.h"

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "json/writer.h"

namespace nb::conformance {
namespace {

using json::View;

struct Ask {
  std::string_view key;
  std::string_view method;
  std::string_view capability;
  std::string_view params;  // JSON
};

constexpr char kElicit[] = "elicitation/create";
constexpr char kSample[] = "sampling/createMessage";

constexpr Ask kName{
    "user_name", kElicit, "elicitation",
    R"({"message":"What is your name?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}})"};
constexpr Ask kCapital{
    "capital_question", kSample, "sampling",
    R"({"messages":[{"role":"user","content":{"type":"text","text":"What is the capital of France?"}}],"maxTokens":100})"};
constexpr Ask kGreeting{
    "greeting", kSample, "sampling",
    R"({"messages":[{"role":"user","content":{"type":"text","text":"Generate a greeting"}}],"maxTokens":50})"};
constexpr Ask kRoots{"client_roots", "roots/list", "roots", "{}"};
constexpr Ask kConfirm{
    "confirm", kElicit, "elicitation",
    R"({"message":"Please confirm","requestedSchema":{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"]}})"};
constexpr Ask kStep1{
    "step1", kElicit, "elicitation",
    R"({"message":"Step 1: What is your name?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}})"};
constexpr Ask kStep2{
    "step2", kElicit, "elicitation",
    R"({"message":"Step 2: What is your favorite color?","requestedSchema":{"type":"object","properties":{"color":{"type":"string"}},"required":["color"]}})"};
constexpr Ask kContext{
    "user_context", kElicit, "elicitation",
    R"({"message":"What context should the prompt use?","requestedSchema":{"type":"object","properties":{"context":{"type":"string"}},"required":["context"]}})"};

using Round = std::vector<Ask>;

struct Dialog {
  std::string_view name;
  std::vector<Round> rounds;
  bool has_state = false;
  bool asks_what_it_may = false;  // instead of refusing a client that cannot answer all
};

const std::vector<Dialog>& all() {
  static const std::vector<Dialog> dialogs = {
      {"test_input_required_result_elicitation", {{kName}}},
      {"test_input_required_result_sampling", {{kCapital}}},
      {"test_input_required_result_list_roots", {{kRoots}}},
      {"test_input_required_result_request_state", {{kConfirm}}, true},
      {"test_input_required_result_multiple_inputs", {{kName, kGreeting, kRoots}}, true},
      {"test_input_required_result_multi_round", {{kStep1}, {kStep2}}, true},
      {"test_input_required_result_tampered_state", {{kConfirm}}, true},
      {"test_input_required_result_capabilities", {{kName, kCapital}}, false, true},
      {"test_input_required_result_prompt", {{kContext}}},
  };
  return dialogs;
}

const Dialog* dialog_of(std::string_view name) {
  const auto found = std::find_if(all().begin(), all().end(),
                                  [&](const Dialog& dialog) { return dialog.name == name; });
  return found == all().end() ? nullptr : &*found;
}

bool may(View params, const Ask& ask) {
  return params["_meta"]["io.modelcontextprotocol/clientCapabilities"][ask.capability].exists();
}

bool is_answered(const Round& round, View responses) {
  return std::all_of(round.begin(), round.end(),
                     [&](const Ask& ask) { return responses[ask.key].is(View::Type::object); });
}

void append_asks(json::Writer& writer, const Round& round) {
  writer.key("inputRequests").begin_object();
  for (const Ask& ask : round) {
    writer.key(ask.key).begin_object().key("method").string(ask.method);
    writer.key("params").raw(ask.params).end_object();
  }
  writer.end_object();
}

void append_text(json::Writer& writer, std::string_view text) {
  writer.begin_object().key("type").string("text").key("text").string(text).end_object();
}

// What a client gets that has answered everything.
std::string last_answer(const Dialog& dialog, View responses) {
  std::string scratch;
  const View name = responses["user_name"]["content"]["name"];
  const std::string text =
      dialog.has_state ? "state-ok"
                       : "Hello, " + std::string(name.string(scratch).value_or("you")) + '!';
  std::string out;
  json::Writer writer(out);
  if (dialog.name.ends_with("_prompt")) {
    writer.key("messages").begin_array().begin_object().key("role").string("user").key("content");
    append_text(writer, text);
    writer.end_object().end_array();
    return out;
  }
  writer.key("content").begin_array();
  append_text(writer, text);
  writer.end_array();
  return out;
}

}  // namespace

bool Dialogs::has(std::string_view name) {
  return dialog_of(name) != nullptr;
}

std::string Dialogs::new_state(std::string_view name, size_t round) {
  static Random random = Random::from_system();
  const std::string state = format("%.*s-%llx", static_cast<int>(name.size()), name.data(),
                                   static_cast<unsigned long long>(random.next()));
  states_[state] = round;
  return state;
}

void Dialogs::go_on(std::string_view name, View params, mcp::Reply reply) {
  const Dialog& dialog = *dialog_of(name);
  const View responses = params["inputResponses"];
  size_t at = 0;
  if (params["requestState"].exists()) {
    std::string scratch;
    const auto state = params["requestState"].string(scratch);
    const auto found = state && state->starts_with(name) ? states_.find(*state) : states_.end();
    if (found == states_.end()) {
      return reply.error({mcp::kInvalidParams, "`requestState` is not what was given out", {}});
    }
    at = found->second;
  }
  Round round = dialog.rounds[at];
  if (dialog.asks_what_it_may) {
    std::erase_if(round, [&](const Ask& ask) { return !may(params, ask); });
  }
  for (const Ask& ask : round) {
    if (may(params, ask)) continue;
    return reply.error(
        {mcp::kMissingCapability, "the client cannot answer what is asked",
         R"({"requiredCapabilities":{")" + std::string(ask.capability) + R"(":{}}})"});
  }
  if (is_answered(round, responses)) {
    if (++at == dialog.rounds.size()) return reply.result(last_answer(dialog, responses));
    round = dialog.rounds[at];
  }
  std::string out = R"("resultType":"input_required")";
  json::Writer writer(out);
  out += ',';
  append_asks(writer, round);
  if (dialog.has_state) writer.key("requestState").string(new_state(name, at));
  reply.result(out);
}

}  // namespace nb::conformance
