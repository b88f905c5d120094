// SPDX-License-Identifier: Apache-2.0
// restore --incoming: the other side of migrate.
#pragma once

#include "cli.hpp"

namespace vmctl::cli
{

// Takes a VM from standard input, and makes it when the sender says so. The status.
int receive(const context &world, const invocation &in);

} // namespace vmctl::cli
