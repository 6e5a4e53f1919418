#include "redis_admin/acl.h"

#include <algorithm>
#include <iterator>

#include "redis_admin/words.h"

namespace nb::redis_admin {
namespace {

// Redis takes these words in small and in capital letters.
std::string in_small_letters(std::string_view word) {
  std::string out(word);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return out;
}

}  // namespace

bool may_administer(std::string_view line) {
  constexpr std::string_view kGrants[] = {
      "+@all",       "allcommands",     "+@admin",      "+@dangerous",  "+@slow",
      "+acl",        "+acl|setuser",    "+acl|deluser", "+acl|load",    "+config",
      "+config|set", "+config|rewrite", "+module",      "+module|load", "+module|loadex",
      "+debug",      "+replicaof",      "+slaveof",     "+shutdown"};
  constexpr std::string_view kRevokes[] = {"-@all", "nocommands", "reset", "-@admin",
                                           "-@dangerous"};
  const auto among = [](const auto& words, std::string_view word) {
    return std::find(std::begin(words), std::end(words), word) != std::end(words);
  };
  bool admin = false;
  bool root = false;  // the rights outside of the selector that is being read
  for (const std::string_view word : words_of(line)) {
    const std::string lower = in_small_letters(word);
    std::string_view token = lower;
    // A selector begins without rights, and adds to those outside of it.
    if (token.starts_with('(')) {
      root = root || admin;
      admin = false;
      token.remove_prefix(1);
    }
    if (token.ends_with(')')) token.remove_suffix(1);
    if (among(kGrants, token)) admin = true;
    if (among(kRevokes, token)) admin = false;
  }
  return root || admin;
}

std::optional<std::vector<AclLine>> parse_acl(std::string_view text) {
  std::vector<AclLine> out;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const auto tokens = words_of(line);
    if (tokens.empty()) continue;
    if (tokens.size() < 2 || tokens[0] != "user") return std::nullopt;
    AclLine parsed{std::string(tokens[1]), std::string(line), {}};
    // Redis carries out the words one after the other.
    for (const std::string_view word : tokens) {
      const std::string token = in_small_letters(word);
      if (token.starts_with('#')) parsed.hashes.push_back(token);
      if (token == "on" || token == "off") parsed.on = token == "on";
      if (token == "nopass") parsed.nopass = true;
      if (token == "resetpass" || token.starts_with('#') || token.starts_with('>')) {
        parsed.nopass = false;
      }
    }
    out.push_back(std::move(parsed));
  }
  return out;
}

}  // namespace nb::redis_admin
