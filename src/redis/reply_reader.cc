#include "redis/reply_reader.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "base/foreign_text.h"

namespace nb::redis {
namespace {

// A null answer makes hiredis say "Out of memory" and give the stream up.
redisReply* make(const redisReadTask* task, int type) {
  auto& arena = *static_cast<ReplyArena*>(task->privdata);
  auto* reply = new (arena.take(sizeof(redisReply))) redisReply{};
  reply->type = type;
  if (task->parent != nullptr) {
    static_cast<redisReply*>(task->parent->obj)->element[task->idx] = reply;
  }
  return reply;
}

// Nearly every status: nothing to clean, nothing to cut.
bool is_plain(std::string_view text) {
  return text.size() <= kMaxForeignText &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void* make_string(const redisReadTask* task, char* text, size_t size) {
  // What RESP3 adds was not asked for.
  if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS &&
      task->type != REDIS_REPLY_ERROR) {
    return nullptr;
  }
  // "-\r\n": whoever looks for an error's words has to find some.
  constexpr std::string_view kNoWords = "an error without a text";
  std::string clean;
  if (task->type == REDIS_REPLY_ERROR && size == 0) {
    clean = kNoWords;
    text = clean.data();
    size = clean.size();
  }
  if (task->type != REDIS_REPLY_STRING && !is_plain({text, size})) {
    clean = foreign_text({text, size});
    text = clean.data();
    size = clean.size();
  }
  redisReply* reply = make(task, task->type);
  reply->str = static_cast<char*>(static_cast<ReplyArena*>(task->privdata)->take(size + 1));
  std::memcpy(reply->str, text, size);
  reply->str[size] = '\0';
  reply->len = static_cast<decltype(reply->len)>(size);
  return reply;
}

// The element count is an int in hiredis 0.14 and a size_t in 1.x.
template <class Count>
void* make_array(const redisReadTask* task, Count count) {
  const auto elements = static_cast<size_t>(count);
  if (task->type != REDIS_REPLY_ARRAY) return nullptr;
  redisReply* reply = make(task, REDIS_REPLY_ARRAY);
  const size_t bytes = elements * sizeof(redisReply*);
  reply->element = static_cast<redisReply**>(static_cast<ReplyArena*>(task->privdata)->take(bytes));
  std::memset(reply->element, 0, bytes);
  reply->elements = elements;
  return reply;
}

template <class Count>
void set_array_function(void* (*&create)(const redisReadTask*, Count)) {
  create = &make_array<Count>;
}

void* make_integer(const redisReadTask* task, long long value) {
  redisReply* reply = make(task, REDIS_REPLY_INTEGER);
  reply->integer = value;
  return reply;
}

void* make_nil(const redisReadTask* task) {
  return make(task, REDIS_REPLY_NIL);
}

template <class Functions>
void refuse_what_resp3_adds(Functions& functions) {
  // Null would not do: hiredis would hand out a number in place of a pointer.
  if constexpr (requires { functions.createDouble; }) {
    functions.createDouble = [](const redisReadTask*, double, char*, size_t) -> void* {
      return nullptr;
    };
    functions.createBool = [](const redisReadTask*, int) -> void* { return nullptr; };
  }
}

// The arena has it.
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

std::string_view text_of(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
      return {reply.str, static_cast<size_t>(reply.len)};
    default:
      return {};
  }
}

bool is_error(const redisReply& reply) {
  return reply.type == REDIS_REPLY_ERROR;
}

ReplyReader::ReplyReader(size_t max_reply_bytes)
    : gauge_(max_reply_bytes), functions_(make_functions()), reader_(redisReaderCreate()) {
  reader_->fn = &functions_;
  reader_->privdata = &arena_;
}

bool ReplyReader::feed(std::string_view bytes) {
  if (fault_ != nullptr) return false;
  if (!gauge_.feed(bytes, Delegate<void(std::string_view)>::to<&ReplyReader::pass>(this))) {
    fault_ = gauge_.fault();
  }
  return fault_ == nullptr;
}

void ReplyReader::pass(std::string_view bytes) {
  if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) {
    fault_ = reader_->errstr;
  }
}

Reply ReplyReader::next() {
  if (fault_ != nullptr) return nullptr;
  // Half a reply stays in the arena until its other half has come.
  if (given_) arena_.reset();
  given_ = false;
  if (!gauge_.worth_parsing()) return nullptr;
  void* reply = nullptr;
  if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
    fault_ = reader_->errstr;
    return nullptr;
  }
  if (reply == nullptr) return nullptr;
  given_ = true;
  gauge_.taken();
  return static_cast<redisReply*>(reply);
}

}  // namespace nb::redis
