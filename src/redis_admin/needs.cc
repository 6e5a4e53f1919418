#include "redis_admin/needs.h"

#include "wire/key_places.h"
#include "wire/keys.h"
#include "wire/session_script.h"
#include "wire/watch_script.h"

namespace nb::redis_admin {
namespace {

void put_before_keys(std::string_view prefix, std::vector<Need>& needs) {
  for (Need& need : needs) {
    const std::vector<std::string_view> words(need.command.begin(), need.command.end());
    const wire::KeyPlaces keys = wire::key_places(words);
    for (size_t i = 0; i < words.size(); ++i) {
      if (keys.has(i)) need.command[i].insert(0, prefix);
    }
  }
}

}  // namespace

std::vector<Need> needs_of(std::string_view name, std::string_view prefix) {
  const std::string node(name);
  const std::string session = "stroke_" + node + "_1700000000_000001";
  const std::string health = "node:health:" + node;
  const std::string progress = "stroke:progress:" + session;
  const std::string sessions(wire::kSessionsKey);
  const std::string seals(wire::kSessionSealsKey);
  const std::string audit(wire::kSessionAuditKey);
  const std::string writes = wire::session_writes_key(node, node + "-1");
  const std::string watch(wire::kWatchKey);
  const std::string dead(wire::kDeadKey);
  const std::string cell_events(wire::kCellEventsStream);
  std::vector<Need> needs = {
      {{"PING"}, "to notice a silent server"},
      {{"SELECT", "0"}, "to choose its database"},
      {{"CLIENT", "SETNAME", "nodebeat"}, "to be named in CLIENT LIST", true},
      {{"HGET", health, "health"}, "beats"},
      {{"HSET", health, "health", "{}"}, "beats"},
      {{"PEXPIRE", health, "1"}, "beats"},
      {{"XADD", "stream:node_metrics:" + node, "*", "health", "{}"}, "the history of beats"},
      {{"PUBLISH", "node:events:" + node, "{}"}, "what it says of its node"},
      {{"HSET", "nodebeat:nodes", node, "{}"}, "the list of nodes"},
      {{"HGET", "robot:state:" + node, "state"}, "the robot's state"},
      {{"HSET", "robot:state:" + node, "state", "{}"}, "the robot's state"},
      {{"PUBLISH", "robot:events", "{}"}, "the robot's events"},
      {{"XADD", "stream:robot_telemetry:" + node, "*", "node_id", node},
       "telemetry of the joints",
       true},
      {{"HGET", progress, "progress"}, "strokes"},
      {{"HSET", progress, "progress", "{}"}, "strokes"},
      {{"PEXPIRE", progress, "1"}, "strokes"},
      {{"XADD", "stream:stroke_history:" + session, "*", "stroke_idx", "0"}, "strokes"},
      {{"PEXPIRE", "stream:stroke_history:" + session, "1"}, "strokes"},
      {{"PUBLISH", "stroke:events:session", "{}"}, "strokes"},
      {{"PUBLISH", "stroke:events:progress", "{}"}, "strokes"},
      {{"PUBLISH", "error:events:robot", "{}"}, "errors"},
      {{"XADD", "stream:node_events:" + node, "*", "event", "{}"}, "events that must not be lost"},
      {{"XADD", "stream:events:" + node, "*", "event", "{}"}, "event.publish"},
      {{"XADD", "stream:events:" + node + ":cell:a", "*", "event", "{}"}, "event.publish"},
      {{"PEXPIRE", "stream:events:" + node + ":cell:a", "1"}, "event.publish"},
      {{"HSET", "nodebeat:strokes", node, session}, "the list of sessions"},
      {{"SET", wire::lease_key(node), "-"}, "its lease, by which others see that it is there"},
      {{"GETRANGE", watch, "0", "1"}, "to see whether somebody watches"},
      {{"EVALSHA", wire::kWatchScriptSha1, "8", "nodebeat:nodes", watch, wire::lease_key("another"),
        dead, sessions, seals, "node:health:another", cell_events, "look"},
       "to watch the cell",
       true},
      {{"SET", watch, "-"}, "to watch the cell", true},
      {{"DEL", watch}, "to watch the cell", true},
      {{"HKEYS", "nodebeat:nodes"}, "to watch the cell", true},
      {{"HKEYS", dead}, "to watch the cell", true},
      {{"HSET", dead, node, "-"}, "to watch the cell", true},
      {{"HSET", "node:health:another", "health", "{}"}, "to watch the cell", true},
      {{"HDEL", "node:health:another", "health"}, "to watch the cell", true},
      {{"PEXPIRE", "node:health:another", "1"}, "to watch the cell", true},
      {{"XADD", cell_events, "*", "event", "{}"}, "to watch the cell", true},
      {{"PUBLISH", "node:events:another", "{}"}, "to watch the cell", true},
      {{"HLEN", "nodebeat:nodes"}, "the status of the cell"},
      {{"HSCAN", "nodebeat:nodes", "0", "COUNT", "1"}, "the status of the cell"},
      {{"HSTRLEN", "node:health:another", "health"}, "the status of the cell", true},
      {{"HDEL", "nodebeat:nodes", node}, "to forget a node", true},
      {{"HSETNX", "nodebeat:nodes", node, "{}"}, "to forget a node", true},
      {{"HDEL", "nodebeat:strokes", node}, "to forget a node", true},
      {{"HDEL", dead, node}, "to forget a node", true},
      {{"DEL", wire::lease_key("another")}, "to forget a node", true},
      {{"HGET", "nodebeat:nodes", node}, "the status of the cell"},
      {{"SCAN", "0", "MATCH", "node:health:*", "COUNT", "1"}, "the status of the cell"},
      {{"HGET", "node:health:another", "health"}, "the health of other nodes"},
      {{"XREVRANGE", "stream:node_metrics:another", "+", "-", "COUNT", "1"},
       "when a node was last there"},
      {{"TYPE", "cell:a"}, "state.get"},
      {{"GET", "cell:a"}, "state.get"},
      {{"STRLEN", "cell:a"}, "to leave alone what is too large for state.get", true},
      {{"MEMORY", "USAGE", "cell:a"}, "to leave alone what is too large for state.get", true},
      {{"HGETALL", health}, "state.get"},
      {{"SET", "cell:a", "1"}, "state.set of cell:*", true},
      {{"DEL", "cell:a"}, "state.delete of cell:*", true},
      {{"PUBLISH", "cell:a", "{}"}, "event.publish on cell:*", true},
      {{"EVALSHA", wire::kSessionScriptSha1, "5", "session:a", sessions, seals, writes, audit,
        "get", "1"},
       "sessions"},
      {{"SCRIPT", "LOAD", "return 1"}, "sessions"},
      {{"TIME"}, "sessions"},
      {{"PTTL", "session:a"}, "sessions"},
      {{"SET", "session:a", "{}"}, "sessions"},
      {{"PEXPIRE", "session:a", "1"}, "sessions"},
      {{"DEL", "session:a"}, "sessions"},
      {{"ZADD", sessions, "1", "a"}, "sessions"},
      {{"ZREM", sessions, "a"}, "sessions"},
      {{"ZCOUNT", sessions, "0", "1"}, "sessions"},
      {{"ZSCORE", sessions, "a"}, "sessions"},
      {{"ZRANK", sessions, "a"}, "sessions"},
      {{"ZRANGE", sessions, "0", "1"}, "sessions"},
      {{"ZRANGEBYSCORE", sessions, "0", "1"}, "sessions"},
      {{"HSET", seals, "a", "1"}, "sessions"},
      {{"HDEL", seals, "a"}, "sessions"},
      {{"HSET", writes, "1", "1"}, "sessions"},
      {{"PEXPIRE", writes, "1"}, "sessions"},
      {{"XLEN", audit}, "sessions"},
      {{"XADD", audit, "*", "op", "update"}, "sessions"},
      {{"PUBLISH", "session-updates", "{}"}, "sessions"},
      {{"PUBLISH", "ws:a", "{}"}, "session.broadcast"},
      {{"PUBLISH", "cv:parameter:update", "{}"}, "bus.publish"},
      {{"PUBLISH", "cv:routing:change", "{}"}, "bus.publish"},
      {{"PUBLISH", "cv:system:broadcast", "{}"}, "bus.publish"},
      {{"PUBLISH", "cv:admin:command", "{}"}, "bus.publish"},
      {{"XREAD", "STREAMS", "stream:events:other", "$"}, "event.subscribe, replay"},
      {{"XINFO", "STREAM", "stream:events:other"}, "event.subscribe, replay"},
      {{"GETRANGE", "cell:a", "0", "1"}, "state.watch"},
      {{"CLIENT", "ID"}, "state.watch"},
      {{"CLIENT", "TRACKING", "OFF"}, "state.watch"},
      {{"SUBSCRIBE", "robot:events"}, "event.subscribe"},
      {{"PSUBSCRIBE", "error:events:*"}, "event.subscribe"},
      {{"UNSUBSCRIBE", "robot:events"}, "event.unsubscribe"},
      {{"PUNSUBSCRIBE", "error:events:*"}, "event.unsubscribe"},
      {{"INFO"}, "nodebeatctl doctor", true},
      {{"TIME"}, "nodebeatctl doctor", true},
      {{"ACL", "WHOAMI"}, "nodebeatctl doctor", true},
  };
  put_before_keys(prefix, needs);
  return needs;
}

std::vector<Need> excesses_of(std::string_view name, std::string_view prefix) {
  const std::string node(name);
  const std::string audit(wire::kSessionAuditKey);
  std::vector<Need> excesses = {
      {{"SET", wire::lease_key(node + "-2"), "-"}, "renew another node's lease"},
      {{"HSET", "robot:state:" + node + "-2", "state", "{}"}, "write another robot's state"},
      {{"XADD", "stream:node_events:" + node + "-2", "*", "a", "b"}, "write another node's events"},
      {{"SET", "node:health:" + node, "{}"}, "put something else under a key that readers parse"},
      {{"DEL", "stream:node_metrics:" + node}, "delete its history"},
      {{"EVALSHA", "0000000000000000000000000000000000000000", "0"},
       "run other scripts than the agents', one of which could stop the server"},
      {{"EVAL", "return 1", "0"}, "run scripts of its own, one of which could stop the server"},
      {{"HSET", wire::session_writes_key(node + "-2", "1"), "1", "1"},
       "make another node's writes to sessions come twice"},
      {{"DEL", audit}, "delete the audit of the sessions"},
      {{"KEYS", "nodebeat-none"}, "stop the server for a while (KEYS)"},
      {{"CONFIG", "GET", "maxclients"}, "read the server's configuration, passwords included"},
      {{"ACL", "LIST"}, "see all users"},
  };
  put_before_keys(prefix, excesses);
  if (!prefix.empty()) {
    excesses.push_back({{"HSET", "node:health:" + node, "health", "{}"}, "write into other cells"});
    excesses.push_back({{"HGET", "node:health:" + node, "health"}, "read what other cells have"});
  }
  return excesses;
}

std::vector<Need> excesses_of_viewer() {
  return {
      {{"SET", "x", "y"}, "write keys"},
      {{"DEL", "x"}, "delete keys"},
      {{"PUBLISH", "robot:events", "{}"}, "speak for others"},
      {{"CONFIG", "GET", "maxclients"}, "read the server's configuration, passwords included"},
  };
}

std::vector<Need> excesses_of_audit(std::string_view prefix) {
  const std::string audit(wire::kSessionAuditKey);
  std::vector<Need> excesses = {
      {{"XADD", audit, "*", "op", "update"}, "make up entries"},
      {{"XTRIM", audit, "MAXLEN", "0"}, "take entries away"},
      {{"DEL", audit}, "take entries away"},
      {{"XGROUP", "DESTROY", audit, "nodebeat-none"}, "end the reading of others"},
      {{"GET", "session:a"}, "read sessions"},
      {{"SET", "session:a", "{}"}, "write sessions"},
      {{"PUBLISH", "robot:events", "{}"}, "speak for others"},
      {{"EVAL", "return 1", "0"}, "run scripts, one of which could stop the server"},
      {{"CONFIG", "GET", "maxclients"}, "read the server's configuration, passwords included"},
  };
  put_before_keys(prefix, excesses);
  return excesses;
}

}  // namespace nb::redis_admin
