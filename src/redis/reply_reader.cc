#include "redis/reply_reader.h"

namespace nb::redis {
namespace {

// The agent asks for nothing that has more; hiredis 0.14 would allocate 16 GiB for a server that
// announces "*2147483647".
constexpr size_t kMaxElements = 64 * 1024;
// EXEC answers with one level. Up to hiredis 1.4.0 nothing else bounds the depth, and replies are
// freed by recursion.
constexpr int kMaxDepth = 7;

// The element count is an int in hiredis 0.14 and a size_t in 1.x.
template <class Count>
struct CreateArray {
  using Function = void* (*)(const redisReadTask*, Count);
  static void* limited(const redisReadTask* task, Count count) {
    // For a null hiredis says "Out of memory", and the connection is given up.
    if (static_cast<size_t>(count) > kMaxElements) return nullptr;
    int depth = 0;
    for (const redisReadTask* up = task->parent; up != nullptr; up = up->parent) {
      if (++depth >= kMaxDepth) return nullptr;
    }
    return reinterpret_cast<Function>(task->privdata)(task, count);
  }
};

template <class Count>
void limit_arrays(void* (*&create)(const redisReadTask*, Count), redisReader* reader) {
  reader->privdata = reinterpret_cast<void*>(create);
  create = &CreateArray<Count>::limited;
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
    : max_reply_bytes_(max_reply_bytes),
      functions_(std::make_unique<redisReplyObjectFunctions>()),
      reader_(redisReaderCreate()) {
  *functions_ = *reader_->fn;
  limit_arrays(functions_->createArray, reader_.get());
  reader_->fn = functions_.get();
}

bool ReplyReader::feed(std::string_view bytes) {
  if (fault_ != nullptr) return false;
  // What is parsed but not yet dropped by hiredis does not count.
  if (reader_->len - reader_->pos + bytes.size() > max_reply_bytes_) {
    fault_ = "a reply is longer than redis.max_reply allows";
    return false;
  }
  if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) {
    fault_ = reader_->errstr;
    return false;
  }
  return true;
}

Reply ReplyReader::next() {
  if (fault_ != nullptr) return nullptr;
  void* reply = nullptr;
  if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
    fault_ = reader_->errstr;
    return nullptr;
  }
  return Reply(static_cast<redisReply*>(reply));
}

}  // namespace nb::redis
