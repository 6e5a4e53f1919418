#include "ctl/doctor_rules.h"

#include <algorithm>

#include "ctl/link_words.h"
#include "terminal/local_time.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

constexpr double kNearlyFull = 0.8;
constexpr double kSlowPing = 50;             // ms; a cell's network takes less than one
constexpr double kSlowStore = 500'000;       // us
constexpr int64_t kLongAgo = 3'600'000'000;  // us; an outage that was over so long ago is history
constexpr char kCorrect[] = "correct it, then systemctl reload nodebeat";

// A warning at a start of the agent, which starts all the same.
Finding config_warning(std::string words) {
  const bool open = words.find("may be read by") != words.npos;
  return open ? problem("configuration", std::move(words),
                        "chown nodebeat: FILE, chmod 0400 FILE; and change the password: it was "
                        "open to read",
                        "configuration-password")
              : warning("configuration", std::move(words), kCorrect);
}

// Events that were never stored: those that had waited too long, and those that had no room. Losses
// of an outage that is over have a message of their own.
void dropped_findings(Json stats, int64_t now, Findings& out) {
  const Json outbox = stats["outbox"];
  const double all = outbox["dropped"].number_or(0);
  if (all <= 0) return;
  const double old = std::min(outbox["dropped_old"].number_or(0), all);
  const double limit = outbox["event_bytes_limit"].number_or(0);
  const bool over =
      link_words(stats["link"]).good && outbox["event_bytes"].number_or(0) < kNearlyFull * limit;
  const auto last = outbox["last_dropped"].timestamp_us();
  const std::string when = last ? ", the latest of " + local_time(*last, now) : std::string();
  const bool history = over && last && now - *last > kLongAgo;
  const auto add = [&](double count, const char* why, const char* advice, const char* section) {
    if (count <= 0) return;
    std::string text = format("%.0f events were dropped: ", count) + why + when;
    if (over) text += "; that is over, and they are lost";
    out.push_back(history ? fine("queue", std::move(text))
                          : warning("queue", std::move(text),
                                    over ? "their readers missed them; to keep more through the "
                                           "next outage raise [outbox] event_bytes and event_age"
                                         : advice,
                                    over ? "queue-outage-over" : section));
  };
  add(old, "they had waited for Redis longer than [outbox] event_age",
      "bring Redis back, or raise [outbox] event_age", "queue-age");
  add(all - old, "there was no room for them",
      "publish less, or raise [outbox] event_bytes and client_event_bytes", "queue-room");
}

}  // namespace

Findings config_findings(const ConfigCheck& check) {
  const char* name = "configuration";
  const std::string where = check.file.empty() ? "the defaults" : printable(check.file);
  const std::string user = check.user.empty() ? "you" : printable(check.user);
  const std::string as_agent =
      "a running agent tells whoever may use its socket; or sudo -u nodebeat nodebeatd "
      "--check-config" +
      (check.file.empty() ? "" : " --config " + where);
  if (!check.found) {
    return {warning(name, "there is no nodebeatd here that could check it",
                    "install the agent, or put nodebeatd into PATH", "configuration-unseen")};
  }
  if (!check.readable) {
    return {warning(name, "not seen: " + user + " may not read " + where, as_agent,
                    "configuration-unseen")};
  }
  Findings out;
  for (const std::string& line : check.lines) {
    std::string_view text = line;
    if (text.starts_with("nodebeatd: ")) text.remove_prefix(11);
    const std::string words = printable(text);
    if (check.exit == 0) {
      out.push_back(config_warning(words));
    } else if (words.find("Permission denied") != words.npos) {
      // The agent runs as another user.
      out.push_back(warning(name, "not seen: " + user + " may not read it: " + words, as_agent,
                            "configuration-unseen"));
    } else {
      out.push_back(problem(name, words, kCorrect));
    }
  }
  if (!out.empty() && check.exit != 0) return out;
  if (check.exit != 0) {
    return {problem(name, format("nodebeatd --check-config failed (%d) without a word", check.exit),
                    "run it by hand")};
  }
  out.push_back(fine(name, check.file.empty()
                               ? "no file, so the defaults hold"
                               : where + " is right as " + user +
                                     " reads it; whether the agent's user may read it and the "
                                     "password, only the agent can tell"));
  return out;
}

Findings config_findings(Json config) {
  const char* name = "configuration";
  Findings out;
  for (const Json fault : config["faults"]) {
    out.push_back(
        problem(name, printable(fault.text()) + " (the agent goes on as it began)", kCorrect));
  }
  for (const Json warning : config["warnings"]) {
    out.push_back(config_warning(printable(warning.text())));
  }
  if (config["faults"].begin() != config["faults"].end()) return out;
  std::string file;
  for (const Json one : config["files"]) {
    file += (file.empty() ? "" : ", ") + printable(one.text());
  }
  out.push_back(fine(name, file.empty() ? "no file, so the defaults hold; as the agent reads it"
                                        : file + " is right, as the agent reads it"));
  return out;
}

Findings socket_findings(const SocketLook& look) {
  const char* name = "socket";
  if (look.state != SocketState::listening) {
    // The sentence has both parts, as everywhere: the fault, and after the colon what to do.
    return {problem(name, words(look), {})};
  }
  const std::string text = format("%s, owner %s, group %s, mode %04o", printable(look.path).c_str(),
                                  look.owner.c_str(), look.group.c_str(), look.mode);
  if ((look.mode & 002) != 0) {
    return {warning(name, text + ": anyone here may write to it", "set [socket] mode = \"0660\"",
                    "socket-open")};
  }
  return {fine(name, text)};
}

Findings link_findings(Json stats) {
  const Json link = stats["link"];
  const LinkWords said = link_words(link);
  if (!said.good) {
    std::string advice = link_advice(link);
    if (advice.empty()) advice = "see the agent's log: journalctl -u nodebeat";
    const std::string cause(link["cause"].text());
    return {problem("link", said.text, advice, cause.empty() ? "link" : "link-" + cause)};
  }
  // A server that refuses all writes is in this state between two tries.
  if (!link["trouble"].text().empty()) {
    return {warning("link", said.text, "run this again: is it still so in some seconds?")};
  }
  Findings out;
  const auto ping = link["ping_ms"].number();
  if (ping && *ping > kSlowPing) {
    out.push_back(warning(
        "link", said.text + ": slow",
        "the network is loaded or the server is: redis-cli --latency, SLOWLOG GET", "link-slow"));
  } else {
    out.push_back(fine("link", said.text));
  }
  const double failures = link["failures"].number_or(0);
  const double hours = std::max(stats["uptime_s"].number_or(0) / 3600, 1.0);
  if (failures / hours > 10) {
    out.push_back(warning("link history",
                          format("it failed %.0f times in %s", failures,
                                 human_duration(stats["uptime_s"].integer_or(0) * 1000).c_str()),
                          "see what it says each time: journalctl -u nodebeat"));
  }
  return out;
}

Findings watch_findings(Json stats) {
  const char* name = "watch";
  const Json watch = stats["watch"];
  Findings out;
  const char* rights = "nodebeatctl redis setup --force writes the rights of its user anew";
  if (const auto words = watch["lease_trouble"].text(); !words.empty()) {
    out.push_back(
        problem("lease",
                "Redis does not take this node's lease, so the loss of this node is noticed "
                "only when its health has expired: " +
                    printable(words),
                rights));
  }
  if (const auto words = watch["trouble"].text(); !words.empty()) {
    const bool refused = words.find("NOPERM") != words.npos;
    out.push_back(warning(name, printable(words),
                          refused ? rights : "see what is in Redis there, and remove it"));
  }
  const std::string_view role = watch["role"].text();
  if (role == "nobody") {
    const bool may = watch["enabled"].boolean() != false;
    out.push_back(
        problem(name, "nobody watches the nodes of this cell: nobody will notice when one is lost",
                may ? "see why no agent does: journalctl -u nodebeat, on each node"
                    : "this agent may not: set [watch] enabled = true here, or on another node"));
  } else if (role == "watching") {
    out.push_back(fine(name, format("this agent watches %.0f nodes", watch["nodes"].number_or(0))));
  } else if (role == "watched") {
    out.push_back(fine(name, "node " + printable(watch["node"].text()) + " watches the cell"));
  } else if (!role.empty()) {
    out.push_back(fine(name, "it is not known yet who watches the cell"));
  }
  return out;
}

Findings outbox_findings(Json stats, int64_t now) {
  const Json outbox = stats["outbox"];
  Findings out;
  dropped_findings(stats, now, out);
  const double refused = outbox["refused"].number_or(0);
  if (refused > 0) {
    out.push_back(warning("queue", format("Redis refused %.0f writes", refused),
                          "a key of another type, or a missing permission: journalctl -u nodebeat",
                          "queue-refused"));
  }
  const double used = outbox["event_bytes"].number_or(0);
  const double limit = outbox["event_bytes_limit"].number_or(0);
  if (limit > 0 && used >= kNearlyFull * limit) {
    out.push_back(warning("queue",
                          format("%s of %s wait for Redis: the oldest go first when it is full",
                                 size_text(used).c_str(), size_text(limit).c_str()),
                          "bring Redis back, or raise [outbox] event_bytes", "queue-full"));
  }
  const double slow = stats["latency_us"]["store"]["p99"].number_or(0);
  if (slow > kSlowStore) {
    out.push_back(warning(
        "queue", "one write in a hundred takes " + latency(slow) + " to reach Redis",
        "the server or the network is slow: redis-cli --latency, SLOWLOG GET", "queue-slow"));
  }
  if (out.empty()) out.push_back(fine("queue", "nothing was dropped or refused"));
  return out;
}

Findings probe_findings(Json stats) {
  Findings out;
  size_t up = 0;
  for (const Json probe : stats["probes"]) {
    const auto is_up = probe["up"].boolean();
    if (is_up == true) ++up;
    const std::string detail = printable(probe["detail"].text());
    // A probe without a detail has not run yet.
    if (is_up == true || (!is_up && detail.empty())) continue;
    const std::string who =
        printable(probe["name"].text()) + " (" + printable(probe["type"].text()) + ")";
    const std::string why = detail.empty() ? "" : ": " + detail;
    if (is_up) {
      out.push_back(problem("probe", who + " is down" + why, "start it, or correct its [[probe]]"));
    } else {
      out.push_back(warning("probe", who + " is unknown" + why,
                            "let the agent see it, or correct its [[probe]]"));
    }
  }
  if (out.empty() && up > 0) out.push_back(fine("probes", format("all up (%zu)", up)));
  return out;
}

Findings client_findings(Json stats) {
  const Json socket = stats["socket"];
  const double clients = socket["clients"].number_or(0);
  const double limit = socket["clients_limit"].number_or(0);
  Findings out;
  if (limit > 0 && clients >= kNearlyFull * limit) {
    out.push_back(
        warning("clients", format("%.0f of at most %.0f are connected", clients, limit),
                "see who they are with nodebeatctl status; one that leaves connections open?"));
  }
  if (const double cut = socket["cut_off"].number_or(0); cut > 0) {
    out.push_back(warning("clients", format("%.0f were closed for a flood of malformed lines", cut),
                          "the log names their processes: journalctl -u nodebeat"));
  }
  if (const double lost = stats["subscriptions"]["lost"].number_or(0); lost > 0) {
    out.push_back(warning(
        "clients", format("%.0f messages were lost by subscribers that did not keep up", lost),
        "a subscriber is too slow or hangs: nodebeatctl status"));
  }
  for (const Json client : stats["clients"]) {
    const double errors = client["errors"].number_or(0);
    if (errors <= 0) continue;
    const std::string name = printable(client["name"].text("a client"));
    out.push_back(warning("clients",
                          format("%.0f calls of %s (pid %.0f) were refused", errors, name.c_str(),
                                 client["pid"].number_or(0)),
                          "its log says why: nb_client_last_error(), or client.error"));
  }
  if (out.empty() && limit > 0) {
    out.push_back(fine("clients", format("%.0f of at most %.0f", clients, limit)));
  }
  return out;
}

redis_admin::ServerFacts facts_of(Json inspect) {
  return {
      .version = std::string(inspect["version"].text()),
      .role = std::string(inspect["role"].text()),
      .user = std::string(inspect["user"].text()),
      .maxmemory_policy = std::string(inspect["maxmemory_policy"].text()),
      .maxmemory_bytes = inspect["maxmemory_bytes"].number_or(0),
      .used_memory_bytes = inspect["used_memory_bytes"].number(),
      .clock_offset_ms = inspect["clock_offset_ms"].number(),
      .loading = inspect["loading"].boolean(),
      .aof_enabled = inspect["aof_enabled"].boolean(),
      .rdb_last_save_ok = inspect["rdb_last_save_ok"].boolean(),
      .protected_mode = inspect["protected_mode"].boolean(),
      .has_password = inspect["has_password"].boolean(),
  };
}

Findings name_findings(Json stats, const std::vector<Json>& stored) {
  const std::string_view own = stats["instance_id"].text();
  const std::string node = printable(stats["node_id"].text());
  const auto two = [&](std::string_view other) {
    return problem("node name",
                   "two agents beat as node " + node + ": this one (" + printable(own) + ") and " +
                       (other == "unknown" ? "one that does not name itself" : printable(other)),
                   "give each node a name of its own: [node] name");
  };
  if (const auto other = stats["conflict"].text(); !other.empty()) return {two(other)};
  bool seen = false;
  for (const Json health : stored) {
    const std::string_view other = health["instance_id"].text();
    // An agent that has said goodbye is no rival.
    if (other.empty() || health["is_reachable"].boolean() == false) continue;
    seen = true;
    if (other != own) return {two(other)};
  }
  if (!seen) return {};
  return {fine("node name", node + ", no other agent was seen under it")};
}

}  // namespace nb::ctl
