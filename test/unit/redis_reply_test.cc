// Unit tests of redis/reply_reader and reply_gauge: bytes of a stranger, in any pieces.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/foreign_text.h"
#include "base/random.h"
#include "redis/reply_reader.h"

namespace nb::redis {
namespace {

// What the heap holds more than when this was made; a sanitizer's heap says nothing.
class AllocatedBytes {
 public:
  size_t since() const {
    const size_t now = held();
    return now > at_ ? now - at_ : 0;
  }

 private:
  static size_t held() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
  }
  const size_t at_ = held();
};

TEST(ReplyReader, ReadsRepliesFedByteByByte) {
  ReplyReader reader(1000);
  std::vector<std::string> texts;
  for (const char c : std::string("+OK\r\n$5\r\nhello\r\n*2\r\n:1\r\n-ERR x\r\n")) {
    ASSERT_TRUE(reader.feed(std::string_view(&c, 1)));
    while (const Reply reply = reader.next()) texts.emplace_back(reply.text());
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"OK", "hello", ""}));
  EXPECT_EQ(reader.fault(), nullptr);
}

TEST(ReplyReader, RefusesRubbishAndMonsters) {
  for (const std::string bad :
       {"HTTP/1.1 400 Bad Request\r\n", "*2147483647\r\n:1\r\n", "*100000\r\n:1\r\n", "$-5\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n!\r\n", ":x\r\n"}) {
    ReplyReader reader(1 << 20);
    (void)reader.feed(bad);
    EXPECT_FALSE(reader.next()) << bad;
    EXPECT_NE(reader.fault(), nullptr) << bad;
    EXPECT_FALSE(reader.feed("+OK\r\n")) << "a faulty reader stays so";
  }
}

constexpr const char* kTooLong = "a reply is longer than redis.max_reply allows";

TEST(ReplyReader, BelievesNoSizeThatIsAnnounced) {
  for (const std::string announced :
       {"$2000000000\r\n", "$9223372036854775807\r\n", "*5000\r\n", "*1\r\n$100001\r\n"}) {
    ReplyReader reader(100'000);
    EXPECT_FALSE(reader.feed(announced)) << "before any of it has come: " << announced;
    EXPECT_STREQ(reader.fault(), kTooLong) << announced;
  }
  ReplyReader reader(100'000);
  EXPECT_TRUE(reader.feed("$99000\r\n"));
}

// Three bytes on the wire are an object and a pointer here.
TEST(ReplyReader, BoundsAReplyInMemoryNotOnlyInBytes) {
  constexpr size_t kLimit = 16 * 1024 * 1024;
  ReplyReader reader(kLimit);
  const AllocatedBytes before;
  ASSERT_TRUE(reader.feed("*84\r\n"));
  std::string full = "*65536\r\n";
  for (int i = 0; i < 65536; ++i) full += "+\r\n";
  int arrays = 0;
  while (reader.feed(full)) {
    EXPECT_FALSE(reader.next());
    ASSERT_LT(++arrays, 84);
  }
  EXPECT_STREQ(reader.fault(), kTooLong);
  EXPECT_GT(arrays, 0);
  EXPECT_LT(before.since(), 2 * kLimit);
}

TEST(ReplyReader, AnEndlessLineIsBoundedAndLookedAtOnce) {
  for (const char kind : {'+', '-'}) {
    ReplyReader reader(64 << 20);
    ASSERT_TRUE(reader.feed(std::string(1, kind)));
    const AllocatedBytes before;
    size_t fed = 0;
    // In small pieces, so that looking at all of it at each would take minutes.
    const std::string piece(16, 'x');
    while (reader.feed(piece)) {
      EXPECT_FALSE(reader.next());
      fed += piece.size();
      ASSERT_LE(fed, ReplyGauge::kMaxLine);
    }
    EXPECT_STREQ(reader.fault(), "a line of a reply is longer than 4 MiB");
    EXPECT_LT(before.since(), 16'000u) << "only its beginning is kept";
  }
}

TEST(ReplyReader, OfALongErrorTheBeginningIsKept) {
  for (const size_t size : {100u, 2046u, 2047u, 2048u, 2049u, 3000u, 2u << 20}) {
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{2048}, size_t{1} << 22}) {
      if (piece < 7 && size > 4000) continue;
      ReplyReader reader(16 << 20);
      const std::string line = "-ERR " + std::string(size - 4, 'x') + "\r\n:7\r\n";
      std::vector<std::string> texts;
      int integers = 0;
      for (size_t at = 0; at < line.size(); at += piece) {
        ASSERT_TRUE(reader.feed(std::string_view(line).substr(at, piece))) << reader.fault();
        while (const Reply reply = reader.next()) {
          reply.is_error() ? texts.emplace_back(reply.text()), 0 : ++integers;
        }
      }
      ASSERT_EQ(texts.size(), 1u) << size << " in pieces of " << piece;
      EXPECT_EQ(integers, 1);
      EXPECT_EQ(texts[0], foreign_text("ERR " + std::string(size - 4, 'x')));
      EXPECT_LE(texts[0].size(), kMaxForeignText);
    }
  }
}

TEST(ReplyReader, ErrorAndStatusAreMadeFitAndDataIsNot) {
  ReplyReader reader(1000);
  ASSERT_TRUE(reader.feed("-ERR a\nWATCHDOG=trigger\r\n+O\x1bK\r\n$3\r\n\n\x1b\xff\r\n"));
  EXPECT_EQ(reader.next().text(), "ERR a\\x0aWATCHDOG=trigger");
  EXPECT_EQ(reader.next().text(), "O\\x1bK");
  EXPECT_EQ(reader.next().text(), "\n\x1b\xff");
}

// Replies of every kind, as bytes; with line ends of all sorts in the texts.
std::string random_reply(Random& random, int depth) {
  const auto below = [&](uint64_t n) { return static_cast<size_t>(random.next() % n); };
  const auto text = [&](size_t size, std::string_view letters) {
    std::string out;
    while (out.size() < size) out += letters[below(letters.size())];
    return out;
  };
  switch (below(depth < 4 ? 7 : 5)) {
    case 0:
    case 1: {
      // Around the length from which on the rest is left out, too; "\r\n" would end it.
      std::string line = text(below(3) == 0 ? 2040 + below(20) : below(20), "ab\r\xc3\xbc ");
      if (below(3) == 0) line += "\n" + text(below(9), "a\n");
      for (size_t at = 0; (at = line.find("\r\n")) != std::string::npos;) line[at] = '.';
      if (line.ends_with('\r')) line.back() = '.';
      return (below(2) == 0 ? "+" : "-") + line + "\r\n";
    }
    case 2:
      return ":" + std::to_string(static_cast<int64_t>(random.next())) + "\r\n";
    case 3:
      return below(2) == 0 ? "$-1\r\n" : "*-1\r\n";
    case 4: {
      const std::string bulk = text(below(4) == 0 ? 3000 : below(20), "$*:+-\r\n12");
      return "$" + std::to_string(bulk.size()) + "\r\n" + bulk + "\r\n";
    }
    default: {
      const size_t count = below(5);
      std::string array = "*" + std::to_string(count) + "\r\n";
      for (size_t i = 0; i < count; ++i) array += random_reply(random, depth + 1);
      return array;
    }
  }
}

std::string shown(Reply reply) {
  std::string out =
      std::to_string(static_cast<int>(reply.kind())) + ":" + std::string(reply.text());
  if (const auto number = reply.integer()) out += std::to_string(*number);
  if (!reply.is_array()) return out + ",";
  for (const Reply element : reply.elements()) out += shown(element);
  return out + ";";
}

TEST(ReplyReader, PiecesMakeNoDifference) {
  Random random(20261126);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    const size_t replies = 1 + random.next() % 5;
    for (size_t i = 0; i < replies; ++i) bytes += random_reply(random, 0);
    const auto read = [&](auto piece) {
      ReplyReader reader(1 << 20);
      std::vector<std::string> out;
      for (size_t at = 0; at < bytes.size();) {
        const size_t size = std::min<size_t>(piece(), bytes.size() - at);
        EXPECT_TRUE(reader.feed(std::string(bytes, at, size))) << reader.fault();
        at += size;
        while (const Reply reply = reader.next()) out.push_back(shown(reply));
      }
      EXPECT_EQ(reader.fault(), nullptr);
      return out;
    };
    const auto whole = read([&] { return bytes.size(); });
    ASSERT_EQ(whole.size(), replies) << round;
    EXPECT_EQ(read([] { return size_t{1}; }), whole) << round;
    EXPECT_EQ(read([&] { return 1 + random.next() % 64; }), whole) << round;
    EXPECT_EQ(read([&] { return 1 + random.next() % 4096; }), whole) << round;
  }
}

TEST(ReplyReader, RefusesWhatIsNestedDeep) {
  std::string fine, deep;
  for (int i = 0; i < 7; ++i) fine += "*1\r\n";
  for (int i = 0; i < 100'000; ++i) deep += "*1\r\n";
  ReplyReader reader(16 << 20);
  ASSERT_TRUE(reader.feed(fine + ":1\r\n"));
  EXPECT_TRUE(reader.next());
  EXPECT_FALSE(reader.feed(deep));
  EXPECT_FALSE(reader.next());
  EXPECT_STREQ(reader.fault(), "a reply that is nested too deep");
}

TEST(ReplyReader, AnArrayThatGrowsForEverReachesTheLimit) {
  ReplyReader reader(10'000);
  ASSERT_TRUE(reader.feed("*100\r\n"));
  int fed = 0;
  while (reader.feed("$100\r\n" + std::string(100, 'x') + "\r\n")) {
    EXPECT_FALSE(reader.next());
    ASSERT_LT(++fed, 1000);
  }
  EXPECT_STREQ(reader.fault(), kTooLong);
}

TEST(ReplyReader, ManyShortRepliesAreNotALongOne) {
  ReplyReader reader(100);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(reader.feed("+OK\r\n+O"));
    EXPECT_TRUE(reader.next());
    EXPECT_FALSE(reader.next());
    ASSERT_TRUE(reader.feed("K\r\n"));
    EXPECT_TRUE(reader.next());
  }
}

}  // namespace
}  // namespace nb::redis
