#include "redis/reply_reader.h"

namespace nb::redis {
namespace {

// The agent asks for nothing that has more; hiredis 0.14 would allocate 16 GiB for a server that
// announces "*2147483647".
constexpr size_t kMaxElements = 64 * 1024;
// hiredis 0.14 has a limit of its own, 1.0 to 1.4.0 have none: there a reply nested deep enough
// overflows the stack of whoever frees it.
constexpr int kMaxDepth = 7;

int depth(const redisReadTask* task) {
  int levels = 1;
  while ((task = task->parent) != nullptr) ++levels;
  return levels;
}

// The element count is an int in hiredis 0.14 and a size_t in 1.x.
template <class Count>
struct CreateArray {
  using Function = void* (*)(const redisReadTask*, Count);
  static void* limited(const redisReadTask* task, Count count) {
    // hiredis then says "Out of memory".
    if (static_cast<size_t>(count) > kMaxElements || depth(task) > kMaxDepth) return nullptr;
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
  // What an unfinished array already holds counts too, though hiredis has dropped its bytes.
  unfinished_bytes_ += bytes.size();
  if (unfinished_bytes_ > max_reply_bytes_) {
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
  if (reply != nullptr) unfinished_bytes_ = reader_->len - reader_->pos;
  return Reply(static_cast<redisReply*>(reply));
}

}  // namespace nb::redis
