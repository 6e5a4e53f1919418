// Shell completion: the shells' scripts only ask `nodebeatctl __complete WORD...`, so what they
// offer is what the program takes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nb::ctl {

struct Choice {
  std::string word, description;
};

// Of "bash", "zsh" or "fish"; as it is installed.
std::string_view completion_script(std::string_view shell);

// What may stand as operand number `index` of `command`. Keys are asked of the agent at `socket`,
// briefly; without it there are none.
std::vector<Choice> operand_choices(const std::string& command, size_t index,
                                    const std::string& begun, const std::string& socket);

// Those that begin with `begun`: a line each, word, tab, description.
std::string choices_text(const std::vector<Choice>& choices, std::string_view begun);

}  // namespace nb::ctl
