// Unit tests of the pure parsers of config/: units, endpoints, Redis URLs, names.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "config/endpoint.h"
#include "config/redis_url.h"
#include "config/rules.h"
#include "config/units.h"

namespace nb::config {
namespace {

using namespace std::chrono_literals;

TEST(Units, ADurationIsAWholeNumberAndAUnit) {
  EXPECT_EQ(*parse_duration("250ms"), 250ms);
  EXPECT_EQ(*parse_duration("5s"), 5s);
  EXPECT_EQ(*parse_duration("10min"), 10min);
  EXPECT_EQ(*parse_duration("1h"), 1h);
  EXPECT_EQ(*parse_duration("1d"), 24h);
  EXPECT_EQ(*parse_duration("7us"), 7us);
  EXPECT_EQ(*parse_duration("0s"), 0s);
  EXPECT_EQ(parse_duration("9223372036854775807ns")->count(), INT64_MAX);
  for (const char* bad :
       {"", "s", "-5s", "+5s", "5 s", " 5s", "5s ", "1.5s", "5S", "5sec", "5m", "1h30min", "0x5s",
        "5\xc2\xb5s", "99999999999999999999999s", "9223372036854775808ns", "106752d"}) {
    EXPECT_FALSE(parse_duration(bad).ok()) << bad;
  }
}

TEST(Units, ABareNumberIsToldItsUnit) {
  EXPECT_NE(parse_duration("5").error().message.find("write \"5s\""), std::string::npos);
  EXPECT_NE(parse_size("4096").error().message.find("write \"4096B\""), std::string::npos);
}

TEST(Units, ASizeHasBinaryOrDecimalUnits) {
  EXPECT_EQ(*parse_size("500B"), 500u);
  EXPECT_EQ(*parse_size("64KiB"), 65536u);
  EXPECT_EQ(*parse_size("1MiB"), 1048576u);
  EXPECT_EQ(*parse_size("2GiB"), 2147483648u);
  EXPECT_EQ(*parse_size("1KB"), 1000u);
  EXPECT_EQ(*parse_size("1kB"), 1000u);
  EXPECT_EQ(*parse_size("3MB"), 3000000u);
  EXPECT_EQ(*parse_size("18446744073709551615B"), UINT64_MAX);
  for (const char* bad : {"", "KiB", "1K", "1kib", "1 MiB", "-1B", "1.5MiB", "1TiB",
                          "18446744073709551616B", "17179869184GiB"}) {
    EXPECT_FALSE(parse_size(bad).ok()) << bad;
  }
}

TEST(Units, WhatIsPrintedIsReadAgain) {
  EXPECT_EQ(format_duration(10min), "10min");
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(24h), "1d");
  EXPECT_EQ(format_duration(0s), "0s");
  EXPECT_EQ(format_size(65536), "64KiB");
  EXPECT_EQ(format_size(1000), "1000B");
  EXPECT_EQ(format_size(0), "0B");
  for (const int64_t n : std::array<int64_t, 5>{1, 999, 1500000000, 86400000000000, INT64_MAX}) {
    EXPECT_EQ(parse_duration(format_duration(Duration(n)))->count(), n);
    EXPECT_EQ(*parse_size(format_size(static_cast<uint64_t>(n))), static_cast<uint64_t>(n));
  }
}

TEST(Endpoint, HostAndPort) {
  EXPECT_EQ(*parse_endpoint("db.local:80", true), (Endpoint{"db.local", 80}));
  EXPECT_EQ(*parse_endpoint("[::1]:65535", true), (Endpoint{"::1", 65535}));
  EXPECT_EQ(*parse_endpoint("[fe80::1%eth0]:1", true), (Endpoint{"fe80::1%eth0", 1}));
  EXPECT_EQ(*parse_endpoint("10.0.0.1", false), (Endpoint{"10.0.0.1", 0}));
  EXPECT_EQ(*parse_endpoint("[::1]", false), (Endpoint{"::1", 0}));
  for (const char* bad :
       {"", ":80", "host", "host:", "host:0", "host:65536", "host:+1", "host:8x", "::1:80", "[::1",
        "[::1]80", "[]:80", "[host]:80", "ho st:80", "a/b:80", "[fe80::1%]:80", "h\xc3\xb6st:80"}) {
    EXPECT_FALSE(parse_endpoint(bad, true).ok()) << bad;
  }
  EXPECT_EQ(format_endpoint({"::1", 80}), "[::1]:80");
  EXPECT_EQ(format_endpoint({"a", 0}), "a");
}

TEST(HttpUrl, PlainHttpOnly) {
  EXPECT_EQ(*parse_http_url("http://localhost:8080/mcp"), (HttpUrl{{"localhost", 8080}, "/mcp"}));
  EXPECT_EQ(*parse_http_url("http://[::1]"), (HttpUrl{{"::1", 80}, "/"}));
  EXPECT_EQ(*parse_http_url("http://a?x=1"), (HttpUrl{{"a", 80}, "/?x=1"}));
  for (const char* bad :
       {"", "localhost:80/", "http://", "http:///x", "http://u:p@h/", "http://h/#f", "http://h/a b",
        "http://h/\r\nX: y", "ftp://h/", "http://h:/"}) {
    EXPECT_FALSE(parse_http_url(bad).ok()) << bad;
  }
  EXPECT_NE(parse_http_url("https://h/").error().message.find("TLS"), std::string::npos);
}

TEST(RedisUrl, TcpWithAllItsParts) {
  const auto plain = parse_redis_url("redis://hog");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->host, "hog");
  EXPECT_EQ(plain->port, 6379);
  EXPECT_EQ(plain->db, 0);
  EXPECT_FALSE(plain->db_given);
  EXPECT_FALSE(plain->is_unix());

  const auto all = parse_redis_url("redis://me:s3cret@[2001:db8::7]:7000/12");
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_EQ(*all, (RedisAddress{.host = "2001:db8::7",
                                .port = 7000,
                                .user = "me",
                                .password = "s3cret",
                                .db = 12,
                                .db_given = true}));

  EXPECT_EQ(parse_redis_url("redis://h/")->db_given, false);
  EXPECT_EQ(parse_redis_url("redis://h/0")->db_given, true);
  EXPECT_EQ(parse_redis_url("redis://h/16383")->db, 16383);
  EXPECT_EQ(parse_redis_url("redis://me@h")->user, "me");
  EXPECT_EQ(parse_redis_url("redis://:pw@h")->user, "");
  EXPECT_EQ(parse_redis_url("redis://:pw@h")->password, "pw");
}

TEST(RedisUrl, UnixSocket) {
  EXPECT_EQ(*parse_redis_url("unix:///run/redis/r.sock"),
            (RedisAddress{.unix_path = "/run/redis/r.sock"}));
  EXPECT_EQ(*parse_redis_url("unix://me:pw@/run/a@b.sock?db=3"),
            (RedisAddress{.unix_path = "/run/a@b.sock",
                          .user = "me",
                          .password = "pw",
                          .db = 3,
                          .db_given = true}));
  EXPECT_TRUE(parse_redis_url("unix:///" + std::string(106, 'x')).ok());
  EXPECT_FALSE(parse_redis_url("unix:///" + std::string(107, 'x')).ok());
  for (const char* bad :
       {"unix://", "unix://run/r.sock", "unix:///run/", "unix:///r?db=", "unix:///r?",
        "unix:///r?db=x", "unix:///r?db=16384", "unix:///r?tiemout=3", "unix:///r%0a",
        "unix:///r%00", "unix:///r%", "unix:///r%ff", "unix:///r%2f", "unix://%2fr"}) {
    EXPECT_FALSE(parse_redis_url(bad).ok()) << bad;
  }
}

TEST(RedisUrl, APathIsPercentDecoded) {
  const auto odd = parse_redis_url("unix:///run/my%20redis/a%3Fb%23c%25%C3%A9.sock?db=3");
  ASSERT_TRUE(odd.ok()) << odd.error().message;
  EXPECT_EQ(odd->unix_path, "/run/my redis/a?b#c%\xc3\xa9.sock");
  EXPECT_EQ(odd->db, 3);
  EXPECT_EQ(masked_url(*odd), "unix:///run/my%20redis/a%3Fb%23c%25\xc3\xa9.sock?db=3");
  EXPECT_EQ(*parse_redis_url(masked_url(*odd)), *odd);
}

TEST(RedisUrl, TheParametersOfOtherProgramsAreUnderstood) {
  std::vector<std::string> remarks;
  const auto url = parse_redis_url(
      "redis://h/1?db=2&protocol=3&decode_responses=True&encoding=utf-8&encoding_errors=strict"
      "&username=me&password=p%40ss+word&lib_name=x",
      &remarks);
  ASSERT_TRUE(url.ok()) << url.error().message;
  EXPECT_EQ(*url, (RedisAddress{.host = "h",
                                .port = 6379,
                                .user = "me",
                                .password = "p@ss word",
                                .db = 2,
                                .db_given = true}));
  EXPECT_EQ(remarks, std::vector<std::string>());
  EXPECT_EQ(masked_url(*url), "redis://me:***@h:6379/2");
  // What stands before the host goes first.
  EXPECT_EQ(parse_redis_url("redis://a:b@h?username=c&password=d")->user, "a");
  EXPECT_EQ(parse_redis_url("redis://a:b@h?username=c&password=d")->password, "b");
  EXPECT_EQ(parse_redis_url("unix:///r?protocol=2&password=d")->password, "d");
}

TEST(RedisUrl, AParameterThatTheAgentHasAKeyForIsNamedWithIt) {
  for (const auto& [parameter, instead] :
       std::map<std::string, std::string>{{"socket_timeout=5", "[redis] command_timeout"},
                                          {"socket_connect_timeout=5", "[redis] connect_timeout"},
                                          {"health_check_interval=30", "[redis] ping_after"},
                                          {"client_name=me", "[node] name"},
                                          {"max_connections=5", "fixed"},
                                          {"retry_on_timeout=1", "for ever"}}) {
    std::vector<std::string> remarks;
    ASSERT_TRUE(parse_redis_url("redis://h/0?db=1&" + parameter, &remarks).ok()) << parameter;
    ASSERT_EQ(remarks.size(), 1u) << parameter;
    EXPECT_NE(remarks[0].find(parameter.substr(0, parameter.find('='))), std::string::npos);
    EXPECT_NE(remarks[0].find(instead), std::string::npos) << remarks[0];
  }
  EXPECT_NE(parse_redis_url("redis://h?socket_timout=5").error().message.find("'socket_timeout'"),
            std::string::npos);
  for (const char* plain : {"redis://h?ssl=false", "redis://h?ssl=False&db=2", "redis://h?ssl=0",
                            "redis://h?ssl=no", "redis://h?startTls=false"}) {
    EXPECT_TRUE(parse_redis_url(plain)) << plain;
  }
  for (const char* tls : {"rediss://h", "redis://h?ssl_cert_reqs=none", "redis://h?ssl=true",
                          "redis://h?ssl=", "redis://h?ssl", "redis://h?ssl=1"}) {
    EXPECT_NE(parse_redis_url(tls).error().message.find("TLS is not supported yet"),
              std::string::npos)
        << tls;
  }
}

TEST(RedisUrl, UserAndPasswordArePercentDecoded) {
  const auto url = parse_redis_url("redis://a%40b:p%2Fq%3a%25%C3%A9@h");
  ASSERT_TRUE(url.ok()) << url.error().message;
  EXPECT_EQ(url->user, "a@b");
  EXPECT_EQ(url->password, "p/q:%\xc3\xa9");
  // The last '@' ends the user, a ':' after the first belongs to the password.
  EXPECT_EQ(parse_redis_url("redis://u:p@ss:w@h")->password, "p@ss:w");
  EXPECT_EQ(parse_redis_url("redis://u:a?b#c@h")->password, "a?b#c");
  for (const char* bad :
       {"redis://u:%@h", "redis://u:%4@h", "redis://u:%zz@h", "redis://u:%00@h", "redis://%ff@h"}) {
    EXPECT_FALSE(parse_redis_url(bad).ok()) << bad;
  }
}

TEST(RedisUrl, RefusesWhatItDoesNotUnderstand) {
  for (const char* bad : {"",
                          "hog",
                          "hog:6379",
                          "redis:",
                          "redis://",
                          "redis:///0",
                          "redis://:6379",
                          "redis://h:0",
                          "redis://h:65536",
                          "redis://h:",
                          "redis://h/x",
                          "redis://h/-1",
                          "redis://h/16384",
                          "redis://h/1/2",
                          "redis://h?db=x",
                          "redis://h?",
                          "redis://h/0?x",
                          "redis://h/0?protocol=4",
                          "redis://h/0#1",
                          "redis://h?password=%zz",
                          "redis://h?password=a@b",
                          "redis://::1",
                          "http://h",
                          "REDIS://h",
                          "redis://h h",
                          "redis://h\n",
                          "redis://h\x7f",
                          "redis://h/99999999999999999999"}) {
    EXPECT_FALSE(parse_redis_url(bad).ok()) << bad;
  }
  EXPECT_NE(parse_redis_url("rediss://h").error().message.find("TLS is not supported yet"),
            std::string::npos);
}

TEST(RedisUrl, NeitherErrorsNorTheMaskedUrlShowThePassword) {
  for (const char* url :
       {"redis://u:hunter2/x@h:6379", "redis://u:hunter2%@h", "redis://u:hunter2@",
        "redis://u:hunter2@h:hunter2", "redis://u:hunter2@h/hunter2", "unix://u:hunter2/r.sock",
        "unix://u:hunter2@r.sock", "u:hunter2@h", "hunter2://h", "rediss://u:hunter2@h",
        "redis://u:hunter2@h?hunter2", "redis://h?password=hunter2&db=x", "redis://h?hunter2=1",
        "redis://h?password=hunter2%", "redis://h?password=hunter2@x", "redis://u:hunter2 @h"}) {
    const auto parsed = parse_redis_url(url);
    ASSERT_FALSE(parsed.ok()) << url;
    EXPECT_EQ(parsed.error().message.find("hunter2"), std::string::npos) << parsed.error().message;
  }
  EXPECT_EQ(masked_url(*parse_redis_url("redis://me:hunter2@[::1]:7000/3")),
            "redis://me:***@[::1]:7000/3");
  EXPECT_EQ(masked_url(*parse_redis_url("unix://:hunter2@/r.sock?db=1")),
            "unix://:***@/r.sock?db=1");
  EXPECT_EQ(masked_url(*parse_redis_url("redis://a%40b@h")), "redis://a%40b@h:6379");
}

TEST(Names, OnlyWhatIsSafeInAKeyAndAPattern) {
  for (const char* good : {"hog", "a", "0", "robot-1", "a_b.c", "A9"}) {
    EXPECT_TRUE(check_name(good).ok()) << good;
  }
  EXPECT_TRUE(check_name(std::string(64, 'a')).ok());
  for (const std::string& bad :
       {std::string(), std::string(65, 'a'), std::string("a:b"), std::string("a b"),
        std::string("a\nb"), std::string("a\0b", 3), std::string("a*"), std::string("a?"),
        std::string("a["), std::string("a]"), std::string("a/b"), std::string("{a}"),
        std::string("h\xff"), std::string("h\xc3\xb6g"), std::string("-a"), std::string(".a"),
        std::string("a\x7f"), std::string("a%")}) {
    const Status status = check_name(bad);
    ASSERT_FALSE(status.ok()) << bad;
    EXPECT_NE(status.error().message.find("letters (a-z, A-Z), digits, '-', '_' and '.'"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace nb::config
