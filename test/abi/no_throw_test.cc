// What src/agent/no_throw.cc does where libstdc++ would throw: words, then SIGABRT. Linked like the
// daemon; each case runs in a process of its own.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

// Not constants, or the compiler would see through the cases.
volatile size_t ninth = 8;
volatile size_t huge = size_t{1} << 62;
void* volatile kept = nullptr;

struct alignas(128) Line {
  char bytes[128];
};

// What the process says and how it ends, "signal 6" or "exit 0".
std::string fate_of(void (*act)()) {
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::dup2(ends[1], STDERR_FILENO);
    act();
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char piece[256];
  for (ssize_t n = 0; (n = ::read(ends[0], piece, sizeof piece)) > 0;) {
    said.append(piece, static_cast<size_t>(n));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  said += WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                              : "exit " + std::to_string(WEXITSTATUS(status));
  return said;
}

int failures = 0;

void expect(const char* name, void (*act)(), const std::string& wanted) {
  const std::string fate = fate_of(act);
  if (fate == wanted) return;
  std::printf("%s: expected\n  %s\ngot\n  %s\n", name, wanted.c_str(), fate.c_str());
  ++failures;
}

std::string fatal(const char* why) {
  return std::string("<2>nodebeatd: fatal: ") + why + "\nsignal " + std::to_string(SIGABRT);
}

}  // namespace

int main() {
  expect(
      "a life without trouble",
      [] {
        auto line = std::make_shared<Line>();
        std::vector<Line> lines(ninth);
        lines[1] = *line;
        std::thread([] {}).join();
      },
      "exit 0");
  expect(
      "out of memory", [] { kept = ::operator new(huge); }, fatal("out of memory"));
  expect(
      "out of aligned memory",
      [] { ::operator delete (::operator new (huge, std::align_val_t{64}), std::align_val_t{64}); },
      fatal("out of memory"));
  expect(
      "too long",
      [] {
        std::vector<int> numbers;
        numbers.reserve(huge);
        kept = numbers.data();
      },
      fatal("vector::reserve"));
  expect(
      "beyond the end", [] { (void)std::string("abc").substr(ninth); },
      fatal("basic_string::substr: __pos (which is 8) > this->size() (which is 3)"));
  expect(
      "an empty function", [] { std::function<void()>()(); },
      fatal("an empty function was called"));
  return failures == 0 ? 0 : 1;
}
