#include "client/caller_text.h"

#include <cstring>

#include "base/text.h"
#include "client/json_members.h"
#include "json/scan.h"
#include "nodebeat/result.h"
#include "rpc/line_limits.h"

namespace nb::client {

int take_text(const char* text, size_t limit, std::string_view& out) {
  if (text == nullptr) return NB_ERR_ARGUMENT;
  const std::string_view view(text, ::strnlen(text, limit + 1));
  if (view.size() > limit) return NB_ERR_TOO_LARGE;
  if (!is_valid_utf8(view)) return NB_ERR_ARGUMENT;
  out = view;
  return NB_OK;
}

int take_json(const char* text, char opening, size_t depth, std::string_view& out) {
  if (text == nullptr) return NB_ERR_ARGUMENT;
  const std::string_view view(text, ::strnlen(text, rpc::kLineBytes + 1));
  if (view.size() > rpc::kLineBytes) return NB_ERR_TOO_LARGE;
  const json::Limits limits{.max_bytes = rpc::kLineBytes, .max_depth = depth};
  if (json::scan(view, limits).reason != nullptr) return NB_ERR_ARGUMENT;
  if (opening != '\0' && skip_space(view).front() != opening) return NB_ERR_ARGUMENT;
  if (!numbers_in_range(view) || has_twin_names(view)) return NB_ERR_ARGUMENT;
  out = view;
  return NB_OK;
}

}  // namespace nb::client
