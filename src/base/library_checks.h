// Included before every source of the rooms (meson.build). With _GLIBCXX_ASSERTIONS libstdc++
// checks indexes, empty optionals and the like. For a failed check libstdc++ names file, line,
// function and condition, which adds a fifth to the code. A trap instead adds a fiftieth, ends the
// program in the same way, and waits for no reader. The next run reports it ("signal ILL",
// nodebeatd(8)).
#pragma once

#ifdef __cplusplus
#include <cstddef>
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c): the names are the library's
#ifdef _GLIBCXX_ASSERT_FAIL  // from gcc 13 on
#undef _GLIBCXX_ASSERT_FAIL
#define _GLIBCXX_ASSERT_FAIL(condition) __builtin_trap()
#elif defined(__glibcxx_assert_impl)
#undef __glibcxx_assert_impl
#define __glibcxx_assert_impl(condition) \
  if (__builtin_expect(!bool(condition), false)) __builtin_trap()
#endif
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c)
#endif
