// What holds for every method of cell/, whatever its noun: each param is checked, rights are asked,
// and only what may be in a will is accepted there.
#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

using rpc::ParamKind;

struct Wrong {
  std::string json;
  bool is_known = true;
};

// A value that a param of this kind does not take; none if it takes any.
std::optional<std::string> wrong_value(const rpc::Param& param) {
  switch (param.kind) {
    case ParamKind::any:
      return std::nullopt;
    case ParamKind::boolean:
    case ParamKind::integer:
    case ParamKind::number:
    case ParamKind::object:
      return "\"x\"";
    case ParamKind::timestamp:
      return "\"yesterday\"";
    default:
      return "7";
  }
}

std::string right_value(const rpc::Param& param) {
  switch (param.kind) {
    case ParamKind::object:
      return "{}";
    case ParamKind::any:
      return "1";
    case ParamKind::integer:
      return std::to_string(param.min);
    case ParamKind::texts:
      return "[]";
    default:
      return "\"x\"";
  }
}

template <class Visit>
void for_each_method(Visit visit) {
  const auto all = [&](std::span<const rpc::Method> methods) {
    for (const rpc::Method& method : methods) visit(method);
  };
  all(Robot::kMethods);
  all(Stroke::kMethods);
  all(Errors::kMethods);
  all(Events::kMethods);
  all(Bus::kMethods);
  all(State::kMethods);
  all(Sessions::kMethods);
  all(Listeners::kMethods);
  all(Look::kMethods);
}

// The params that the method cannot do without, but for `left_out`; and `more`.
std::string params_of(const rpc::Method& method, const rpc::Param* left_out,
                      const std::string& more = "") {
  std::string json = "{" + more;
  for (const rpc::Param* param : method.params) {
    if (!param->required || param == left_out) continue;
    if (json.size() > 1) json += ',';
    json += '"' + std::string(param->name) + "\":" + right_value(*param);
  }
  return json + "}";
}

class CellMethods : public CellTest {};

TEST_F(CellMethods, EveryWrongParamIsNamed) {
  for_each_method([&](const rpc::Method& method) {
    for (const rpc::Param* param : method.params) {
      const auto wrong = wrong_value(*param);
      if (!wrong) continue;
      const std::string name(param->name);
      const std::string answer =
          call(method.name, params_of(method, param, '"' + name + "\":" + *wrong));
      EXPECT_TRUE(answer.starts_with("invalid_params: " + name + ": ")) << method.name << answer;
      EXPECT_NE(answer.find("{\"field\":\"" + name + "\"}"), answer.npos) << answer;
    }
  });
}

TEST_F(CellMethods, EveryMissingAndEveryUnknownParamIsNamed) {
  for_each_method([&](const rpc::Method& method) {
    for (const rpc::Param* param : method.params) {
      if (!param->required) continue;
      EXPECT_EQ(call(method.name, params_of(method, param)),
                "invalid_params: " + std::string(param->name) +
                    ": is required and missing {\"field\":\"" + std::string(param->name) + "\"}");
    }
    const std::string answer = call(method.name, params_of(method, nullptr, "\"no_such\":1"));
    EXPECT_TRUE(answer.starts_with("invalid_params: no_such: there is no such parameter; "))
        << answer;
    EXPECT_EQ(call(method.name, "[]"),
              "invalid_params: params: expected an object {\"field\":\"params\"}");
  });
}

TEST_F(CellMethods, AnAcknowledgementGoesWithWhatWrites) {
  for_each_method([&](const rpc::Method& method) {
    const std::string answer = call(method.name, params_of(method, nullptr, R"("ack":"maybe")"));
    const bool is_known = answer.starts_with("invalid_params: ack: expected \"accepted\"");
    EXPECT_EQ(is_known, method.writes()) << method.name << ": " << answer;
    if (!method.writes()) return;
    EXPECT_EQ(
        call(method.name, params_of(method, nullptr, R"("timeout_ms":5)")),
        "invalid_params: timeout_ms: goes with \"ack\":\"stored\" only {\"field\":\"timeout_ms\"}");
  });
}

TEST_F(CellMethods, AWillHoldsOnlyWhatMayBeInOne) {
  std::string names;
  for_each_method([&](const rpc::Method& method) {
    // Its type "x" is none that is known: such a message names its channel.
    const std::string more = method.name == "bus.publish" ? R"("channel":"cv:x")" : "";
    const std::string answer = check_will(method.name, params_of(method, nullptr, more));
    EXPECT_EQ(answer.starts_with("not_found: not in a will"), !method.may_be_in_will())
        << method.name << ": " << answer;
    if (!method.may_be_in_will()) return;
    EXPECT_EQ(answer, "") << method.name << ": a check does nothing";
    // A will waits for nobody.
    const std::string acked = will(method.name, params_of(method, nullptr, R"("ack":"stored")"));
    EXPECT_TRUE(acked.starts_with("invalid_params: ack: there is no such parameter")) << acked;
  });
  EXPECT_EQ(dispatcher->names_in_will(),
            "robot.update, stroke.end, error.report, event.publish, bus.publish, "
            "state.set and state.delete");
  connect();
  loop.loop().run_once(false);
  EXPECT_EQ(store.commands().size(), 0u) << "a check has written " << store.commands()[0];
}

TEST_F(CellMethods, ACallerWithoutTheRightIsRefused) {
  rights = rpc::Rights();
  for_each_method([&](const rpc::Method& method) {
    ASSERT_NE(method.right, rpc::Right::none) << method.name;
    EXPECT_TRUE(call(method.name, params_of(method, nullptr)).starts_with("forbidden: "))
        << method.name;
    EXPECT_FALSE(rpc::Rights()
                     .with(method.right)
                     .has(method.right == rpc::Right::read ? rpc::Right::state : rpc::Right::read));
  });
  rights = rpc::Rights().with(rpc::Right::read);
  EXPECT_TRUE(call("health.get").starts_with("{\"node_id\":\"ook\"")) << "what it may it does";
  EXPECT_TRUE(call("state.set", R"({"key":"a","value":1})").starts_with("forbidden: "));
}

TEST_F(CellMethods, AnUnknownMethodIsToldTheNearest) {
  EXPECT_EQ(call("robot.updat"),
            "unknown_method: no method 'robot.updat'; did you mean 'robot.update'? "
            R"({"method":"robot.updat","nearest":"robot.update"})");
  EXPECT_EQ(call("make.coffee"),
            R"(unknown_method: no method 'make.coffee' {"method":"make.coffee","nearest":null})");
}

}  // namespace
}  // namespace nb::cell
