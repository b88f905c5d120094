// SPDX-License-Identifier: Apache-2.0
// Network namespaces that `ip netns add` has given a name.
#pragma once

#include "cli.hpp"

namespace vmctl::cli
{

// From now on this thread is in the namespace that --netns of `in` names; where it was without that.
outcome<void> enter_namespace(const context &world, const invocation &in);

} // namespace vmctl::cli
