// Unit tests of base/: text, numbers, patterns, lines.
#include <gtest/gtest.h>
#include <locale.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "base/decimal.h"
#include "base/foreign_text.h"
#include "base/glob.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/line_framer.h"
#include "base/name.h"
#include "base/nearest.h"
#include "base/random.h"
#include "base/text.h"

namespace nb {
namespace {

TEST(Hash, IsFnv1a) {
  EXPECT_EQ(hash_of(""), 0xcbf29ce484222325u);
  EXPECT_EQ(hash_of("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(hash_of("foobar"), 0x85944171f73967e8u);
  EXPECT_EQ(hash_of("bar", hash_of("foo")), hash_of("foobar"));
}

TEST(Hash, TextsThatWereChosenToFallTogetherDoNotWithAnotherBeginning) {
  std::vector<std::string> texts;
  for (int i = 0; texts.size() < 1000; ++i) {
    const std::string text = "n" + std::to_string(i);
    if ((hash_of(text) & 0xfff) == 1) texts.push_back(text);
  }
  const auto together = std::count_if(texts.begin(), texts.end(), [](const std::string& text) {
    return (hash_of(text, kHashBegin ^ 0x123456789abcdef) & 0xfff) == 1;
  });
  EXPECT_LE(together, 10);
}

TEST(ForeignText, PlainTextPassesUnchanged) {
  EXPECT_EQ(foreign_text(""), "");
  EXPECT_EQ(foreign_text("WRONGTYPE Operation against a key"), "WRONGTYPE Operation against a key");
  EXPECT_EQ(foreign_text("Gr\u00fc\u00dfe, \u4f60\u597d, \U0001f600 \\x1b"),
            "Gr\u00fc\u00dfe, \u4f60\u597d, \U0001f600 \\x1b");
}

TEST(ForeignText, WhatIsUnsafeIsShownAndNotSent) {
  EXPECT_EQ(foreign_text("a\nWATCHDOG=trigger\r\t\x1b[31m\x7f"),
            "a\\x0aWATCHDOG=trigger\\x0d\\x09\\x1b[31m\\x7f");
  EXPECT_EQ(foreign_text(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(foreign_text("\u009b31m \u0085"), "\\u009b31m \\u0085");
  EXPECT_EQ(foreign_text("\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"),
            "\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a\\u202e\\u2066\\u2069");
  // A lone continuation, an overlong form, a surrogate, half a character at the end.
  EXPECT_EQ(foreign_text("\x9b|\xc0\xaf|\xed\xa0\x80|\xff|\xe2\x82"),
            "\\x9b|\\xc0\\xaf|\\xed\\xa0\\x80|\\xff|\\xe2\\x82");
}

TEST(ForeignText, OnlyWhatIsUnsafeIsShownByItsNumber) {
  const auto unsafe = [](char32_t code) {
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
  };
  for (char32_t code = 0; code < 0x3000; ++code) {
    char bytes[4];
    const std::string text(bytes, put_character(bytes, code));
    EXPECT_EQ(foreign_text(text) != text, unsafe(code)) << static_cast<uint32_t>(code);
  }
}

TEST(ForeignText, IsCutAtTheEndOfACharacter) {
  EXPECT_EQ(foreign_text("abcdefgh", 8), "abcdefgh");
  EXPECT_EQ(foreign_text("abcdefghi", 8), "abcde...");
  EXPECT_EQ(foreign_text("abcd\u00fcfghi", 8), "abcd...");
  EXPECT_EQ(foreign_text("abc\n\n", 8), "abc...");  // not within "\x0a" either
  EXPECT_EQ(foreign_text("abcdef", 2), "ab");
  EXPECT_EQ(foreign_text("abc", 0), "");
  EXPECT_EQ(foreign_text(std::string(2 * 1024 * 1024, 'x')).size(), kMaxForeignText);
}

TEST(ForeignText, IsAlwaysSafeAndASecondPassChangesNothing) {
  uint64_t seed = 7;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes;
    for (int i = 0; i < 24; ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      // Leads and continuations more often than chance would bring them.
      const auto c = static_cast<unsigned char>(seed >> 40);
      bytes += static_cast<char>(i % 3 == 0 ? (c | 0xc0) : i % 3 == 1 ? (0x80 | (c & 0x3f)) : c);
    }
    const size_t limit = static_cast<size_t>(round) % 80;
    const std::string text = foreign_text(bytes, limit);
    ASSERT_LE(text.size(), limit);
    ASSERT_TRUE(is_valid_utf8(text));
    ASSERT_EQ(foreign_text(text, limit), text);
  }
}

TEST(Text, Utf8) {
  EXPECT_TRUE(is_valid_utf8("plain"));
  EXPECT_TRUE(is_valid_utf8("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\xa4\x96"));
  for (const char* bad : {"\xff", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\x80", "\xe2\x82", "\xf0\x9f\xa4"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << bad;
  }
  EXPECT_TRUE(is_valid_utf8(std::string_view("a\0b", 3)));
}

std::string encoded(char32_t code) {
  std::string text;
  const auto add = [&](char32_t bits) { text += static_cast<char>(bits); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6), add(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12), add(0x80 | (code >> 6 & 0x3f)), add(0x80 | (code & 0x3f));
  } else {
    add(0xf0 | code >> 18), add(0x80 | (code >> 12 & 0x3f));
    add(0x80 | (code >> 6 & 0x3f)), add(0x80 | (code & 0x3f));
  }
  return text;
}

TEST(Text, Utf8IsEachCharacterInItsShortestForm) {
  // The first and the last of each length, and around the surrogates.
  for (const char32_t code :
       {0x0, 0x7f, 0x80, 0xff, 0x7ff, 0x800, 0xfff, 0x1000, 0xcfff, 0xd000, 0xd7ff, 0xe000, 0xffff,
        0x10000, 0x3ffff, 0x40000, 0xfffff, 0x100000, 0x10ffff}) {
    EXPECT_TRUE(is_valid_utf8(encoded(code))) << std::hex << static_cast<unsigned>(code);
  }
  for (const char32_t code : {0xd800, 0xdfff, 0x110000, 0x13ffff, 0x140000, 0x1fffff}) {
    EXPECT_FALSE(is_valid_utf8(encoded(code))) << std::hex << static_cast<unsigned>(code);
  }
  for (const char* overlong : {"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
                               "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf"}) {
    EXPECT_FALSE(is_valid_utf8(overlong));
  }
}

TEST(Text, Utf8IsCheckedByteByByteWhereverItStands) {
  for (const char32_t code : {0x80, 0x7ff, 0x800, 0x20ac, 0xffff, 0x10000, 0x10ffff}) {
    const std::string character = encoded(code);
    for (size_t before = 0; before < 18; ++before) {
      const std::string front = std::string(before, 'a');
      EXPECT_EQ(valid_utf8_prefix(front + character + "b"), before + character.size() + 1);
      EXPECT_TRUE(is_valid_utf8(front + character + front));
      for (size_t i = 1; i < character.size(); ++i) {
        // It ends too early, or one of its bytes is no continuation.
        EXPECT_EQ(valid_utf8_prefix(front + character.substr(0, i)), before);
        for (const char wrong : {'\x00', '\x7f', '\xc0', '\xff'}) {
          std::string broken = character;
          broken[i] = wrong;
          EXPECT_EQ(valid_utf8_prefix(front + broken + "bcdefghi"), before);
        }
      }
    }
  }
}

TEST(Text, ClippingCutsNoCharacter) {
  EXPECT_EQ(clip_utf8("abc", 3), "abc");
  EXPECT_EQ(clip_utf8("abc", 2), "ab");
  EXPECT_EQ(clip_utf8("a\u20acb", 4), "a\u20ac");
  EXPECT_EQ(clip_utf8("a\u20acb", 3), "a");
  EXPECT_EQ(clip_utf8("a\u20acb", 2), "a");
  EXPECT_EQ(clip_utf8("\u20ac", 2), "");
  EXPECT_EQ(clip_utf8("\x80\x80\x80", 2), "");
  EXPECT_EQ(clip_utf8("abc", 0), "");
  for (int last = 0x80; last < 0xc0; ++last) {
    const std::string two{'a', '\xc3', static_cast<char>(last)};
    EXPECT_EQ(clip_utf8(two, 2), "a") << last;
  }
  // What follows in memory does not count.
  EXPECT_EQ(clip_utf8(std::string_view("ab\x80").substr(0, 2), 2), "ab");
}

TEST(Text, Numbers) {
  EXPECT_EQ(parse_number<int>("42"), 42);
  EXPECT_EQ(parse_number<int>("-1"), -1);
  EXPECT_FALSE(parse_number<int>(""));
  EXPECT_FALSE(parse_number<int>("4 "));
  EXPECT_FALSE(parse_number<int>("99999999999"));
  EXPECT_FALSE(parse_number<unsigned>("-1"));
}

TEST(Decimal, IsReadToTheNearestDouble) {
  EXPECT_EQ(nearest_double("-12.50e-1"), -1.25);
  EXPECT_EQ(nearest_double("0.1"), 0.1);
  EXPECT_EQ(nearest_double("9007199254740993"), 9007199254740992.0);
  EXPECT_EQ(nearest_double("9007199254740993." + std::string(800, '0') + "1"), 9007199254740994.0);
  EXPECT_EQ(nearest_double("1.7976931348623157e308"), std::numeric_limits<double>::max());
  EXPECT_EQ(nearest_double("4.9e-324"), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(nearest_double("1e400"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(nearest_double("-1e400"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(nearest_double("1e-400"), 0.0);
  EXPECT_TRUE(std::signbit(nearest_double("-1e-400")));
  // It ends where the text does, whatever follows in memory, and however long it is.
  for (const size_t length : {1u, 62u, 63u, 64u, 65u, 1000u}) {
    const std::string ones = std::string(length, '1');
    EXPECT_EQ(nearest_double(std::string_view(ones + "e9").substr(0, length)),
              std::strtod(ones.c_str(), nullptr))
        << length;
  }
}

TEST(Decimal, HasItsPointWhateverTheLocaleOfTheHost) {
  locale_t comma = nullptr;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"}) {
    if (comma == nullptr) comma = ::newlocale(LC_ALL_MASK, name, nullptr);
  }
  if (comma == nullptr) GTEST_SKIP() << "no locale with a decimal comma is installed here";
  const locale_t before = ::uselocale(comma);
  EXPECT_EQ(std::strtod("1,5", nullptr), 1.5);
  EXPECT_EQ(nearest_double("1.5"), 1.5);
  ::uselocale(before);
  ::freelocale(comma);
}

TEST(Hex, ADigitOfEitherCase) {
  std::string digits;
  for (int c = 0; c < 256; ++c) {
    if (hex_digit(static_cast<char>(c)) >= 0) digits += static_cast<char>(c);
  }
  EXPECT_EQ(digits, "0123456789ABCDEFabcdef");
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(hex_digit("0123456789abcdef"[i]), i);
    EXPECT_EQ(hex_digit("0123456789ABCDEF"[i]), i);
  }
}

TEST(Nearest, FindsTheNameThatWasMeant) {
  const std::string_view names[] = {"url", "interval", "command_timeout", "connect_timeout"};
  const std::pair<const char*, const char*> cases[] = {
      {"interval", "interval"},
      {"INTERVAL", "interval"},
      {"command-timeout", "command_timeout"},
      {"intervall", "interval"},  // a letter too many
      {"intrval", "interval"},    // one too few
      {"intorval", "interval"},   // another one
      {"itnerval", "interval"},   // two neighbours swapped: one edit
      {"ivtneral", ""},           // more than a third
      {"ur", "url"},              // one letter may be wrong in the shortest words
      {"ulr", "url"},             //
      {"lru", ""},                // but not two
      {"kommandtimeout", "command_timeout"},
      {"komantimeout", ""},  // four letters of fifteen
      {"timeout", ""},
      {"", ""},
  };
  for (const auto& [word, meant] : cases) EXPECT_EQ(nearest(word, names), meant) << word;
}

TEST(Nearest, OfEquallyNearNamesTheFirstIsTaken) {
  const std::string_view names[] = {"abd", "abe"};
  EXPECT_EQ(nearest("abc", names), "abd");
}

TEST(Nearest, LongTextsAreNoNames) {
  const std::string longest(64, 'a');
  const std::string too_long(65, 'a');
  const std::string_view names[] = {too_long, longest};
  EXPECT_EQ(nearest(longest, names), longest);
  EXPECT_EQ(nearest(too_long, names), "");
}

TEST(Text, TrimAndFormat) {
  EXPECT_EQ(trim("  a b\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(format("%s", std::string(5000, 'x').c_str()).size(), 5000u);
}

TEST(Text, TrimTakesEachKindOfWhiteSpace) {
  EXPECT_EQ(trim(" \t\r\n\v\fa \t\r\n\v\f"), "a");
  EXPECT_EQ(trim("ab"), "ab");
  EXPECT_EQ(trim(""), "");
}

TEST(Text, FormatsTextsOfAnyLength) {
  for (const size_t size : {0u, 254u, 255u, 256u, 257u, 1000u}) {
    const std::string text(size, 'x');
    EXPECT_EQ(format("%s", text.c_str()), text);
  }
}

TEST(Text, ADurationHasTwoUnitsAtMost) {
  const std::pair<long long, const char*> cases[] = {
      {-5, "0 ms"},
      {0, "0 ms"},
      {999, "999 ms"},
      {1000, "1 s"},
      {1099, "1 s"},
      {1100, "1.1 s"},
      {9999, "9.9 s"},
      {10'000, "10 s"},
      {10'999, "10 s"},
      {59'999, "59 s"},
      {60'000, "1 min"},
      {61'000, "1 min 1 s"},
      {3'599'999, "59 min 59 s"},
      {3'600'000, "1 h"},
      {7'859'000, "2 h 10 min"},
      {24 * 3'600'000 - 1, "23 h 59 min"},
      {24 * 3'600'000, "1 d"},
      {(3 * 24 + 5) * 3'600'000, "3 d 5 h"},
      {3 * 24 * 3'600'000 - 1, "2 d 23 h"},
  };
  for (const auto& [ms, text] : cases) EXPECT_EQ(human_duration(ms), text) << ms;
}

bool matches(std::string_view pattern, std::string_view text) {
  static GlobText held;  // one for all, as it is used
  held.set(text);
  return held.matches(pattern);
}

TEST(Glob, MatchesAsRedisDoes) {
  for (const auto& [pattern, text] :
       std::vector<std::pair<const char*, const char*>>{{"*", "a"},
                                                        {"robot:*", "robot:events"},
                                                        {"robot:*", "robot:"},
                                                        {"h?llo", "hello"},
                                                        {"h[ae]llo", "hallo"},
                                                        {"h[^e]llo", "hbllo"},
                                                        {"h[a-b]llo", "hallo"},
                                                        {"h[b-a]llo", "hallo"},
                                                        {"[a", "a"},
                                                        {"a\\*", "a*"},
                                                        {"a\\", "a\\"},
                                                        {"[\\]]", "]"},
                                                        {"[^]", "x"},
                                                        {"*a*b**c*", "xxaxbxcx"},
                                                        {"*aab", "aaab"},
                                                        {"*ab?", "abxxabc"},
                                                        {"*a[b]c*", "abaabcd"},
                                                        {"", ""}}) {
    EXPECT_TRUE(matches(pattern, text)) << pattern << " " << text;
  }
  for (const auto& [pattern, text] :
       std::vector<std::pair<const char*, const char*>>{{"*", ""},
                                                        {"", "a"},
                                                        {"h?llo", "hllo"},
                                                        {"h[^e]llo", "hello"},
                                                        {"[]", "a"},
                                                        {"a\\*", "ab"},
                                                        {"abc", "abcd"},
                                                        {"abcd", "abc"},
                                                        {"*a", "ab"},
                                                        {"*b*b*", "abaa"},
                                                        {"?*a*", "abb"},
                                                        {"*ab*ab*", "abxx"},
                                                        {"*ab?", "xab"},
                                                        {"*ab*c", "cab"},
                                                        {"[a-c", "d"}}) {
    EXPECT_FALSE(matches(pattern, text)) << pattern << " " << text;
  }
}

TEST(Glob, AClassEndsWithItsPattern) {
  // What follows in memory is not part of it.
  EXPECT_FALSE(matches(std::string_view("[ab").substr(0, 2), "b"));
  EXPECT_FALSE(matches(std::string_view("[a\0", 2), std::string_view("\0", 1)));
  EXPECT_FALSE(matches(std::string_view("[^a").substr(0, 1), "x"));
  EXPECT_TRUE(matches("[a-", "-")) << "a range without an end is its two characters";
  EXPECT_TRUE(matches("[a-", "a"));
  EXPECT_FALSE(matches("[a-", "b"));
  EXPECT_TRUE(matches("[a-c", "b")) << "a range may be the last of a class that has no end";
  EXPECT_TRUE(matches("[\\", "\\")) << "a backslash at the end is itself";
  EXPECT_TRUE(matches("[^", "x"));
}

TEST(Glob, ARangeHoldsBothOfItsEnds) {
  for (int from = 0; from < 256; from += 17) {
    for (int to = 0; to < 256; to += 15) {
      if (from == ']' || from == '\\' || from == '^' || to == ']') continue;
      // Redis compares chars, which are signed.
      const auto low = std::min(static_cast<signed char>(from), static_cast<signed char>(to));
      const auto high = std::max(static_cast<signed char>(from), static_cast<signed char>(to));
      const std::string pattern{'[', static_cast<char>(from), '-', static_cast<char>(to), ']'};
      for (int byte = 0; byte < 256; ++byte) {
        const auto c = static_cast<signed char>(byte);
        const std::string text(1, static_cast<char>(byte));
        EXPECT_EQ(matches(pattern, text), low <= c && c <= high) << from << "-" << to << byte;
        EXPECT_EQ(matches("*" + pattern, text), low <= c && c <= high) << from << "-" << to << byte;
      }
    }
  }
}

TEST(Glob, EveryByteIsFoundWhereItStands) {
  for (int byte = 0; byte < 256; ++byte) {
    const auto c = static_cast<char>(byte);
    if (c == '*' || c == '?' || c == '[' || c == '\\') continue;
    const std::string other(1, c == 'a' ? 'b' : 'a');
    std::string text;
    for (int i = 0; i < 250; ++i) text += other;
    EXPECT_FALSE(matches(std::string("*") + c + "*", text)) << byte;
    text[249] = c;
    EXPECT_TRUE(matches(std::string("*") + c, text)) << byte;
    EXPECT_TRUE(matches(std::string("*") + c + "*", text)) << byte;
    EXPECT_FALSE(matches(std::string("*") + c + other, text)) << byte;
  }
}

TEST(Glob, AWordBehindAStarBeginsBehindTheWordBefore) {
  for (const size_t before : {0u, 1u, 62u, 63u, 64u, 65u, 130u}) {
    const std::string text = std::string(before, 'x') + "ab" + std::string(70, 'x');
    EXPECT_TRUE(matches("*a*b*", text)) << before;
    EXPECT_FALSE(matches("*b*a*", text)) << before;
    EXPECT_FALSE(matches("*a*a*", text)) << before;
    EXPECT_FALSE(matches("*b*b*", text)) << before;
    EXPECT_FALSE(matches("*ab*b*", text)) << before;
    EXPECT_TRUE(matches(text.substr(0, before) + "*ab*", text)) << before;
    EXPECT_FALSE(matches(text.substr(0, before + 1) + "*a*", text)) << before;
  }
}

TEST(Glob, NoPatternTakesForEver) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_FALSE(matches(pattern + "b", std::string(256, 'a')));
}

// Element by element, going back to wherever a star may take more: as plain as it can be.
bool matches_plainly(std::string_view pattern, std::string_view text) {
  if (pattern.empty() || text.empty()) {
    return text.empty() && pattern.find_first_not_of('*') == pattern.npos;
  }
  if (pattern[0] == '*') {
    return matches_plainly(pattern.substr(1), text) || matches_plainly(pattern, text.substr(1));
  }
  if (pattern.starts_with("[^a]")) {
    return text[0] != 'a' && matches_plainly(pattern.substr(4), text.substr(1));
  }
  return (pattern[0] == '?' || pattern[0] == text[0]) &&
         matches_plainly(pattern.substr(1), text.substr(1));
}

TEST(Glob, MatchesAlikeWhereverTheWordsOfItsTablesEnd) {
  Random random(1);
  const std::string_view elements[] = {"*", "*", "?", "a", "a", "b", "[^a]"};
  int found = 0;
  for (int i = 0; i < 3000; ++i) {
    // All of one letter but a few places, so that words go on over the ends of machine words.
    std::string text(1 + random.below(GlobText::kMaxBytes), 'a');
    for (uint64_t n = random.below(4); n > 0; --n) text[random.below(text.size())] = 'b';
    std::string pattern = i % 2 == 0 ? "*" : "";
    const size_t long_part = random.below(80);
    for (uint64_t n = random.below(7); n > 0; --n) pattern += elements[random.below(7)];
    if (i % 3 != 0) pattern.append(long_part, 'a');
    if (i % 5 == 0) pattern.append(long_part, '?') += '*';
    for (uint64_t n = random.below(4); n > 0; --n) pattern += elements[random.below(7)];
    if (std::count(pattern.begin(), pattern.end(), '*') > 2) continue;  // too long a way back
    const bool does = matches(pattern, text);
    found += does;
    ASSERT_EQ(does, matches_plainly(pattern, text)) << pattern << " " << text;
  }
  EXPECT_GT(found, 100);
}

TEST(Glob, TheLastByteOfATextOfAnyLengthIsFound) {
  for (size_t length = 1; length <= GlobText::kMaxBytes; ++length) {
    const std::string text = std::string(length - 1, 'a') + 'x';
    EXPECT_TRUE(matches("*x", text)) << length;
    EXPECT_FALSE(matches("*a", text)) << length;
  }
}

TEST(Glob, KnowsWhatAPatternCosts) {
  const struct {
    std::string pattern;
    size_t all, from_star;
  } cases[] = {
      {"", 0, 0},
      {"robot:[ab]vents", 15 / 4 + 32, 0},
      {"robot:*", 1 + 1, 1},
      {"\\*:[a*]*ab?\\*", 7 / 4 + 32 + 6, 6},
      {"*[a-z]", 6 + 32, 6 + 32},
      {"*[a", 3 + 32, 3 + 32},
      // What is compared with one place only is not free: there may be thousands of such patterns.
      {std::string(256, 'x'), 64, 0},
      {"[" + std::string(254, 'x') + "]", 64 + 32, 0},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(glob_cost(c.pattern).all, c.all) << c.pattern;
    EXPECT_EQ(glob_cost(c.pattern).from_star, c.from_star) << c.pattern;
  }
}

// What a framer says of a stream, as text: "line", or "!" for one that is too long.
std::string step_text(LineFramer::Step step, std::string_view line) {
  return step == LineFramer::Step::too_long ? "!" : std::string(line);
}

std::vector<std::string> cut(LineFramer& framer, std::string_view bytes) {
  std::vector<std::string> found;
  framer.feed(bytes);
  std::string_view line;
  for (auto step = framer.next(line); step != LineFramer::Step::more; step = framer.next(line)) {
    found.push_back(step_text(step, line));
  }
  return found;
}

using Lines = std::vector<std::string>;

TEST(LineFramer, HandsOutWholeLinesAndKeepsTheRest) {
  LineFramer framer(8);
  EXPECT_EQ(cut(framer, "a\nbc\n\nd"), (Lines{"a", "bc", ""}));
  EXPECT_TRUE(framer.holds_bytes());
  EXPECT_EQ(cut(framer, "e"), Lines{});
  EXPECT_EQ(cut(framer, "f\ng"), (Lines{"def"}));
  EXPECT_EQ(cut(framer, "\n"), (Lines{"g"}));
  EXPECT_FALSE(framer.holds_bytes());
  EXPECT_EQ(cut(framer, ""), Lines{});
  EXPECT_FALSE(framer.holds_bytes());
}

TEST(LineFramer, ALineMayBeAsLongAsTheLimitAndNoLonger) {
  LineFramer framer(4);
  EXPECT_EQ(cut(framer, "1234\n12345\n12\n"), (Lines{"1234", "!", "12"}));
  EXPECT_EQ(cut(framer, "1234"), Lines{}) << "it may end here";
  EXPECT_EQ(cut(framer, "\n"), (Lines{"1234"}));
  EXPECT_EQ(cut(framer, "12345"), (Lines{"!"})) << "said as soon as it is known";
  EXPECT_EQ(cut(framer, "678"), Lines{}) << "and once";
  EXPECT_EQ(cut(framer, "9\nok\n"), (Lines{"ok"}));
  EXPECT_EQ(cut(framer, "123"), Lines{});
  EXPECT_EQ(cut(framer, "4"), Lines{});
  EXPECT_EQ(cut(framer, "5\nok\n"), (Lines{"!", "ok"}));
  EXPECT_EQ(cut(framer, "123"), Lines{});
  EXPECT_EQ(cut(framer, "45"), (Lines{"!"}));
  EXPECT_EQ(cut(framer, "\nok\n"), (Lines{"ok"}));
}

TEST(LineFramer, ALineThatIsSkippedGoesUpToItsNewline) {
  LineFramer framer(8);
  EXPECT_EQ(cut(framer, "abc"), Lines{});
  framer.skip_line();
  EXPECT_EQ(cut(framer, "def\nok\n"), (Lines{"ok"}));
  // In the midst of what was fed, and of what was kept.
  std::string_view line;
  framer.feed("one\ntwo\nthree\nfo");
  EXPECT_EQ(framer.next(line), LineFramer::Step::line);
  framer.skip_line();
  EXPECT_EQ(framer.next(line), LineFramer::Step::line);
  EXPECT_EQ(line, "three");
  framer.keep();
  framer.feed("ur\nfive\nsix\nseven\n");
  EXPECT_EQ(framer.next(line), LineFramer::Step::line);
  EXPECT_EQ(line, "four");
  framer.keep();
  framer.skip_line();
  EXPECT_EQ(cut(framer, "eight\n"), (Lines{"six", "seven", "eight"}));
}

TEST(LineFramer, GivesALargeBufferBack) {
  LineFramer framer(10'000);
  EXPECT_EQ(cut(framer, "short"), Lines{});
  EXPECT_EQ(cut(framer, "\n"), (Lines{"short"}));
  EXPECT_EQ(cut(framer, std::string(5000, 'x')), Lines{});
  EXPECT_GE(framer.capacity(), 5000u);
  EXPECT_EQ(cut(framer, "\n").size(), 1u);
  EXPECT_LE(framer.capacity(), 1024u);
  EXPECT_EQ(cut(framer, std::string(500, 'x')), Lines{});
  EXPECT_EQ(cut(framer, "\n").size(), 1u);
  EXPECT_GE(framer.capacity(), 500u) << "a small one is kept";
}

TEST(LineFramer, SaysTheSameHoweverTheStreamIsCut) {
  Random random(3);
  for (int round = 0; round < 2000; ++round) {
    const size_t limit = 1 + random.below(12);
    std::string stream;
    Lines expected;
    for (uint64_t i = random.below(12); i > 0; --i) {
      const std::string line(random.below(2 * limit + 2), static_cast<char>('a' + i));
      expected.push_back(line.size() > limit ? "!" : line);
      stream += line + "\n";
    }
    LineFramer framer(limit);
    Lines found;
    std::string fed;  // must stay until the framer has done with it
    for (std::string_view rest = stream; !rest.empty();) {
      const size_t size = std::min<size_t>(rest.size(), 1 + random.below(3 * limit));
      fed = rest.substr(0, size);
      rest.remove_prefix(size);
      framer.feed(fed);
      std::string_view line;
      for (;;) {
        const auto step = framer.next(line);
        if (step == LineFramer::Step::more) break;
        found.push_back(step_text(step, line));
        if (random.below(4) == 0) {
          framer.keep();
          break;
        }
      }
    }
    for (const std::string& last : cut(framer, "")) found.push_back(last);
    ASSERT_EQ(found, expected) << stream;
    EXPECT_FALSE(framer.holds_bytes());
  }
}

TEST(Glob, CoversAPrefix) {
  for (const char* pattern : {"*", "n*", "node:*", "node:health:*", "????:*", "[a-z]*", "[^x]*",
                              "no\\de:*", "node:", "[m-o]ode:x", "[z-a]ode:"}) {
    EXPECT_TRUE(glob_covers_prefix(pattern, "node:")) << pattern;
  }
  for (const char* pattern :
       {"", "node", "nod", "cell:*", "N*", "[^n]*", "[^a-z]*", "\\*", "nodes:*", "?", "[a-m]*"}) {
    EXPECT_FALSE(glob_covers_prefix(pattern, "node:")) << pattern;
  }
}

TEST(Name, HoldsNothingThatReadersWouldMistake) {
  for (const char* good : {"hog", "0", "hog-1_a.b", "A"}) EXPECT_TRUE(is_name(good)) << good;
  for (const char* bad :
       {"", "a:b", "a b", "a\n", "a\x01", "h\xc3\xb6g", "*", "[x]", "-a", "_a", ".a"}) {
    EXPECT_FALSE(is_name(bad)) << bad;
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool first = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    EXPECT_EQ(is_name(std::string(1, c)), first) << byte;
    EXPECT_EQ(is_name(std::string("a") + c), first || c == '-' || c == '_' || c == '.') << byte;
  }
  EXPECT_TRUE(is_name(std::string(kNameBytes, 'x')));
  EXPECT_FALSE(is_name(std::string(kNameBytes + 1, 'x')));
}

TEST(Utf8, EveryCharacterIsReadAsItWasWritten) {
  for (char32_t code = 0; code <= 0x110000; code += code < 0x1000 ? 1 : 0x35) {
    char bytes[4];
    const std::string_view text(bytes, static_cast<size_t>(put_character(bytes, code) - bytes));
    const bool exists = code < 0x110000 && (code < 0xd800 || code > 0xdfff);
    const Character read = first_character(text);
    ASSERT_EQ(read.bytes, exists ? text.size() : 0) << std::hex << static_cast<uint32_t>(code);
    if (!exists) continue;
    ASSERT_EQ(read.code, code);
    const std::string_view shorter = text.substr(0, text.size() - 1);
    if (!shorter.empty()) {
      ASSERT_EQ(first_character(shorter).bytes, 0u);
    }
  }
  EXPECT_EQ(first_character("\xc3\xb6g").bytes, 2u) << "what follows does not matter";
  EXPECT_EQ(first_character("\xc1\xbf").bytes, 0u) << "overlong";
  EXPECT_EQ(first_character("\x80").bytes, 0u);
}

}  // namespace
}  // namespace nb
