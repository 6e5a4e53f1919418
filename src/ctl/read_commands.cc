// get and list.
#include <algorithm>
#include <vector>

#include "ctl/commands.h"
#include "ctl/json.h"
#include "json/view.h"
#include "terminal/json_text.h"
#include "terminal/text.h"

namespace nb::ctl {

ExitCode run_get(const Context& context, const GetOptions& options) {
  AgentLink link(context.link_options());
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  const Answer answer = link.call("state.get", ObjectText().text("key", options.key).str());
  if (answer.not_found()) {
    return complain(kFound, format("there is no key '%s'", printable(options.key).c_str()));
  }
  if (!answer.ok()) return complain(answer);
  if (context.json) return say_json(answer.text);
  const std::string_view value = json::View::of(answer.text)["value"].raw();
  if (options.raw && value.starts_with('"')) {
    const JsonDocument document(value);
    const std::string_view text = document.root().text();
    return say((context.style.terminal ? printable_lines(text) : std::string(text)) + '\n');
  }
  // People get several lines, programs one. The digits are those of Redis in both.
  return context.style.terminal ? say_json(json_indented(value)) : say_json(value);
}

ExitCode run_list(const Context& context, const std::string& prefix) {
  AgentLink link(context.link_options());
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  std::vector<std::string> keys;
  std::string cursor;
  do {
    ObjectText params;
    if (!prefix.empty()) params.text("prefix", prefix);
    params.integer("limit", 500);
    if (!cursor.empty()) params.text("cursor", cursor);
    const Answer answer = link.call("state.list", params.str());
    if (!answer.ok()) return complain(answer);
    const JsonDocument page(answer.text);
    for (const Json key : page["keys"]) keys.emplace_back(key.text());
    cursor = page["cursor"].text();
  } while (!cursor.empty());
  // SCAN may name a key twice, and in any order.
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());

  std::string out;
  if (context.json) {
    out = "{\"keys\":[";
    for (const std::string& key : keys) {
      if (&key != &keys.front()) out += ',';
      out += json_quote(key);
    }
    return say_json(out + "]}");
  }
  for (const std::string& key : keys) out += (context.style.terminal ? printable(key) : key) + '\n';
  return say(out);
}

}  // namespace nb::ctl
