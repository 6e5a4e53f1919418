// nodebeatctl: the command line. Only this file knows CLI11, and only it may see an exception.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <utility>

#include "base/text.h"
#include "ctl/commands.h"
#include "ctl/completion.h"
#include "ctl/duration.h"
#include "ctl/mcp_config.h"
#include "nodebeat/client.h"
#include "redis_admin/address.h"
#include "redis_admin/commands.h"
#include "redis_admin/store_files.h"
#include "terminal/local_time.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

constexpr char kDefaultSocket[] = "/run/nodebeat/agent.sock";
constexpr int64_t kLongestTimeout = 3'600'000;

constexpr char kFooter[] =
    "Exit codes: 0 fine, 1 not found, 2 wrong usage, 3 no agent, 4 refused by the\n"
    "agent, 5 no answer in time, 6 refused by Redis, 7 standard output cannot be\n"
    "written, 8 the socket does not give the right, 9 too many calls in a second.\n"
    "doctor, redis check: 0 healthy, 1 warnings, 2 problems.\n"
    "From programs: in C nodebeat/client.h (libnodebeat-dev), in Python nodebeat\n"
    "(python3-nodebeat).\n"
    "More: man nodebeatctl";

// CLI11's help for a terminal of 80 columns. What an option needs and excludes stands in its words
// where a reader has to know it: CLI11 would also name options that are hidden.
class Help : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return {};
    return " " + option->get_type_name() + (option->get_required() ? " REQUIRED" : "");
  }

  std::string make_option_usage(const CLI::Option* option) const override {
    std::string name = make_option_name(option, true);
    if (option->get_expected_max() > 1) name += "...";
    return option->get_required() ? name : "[" + name + "]";
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    return wrapped(option->get_description());
  }

  // CLI11 leaves an empty line where a group is hidden.
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    return CLI::detail::find_and_replace(Formatter::make_help(app, std::move(name), mode), "\n\n\n",
                                         "\n\n");
  }

  std::string make_subcommand(const CLI::App* command) const override {
    std::ostringstream out;
    CLI::detail::format_help(out, command->get_display_name(true),
                             wrapped(command->get_description()), get_column_width());
    return out.str();
  }

 private:
  std::string wrapped(const std::string& words) const {
    std::string out;
    for (const std::string& line : terminal::wrap(words, 80 - get_column_width())) {
      out += (out.empty() ? "" : "\n") + line;
    }
    return out;
  }
};

struct Commands {
  Context context;
  std::string timeout = "3s";
  std::string prefix, method, params, config, node;
  SetOptions set;
  GetOptions get;
  DeleteOptions remove;
  PushOptions push;
  PublishOptions publish;
  StrokeOptions stroke;
  SessionOptions session;
  BusOptions bus;
  redis_admin::SetupOptions setup;
  redis_admin::CheckOptions check;
  std::vector<std::string> patterns;
  bool state = false;  // of watch: PATTERNs are keys
  std::string shell;
  McpServer mcp;
  unsigned long count = 0;
  bool once = false;
  redis_admin::AddressOptions redis;  // the Redis that is read without an agent
};

CLI::Option* json_key(CLI::App* app, std::string& to) {
  return app->add_option("KEY", to, "key in Redis, such as recipe:current")->required();
}

void add_stored(CLI::App* app, bool& to) {
  app->add_flag("--stored", to, "return only when Redis has confirmed it (within --timeout)");
}

// A command of a person waits by itself, so that a refusal is an exit code.
void add_no_wait(CLI::App* app, bool& to) {
  auto* no_wait =
      app->add_flag("--no-wait", to, "return when the agent has it, not when Redis has stored it");
  // How waiting was asked for before it was the rule: scripts have it.
  app->add_flag("--stored")->group("")->excludes(no_wait);
}

void add_stroke_options(CLI::App* app, StrokeOptions& stroke, bool start) {
  auto* total = app->add_option("--total", stroke.total, "how many strokes there are");
  if (start) total->required();
  app->add_option("--stroke", stroke.stroke, "number of the stroke under way");
  app->add_option("--pose", stroke.pose, "number of the pose within it");
  app->add_option("--length", stroke.length, "how many poses it has");
  app->add_option("--left", stroke.left, "what the left arm does, in words");
  app->add_option("--right", stroke.right, "what the right arm does, in words");
  app->add_option("--offset-left", stroke.offset_left, "index of the left arm's offset");
  app->add_option("--offset-right", stroke.offset_right, "index of the right arm's offset");
  app->add_option("--scene", stroke.scene, "name of the scene");
  app->add_option("--dataset", stroke.dataset, "name of the data set");
  auto* paused = app->add_flag("--paused", stroke.paused, "it is paused");
  auto* resumed = app->add_flag("--resumed", stroke.resumed, "it is no longer paused");
  paused->excludes(resumed);
}

// An empty value is that of a variable of the shell that is not set.
CLI::Option* wants_value(CLI::Option* option) {
  return option->check(
      [](const std::string& value) {
        return value.empty() ? std::string("needs a value") : std::string();
      },
      "", "");
}

std::string count_fault(const std::string& value) {
  return parse_number<uint32_t>(value).value_or(0) > 0 ? std::string()
                                                       : "expected a whole number from 1 on";
}

void add_redis_address(CLI::App* app, Commands& c) {
  c.redis.url_name = "--redis";
  auto* url = wants_value(
      app->add_option("--redis", c.redis.url,
                      "look into that Redis, without an agent: redis://[user@]host[:port]"));
  app->add_option("--user", c.redis.user,
                  "with --redis: user there (viewer, if there is a password)")
      ->needs(url);
  wants_value(app->add_option("--password-file", c.redis.password_file,
                              "with --redis: file with the user's password"))
      ->needs(url);
  app->add_option("--prefix", c.context.redis_prefix, "with --redis: of the cell that is looked at")
      ->needs(url);
}

void add_looking(CLI::App& app, Commands& c) {
  app.add_subcommand("status", "this node: the link to Redis, counters, probes, clients");
  auto* nodes = app.add_subcommand(
      "nodes", "the cell: which nodes are up, down since when, CPU, memory, MCP");
  auto* forget =
      app.add_subcommand("forget", "remove a node that no longer beats from the list of nodes");
  forget->add_option("NODE", c.node, "its name, as nodes shows it")->required();
  auto* top = app.add_subcommand("top", "the cell, running strokes and events, live; q ends it");
  top->add_flag("--once", c.once, "show it once, in plain lines");
  auto* doctor = app.add_subcommand("doctor", "find out what is wrong, and what to do");
  wants_value(doctor->add_option("--config", c.config,
                                 "configuration file to check, instead of the agent's usual one"));
  auto* watch = app.add_subcommand("watch", "print messages as they come");
  watch
      ->add_option("PATTERN", c.patterns,
                   "channels or patterns: robot:events, 'error:events:*'; --state: keys, 'cell:*'")
      ->required()
      ->expected(1, 64);
  watch->add_flag("--state", c.state, "print the values of keys, and how they change");
  watch->add_option("--count", c.count, "end after so many messages, or changes")
      ->check(count_fault, "", "");
  for (auto* one : {nodes, top, watch}) add_redis_address(one, c);
}

void add_state(CLI::App& app, Commands& c) {
  auto* get = app.add_subcommand("get", "print the value of a key, as JSON");
  json_key(get, c.get.key);
  get->add_flag("--raw", c.get.raw, "print a text without its quotes");
  auto* set = app.add_subcommand("set", "set a key");
  json_key(set, c.set.key);
  set->add_option("JSON", c.set.value, "the value; - reads it from stdin")->required();
  set->add_option("--ttl", c.set.ttl, "how long it lives: 500ms, 10s, 5min, 2h, 1d");
  set->add_flag("--text", c.set.text, "the value is a text, not JSON");
  add_no_wait(set, c.set.no_wait);
  auto* remove = app.add_subcommand("delete", "delete a key");
  json_key(remove, c.remove.key);
  add_no_wait(remove, c.remove.no_wait);
  auto* list = app.add_subcommand("list", "list keys");
  list->add_option("PREFIX", c.prefix, "what they begin with");
}

void add_session(CLI::App& app, Commands& c) {
  SessionOptions& session = c.session;
  auto* all = app.add_subcommand("session", "list, print, change or watch sessions");
  all->require_subcommand(1);
  all->add_subcommand("list", "list the sessions that agents have written");
  const auto add = [&](const char* verb, const char* words) {
    auto* sub = all->add_subcommand(verb, words);
    sub->add_option("ID", session.id, "the session's name")->required();
    return sub;
  };
  const auto add_ttl = [&](CLI::App* sub) {
    sub->add_option("--ttl", session.ttl, "how long it lives: 10s, 5min, 2h, 1d (default 1h)");
  };
  const auto add_state = [&](CLI::App* sub) {
    sub->add_option("JSON", session.state, "the state, an object")->required();
    add_ttl(sub);
  };
  const auto add_version = [&](CLI::App* sub) {
    sub->add_option("--version-is", session.version, "fail if it has another version");
  };
  const auto add_replace = [&](CLI::App* sub) {
    sub->add_flag("--replace-corrupt", session.replace_corrupt,
                  "also if what stands there is no session");
  };
  add("get", "print a session's state");
  auto* create = add("create", "create a session that does not exist");
  add_state(create);
  add_replace(create);
  auto* set = add("set", "replace a session's state");
  add_state(set);
  add_version(set);
  set->add_flag("--create", session.create, "create it if there is none");
  add_replace(set);
  add_ttl(add("edit", "change a session's state in an editor"));
  auto* remove = add("delete", "delete a session");
  add_version(remove);
  add_replace(remove);
  auto* watch = all->add_subcommand("watch", "print what is written and broadcast, as it comes");
  watch->add_option("--count", session.count, "end after so many messages");
}

void add_bus(CLI::App& app, Commands& c) {
  BusOptions& bus = c.bus;
  auto* all = app.add_subcommand("bus", "stop, clear, send to or watch the cell's programs");
  all->require_subcommand(1);
  auto* stop = all->add_subcommand("stop", "emergency stop: tell all programs of the cell to stop");
  auto* clear = all->add_subcommand("clear", "tell all programs of the cell to clear all");
  for (auto* one : {stop, clear}) {
    one->add_option("MESSAGE", bus.message, "why, in words");
    one->add_option("--admin", bus.admin,
                    "the name of the person (default: the user that is logged in)");
  }
  auto* send = all->add_subcommand("send", "send a message of any type");
  send->add_option("TYPE", bus.type, "such as parameter_update")->required();
  send->add_option("JSON", bus.data, "its data, an object")->required();
  send->add_option("--channel", bus.channel, "channel, for a type that has none: cv:...");
  send->add_flag("--no-record", bus.no_record, "do not keep it in the stream of its channel");
  add_no_wait(send, bus.no_wait);
  for (auto* one : {stop, clear, send}) {
    one->add_option("--max-age", bus.max_age, "not to be delivered later than that: 5s");
  }
  auto* watch = all->add_subcommand("watch", "print the bus' messages as they come");
  watch->add_option("--count", bus.count, "end after so many messages");
}

void add_pushing(CLI::App& app, Commands& c) {
  auto* publish = app.add_subcommand("publish", "publish an event");
  publish->add_option("CHANNEL", c.publish.channel, "channel, such as error:events:gripper")
      ->required();
  publish->add_option("JSON", c.publish.event, "the event, an object")->required();
  publish->add_option("--max-age", c.publish.max_age, "not to be published later than that: 5s");
  publish->add_flag("--no-record", c.publish.no_record,
                    "do not keep it in the stream of its channel");
  add_no_wait(publish, c.publish.no_wait);
  auto* push = app.add_subcommand("push", "send JSON lines from stdin to the agent");
  push->add_flag("--robot", c.push.robot,
                 "each line is the params of a robot.update, not a whole call");
  add_stored(push, c.push.stored);
  auto* stroke = app.add_subcommand("stroke", "start, update or end a stroke session");
  stroke->require_subcommand(1);
  auto* start = stroke->add_subcommand("start", "start a session, and print its name");
  add_stroke_options(start, c.stroke, true);
  auto* update = stroke->add_subcommand("update", "report the session's progress");
  add_stroke_options(update, c.stroke, false);
  auto* end = stroke->add_subcommand("end", "end the session");
  for (auto* one : {update, end}) {
    one->add_option("--session", c.stroke.session, "the session, if not the running one");
  }
  for (auto* one : {start, update, end}) add_stored(one, c.stroke.stored);
  auto* call = app.add_subcommand("call", "call any method of the protocol");
  call->add_option("METHOD", c.method, "such as agent.stats")->required();
  call->add_option("PARAMS", c.params, "an object");
}

void add_redis(CLI::App& app, Commands& c) {
  auto* redis = app.add_subcommand("redis", "set up the cell's Redis, or check one");
  redis->require_subcommand(1);
  auto* setup = redis->add_subcommand("setup", "write its configuration, users and passwords");
  setup->add_option("NODE", c.setup.nodes, "nodes whose agents get a user each")->expected(0, 1000);
  wants_value(setup->add_option("--dir", c.setup.folder, "folder to write into"))->required();
  // Each option takes one value, or the nodes that follow would be taken for more values.
  const auto many = [setup](const char* flag, std::vector<std::string>& to, const char* words) {
    setup->add_option(flag, to, words)->expected(1)->allow_extra_args(false)->take_all();
  };
  many("--bind", c.setup.binds, "an address that the server listens on; repeatable");
  setup->add_option("--host", c.setup.host,
                    "how the nodes reach the server, if not by that address");
  setup->add_option("--port", c.setup.port, "its port (6379)");
  setup->add_option("--maxmemory", c.setup.maxmemory, "most memory that it may use (256mb)");
  many("--keys", c.setup.keys, "what agents may set for their clients (cell:*); repeatable");
  many("--channels", c.setup.channels,
       "what they may publish on for their clients (cell:*); repeatable");
  setup->add_option("--prefix", c.setup.prefix,
                    "of all keys and channels of the cell ([redis] prefix)");
  setup->add_flag("--no-watch", c.setup.no_watch,
                  "the nodes may not watch the cell ([watch] enabled = false)");
  setup->add_option("--server", c.setup.server, "redis or valkey: whose folders are named (redis)")
      ->check(CLI::IsMember({"redis", "valkey"}));
  setup->add_flag("--force", c.setup.force, "write anew what is there; passwords stay");
  setup->add_flag("--adopt", c.setup.adopt,
                  "take over files of other users, and users who may administer");
  auto* check = redis->add_subcommand("check", "compare a running server with what is recommended");
  check->add_option("URL", c.check.url, "redis://[user@]host[:port] or unix://[user@]/path");
  check->add_option("--user", c.check.user, "user for the check, best the admin");
  wants_value(
      check->add_option("--password-file", c.check.password_file, "file with the user's password"));
  check->add_option("--prefix", c.check.prefix, "of the cell whose nodes are checked");
  check->add_option("--node", c.check.nodes, "node whose user is checked; repeatable")
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
}

void build(CLI::App& app, Commands& c) {
  app.name("nodebeatctl");
  app.description("Command-line client of the nodebeat agent on this computer.");
  app.footer(kFooter);
  app.formatter(std::make_shared<Help>());
  app.require_subcommand(1);
  app.fallthrough();
  app.option_defaults()->take_last();
  app.set_version_flag("--version", std::string("nodebeatctl ") + nb_client_version());
  wants_value(
      app.add_option("--socket", c.context.socket,
                     "the agent's socket (else $NODEBEAT_SOCKET, else /run/nodebeat/agent.sock)"));
  app.add_option("--timeout", c.timeout, "how long to wait for an answer (3s)");
  app.add_flag("--json", c.context.json, "print JSON, for scripts");
  add_looking(app, c);
  add_state(app, c);
  add_session(app, c);
  add_bus(app, c);
  add_pushing(app, c);
  add_redis(app, c);
  auto* mcp = app.add_subcommand("mcp-config", "print what to paste into MCP clients");
  mcp->add_flag("--allow-writes", c.mcp.allow_writes, "models may also write");
  mcp->add_option("--host", c.mcp.host, "the agent is on that computer, which ssh reaches");
  mcp->add_option("--url", c.mcp.url, "a service has it there, as http://127.0.0.1:9809/mcp")
      ->excludes("--host");
  mcp->add_flag("--with-token", c.mcp.with_token, "that service wants a token")->needs("--url");
  wants_value(mcp->add_option("--program", c.mcp.program,
                              "where nodebeat-gate is (/usr/bin/nodebeat-gate)"));
  auto* completion = app.add_subcommand("completion", "print the completion script of a shell");
  completion->add_option("SHELL", c.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

std::vector<Choice> flags_of(const CLI::App& app) {
  std::vector<Choice> out;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      out.push_back({"--" + name, option->get_description()});
    }
  }
  return out;
}

// CLI11's own lookup throws.
CLI::App* child(CLI::App& app, const std::string& name) {
  for (CLI::App* sub : app.get_subcommands({})) {
    if (sub->get_name() == name) return sub;
  }
  return nullptr;
}

// The choices for the last of `words`, which is half written, in the tree of commands.
std::vector<Choice> complete(CLI::App& app, const Commands& c,
                             const std::vector<std::string>& words) {
  CLI::App* at = &app;
  std::string command;
  size_t operands = 0;
  std::string socket = c.context.socket;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i].starts_with("-")) {
      const CLI::Option* option = at->get_option_no_throw(words[i]);
      if (option == nullptr) option = app.get_option_no_throw(words[i]);
      const bool takes_value = option != nullptr && option->get_items_expected_max() > 0;
      if (!takes_value) continue;
      if (words[i] == "--socket" && i + 2 < words.size()) socket = words[i + 1];
      if (i + 2 == words.size()) {
        if (words[i] == "--server") return {{"redis", {}}, {"valkey", {}}};
        return {};  // the shell's own files
      }
      ++i;
    } else if (CLI::App* next = child(*at, words[i])) {
      at = next;
      command += (command.empty() ? "" : " ") + words[i];
    } else {
      ++operands;
    }
  }
  std::vector<Choice> out;
  if (words.back().starts_with("-")) {
    out = flags_of(*at);
    if (at != &app) {
      for (Choice& flag : flags_of(app)) {
        if (flag.word != "--version" && flag.word != "--help") out.push_back(std::move(flag));
      }
    }
  } else if (operands == 0 && !at->get_subcommands({}).empty()) {
    for (const CLI::App* sub : at->get_subcommands({})) {
      out.push_back({sub->get_name(), sub->get_description()});
    }
  } else {
    out = operand_choices(command, operands, words.back(), socket);
  }
  return out;
}

// The Redis that is looked into without an agent, if one was named.
ExitCode find_redis(Commands& c) {
  if (c.redis.url.empty()) return kOk;
  if (c.state) {
    return complain(kUsage,
                    "watch --state needs an agent, which keeps what is watched: leave out "
                    "--redis or --state");
  }
  const std::string& prefix = c.context.redis_prefix;
  if (const std::string fault = redis_admin::prefix_fault(prefix); !fault.empty()) {
    return complain(kUsage, "--prefix '" + printable(prefix) + "': " + fault);
  }
  config::RedisAddress address;
  const ExitCode code = redis_admin::find_address(c.redis, address, "viewer");
  if (code == kOk) c.context.redis = std::move(address);
  return code;
}

int dispatch(const CLI::App& app, Commands& c) {
  const CLI::App* chosen = app.get_subcommands().front();
  const std::string& name = chosen->get_name();
  if (const ExitCode code = find_redis(c); code != kOk) return code;
  const Context& context = c.context;
  if (name == "status") return run_status(context);
  if (name == "nodes") return run_nodes(context);
  if (name == "forget") return run_forget(context, c.node);
  if (name == "top") return run_top(context, c.once);
  if (name == "doctor") return run_doctor(context, c.config);
  if (name == "watch") {
    return c.state ? run_watch_state(context, c.patterns, c.count)
                   : run_watch(context, c.patterns, c.count);
  }
  if (name == "get") return run_get(context, c.get);
  if (name == "set") return run_set(context, c.set);
  if (name == "delete") return run_delete(context, c.remove);
  if (name == "list") return run_list(context, c.prefix);
  if (name == "session") {
    return run_session(context, chosen->get_subcommands().front()->get_name(), c.session);
  }
  if (name == "bus") {
    return run_bus(context, chosen->get_subcommands().front()->get_name(), c.bus);
  }
  if (name == "publish") return run_publish(context, c.publish);
  if (name == "push") return run_push(context, c.push);
  if (name == "stroke") {
    return run_stroke(context, chosen->get_subcommands().front()->get_name(), c.stroke);
  }
  if (name == "redis") {
    const bool setup = chosen->get_subcommands().front()->get_name() == "setup";
    c.check.timeout_ms = context.timeout_ms;
    return setup ? redis_admin::run_setup(c.setup, context)
                 : redis_admin::run_check(c.check, context);
  }
  if (name == "mcp-config") {
    if (const std::string fault = fault_in_url(c.mcp); !fault.empty()) {
      return complain(kUsage, fault);
    }
    // By itself nodebeat-gate uses the socket that only reads.
    if (c.mcp.allow_writes || context.socket != kDefaultSocket) c.mcp.socket = context.socket;
    return context.json ? say_json(mcp_config_json(c.mcp)) : say(mcp_config_text(c.mcp));
  }
  if (name == "call") return run_call(context, c.method, c.params);
  return say(completion_script(c.shell));
}

// Explains CLI11's "A subcommand is required": which word is no command, and which commands there
// are. Empty if there was no word.
std::string unknown_command(const CLI::App& app, const CLI::App& at) {
  std::string wrong;
  for (const std::string& word : app.remaining(true)) {
    if (wrong.empty() && !word.starts_with("-")) wrong = word;
  }
  if (wrong.empty()) return {};
  std::string words = "there is no command '" + wrong + "'; there are";
  for (const CLI::App* sub : at.get_subcommands({})) {
    words += (words.ends_with(" are") ? " " : ", ") + sub->get_name();
  }
  return words;
}

// The next file that is opened gets the number of a standard descriptor that is closed. The output
// would then go to the agent's socket. Writing to this stdout fails, as it should.
void fill_standard_descriptors() {
  constexpr struct {
    int fd, access;
  } kWanted[] = {{STDIN_FILENO, O_RDONLY}, {STDOUT_FILENO, O_RDONLY}, {STDERR_FILENO, O_WRONLY}};
  for (const auto& wanted : kWanted) {
    if (::fcntl(wanted.fd, F_GETFD) < 0 && errno == EBADF) (void)::open("/dev/null", wanted.access);
  }
}

int run(int argc, char** argv) {
  fill_standard_descriptors();
  Commands c;
  const char* named = std::getenv("NODEBEAT_SOCKET");
  c.context.socket = named != nullptr && *named != '\0' ? named : kDefaultSocket;
  c.context.style = style_of(STDOUT_FILENO);
  CLI::App app;
  build(app, c);
  if (argc > 2 && std::string_view(argv[1]) == "__complete") {
    const std::vector<std::string> words(argv + 2, argv + argc);
    return say(choices_text(complete(app, c, words), words.back()));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    // A command was asked for, and must not seem to have been carried out.
    if (!app.get_subcommands().empty()) {
      return complain(
          kUsage,
          "--version is the version of nodebeatctl itself, and goes with no command; the "
          "version that a session must have is --version-is");
    }
    return say(std::string(version.what()) + '\n');
  } catch (const CLI::CallForHelp&) {
    return say(app.help());
  } catch (const CLI::ParseError& error) {
    const CLI::App* at = &app;
    std::string path = "nodebeatctl";
    while (!at->get_subcommands().empty()) {
      at = at->get_subcommands().front();
      path += ' ' + at->get_name();
    }
    const bool wants_command = !at->get_subcommands({}).empty();
    const std::string unknown = wants_command ? unknown_command(app, *at) : std::string();
    return complain(
        kUsage, printable(unknown.empty() ? error.what() : unknown) + "; see " + path + " --help");
  }
  const auto timeout = parse_duration(c.timeout);
  if (!timeout || *timeout < 1 || *timeout > kLongestTimeout) {
    return complain(kUsage, "--timeout: '" + printable(c.timeout) +
                                "' is no duration from 1ms to 1h, such as 500ms or 10s");
  }
  c.context.timeout_ms = *timeout;
  return dispatch(app, c);
}

}  // namespace
}  // namespace nb::ctl

// Exceptions of CLI11 are caught where it parses. What remains is a lack of memory, which ends the
// program.
int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape)
  return nb::ctl::run(argc, argv);
}
