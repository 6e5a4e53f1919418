#include "redis/reply_reader.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>

#include "base/foreign_text.h"

namespace nb::redis {
namespace {

ReplyArena& arena_of(const redisReadTask* task) {
  return *static_cast<ReplyArena*>(task->privdata);
}

// An element lies in its array, which make_array() has made; another reply lies by itself. Where a
// function returns null, hiredis says "Out of memory" and gives the stream up.
Reply* make(const redisReadTask* task, Reply reply) {
  Reply* at = nullptr;
  if (task->parent != nullptr) {
    const auto* array = static_cast<const Reply*>(task->parent->obj);
    at = const_cast<Reply*>(array->elements().data()) + task->idx;
  } else {
    at = static_cast<Reply*>(arena_of(task).take(sizeof(Reply)));
  }
  return new (at) Reply(reply);
}

// True for nearly every status: there is nothing to clean and nothing to cut.
bool is_plain(std::string_view text) {
  return text.size() <= kMaxForeignText &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void* make_string(const redisReadTask* task, char* text, size_t size) {
  const auto kind = task->type == REDIS_REPLY_STRING   ? Reply::Kind::string
                    : task->type == REDIS_REPLY_STATUS ? Reply::Kind::status
                    : task->type == REDIS_REPLY_ERROR  ? Reply::Kind::error
                                                       : Reply::Kind::none;
  // RESP3 was not asked for, so its types are refused.
  if (kind == Reply::Kind::none) return nullptr;
  // "-\r\n" has no words, but an error is told by its words.
  constexpr std::string_view kNoWords = "an error without a text";
  std::string clean;
  if (kind == Reply::Kind::error && size == 0) {
    clean = kNoWords;
    text = clean.data();
    size = clean.size();
  }
  if (kind != Reply::Kind::string && !is_plain({text, size})) {
    clean = foreign_text({text, size});
    text = clean.data();
    size = clean.size();
  }
  auto* copy = static_cast<char*>(arena_of(task).take(size));
  std::memcpy(copy, text, size);
  return make(task, Reply(kind, {copy, size}));
}

// The element count is an int in hiredis 0.14 and a size_t in 1.x.
template <class Count>
void* make_array(const redisReadTask* task, Count count) {
  if (task->type != REDIS_REPLY_ARRAY) return nullptr;
  const auto size = static_cast<size_t>(count);
  auto* elements = static_cast<Reply*>(arena_of(task).take(size * sizeof(Reply)));
  std::uninitialized_default_construct_n(elements, size);
  return make(task, Reply(std::span<const Reply>(elements, size)));
}

template <class Count>
void set_array_function(void* (*&create)(const redisReadTask*, Count)) {
  create = &make_array<Count>;
}

void* make_integer(const redisReadTask* task, long long value) {
  return make(task, Reply(static_cast<int64_t>(value)));
}

void* make_nil(const redisReadTask* task) {
  return make(task, Reply::nil());
}

template <class Functions>
void refuse_what_resp3_adds(Functions& functions) {
  // A null function would not do: hiredis would hand out a number in place of a pointer.
  if constexpr (requires { functions.createDouble; }) {
    functions.createDouble = [](const redisReadTask*, double, char*, size_t) -> void* {
      return nullptr;
    };
    functions.createBool = [](const redisReadTask*, int) -> void* { return nullptr; };
  }
}

// The arena owns the replies.
void free_nothing(void*) {}

redisReplyObjectFunctions make_functions() {
  redisReplyObjectFunctions functions{};
  functions.createString = &make_string;
  set_array_function(functions.createArray);
  functions.createInteger = &make_integer;
  functions.createNil = &make_nil;
  functions.freeObject = &free_nothing;
  refuse_what_resp3_adds(functions);
  return functions;
}

}  // namespace

struct ReplyReader::Parser {
  explicit Parser(ReplyArena& arena) : functions(make_functions()), reader(redisReaderCreate()) {
    reader->fn = &functions;
    reader->privdata = &arena;
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser() { redisReaderFree(reader); }

  redisReplyObjectFunctions functions;  // ours, for hiredis to make replies with
  redisReader* reader;
};

ReplyReader::ReplyReader(size_t max_reply_bytes, const char* too_long)
    : gauge_(max_reply_bytes, too_long), parser_(std::make_unique<Parser>(arena_)) {}

ReplyReader::~ReplyReader() = default;

bool ReplyReader::feed(std::string_view bytes) {
  if (fault_ != nullptr) return false;
  if (!gauge_.feed(bytes, Delegate<void(std::string_view)>::to<&ReplyReader::pass>(this))) {
    fault_ = gauge_.fault();
  }
  return fault_ == nullptr;
}

void ReplyReader::pass(std::string_view bytes) {
  if (redisReaderFeed(parser_->reader, bytes.data(), bytes.size()) != REDIS_OK) {
    fault_ = parser_->reader->errstr;
  }
}

Reply ReplyReader::next() {
  if (fault_ != nullptr) return {};
  // Half a reply stays in the arena until its other half has come.
  if (given_) arena_.reset();
  given_ = false;
  if (!gauge_.worth_parsing()) return {};
  void* reply = nullptr;
  if (redisReaderGetReply(parser_->reader, &reply) != REDIS_OK) {
    fault_ = parser_->reader->errstr;
    return {};
  }
  if (reply == nullptr) return {};
  given_ = true;
  gauge_.taken();
  return *static_cast<const Reply*>(reply);
}

}  // namespace nb::redis
