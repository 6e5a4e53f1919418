// SocketFile: a listening Unix socket and its file. The socket of a living process is never
// replaced, that of a dead process is, and a file that is no socket is left alone. Clients find
// either the old socket, or the new one with its mode and group, and never something in between.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace nb::ipc {

class SocketFile {
 public:
  SocketFile() = default;
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile() { close(); }

  // Makes `path`, and its folder if only that is missing. `PATH.lock` is held while it is open.
  Status open(const std::string& path, uint32_t mode, std::optional<uint32_t> group);
  // Takes over a socket that another process has made. Its file is left alone.
  Status adopt(int fd);
  // Removes the file if open() has made it and it is still there. Does nothing if not open.
  void close();

  int fd() const { return socket_.get(); }

 private:
  Status lock(const std::string& path);
  Status make(const std::string& path, uint32_t mode, std::optional<uint32_t> group);

  UniqueFd socket_, lock_;
  std::string path_;  // empty: the file is not ours
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace nb::ipc
