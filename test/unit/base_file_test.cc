// Unit tests of base/: files that belong to others, and our own. A test touches only what it made.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/own_file.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace nb {
namespace {

TEST(File, ReadsWholeAndRefusesWhatIsTooLong) {
  char path[] = "/tmp/nodebeat-base-test-XXXXXX";
  UniqueFd fd(::mkstemp(path));
  ASSERT_TRUE(fd);
  const std::string text(10000, 'a');
  ASSERT_EQ(::write(fd.get(), text.data(), text.size()), 10000);
  EXPECT_EQ(*read_small_file(path), text);
  const auto too_long = read_small_file(path, 9999);
  ASSERT_FALSE(too_long.ok());
  EXPECT_NE(too_long.error().message.find(path), std::string::npos);
  ::unlink(path);
  EXPECT_EQ(read_small_file(path).error().message,
            std::string(path) + ": No such file or directory");
}

struct OwnFolder {
  char path[32] = "/tmp/nodebeat-base-test-XXXXXX";
  OwnFolder() { EXPECT_NE(::mkdtemp(path), nullptr); }
  OwnFolder(const OwnFolder&) = delete;
  OwnFolder& operator=(const OwnFolder&) = delete;
  ~OwnFolder() { std::filesystem::remove_all(path); }
  std::string operator/(const char* name) const { return std::string(path) + "/" + name; }
};

TEST(File, MayBeAsLongAsTheLimit) {
  const OwnFolder folder;
  ASSERT_TRUE(replace_own_file(folder / "file", std::string(5000, 'a')).ok());
  EXPECT_EQ(read_small_file(folder / "file", 5000)->size(), 5000u);
  EXPECT_EQ(read_small_file(folder / "file", 4999).error().message,
            folder / "file" + ": longer than the 4999 bytes allowed here");
  EXPECT_EQ(read_plain_file(folder / "file", 5000)->size(), 5000u);
  EXPECT_FALSE(read_plain_file(folder / "file", 4999).ok());
}

// Of a path where somebody else may have put something.
TEST(File, APlainFileIsNeitherALinkNorAnythingElse) {
  const OwnFolder folder;
  ASSERT_TRUE(replace_own_file(folder / "file", "text").ok());
  ASSERT_EQ(::symlink("file", (folder / "link").c_str()), 0);
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder / "socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(*read_plain_file(folder / "file", 100), "text");
  const auto why = [&](const std::string& path) { return read_plain_file(path, 100).error(); };
  EXPECT_EQ(why(folder / "link").message,
            folder / "link" + " is a symbolic link, which is not followed: name the file itself");
  for (const char* name : {"fifo", "socket", "."}) {
    EXPECT_EQ(why(folder / name).message, folder / name + " is no regular file");
    EXPECT_EQ(why(folder / name).fault, Fault::blind);
  }
  EXPECT_EQ(why(folder / "none").message, folder / "none" + ": No such file or directory");
  EXPECT_EQ(why(folder / "none").fault, Fault::other) << "this says something: it is not there";
  EXPECT_EQ(why(folder / "link").fault, Fault::blind);
}

TEST(File, AReaderThatCannotLookIsBlind) {
  for (const int error : {EACCES, EPERM, EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL}) {
    EXPECT_TRUE(is_own_trouble(error)) << error;
  }
  for (const int error : {0, ENOENT, ECONNREFUSED, ETIMEDOUT, EIO}) {
    EXPECT_FALSE(is_own_trouble(error)) << error;
  }
  EXPECT_EQ(read_descriptor(-1, "name", 100).error().message, "name: Bad file descriptor");
  // Read from its beginning it is EIO, as a file on a disk that fails.
  const Error error = read_plain_file("/proc/self/mem", 100).error();
  EXPECT_EQ(error.message, "/proc/self/mem: Input/output error");
  EXPECT_EQ(error.fault, Fault::blind);
  EXPECT_EQ(read_plain_file("/proc/self/stat/x", 100).error().fault, Fault::other);
}

TEST(OwnFile, ReplacesInOneStepAndReadsAgain) {
  const OwnFolder folder;
  EXPECT_TRUE(replace_own_file(folder / "note", "one").ok());
  EXPECT_TRUE(replace_own_file(folder / "note", "two").ok());
  EXPECT_EQ(*read_own_file(folder / "note"), "two");
  EXPECT_EQ(read_own_file(folder / "none").error().message,
            folder / "none" + ": No such file or directory");
  EXPECT_EQ(read_own_file(folder / "note", 2).error().message,
            folder / "note" + ": longer than the 2 bytes allowed here");
}

TEST(OwnFile, LeavesAloneWhatIsNotOurs) {
  const OwnFolder folder;
  ASSERT_TRUE(replace_own_file(folder / "precious", "precious").ok());
  ASSERT_EQ(::symlink((folder / "precious").c_str(), (folder / "link").c_str()), 0);
  ASSERT_EQ(::symlink((folder / "precious").c_str(), (folder / "note~").c_str()), 0);
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  const auto why = [&](const char* name, int flags) {
    const auto fd = open_own_file(folder / name, flags);
    return fd.ok() ? std::string() : fd.error().message.substr(std::strlen(folder.path) + 1);
  };
  const std::string rest =
      ", and is left alone: remove it, or configure another path for the socket";
  EXPECT_EQ(why("link", O_RDONLY), "link is a symbolic link" + rest);
  EXPECT_EQ(why("link", O_RDWR | O_CREAT), "link is a symbolic link" + rest);
  EXPECT_EQ(why("fifo", O_RDONLY), "fifo is no file" + rest) << "and nobody waits for a writer";
  EXPECT_TRUE(replace_own_file(folder / "note", "ours").ok());
  EXPECT_EQ(*read_own_file(folder / "precious"), "precious") << "the draft was a link to it";
  ASSERT_EQ(::link((folder / "precious").c_str(), (folder / "second").c_str()), 0);
  EXPECT_EQ(why("precious", O_RDWR), "precious is a file that has another name, too" + rest);
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make another user's file";
  ASSERT_EQ(::chown((folder / "note").c_str(), 54321, static_cast<gid_t>(-1)), 0);
  EXPECT_EQ(why("note", O_RDONLY), "note is another user's" + rest);
  EXPECT_EQ(open_own_file(folder / "note", O_RDONLY).error().fault, Fault::no_place);
}

TEST(OwnFile, TheErrorSaysWhatIsWrongWithThePlace) {
  const OwnFolder folder;
  const std::string missing = folder / "none/note";
  EXPECT_EQ(replace_own_file(missing, "x").error().message,
            missing + "~: No such file or directory");
  EXPECT_EQ(replace_own_file(missing, "x").error().fault, Fault::no_place);
  ASSERT_EQ(::mkdir((folder / "folder").c_str(), 0700), 0);
  EXPECT_EQ(replace_own_file(folder / "folder", "x").error().message,
            folder / "folder" + ": Is a directory");
  EXPECT_EQ(read_own_file(folder / "folder").error().fault, Fault::no_place) << "it is no file";
  EXPECT_EQ(fault_of(EROFS), Fault::read_only);
  EXPECT_EQ(fault_of(ENOSPC), Fault::no_space);
  EXPECT_EQ(fault_of(EACCES), Fault::denied);
  EXPECT_EQ(fault_of(EIO), Fault::other);
}

TEST(OwnFile, HasAtMost64KiBWhereNothingElseIsSaid) {
  const OwnFolder folder;
  ASSERT_TRUE(replace_own_file(folder / "note", std::string(64 * 1024, 'x')).ok());
  EXPECT_TRUE(read_own_file(folder / "note").ok());
  EXPECT_TRUE(read_small_file(folder / "note").ok());
  ASSERT_TRUE(replace_own_file(folder / "note", std::string(64 * 1024 + 1, 'x')).ok());
  EXPECT_FALSE(read_own_file(folder / "note").ok());
  EXPECT_FALSE(read_small_file(folder / "note").ok());
}

TEST(OwnFile, IsAsLongAsItsLimitAndHasItsMode) {
  const OwnFolder folder;
  ASSERT_TRUE(replace_own_file(folder / "note", "four").ok());
  EXPECT_EQ(*read_own_file(folder / "note", 4), "four");
  EXPECT_FALSE(read_own_file(folder / "note", 3).ok());
  struct stat status {};
  ASSERT_EQ(::stat((folder / "note").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0137, 0u) << "nobody but its group reads it, nobody else writes it";
  EXPECT_NE(status.st_mode & 0600, 0u);
  EXPECT_FALSE(std::filesystem::exists(folder / "note~")) << "the draft has gone";
}

}  // namespace
}  // namespace nb
