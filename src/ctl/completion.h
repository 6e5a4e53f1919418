// Shell completion. The scripts of the shells only run `nodebeatctl __complete WORD...`, so they
// always offer the words that the program accepts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nb::ctl {

struct Choice {
  std::string word, description;
};

// The script for "bash", "zsh" or "fish", as it is installed.
std::string_view completion_script(std::string_view shell);

// The choices for operand number `index` of `command`. The agent at `socket` is asked for keys,
// with a short timeout; without an agent there are none.
std::vector<Choice> operand_choices(const std::string& command, size_t index,
                                    const std::string& begun, const std::string& socket);

// The choices that begin with `begun`, one line each: word, tab, description.
std::string choices_text(const std::vector<Choice>& choices, std::string_view begun);

}  // namespace nb::ctl
