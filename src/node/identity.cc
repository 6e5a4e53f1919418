#include "node/identity.h"

#include "base/text.h"

namespace nb::node {

Identity make_identity(std::string node, std::string boot_id, WallTime start, Random& random) {
  Identity identity;
  // Two agents may start in one microsecond, in one process even: hence the random tail.
  identity.instance_id =
      format("%s-%.8s-%llx-%04llx", node.c_str(), boot_id.empty() ? "noboot" : boot_id.c_str(),
             static_cast<unsigned long long>(start.time_since_epoch().count()),
             static_cast<unsigned long long>(random.below(0x10000)));
  identity.node = std::move(node);
  identity.boot_id = std::move(boot_id);
  return identity;
}

}  // namespace nb::node
