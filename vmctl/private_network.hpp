// SPDX-License-Identifier: Apache-2.0
// A network for one VM of somebody who may not change this host's.
#pragma once

#include <vmctl/vmctl.hpp>

namespace vmctl::cli
{

// Moves this process, which has one thread, into a user and a network namespace of its own, and
// makes a network there. The VM's place on it. Both last as long as the process, and nothing leads
// out of them. EPERM, ENOSPC: this host allows no such namespaces.
result<network_place> enter_private_network();

} // namespace vmctl::cli
