// node.forget: takes a node that is gone for good out of the list of nodes.
#pragma once

#include <memory>
#include <string_view>

#include "cell/operation.h"

namespace nb::cell {

std::unique_ptr<Operation> make_forget_operation(std::string_view node,
                                                 Delegate<void(std::string_view)> on_forgotten);

}  // namespace nb::cell
