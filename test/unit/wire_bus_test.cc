// Unit tests of wire/bus: the messages between instances, to the letter, and the checks of their
// data.
#include <gtest/gtest.h>

#include <string>

#include "json/guard.h"
#include "wire/bus.h"

namespace nb::wire {
namespace {

class BusTest : public testing::Test {
 protected:
  // The text has to outlive the view.
  json::View data(std::string text) {
    text_ = std::move(text);
    EXPECT_EQ(guard_.check(text_, {}).reason, nullptr) << text_;
    return json::View::of(text_);
  }
  // The error for this data of this type; empty: none.
  std::string fault(std::string_view type, std::string text) {
    const auto error = check_bus_data(bus_kind_of_type(type), data(std::move(text)));
    return error ? error->message : "";
  }
  std::string json_of(std::string_view type, std::string text,
                      std::optional<int64_t> max_age_ms = std::nullopt) {
    std::string out = ">";
    append_json({1'795'183'387'123, type, bus_kind_of_type(type), data(std::move(text)),
                 "hog \"1\"", max_age_ms},
                out);
    return out;
  }

  json::Guard guard_;
  std::string text_;
};

TEST_F(BusTest, EachOfTheFourKindsHasAChannelOfItsOwn) {
  const std::pair<const char*, const char*> kinds[] = {
      {"parameter_update", "cv:parameter:update"},
      {"routing_change", "cv:routing:change"},
      {"system_broadcast", "cv:system:broadcast"},
      {"admin_command", "cv:admin:command"},
  };
  for (const auto& [type, channel] : kinds) {
    const BusKind* kind = bus_kind_of_type(type);
    ASSERT_NE(kind, nullptr) << type;
    EXPECT_EQ(kind->type, type);
    EXPECT_EQ(kind->channel, channel);
    EXPECT_EQ(bus_kind_of_channel(channel), kind);
    EXPECT_TRUE(is_bus_channel(channel));
  }
  EXPECT_EQ(bus_kind_of_type("other"), nullptr);
  EXPECT_EQ(bus_kind_of_channel("cv:other"), nullptr);
  EXPECT_TRUE(is_bus_channel("cv:other"));
  EXPECT_FALSE(is_bus_channel("xcv:other"));
  EXPECT_EQ(bus_types(), "parameter_update, routing_change, system_broadcast, admin_command");
}

TEST_F(BusTest, AMessageOfAKindHasItsMembersInTheOrderOfTheTable) {
  EXPECT_EQ(json_of("parameter_update", R"({"user": "u", "value": 1e2, "variable": "v"})"),
            R"(>{"timestamp":1795183387123,"type":"parameter_update","data":{"variable":"v",)"
            R"("value":100,"user":"u","source_instance":"hog \"1\""}})");
  EXPECT_EQ(json_of("routing_change", R"({"admin":"a","routingData":{ "x" : [1, 2.50] }})"),
            R"(>{"timestamp":1795183387123,"type":"routing_change","data":)"
            R"({"routingData":{"x":[1,2.50]},"admin":"a","source_instance":"hog \"1\""}})");
}

TEST_F(BusTest, AnyOtherMessageHasItsMembersAsTheyCame) {
  EXPECT_EQ(json_of("other", R"({"b": 1e2, "a": [ ]})", 5000),
            R"(>{"timestamp":1795183387123,"type":"other","data":{"b":1e2,"a":[],)"
            R"("max_age_ms":5000,"source_instance":"hog \"1\""}})");
  EXPECT_EQ(json_of("other", "{}"), R"(>{"timestamp":1795183387123,"type":"other","data":{)"
                                    R"("source_instance":"hog \"1\""}})");
}

TEST_F(BusTest, TheMembersOfTheAgentAreRefusedInEachMessage) {
  for (const char* type : {"other", "admin_command"}) {
    EXPECT_EQ(fault(type, R"({"source_instance":"x"})"),
              "data.source_instance: is set by the agent");
    EXPECT_EQ(fault(type, R"({"max_age_ms":1})"), "data.max_age_ms: is set by the agent");
  }
  EXPECT_EQ(fault("other", R"({"anything":1})"), "");
}

TEST_F(BusTest, TheDataOfAKindIsChecked) {
  EXPECT_EQ(fault("parameter_update", R"({"variable":"v","value":-9007199254740991,"user":"u"})"),
            "");
  for (const char* bad : {
           R"({"variable":"","value":1,"user":"u"})",
           R"({"variable":"v","value":9007199254740992,"user":"u"})",
           R"({"variable":"v","value":-9007199254740992,"user":"u"})",
           R"({"variable":"v","value":1})",
           R"({"variable":"v","value":1,"user":"u","more":1})",
       }) {
    EXPECT_TRUE(fault("parameter_update", bad).starts_with("data.")) << fault("other", bad);
  }
  EXPECT_EQ(fault("parameter_update",
                  R"({"variable":")" + std::string(256, 'v') + R"(","value":1,"user":"u"})"),
            "");
  EXPECT_NE(fault("parameter_update",
                  R"({"variable":")" + std::string(257, 'v') + R"(","value":1,"user":"u"})"),
            "");
  EXPECT_EQ(fault("admin_command", R"({"command":"overlay_toggle","admin":"a"})"), "")
      << "only a broadcast needs `enabled`";
}

TEST_F(BusTest, ABroadcastHasOneOfThreeActions) {
  EXPECT_EQ(fault("system_broadcast", R"({"action":"clear_all","admin":"a"})"), "");
  EXPECT_EQ(fault("system_broadcast", R"({"action":"emergency_stop","admin":"a"})"), "");
  EXPECT_EQ(fault("system_broadcast",
                  R"({"action":"overlay_toggle","admin":"a","enabled":false,"message":""})"),
            "");
  EXPECT_EQ(fault("system_broadcast", R"({"action":"overlay_toggle","admin":"a"})"),
            "data.enabled: overlay_toggle needs true or false here");
  EXPECT_EQ(fault("system_broadcast", R"({"action":"stop","admin":"a"})"),
            "data.action: expected clear_all, overlay_toggle or emergency_stop");
}

TEST_F(BusTest, OnlyABroadcastCanBeAnEmergencyStop) {
  const BusKind* broadcast = bus_kind_of_type("system_broadcast");
  EXPECT_TRUE(is_emergency_stop(broadcast, data(R"({"action":"emergency_stop","admin":"a"})")));
  EXPECT_FALSE(is_emergency_stop(broadcast, data(R"({"action":"clear_all","admin":"a"})")));
  EXPECT_FALSE(is_emergency_stop(nullptr, data(R"({"action":"emergency_stop"})")));
  EXPECT_FALSE(
      is_emergency_stop(bus_kind_of_type("admin_command"), data(R"({"action":"emergency_stop"})")));
}

}  // namespace
}  // namespace nb::wire
