// nb_session_*: what is asked, and what is made of the answers, also where the agent is lost.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "nodebeat/client.h"
#include "support/answering_agent.h"
#include "support/count_mallocs.h"

namespace nb::client {
namespace {

using test::AnsweringAgent;
using test::failure;
using test::id_of;
using test::result;
using Lines = std::vector<std::string>;

// Without the time that the agent has, and the id: both differ.
std::string asked(const std::string& line) {
  const size_t at = line.find("\"timeout_ms\":");
  if (at == line.npos) return line;
  const size_t rest = std::min(line.find_first_of(",}", at), line.size());
  return line.substr(0, at) + line.substr(line[rest] == ',' ? rest + 1 : rest);
}

class ClientSessionsTest : public testing::Test {
 protected:
  ClientSessionsTest() {
    char folder[] = "/tmp/nb_client_XXXXXX";
    folder_ = ::mkdtemp(folder);
    path_ = folder_ + "/agent.sock";
    client_options_.size = sizeof client_options_;
    client_options_.socket_path = path_.c_str();
    client_options_.reconnect_ms = 1;
    EXPECT_EQ(nb_client_open(&client_options_, &client_, nullptr, 0), NB_OK);
    options_.size = sizeof options_;
    options_.timeout_ms = 5000;
    result_.size = sizeof result_;
  }
  ~ClientSessionsTest() override {
    nb_client_close(client_);
    agent_.reset();
    ::rmdir(folder_.c_str());
  }
  // `reply` runs on the agent's thread; of a hello the answer is none.
  void answer(AnsweringAgent::Reply reply) {
    agent_.reset();
    agent_ = std::make_unique<AnsweringAgent>(path_, [reply](const std::string& line) {
      return id_of(line).empty() ? std::string() : reply(line);
    });
  }
  // The lines that have come, but for the hello.
  Lines lines() {
    Lines out;
    for (const std::string& line : agent_->lines()) {
      if (line.find("client.hello") != line.npos) continue;
      out.push_back(asked(line).substr(std::strlen(R"({"jsonrpc":"2.0","method":"session.)")));
    }
    return out;
  }
  int update(const char* state = "{}") {
    return nb_session_update(client_, "a", state, &options_, &result_);
  }
  static int increment(void* user, const char* state, int64_t version, char* fresh, size_t size) {
    auto* const self = static_cast<ClientSessionsTest*>(user);
    self->seen_.push_back((state == nullptr ? "none" : state) + std::string(" ") +
                          std::to_string(version));
    std::snprintf(fresh, size, "{\"n\":%zu}", self->seen_.size());
    return self->change_says_;
  }
  int change(uint32_t flags = 0) {
    options_.flags = flags;
    return nb_session_change(client_, "a", &increment, this, memory_, sizeof memory_, &options_,
                             &result_);
  }

  std::string folder_;
  std::string path_;
  nb_client_options client_options_{};
  nb_client* client_ = nullptr;
  std::unique_ptr<AnsweringAgent> agent_;
  nb_session_options options_{};
  nb_session_result result_{};
  char memory_[512] = "";
  Lines seen_;
  int change_says_ = 0;
};

TEST_F(ClientSessionsTest, EachCallIsOneLineAndItsAnswerIsRead) {
  answer([](const std::string& line) {
    if (line.find("broadcast") != line.npos) return result(line, "{\"subscribers\":3}");
    if (line.find("get") == line.npos) return result(line, "{\"version\":7}");
    return result(line, R"({"version":7,"ttl_ms":500,"state":{"version":7,"x":1.10}})");
  });
  options_.ttl_ms = 60000;
  options_.flags = NB_SESSION_REPLACE_CORRUPT;
  EXPECT_EQ(nb_session_create(client_, "a\"b", nullptr, &options_, &result_), NB_OK);
  EXPECT_EQ(result_.version, 7);
  EXPECT_EQ(result_.ttl_ms, -1);
  options_.flags = NB_SESSION_EXPECT | NB_SESSION_UPSERT;
  options_.expected_version = 6;
  EXPECT_EQ(update(R"({"x": 1.10})"), NB_OK);
  options_.ttl_ms = 0;
  options_.flags = NB_SESSION_EXPECT;
  EXPECT_EQ(nb_session_delete(client_, "a", &options_, nullptr), NB_OK);
  EXPECT_EQ(nb_session_touch(client_, "a", nullptr, &result_), NB_OK);
  options_.flags = 0;
  EXPECT_EQ(nb_session_broadcast(client_, "a", "[1]", &options_, &result_), NB_OK);
  EXPECT_EQ(result_.subscribers, 3);
  EXPECT_EQ(nb_session_get(client_, "a", memory_, sizeof memory_, &options_, &result_), NB_OK);
  EXPECT_STREQ(memory_, R"({"version":7,"x":1.10})");
  EXPECT_EQ(result_.version, 7);
  EXPECT_EQ(result_.ttl_ms, 500);
  EXPECT_EQ(result_.text_bytes, 22u);
  EXPECT_EQ(
      lines(),
      (Lines{
          R"(create","params":{"session_id":"a\"b","ttl_ms":60000,"replace_corrupt":true},"id":1})",
          R"(update","params":{"session_id":"a","state":{"x": 1.10},"expected_version":6,)"
          R"("ttl_ms":60000,"upsert":true},"id":2})",
          R"(delete","params":{"session_id":"a","expected_version":6},"id":3})",
          R"(touch","params":{"session_id":"a"},"id":4})",
          R"(broadcast","params":{"session_id":"a","message":[1]},"id":5})",
          R"(get","params":{"session_id":"a"},"id":6})"}));
}

TEST_F(ClientSessionsTest, ErrorsHaveTheirCodesAndAConflictItsVersions) {
  struct Case {
    int code;
    const char* data;
    int outcome;
  };
  static constexpr Case kCases[] = {
      {-32001, "{}", NB_ERR_NOT_FOUND},
      {-32002, R"({"name":"conflict","expected":4,"actual":7})", NB_ERR_CONFLICT},
      {-32013, R"({"redis":"no answer"})", NB_ERR_IN_DOUBT},
      {-32014, R"({"stored":"[]","stored_bytes":2})", NB_ERR_CORRUPT},
      {-32008, "{}", NB_ERR_UNAVAILABLE},
      {-32007, "{}", NB_ERR_IN_DOUBT},  // the agent ends
      {-32602, "{}", NB_ERR_ARGUMENT},
      {-32000, "{}", NB_ERR_TOO_LARGE},
      {-32004, "{}", NB_ERR_FULL},
      {-32009, "{}", NB_ERR_REMOTE},
      {-32010, "{}", NB_ERR_REMOTE},
  };
  const auto next = std::make_shared<std::atomic<size_t>>(0);
  answer([next](const std::string& line) {
    const Case& one = kCases[(*next)++];
    return failure(line, one.code, "words", one.data);
  });
  for (const Case& one : kCases) {
    EXPECT_EQ(update(), one.outcome) << one.code;
    EXPECT_EQ(result_.version, -1);
    EXPECT_EQ(result_.expected_version, one.code == -32002 ? 4 : -1);
    EXPECT_EQ(result_.actual_version, one.code == -32002 ? 7 : -1);
    EXPECT_EQ(result_.text_bytes, one.code == -32014 ? 2u : 0u);
    char why[16];
    EXPECT_EQ(nb_client_last_error(client_, why, sizeof why), one.code);
    EXPECT_STREQ(why, "words");
    EXPECT_STRNE(nb_result_text(one.outcome), "unknown result");
  }
  EXPECT_EQ(lines().size(), std::size(kCases)) << "each was asked once";
}

TEST_F(ClientSessionsTest, WhatDoesNotFitIsCutBetweenCharacters) {
  answer([](const std::string& line) {
    if (line.find("\"corrupt\"") != line.npos) {
      return failure(line, -32014, "no session", R"({"stored":"a\"éé","stored_bytes":9000})");
    }
    return result(line, R"({"version":1,"ttl_ms":null,"state":{"x":"é"}})");
  });
  EXPECT_EQ(nb_session_get(client_, "a", memory_, 8, nullptr, &result_), NB_ERR_TOO_LARGE);
  EXPECT_STREQ(memory_, "{\"x\":\"");
  EXPECT_EQ(result_.text_bytes, 10u);
  EXPECT_EQ(nb_session_get(client_, "a", memory_, 11, nullptr, &result_), NB_OK);
  EXPECT_EQ(nb_session_get(client_, "corrupt", memory_, 6, nullptr, &result_), NB_ERR_CORRUPT);
  EXPECT_STREQ(memory_, "a\"é");
  EXPECT_EQ(result_.text_bytes, 9000u);
  EXPECT_EQ(nb_session_get(client_, "a", nullptr, 0, nullptr, &result_), NB_OK);
}

TEST_F(ClientSessionsTest, WrongArgumentsAreNotAsked) {
  answer([](const std::string& line) { return result(line, "{\"version\":1}"); });
  EXPECT_EQ(update(nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(update("[]"), NB_ERR_ARGUMENT);
  EXPECT_EQ(update("{\"a\":1,\"a\":2}"), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_session_get(client_, "", nullptr, 0, nullptr, nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_session_get(client_, nullptr, nullptr, 0, nullptr, nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_session_get(client_, "a\xff", nullptr, 0, nullptr, nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_session_get(client_, "a", memory_, 0, nullptr, nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_session_get(client_, std::string(10240, 'x').c_str(), nullptr, 0, nullptr, nullptr),
            NB_ERR_TOO_LARGE);
  options_.flags = NB_SESSION_UPSERT;
  EXPECT_EQ(nb_session_delete(client_, "a", &options_, nullptr), NB_ERR_ARGUMENT);
  options_.flags = 1u << 9;
  EXPECT_EQ(update(), NB_ERR_ARGUMENT);
  options_.flags = 0;
  options_.ttl_ms = 5;
  EXPECT_EQ(nb_session_get(client_, "a", nullptr, 0, &options_, nullptr), NB_ERR_ARGUMENT);
  options_.ttl_ms = -1;
  EXPECT_EQ(update(), NB_ERR_ARGUMENT);
  options_.ttl_ms = 0;
  options_.size = 7;
  EXPECT_EQ(update(), NB_ERR_ARGUMENT);
  options_.size = sizeof options_;
  result_.size = 3;
  EXPECT_EQ(update(), NB_ERR_ARGUMENT);
  result_.size = sizeof result_;
  EXPECT_EQ(nb_session_list(client_, nullptr, nullptr, nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_session_change(client_, "a", nullptr, nullptr, memory_, 512, nullptr, nullptr),
            NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_session_change(client_, "a", &increment, this, memory_, 63, nullptr, nullptr),
            NB_ERR_ARGUMENT);
  EXPECT_EQ(update("{\"n\":-9223372036854775808}"), NB_OK);
  EXPECT_EQ(lines().size(), 1u);
}

TEST_F(ClientSessionsTest, AResultSaysNothingOfWhatWasNotAsked) {
  const auto all = [&] {
    std::string text;
    for (const int64_t number : {result_.version, result_.ttl_ms, result_.expected_version,
                                 result_.actual_version, result_.subscribers}) {
      text += std::to_string(number) + " ";
    }
    return text + std::to_string(result_.attempts) + " " + std::to_string(result_.text_bytes);
  };
  const auto used = [&] {
    result_ = {sizeof result_, 1, 2, 3, 4, 5, 6, 7};
    return &result_;
  };
  EXPECT_EQ(nb_session_update(client_, "a", "[]", nullptr, used()), NB_ERR_ARGUMENT);
  EXPECT_EQ(all(), "-1 -1 -1 -1 -1 0 0");
  EXPECT_EQ(nb_session_get(client_, "", nullptr, 0, nullptr, used()), NB_ERR_ARGUMENT);
  EXPECT_EQ(all(), "-1 -1 -1 -1 -1 0 0");
  EXPECT_EQ(nb_session_get(client_, "a", memory_, 0, nullptr, used()), NB_ERR_ARGUMENT);
  EXPECT_EQ(all(), "-1 -1 -1 -1 -1 0 0");
  EXPECT_EQ(nb_session_change(client_, "a", nullptr, nullptr, memory_, 512, nullptr, used()),
            NB_ERR_ARGUMENT);
  EXPECT_EQ(all(), "-1 -1 -1 -1 -1 0 0");
}

TEST_F(ClientSessionsTest, AListIsWalkedPageByPage) {
  answer([](const std::string& line) {
    if (line.find("cursor") == line.npos) {
      return result(line, R"({"sessions":[{"session_id":"a\"b","version":4,"updated_at":"T",)"
                          R"("ttl_ms":10},{"session_id":"c","version":null,"updated_at":null,)"
                          R"("ttl_ms":null}],"cursor":"5:a\\b"})");
    }
    return result(line, R"({"sessions":[{"session_id":"d","version":1,"updated_at":"U",)"
                        R"("ttl_ms":11}],"cursor":null})");
  });
  struct Told {
    Lines lines;
    int ends = 0;
  } told;
  const auto each = [](void* user, const nb_session_info* info) {
    auto* const to = static_cast<Told*>(user);
    to->lines.push_back(std::string(info->id) + " " + std::to_string(info->version) + " " +
                        info->updated_at + " " + std::to_string(info->ttl_ms));
    return to->ends;
  };
  EXPECT_EQ(nb_session_list(client_, each, &told, &options_), NB_OK);
  EXPECT_EQ(told.lines, (Lines{"a\"b 4 T 10", "c -1  -1", "d 1 U 11"}));
  EXPECT_EQ(lines()[1], R"(list","params":{"cursor":"5:a\\b"},"id":2})");
  told = {{}, 5};
  EXPECT_EQ(nb_session_list(client_, each, &told, &options_), 5);
  EXPECT_EQ(told.lines, (Lines{"a\"b 4 T 10"}));
}

// The agent was restarted, or hangs, with the write on its way.
TEST_F(ClientSessionsTest, AWriteWhoseAgentIsLostIsInDoubtAndNotRepeated) {
  answer([](const std::string&) { return "close"; });
  EXPECT_EQ(update(), NB_ERR_IN_DOUBT);
  EXPECT_EQ(lines().size(), 1u);
  answer([](const std::string&) { return ""; });
  options_.timeout_ms = 20;
  int outcome = update();
  if (lines().empty()) outcome = update();  // its first try found the old agent gone
  EXPECT_EQ(outcome, NB_ERR_IN_DOUBT);
  agent_.reset();
  EXPECT_EQ(update(), NB_ERR_AWAY);
  EXPECT_STREQ(nb_result_text(NB_ERR_IN_DOUBT),
               "it may have been carried out, and may not: read the session again");
}

TEST_F(ClientSessionsTest, ALostReadIsAskedAgain) {
  const auto count = std::make_shared<std::atomic<int>>(0);
  answer([count](const std::string& line) {
    return ++*count < 3 ? std::string("close") : result(line, R"({"version":3,"state":{}})");
  });
  EXPECT_EQ(nb_session_get(client_, "a", memory_, sizeof memory_, &options_, &result_), NB_OK);
  EXPECT_EQ(result_.version, 3);
}

// Answers `get` with versions that count up from 3, and writes as `write` says to each.
AnsweringAgent::Reply counting(std::vector<std::string> writes) {
  struct State {
    std::vector<std::string> writes;
    int gets = 0;
    size_t at = 0;
  };
  return [state = std::make_shared<State>(State{std::move(writes)})](const std::string& line) {
    if (line.find("session.get") != line.npos) {
      const std::string version = std::to_string(3 + state->gets++);
      return result(line, R"({"version":)" + version + R"(,"state":{"version":)" + version + "}}");
    }
    const std::string what = state->at < state->writes.size() ? state->writes[state->at++] : "ok";
    if (what == "close" || what.empty()) return what;
    if (what == "ok") return result(line, "{\"version\":9}");
    return failure(line, std::atoi(what.c_str()), "no", R"({"actual":8})");
  };
}

TEST_F(ClientSessionsTest, AChangeBeginsAnewIfAnotherWriterWasFaster) {
  answer(counting({"-32002", "-32002"}));
  EXPECT_EQ(change(), NB_OK);
  EXPECT_EQ(seen_, (Lines{"{\"version\":3} 3", "{\"version\":4} 4", "{\"version\":5} 5"}));
  EXPECT_EQ(result_.version, 9);
  EXPECT_EQ(result_.attempts, 3u);
  EXPECT_EQ(lines()[5],
            R"(update","params":{"session_id":"a","state":{"n":3},"expected_version":5},"id":6})");
}

TEST_F(ClientSessionsTest, AChangeIsBoundedInTime) {
  answer(counting(Lines(100000, "-32002")));
  options_.timeout_ms = 1000;  // for more than one attempt, also on a busy machine
  int code = change();
  // There the time may be over while a call is under way.
  for (int i = 0; i < 9 && (code == NB_ERR_TIMEOUT || code == NB_ERR_IN_DOUBT); ++i)
    code = change();
  EXPECT_EQ(code, NB_ERR_CONFLICT);
  EXPECT_EQ(result_.actual_version, 8);
  EXPECT_GT(result_.attempts, 1u);
}

TEST_F(ClientSessionsTest, TheCallbackEndsAChange) {
  answer(counting({}));
  change_says_ = 42;
  EXPECT_EQ(change(), 42);
  EXPECT_EQ(lines().size(), 1u);
  change_says_ = 0;
  const auto nonsense = [](void*, const char*, int64_t, char* fresh, size_t) {
    std::strcpy(fresh, "[]");
    return 0;
  };
  options_.flags = 0;
  EXPECT_EQ(nb_session_change(client_, "a", nonsense, nullptr, memory_, 512, &options_, &result_),
            NB_ERR_ARGUMENT);
  const auto waits = [](void* user, const char*, int64_t, char*, size_t) {
    return nb_client_dispatch(static_cast<nb_client*>(user));
  };
  EXPECT_EQ(nb_session_change(client_, "a", waits, client_, memory_, 512, &options_, &result_),
            NB_ERR_STATE);
  EXPECT_EQ(lines().size(), 3u) << "nothing was written";
}

TEST_F(ClientSessionsTest, AChangeCreatesWhatIsNotThereIfItMay) {
  answer([](const std::string& line) {
    return line.find("session.get") != line.npos ? failure(line, -32001, "none")
                                                 : result(line, "{\"version\":1}");
  });
  EXPECT_EQ(change(), NB_ERR_NOT_FOUND);
  EXPECT_TRUE(seen_.empty());
  EXPECT_EQ(change(NB_SESSION_UPSERT), NB_OK);
  EXPECT_EQ(seen_, Lines{"none 0"});
  EXPECT_EQ(lines().back(), R"(create","params":{"session_id":"a","state":{"n":1}},"id":3})");
}

// The second write expects the same version, and one of both at most can be carried out.
TEST_F(ClientSessionsTest, AWriteInDoubtIsRepeatedAsItWasAndTheCallbackIsNot) {
  for (const std::string lost : {"-32013", "close"}) {
    answer(counting({lost, "ok"}));
    seen_.clear();
    EXPECT_EQ(change(), NB_OK) << lost;
    EXPECT_EQ(seen_.size(), 1u);
    EXPECT_EQ(result_.attempts, 1u);
    const Lines writes = lines();
    ASSERT_EQ(writes.size(), 3u);
    EXPECT_EQ(writes[1].substr(0, writes[1].find("\"id\"")),
              writes[2].substr(0, writes[2].find("\"id\"")));
    // It was the first that was carried out, or another program's: nobody knows.
    answer(counting({lost, "-32002"}));
    seen_.clear();
    EXPECT_EQ(change(), NB_ERR_IN_DOUBT) << lost;
    EXPECT_EQ(result_.actual_version, 8);
    EXPECT_EQ(seen_.size(), 1u);
  }
}

TEST_F(ClientSessionsTest, NoCallTakesMemory) {
  answer(counting({}));
  EXPECT_EQ(change(), NB_OK);  // which connects
  const auto writes = [](void*, const char*, int64_t, char* fresh, size_t) {
    std::strcpy(fresh, "{}");
    return 0;
  };
  const long before = test::mallocs;
  EXPECT_EQ(nb_session_change(client_, "a", writes, nullptr, memory_, 512, &options_, &result_),
            NB_OK);
  EXPECT_EQ(test::mallocs, before);
}

}  // namespace
}  // namespace nb::client
