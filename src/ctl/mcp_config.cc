#include "ctl/mcp_config.h"

#include <algorithm>
#include <cstdint>

#include "terminal/json_text.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

using terminal::clip;
using terminal::json_indented;
using terminal::json_quote;
using terminal::ObjectText;
using terminal::printable;
using terminal::shell_word;

// ["a","b"]: of JSON, and of TOML as well.
std::string list(const std::vector<std::string>& words, size_t from) {
  std::string out;
  for (size_t i = from; i < words.size(); ++i) out += (i == from ? "" : ",") + json_quote(words[i]);
  return '[' + out + ']';
}

// A placeholder: the token itself must not appear on a terminal.
constexpr char kBearer[] = "Bearer TOKEN";

// A service, as most clients have it.
ObjectText entry_of_url(const McpServer& server) {
  ObjectText out;
  out.text("type", "http").text("url", server.url);
  if (server.with_token) out.raw("headers", ObjectText().text("Authorization", kBearer).str());
  return out;
}

ObjectText entry(const std::vector<std::string>& command) {
  ObjectText out;
  out.text("command", command.front()).raw("args", list(command, 1));
  return out;
}

std::string section(std::string_view client, std::string_view where, const std::string& text) {
  return std::string(client) + ": " + std::string(where) + "\n\n" + text + "\n\n";
}

}  // namespace

std::vector<std::string> mcp_command(const McpServer& server) {
  std::vector<std::string> gate = {server.program, "mcp"};
  if (!server.socket.empty()) {
    gate.emplace_back("--socket");
    gate.push_back(server.socket);
  }
  if (server.allow_writes) gate.emplace_back("--allow-writes");
  if (server.host.empty()) return gate;
  // A shell of the other computer reads the command, as one text.
  std::string line;
  for (const std::string& word : gate) line += (line.empty() ? "" : " ") + shell_word(word);
  return {"ssh", "-T", "-o", "BatchMode=yes", "--", server.host, line};
}

std::string fault_in_url(const McpServer& server) {
  const std::string_view url = server.url;
  const bool is_http = url.starts_with("http://") || url.starts_with("https://");
  const bool is_one_word = std::all_of(
      url.begin(), url.end(), [](char c) { return static_cast<uint8_t>(c) > ' ' && c != 0x7f; });
  if (url.empty() || (is_http && is_one_word && !url.ends_with("://"))) return {};
  return "--url: expected an address as http://127.0.0.1:9809/mcp, found '" +
         clip(printable(url), 80, true) + "'";
}

std::string mcp_config_json(const McpServer& server) {
  const ObjectText about = server.url.empty() ? entry(mcp_command(server)) : entry_of_url(server);
  const std::string one = ObjectText().raw("nodebeat", about.str()).str();
  return ObjectText().raw("mcpServers", one).str();
}

namespace {

std::string text_of_url(const McpServer& server) {
  std::string shell = "claude mcp add --transport http nodebeat " + shell_word(server.url);
  if (server.with_token)
    shell += " --header " + shell_word(std::string("Authorization: ") + kBearer);
  const std::string code =
      ObjectText()
          .raw("servers", ObjectText().raw("nodebeat", entry_of_url(server).str()).str())
          .str();
  std::string codex = "[mcp_servers.nodebeat]\nurl = " + json_quote(server.url);
  if (server.with_token) codex += "\nbearer_token_env_var = \"NODEBEAT_MCP_TOKEN\"";
  return section("Claude Code", "run", shell) +
         section("Cursor", "~/.cursor/mcp.json, or .cursor/mcp.json of a project",
                 json_indented(mcp_config_json(server))) +
         section("VS Code", ".vscode/mcp.json of a project, or MCP: Open User Configuration",
                 json_indented(code)) +
         section("Codex", "~/.codex/config.toml", codex) +
         (server.with_token ? "TOKEN stands for what the file of --mcp-token-file has.\n" : "") +
         "The service serves it with nodebeat-gate --http and --http-mcp.\n";
}

}  // namespace

std::string mcp_config_text(const McpServer& server) {
  if (!server.url.empty()) return text_of_url(server);
  const std::vector<std::string> command = mcp_command(server);
  std::string shell = "claude mcp add nodebeat --";
  for (const std::string& word : command) shell += ' ' + shell_word(word);
  const std::string common = json_indented(mcp_config_json(server));
  const std::string typed = ObjectText()
                                .text("type", "stdio")
                                .text("command", command.front())
                                .raw("args", list(command, 1))
                                .str();
  const std::string code =
      ObjectText().raw("servers", ObjectText().raw("nodebeat", typed).str()).str();
  return section("Claude Code", "run", shell) +
         section("Claude Desktop", "claude_desktop_config.json (Settings, Developer, Edit Config)",
                 common) +
         section("Cursor", "~/.cursor/mcp.json, or .cursor/mcp.json of a project", common) +
         section("VS Code", ".vscode/mcp.json of a project, or MCP: Open User Configuration",
                 json_indented(code)) +
         section("Codex", "~/.codex/config.toml",
                 "[mcp_servers.nodebeat]\ncommand = " + json_quote(command.front()) +
                     "\nargs = " + list(command, 1)) +
         "The user of the client has to be in the group " +
         (server.allow_writes ? "nodebeat.\n" : "nodebeat-view.\n");
}

}  // namespace nb::ctl
