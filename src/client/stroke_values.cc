#include "client/stroke_values.h"

#include <cstddef>

#include "client/caller_text.h"

namespace nb::client {
namespace {

constexpr uint32_t kAll = (NB_STROKE_TIMESTAMP << 1) - 1;
constexpr int kIntegers = 6;
constexpr int kTexts = 4;
constexpr int kDataset = 3;
constexpr size_t kFixedBytes = 600;
constexpr std::string_view kUpdate = R"({"jsonrpc":"2.0","method":"stroke.update","params":{)";
constexpr std::string_view kStart = R"({"jsonrpc":"2.0","method":"stroke.start","params":{)";

constexpr std::string_view kIntegerNames[kIntegers] = {
    "\"stroke_idx\":",    "\"pose_idx\":",     "\"total_strokes\":",
    "\"stroke_length\":", "\"offset_idx_l\":", "\"offset_idx_r\":"};

struct TextMember {
  std::string_view name;
  uint32_t bit;
  size_t limit;
  size_t offset;  // in text_
};

constexpr size_t kLong = StrokeValues::kDescriptionBytes;
constexpr size_t kShort = StrokeValues::kNameBytes;
constexpr TextMember kTextMembers[kTexts] = {
    {"\"stroke_description_l\":", NB_STROKE_DESCRIPTION_L, kLong, 0},
    {"\"stroke_description_r\":", NB_STROKE_DESCRIPTION_R, kLong, kLong},
    {"\"scene_name\":", NB_STROKE_SCENE_NAME, kShort, 2 * kLong},
    {"\"dataset_name\":", NB_STROKE_DATASET_NAME, kShort, 2 * kLong + kShort}};

// As in robot_values.cc.
constexpr uint16_t kOffsets[] = {
    offsetof(nb_stroke, stroke_idx),    offsetof(nb_stroke, pose_idx),
    offsetof(nb_stroke, total_strokes), offsetof(nb_stroke, stroke_length),
    offsetof(nb_stroke, offset_idx_l),  offsetof(nb_stroke, offset_idx_r),
    offsetof(nb_stroke, description_l), offsetof(nb_stroke, description_r),
    offsetof(nb_stroke, is_executing),  offsetof(nb_stroke, is_paused),
    offsetof(nb_stroke, scene_name),    offsetof(nb_stroke, dataset_name),
    offsetof(nb_stroke, timestamp_us)};

bool has(uint32_t members, uint32_t bit) {
  return (members & bit) != 0;
}

int64_t integer_of(const nb_stroke& stroke, int i) {
  const int64_t values[kIntegers] = {stroke.stroke_idx,    stroke.pose_idx,
                                     stroke.total_strokes, stroke.stroke_length,
                                     stroke.offset_idx_l,  stroke.offset_idx_r};
  return values[i];
}

const char* text_of(const nb_stroke& stroke, int i) {
  const char* const texts[kTexts] = {stroke.description_l, stroke.description_r, stroke.scene_name,
                                     stroke.dataset_name};
  return texts[i];
}

std::string_view view_of(const nb_stroke& stroke, int i) {
  const char* const text = text_of(stroke, i);
  if (text == nullptr) return {};
  return {text, ::strnlen(text, kTextMembers[i].limit)};
}

// Writes one line. `integer` and `text` find the values.
template <class Integer, class Text>
void write_line(LineWriter& out, std::string_view begin, uint32_t members, int64_t timestamp,
                bool executing, bool paused, Integer&& integer, Text&& text) {
  out.raw(begin);
  bool first = true;
  const auto name = [&](std::string_view name_text) {
    if (!first) out.character(',');
    first = false;
    out.raw(name_text);
  };
  if (has(members, NB_STROKE_TIMESTAMP)) {
    name("\"timestamp\":");
    out.timestamp(timestamp);
  }
  for (int i = 0; i < kIntegers; ++i) {
    if (!has(members, uint32_t{NB_STROKE_STROKE_IDX} << i)) continue;
    name(kIntegerNames[i]);
    out.integer(integer(i));
  }
  if (has(members, NB_STROKE_IS_EXECUTING)) {
    name("\"is_executing\":");
    out.boolean(executing);
  }
  if (has(members, NB_STROKE_IS_PAUSED)) {
    name("\"is_paused\":");
    out.boolean(paused);
  }
  for (int i = 0; i < kTexts; ++i) {
    if (!has(members, kTextMembers[i].bit)) continue;
    name(kTextMembers[i].name);
    text(i);
  }
  out.raw("}}\n");
}

}  // namespace

int StrokeValues::check(const nb_stroke& stroke) {
  if ((stroke.has & ~kAll) != 0) return NB_ERR_ARGUMENT;
  if (stroke.size < sizeof stroke && lacks_a_member(stroke.has, stroke.size, kOffsets)) {
    return NB_ERR_ARGUMENT;
  }
  if (has(stroke.has, NB_STROKE_TIMESTAMP) &&
      (stroke.timestamp_us < 0 || stroke.timestamp_us > kMaxTimestamp)) {
    return NB_ERR_ARGUMENT;
  }
  for (int i = 0; i < kTexts; ++i) {
    if (!has(stroke.has, kTextMembers[i].bit)) continue;
    if (i == kDataset && stroke.dataset_name == nullptr) continue;
    std::string_view text;
    const int result = take_text(text_of(stroke, i), kTextMembers[i].limit, text);
    if (result != NB_OK) return result;
  }
  return NB_OK;
}

void StrokeValues::merge(const nb_stroke& stroke) {
  has_ = (has_ & ~static_cast<uint32_t>(NB_STROKE_TIMESTAMP)) | stroke.has;
  for (int i = 0; i < kIntegers; ++i) {
    if (has(stroke.has, uint32_t{NB_STROKE_STROKE_IDX} << i)) integers_[i] = integer_of(stroke, i);
  }
  if (has(stroke.has, NB_STROKE_TIMESTAMP)) timestamp_ = stroke.timestamp_us;
  if (has(stroke.has, NB_STROKE_IS_EXECUTING)) executing_ = stroke.is_executing != 0;
  if (has(stroke.has, NB_STROKE_IS_PAUSED)) paused_ = stroke.is_paused != 0;
  for (int i = 0; i < kTexts; ++i) {
    if (!has(stroke.has, kTextMembers[i].bit)) continue;
    const std::string_view text = view_of(stroke, i);
    if (i == kDataset) dataset_null_ = stroke.dataset_name == nullptr;
    if (!text.empty()) std::memcpy(text_ + kTextMembers[i].offset, text.data(), text.size());
    text_size_[i] = text.size();
    text_escaped_[i] = escaped_size(text);
  }
}

size_t StrokeValues::bound(const nb_stroke& stroke) {
  size_t size = kFixedBytes;
  for (int i = 0; i < kTexts; ++i) {
    if (has(stroke.has, kTextMembers[i].bit)) size += escaped_size(view_of(stroke, i));
  }
  return size;
}

size_t StrokeValues::bound_with(const nb_stroke& stroke) const {
  size_t size = bound(stroke);
  for (int i = 0; i < kTexts; ++i) {
    if (!has(stroke.has, kTextMembers[i].bit) && has(has_, kTextMembers[i].bit)) {
      size += text_escaped_[i];
    }
  }
  return size;
}

void StrokeValues::write(LineWriter& out, uint32_t members) const {
  write_line(
      out, kUpdate, members & has_, timestamp_, executing_, paused_,
      [&](int i) { return integers_[i]; },
      [&](int i) {
        if (i == kDataset && dataset_null_) return out.raw("null");
        out.string({text_ + kTextMembers[i].offset, text_size_[i]});
      });
}

void StrokeValues::write_start(LineWriter& out, const nb_stroke& stroke) {
  write_line(
      out, kStart, stroke.has, stroke.timestamp_us, stroke.is_executing != 0, stroke.is_paused != 0,
      [&](int i) { return integer_of(stroke, i); },
      [&](int i) {
        if (i == kDataset && stroke.dataset_name == nullptr) return out.raw("null");
        out.string(view_of(stroke, i));
      });
}

}  // namespace nb::client
