#include "probe/dbus_message.h"

#include "base/text.h"

namespace nb::probe {
namespace {

constexpr size_t kFixedHead = 16;  // up to and including the length of the header fields
constexpr size_t kMaxMessage = 64 * 1024;
constexpr char kVersion = 1;
// A question about a service must not start the service.
constexpr uint8_t kNoAutoStart = 2;

enum MessageType : uint8_t { kMethodCall = 1, kMethodReturn = 2, kError = 3 };
enum Field : uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSignature = 8,
};

// All alignment counts from the beginning of the message, which is at `start` in `out`.
class Writer {
 public:
  Writer(std::string& out) : out_(out), start_(out.size()) {}

  void align(size_t to) {
    while ((out_.size() - start_) % to != 0) out_ += '\0';
  }
  void byte(uint8_t value) { out_ += static_cast<char>(value); }
  void u32(uint32_t value) {
    align(4);
    for (int shift = 0; shift < 32; shift += 8) byte(static_cast<uint8_t>(value >> shift));
  }
  void string(std::string_view text) {
    u32(static_cast<uint32_t>(text.size()));
    out_ += text;
    out_ += '\0';
  }
  void signature(std::string_view text) {
    byte(static_cast<uint8_t>(text.size()));
    out_ += text;
    out_ += '\0';
  }
  void field(Field code, char type, std::string_view value) {
    align(8);
    byte(code);
    signature(std::string_view(&type, 1));
    if (type == 'g') {
      signature(value);
    } else {
      string(value);
    }
  }

  size_t size() const { return out_.size() - start_; }
  void set_u32(size_t at, size_t value) {
    for (size_t i = 0; i < 4; ++i) out_[start_ + at + i] = static_cast<char>(value >> (8 * i));
  }

 private:
  std::string& out_;
  size_t start_;
};

// Every read beyond the end gives zeros and makes ok() false from then on.
class Reader {
 public:
  explicit Reader(std::string_view bytes)
      : bytes_(bytes), big_endian_(!bytes.empty() && bytes[0] == 'B') {}

  bool ok() const { return ok_; }
  size_t at() const { return at_; }
  void skip_to(size_t at) {
    ok_ = ok_ && at >= at_ && at <= bytes_.size();
    if (ok_) at_ = at;
  }
  void align(size_t to) { skip_to((at_ + to - 1) / to * to); }

  uint8_t byte() {
    const std::string_view one = take(1);
    return one.empty() ? 0 : static_cast<uint8_t>(one[0]);
  }
  uint32_t u32() {
    align(4);
    const std::string_view four = take(4);
    uint32_t value = 0;
    for (size_t i = 0; i < four.size(); ++i) {
      value |= static_cast<uint32_t>(static_cast<uint8_t>(four[i]))
               << (8 * (big_endian_ ? 3 - i : i));
    }
    return value;
  }
  std::string_view string() { return with_nul(u32()); }
  std::string_view signature() { return with_nul(byte()); }

 private:
  std::string_view take(size_t n) {
    ok_ = ok_ && n <= bytes_.size() - at_;
    if (!ok_) return {};
    at_ += n;
    return bytes_.substr(at_ - n, n);
  }
  std::string_view with_nul(size_t n) {
    const std::string_view text = take(n);
    ok_ = byte() == 0 && ok_;
    return ok_ ? text : std::string_view();
  }

  std::string_view bytes_;
  bool big_endian_;
  bool ok_ = true;
  size_t at_ = 0;
};

struct Head {
  uint8_t type = 0;
  size_t fields_end = 0;
  size_t body = 0;  // where it begins
  size_t end = 0;
};

Head read_head(Reader& reader) {
  Head head;
  reader.byte();
  head.type = reader.byte();
  reader.byte();  // flags
  reader.byte();  // version
  const size_t body_size = reader.u32();
  reader.u32();  // serial
  const size_t fields_size = reader.u32();
  head.fields_end = kFixedHead + fields_size;
  head.body = (head.fields_end + 7) / 8 * 8;
  head.end = head.body + body_size;
  return head;
}

}  // namespace

void append_dbus_call(std::string& out, uint32_t serial, const DbusCall& call,
                      std::initializer_list<std::string_view> arguments) {
  Writer writer(out);
  writer.byte('l');
  writer.byte(kMethodCall);
  writer.byte(kNoAutoStart);
  writer.byte(kVersion);
  writer.u32(0);  // the body's size, set below
  writer.u32(serial);
  writer.u32(0);  // the header fields' size, set below
  writer.field(kPath, 'o', call.path);
  writer.field(kInterface, 's', call.interface);
  writer.field(kMember, 's', call.member);
  writer.field(kDestination, 's', call.destination);
  if (arguments.size() > 0) writer.field(kSignature, 'g', std::string(arguments.size(), 's'));
  writer.set_u32(12, writer.size() - kFixedHead);
  writer.align(8);
  const size_t body = writer.size();
  for (const std::string_view argument : arguments) writer.string(argument);
  writer.set_u32(4, writer.size() - body);
}

Result<size_t> dbus_message_size(std::string_view bytes) {
  if (bytes.size() < kFixedHead) return size_t{0};
  if ((bytes[0] != 'l' && bytes[0] != 'B') || bytes[3] != kVersion) {
    return make_error("answer is not D-Bus");
  }
  Reader reader(bytes);
  const size_t size = read_head(reader).end;
  if (size > kMaxMessage) return make_error("a D-Bus message of %zu bytes is too long", size);
  return size;
}

Result<DbusMessage> parse_dbus_message(std::string_view bytes) {
  Reader reader(bytes);
  const Head head = read_head(reader);
  DbusMessage message;
  message.is_return = head.type == kMethodReturn;
  message.is_error = head.type == kError;
  std::string_view body_type;
  while (reader.ok() && reader.at() < head.fields_end) {
    reader.align(8);
    const uint8_t code = reader.byte();
    const std::string_view type = reader.signature();
    if (type == "s" || type == "o") {
      const std::string_view value = reader.string();
      if (code == kErrorName) message.error_name = value;
    } else if (type == "g") {
      const std::string_view value = reader.signature();
      if (code == kSignature) body_type = value;
    } else if (type == "u") {
      const uint32_t value = reader.u32();
      if (code == kReplySerial) message.reply_serial = value;
    } else {
      return make_error("a D-Bus header field of an unknown type");
    }
  }
  reader.skip_to(head.body);
  if (body_type.starts_with('v')) body_type = reader.signature();
  if (body_type.starts_with('s')) message.text = reader.string();
  if (!reader.ok() || head.end != bytes.size()) return make_error("a malformed D-Bus message");
  return message;
}

std::string unit_object_path(std::string_view unit) {
  std::string path = "/org/freedesktop/systemd1/unit/";
  for (size_t i = 0; i < unit.size(); ++i) {
    const char c = unit[i];
    const bool digit = c >= '0' && c <= '9';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter || (digit && i > 0)) {
      path += c;
    } else {
      path += format("_%02x", static_cast<unsigned char>(c));
    }
  }
  return path;
}

}  // namespace nb::probe
