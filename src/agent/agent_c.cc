// The C ABI: checks its arguments, translates, and lets nothing of C++ out.
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>
#include <new>

#include "agent/agent.h"
#include "base/caller_struct.h"
#include "base/clock.h"
#include "node/version.h"
#include "nodebeat/agent.h"

namespace {

// The caller's function wants NUL-terminated lines; a Log's line is a view.
struct LogTarget {
  nb_log_fn log;
  void* user;

  static void forward(void* self, nb::LogLevel level, std::string_view line) {
    const auto* target = static_cast<const LogTarget*>(self);
    const std::string text(line);
    target->log(target->user, static_cast<int>(level), text.c_str());
  }
};

}  // namespace

struct nb_agent {
  nb_agent(LogTarget log_target, nb::config::Sources&& sources, nb::config::Loaded&& loaded,
           bool service)
      : target(log_target),
        agent(clock,
              target.log != nullptr
                  ? nb::Log(&LogTarget::forward, &target, nb::LogLevel::debug, &clock)
                  : nb::Log(),
              std::move(sources), std::move(loaded), service) {}

  LogTarget target;
  nb::SystemClock clock;
  nb::agent::Agent agent;
};

namespace {

// As snprintf would: cut to fit, always terminated.
void copy_text(std::string_view text, char* buffer, size_t size) {
  if (buffer == nullptr || size == 0) return;
  const size_t n = std::min(text.size(), size - 1);
  std::memcpy(buffer, text.data(), n);
  buffer[n] = '\0';
}

int fail(int code, std::string_view message, char* error, size_t error_size) {
  copy_text(message, error, error_size);
  return code;
}

std::optional<std::string> optional_text(const char* text) {
  if (text == nullptr) return std::nullopt;
  return std::string(text);
}

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return {};
  return name;
}

nb::config::Sources make_sources(const nb_agent_options& options) {
  nb::config::Sources sources;
  sources.file = optional_text(options.config_file);
  sources.file_required = options.config_file != nullptr;
  sources.text = optional_text(options.config_text);
  sources.flags.node = optional_text(options.node);
  sources.flags.redis_url = optional_text(options.redis_url);
  sources.flags.socket_path = optional_text(options.socket_path);
  sources.host_name = host_name();
  for (const char* const* variable = options.environment;
       variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = text.substr(0, equals);
    // Kept for reloads: only the variables that matter, not the host's whole environment.
    if (name.starts_with("NODEBEAT_") || name == "CREDENTIALS_DIRECTORY" ||
        name == "NOTIFY_SOCKET" || name.starts_with("WATCHDOG_") || name.starts_with("LISTEN_")) {
      sources.environment.emplace_back(name, text.substr(equals + 1));
    }
  }
  return sources;
}

}  // namespace

int nb_agent_create(const nb_agent_options* options, nb_agent** agent, char* error,
                    size_t error_size) {
  if (options == nullptr || agent == nullptr) {
    return fail(NB_ERR_ARGUMENT, "options and agent must not be NULL", error, error_size);
  }
  nb_agent_options whole;
  switch (nb::take_caller_struct(*options, whole)) {
    case nb::CallerStruct::ok:
      break;
    case nb::CallerStruct::wrong_size:
      return fail(NB_ERR_ARGUMENT,
                  "options.size is that of no version of nb_agent_options: set it to "
                  "sizeof(nb_agent_options)",
                  error, error_size);
    case nb::CallerStruct::unknown_member:
      return fail(NB_ERR_ARGUMENT,
                  "options sets a member that this version of libnodebeat-agent does not know: "
                  "install the version that the program was built with",
                  error, error_size);
  }
  options = &whole;
  if ((options->flags & ~static_cast<uint32_t>(NB_AGENT_SERVICE)) != 0) {
    return fail(NB_ERR_ARGUMENT, "options.flags has a flag that this version does not know", error,
                error_size);
  }
  nb::config::Sources sources = make_sources(*options);
  auto loaded = nb::config::load(sources);
  if (!loaded) {
    const bool other_version = loaded.error().fault == nb::Fault::other_version;
    return fail(other_version ? NB_ERR_VERSION : NB_ERR_CONFIG, loaded.error().message, error,
                error_size);
  }
  auto made =
      std::make_unique<nb_agent>(LogTarget{options->log, options->log_user}, std::move(sources),
                                 std::move(*loaded), (options->flags & NB_AGENT_SERVICE) != 0);
  if (const nb::Status status = made->agent.check(); !status) {
    return fail(NB_ERR_SYSTEM, status.error().message, error, error_size);
  }
  *agent = made.release();
  return NB_OK;
}

int nb_agent_run(nb_agent* agent) {
  return agent == nullptr ? static_cast<int>(NB_ERR_ARGUMENT) : agent->agent.run();
}

void nb_agent_stop(nb_agent* agent) {
  if (agent != nullptr) agent->agent.stop();
}

void nb_agent_reload(nb_agent* agent) {
  if (agent != nullptr) agent->agent.reload();
}

int nb_agent_get_stats(const nb_agent* agent, nb_agent_stats* stats) {
  if (agent == nullptr || stats == nullptr) return NB_ERR_ARGUMENT;
  return nb::give_caller_struct(agent->agent.stats(), *stats) ? static_cast<int>(NB_OK)
                                                              : static_cast<int>(NB_ERR_ARGUMENT);
}

int nb_agent_print_config(const nb_agent* agent, char* buffer, size_t size) {
  if (agent == nullptr || (buffer == nullptr && size > 0)) return NB_ERR_ARGUMENT;
  const std::string& text = agent->agent.effective_config();
  copy_text(text, buffer, size);
  return static_cast<int>(text.size());
}

void nb_agent_destroy(nb_agent* agent) {
  delete agent;
}

const char* nb_agent_version(void) {
  return nb::node::kVersion;
}
