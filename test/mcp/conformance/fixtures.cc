#include "fixtures.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "json/writer.h"
#include "uv/timer.h"

namespace nb::conformance {
namespace {

using json::View;
using mcp::Given;
using mcp::Reply;
using mcp::Resource;
using mcp::Tool;
using mcp::WorkPtr;

constexpr std::string_view kPng =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg"
    "==";
constexpr std::string_view kWav = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

// --- content

using Member = std::pair<std::string_view, std::string_view>;

// An object whose members are texts.
std::string texts(std::initializer_list<Member> members) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  for (const auto& [name, value] : members) writer.key(name).string(value);
  writer.end_object();
  return out;
}

std::string text(std::string_view words) {
  return texts({{"type", "text"}, {"text", words}});
}

std::string bytes(std::string_view type, std::string_view mime_type, std::string_view base64) {
  return texts({{"type", type}, {"data", base64}, {"mimeType", mime_type}});
}

std::string embedded(std::string_view uri, std::string_view mime_type, std::string_view words) {
  return R"({"type":"resource","resource":)" +
         texts({{"uri", uri}, {"mimeType", mime_type}, {"text", words}}) + '}';
}

void answer(Reply reply, const std::string& content, bool is_error = false) {
  reply.result("\"content\":[" + content + "]" + (is_error ? ",\"isError\":true" : ""));
}

// --- tools

struct Context {
  uv::Loop& loop;
  Delegate<void()> on_tools;
};

// Says something three times, with a pause between, and then answers.
class ThreeTimes final : public mcp::Work {
 public:
  ThreeTimes(uv::Loop& loop, Reply reply, void (*say)(Reply, int))
      : reply_(reply), say_(say), timer_(loop, Delegate<void()>::to<&ThreeTimes::on_time>(this)) {
    timer_.start(Duration::zero());
  }

 private:
  static constexpr Duration kPause = std::chrono::milliseconds(50);

  void on_time() {
    say_(reply_, step_);
    if (++step_ < 3) return timer_.start(kPause);
    answer(reply_, text("done"));  // ends this object
  }

  Reply reply_;
  void (*say_)(Reply, int);
  int step_ = 0;
  uv::Timer timer_;
};

WorkPtr simple_text(Context, Reply reply) {
  answer(reply, text("This is a simple text response for testing."));
  return nullptr;
}

WorkPtr image(Context, Reply reply) {
  answer(reply, bytes("image", "image/png", kPng));
  return nullptr;
}

WorkPtr audio(Context, Reply reply) {
  answer(reply, bytes("audio", "audio/wav", kWav));
  return nullptr;
}

WorkPtr embedded_resource(Context, Reply reply) {
  answer(reply, embedded("test://embedded-resource", "text/plain",
                         "This is an embedded resource content."));
  return nullptr;
}

WorkPtr mixed(Context, Reply reply) {
  answer(reply, text("Multiple content types test:") + ',' + bytes("image", "image/png", kPng) +
                    ',' +
                    embedded("test://mixed-content-resource", "application/json",
                             R"({"test":"data","value":123})"));
  return nullptr;
}

WorkPtr fails(Context, Reply reply) {
  answer(reply, text("This tool intentionally returns an error for testing"), true);
  return nullptr;
}

WorkPtr with_progress(Context context, Reply reply) {
  return std::make_unique<ThreeTimes>(
      context.loop, reply, [](Reply to, int step) { to.progress(step * 50, 100, "on the way"); });
}

WorkPtr with_logging(Context context, Reply reply) {
  return std::make_unique<ThreeTimes>(context.loop, reply, [](Reply to, int step) {
    constexpr std::array words = {"Tool execution started", "Tool processing data",
                                  "Tool execution completed"};
    to.log(mcp::LogWord::info, words[static_cast<size_t>(step)]);
  });
}

WorkPtr change_tools(Context context, Reply reply) {
  context.on_tools();
  answer(reply, text("changed"));
  return nullptr;
}

struct Entry {
  Tool tool;
  WorkPtr (*begin)(Context, Reply);
};

constexpr Entry kTools[] = {
    {{.name = "test_simple_text", .words = "Gives a text."}, &simple_text},
    {{.name = "test_image_content", .words = "Gives an image."}, &image},
    {{.name = "test_audio_content", .words = "Gives a sound."}, &audio},
    {{.name = "test_embedded_resource", .words = "Gives a resource."}, &embedded_resource},
    {{.name = "test_multiple_content_types", .words = "Gives several contents."}, &mixed},
    {{.name = "test_error_handling", .words = "Fails."}, &fails},
    {{.name = "test_tool_with_progress", .words = "Tells its progress."}, &with_progress},
    {{.name = "test_tool_with_logging", .words = "Tells what it does."}, &with_logging},
    {{.name = "test_logging_tool", .words = "Tells what it does."}, &with_logging},
    {{.name = "test_streaming_elicitation", .words = "Tells its progress."}, &with_progress},
    {{.name = "test_trigger_tool_change", .words = "Changes the list of tools."}, &change_tools},
    // These are begun as extras: they look at more than their arguments.
    {{.name = "test_missing_capability", .words = "Needs sampling."}, nullptr},
    {{.name = "test_input_required_result_elicitation", .words = "Asks."}, nullptr},
    {{.name = "test_input_required_result_sampling", .words = "Asks."}, nullptr},
    {{.name = "test_input_required_result_list_roots", .words = "Asks."}, nullptr},
    {{.name = "test_input_required_result_request_state", .words = "Asks."}, nullptr},
    {{.name = "test_input_required_result_multiple_inputs", .words = "Asks."}, nullptr},
    {{.name = "test_input_required_result_multi_round", .words = "Asks."}, nullptr},
    {{.name = "test_input_required_result_tampered_state", .words = "Asks."}, nullptr},
    {{.name = "test_input_required_result_capabilities", .words = "Asks."}, nullptr},
};

void need_sampling(View params, Reply reply) {
  if (params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["sampling"].exists()) {
    return answer(reply, text("The client can."));
  }
  reply.error({mcp::kMissingCapability, "this tool needs sampling",
               R"({"requiredCapabilities":{"sampling":{}}})"});
}

// --- resources

constexpr char kText[] = "test://static-text";
constexpr char kBinary[] = "test://static-binary";
constexpr char kWatched[] = "test://watched-resource";
constexpr std::string_view kTemplateBegin = "test://template/";
constexpr std::string_view kTemplateEnd = "/data";

constexpr Resource kResources[] = {
    {kText, "Static text", "Static text", "A text that stays.", "text/plain"},
    {kBinary, "Static binary", "Static binary", "An image that stays.", "image/png"},
    {kWatched, "Watched", "Watched", "What may be subscribed to.", "text/plain"},
};
constexpr Resource kTemplates[] = {
    {"test://template/{id}/data", "Template", "Template", "Data of an id.", "application/json"}};

// Nothing changes here, and whoever asks is not told.
class Watch final : public mcp::Work {};

// --- prompts

constexpr char kPrompts[] =
    R"("prompts":[{"name":"test_simple_prompt","description":"Is simple."},)"
    R"({"name":"test_prompt_with_arguments","description":"Has arguments.","arguments":[)"
    R"({"name":"arg1","description":"The first.","required":true},)"
    R"({"name":"arg2","description":"The second.","required":true}]},)"
    R"({"name":"test_prompt_with_embedded_resource","description":"Has a resource.","arguments":[)"
    R"({"name":"resourceUri","description":"Which.","required":true}]},)"
    R"({"name":"test_prompt_with_image","description":"Has an image."},)"
    R"({"name":"test_input_required_result_prompt","description":"Asks."}])";

std::string message(const std::string& content) {
  return R"({"role":"user","content":)" + content + '}';
}

std::string argument(View params, std::string_view name) {
  std::string scratch;
  return std::string(params["arguments"][name].string(scratch).value_or(""));
}

}  // namespace

mcp::ServerInfo Fixtures::info() const {
  return {"conformance-fixtures", "Fixtures", "1", "Only for the conformance package."};
}

std::vector<const Tool*> Fixtures::tools() const {
  std::vector<const Tool*> out;
  for (const Entry& entry : kTools) out.push_back(&entry.tool);
  return out;
}

WorkPtr Fixtures::call(const Tool& tool, Given, Reply reply) {
  const auto* const entry = std::find_if(std::begin(kTools), std::end(kTools),
                                         [&](const Entry& one) { return &one.tool == &tool; });
  return entry->begin({loop_, on_tools_}, reply);
}

std::span<const Resource> Fixtures::resources() const {
  return kResources;
}
std::span<const Resource> Fixtures::templates() const {
  return kTemplates;
}

WorkPtr Fixtures::read(std::string_view uri, Reply reply) {
  if (uri == kText) {
    reply.resource(uri, "text/plain", "This is the content of the static text resource.");
  } else if (uri == kWatched) {
    reply.resource(uri, "text/plain", "Watched resource content");
  } else if (uri == kBinary) {
    reply.result(R"("contents":[{"uri":")" + std::string(uri) +
                     R"(","mimeType":"image/png","blob":")" + std::string(kPng) + "\"}]",
                 true);
  } else if (uri.starts_with(kTemplateBegin) && uri.ends_with(kTemplateEnd) &&
             uri.size() > kTemplateBegin.size() + kTemplateEnd.size()) {
    const std::string_view id =
        uri.substr(kTemplateBegin.size(), uri.size() - kTemplateBegin.size() - kTemplateEnd.size());
    std::string json;
    json::Writer(json)
        .begin_object()
        .key("id")
        .string(id)
        .key("templateTest")
        .boolean(true)
        .key("data")
        .string("Data for ID: " + std::string(id))
        .end_object();
    reply.resource(uri, "application/json", json);
  } else {
    reply.no_such_resource(uri);
  }
  return nullptr;
}

WorkPtr Fixtures::complete(const Resource&, std::string_view, std::string_view, Reply reply) {
  reply.completions({});
  return nullptr;
}

WorkPtr Fixtures::watch(std::string_view uri, Delegate<void()>) {
  return uri == kWatched ? std::make_unique<Watch>() : nullptr;
}

bool Fixtures::takes(std::string_view method, View params) const {
  if (method == "prompts/list" || method == "prompts/get") return true;
  if (method == "completion/complete") return params["ref"]["type"].string_is("ref/prompt");
  if (method != "tools/call") return false;
  std::string scratch;
  const std::string_view name = params["name"].string(scratch).value_or("");
  return name == "test_missing_capability" || Dialogs::has(name);
}

WorkPtr Fixtures::begin(std::string_view method, View params, Reply reply) {
  std::string scratch;
  const std::string_view name = params["name"].string(scratch).value_or("");
  if (method == "prompts/list") {
    reply.result(kPrompts, true);
  } else if (method == "completion/complete") {
    reply.completions({"paris", "park", "party"});
  } else if (method == "prompts/get" && !Dialogs::has(name)) {
    get_prompt(params, reply);
  } else if (Dialogs::has(name)) {
    dialogs_.go_on(name, params, reply);
  } else {
    need_sampling(params, reply);
  }
  return nullptr;
}

void Fixtures::get_prompt(View params, Reply reply) {
  const View name = params["name"];
  std::string messages;
  if (name.string_is("test_simple_prompt")) {
    messages = message(text("This is a simple prompt for testing."));
  } else if (name.string_is("test_prompt_with_arguments")) {
    messages = message(text("Prompt with arguments: arg1='" + argument(params, "arg1") +
                            "', arg2='" + argument(params, "arg2") + "'"));
  } else if (name.string_is("test_prompt_with_embedded_resource")) {
    messages = message(embedded(argument(params, "resourceUri"), "text/plain",
                                "Embedded resource content for testing.")) +
               ',' + message(text("Please process the embedded resource above."));
  } else if (name.string_is("test_prompt_with_image")) {
    messages = message(bytes("image", "image/png", kPng)) + ',' +
               message(text("Please analyze the image above."));
  } else {
    return reply.error({mcp::kInvalidParams, "there is no such prompt", {}});
  }
  reply.result("\"messages\":[" + messages + ']');
}

}  // namespace nb::conformance
