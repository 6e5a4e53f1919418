// KernelFile: one file of /proc or /sys that is read again and again.
//
// The descriptor stays open between reads (a pread of /proc/meminfo costs half of open, read and
// close), is dropped when a read fails, and is opened again at the next. Nothing here waits:
// files are opened O_NONBLOCK, so that a FIFO in a file's place does no harm.
//
// A file that is not there is normal and silent. One that cannot be read, or whose text is not
// what it should be, is said once, and once more when it reads well again.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/unique_fd.h"

namespace nb::health {

// The bytes of the file that is being looked at; shared by all readers of a sampler. Grows to the
// longest file seen.
class Scratch {
 public:
  static constexpr size_t kLimit = 256 * 1024;  // a longer file is read to here only

  char* data() { return data_.get(); }
  size_t size() const { return size_; }
  void grow();

 private:
  static constexpr size_t kStart = 4096;

  size_t size_ = kStart;
  // Not value-initialised: pages that no file has filled cost nothing.
  std::unique_ptr<char[]> data_{new char[kStart]};
};

class KernelFile {
 public:
  // How much to read: `start`, one pread, is enough where the answer is in the first line or the
  // file is short; `whole` goes on to the end (seq_file may stop early at any record).
  enum class Part { start, whole };
  // Of a sensor, errors are normal too: one that is switched off answers EAGAIN, EIO or ENODATA.
  enum class Kind { file, sensor };

  // `log` must outlive it.
  KernelFile(const Log& log, std::string path, Kind kind = Kind::file);

  // The result of `parse(text)`, which returns an optional; nothing if there is no file.
  template <class Parse>
  auto read(Scratch& scratch, Part part, Parse&& parse) -> decltype(parse(std::string_view())) {
    const std::optional<std::string_view> text = load(scratch, part);
    if (!text) return std::nullopt;
    auto value = parse(*text);
    judge(value.has_value());
    return value;
  }

  // True if the kernel signals a change since the last call (poll(2) with POLLPRI: mountinfo), or
  // if the file is not open. Does not wait.
  bool changed() const;

  // For text that was read elsewhere: reports once that it could not be parsed.
  void judge(bool understood);

  const std::string& path() const { return path_; }

 private:
  std::optional<std::string_view> load(Scratch& scratch, Part part);
  void fail(int error);

  const Log* log_;
  std::string path_;
  UniqueFd fd_;
  Kind kind_;
  bool complained_ = false;
};

// Opens, reads at most `size` bytes and closes. The number of bytes, or a negative errno.
// Touches nothing shared: for any thread.
int read_once(const char* path, char* buffer, size_t size);

// A short file's text without surrounding white space, at most 255 characters; empty if there is
// none. For names and the like that are read seldom.
std::string read_word(const std::string& path);

}  // namespace nb::health
