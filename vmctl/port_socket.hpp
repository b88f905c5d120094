// SPDX-License-Identifier: Apache-2.0
// Sockets at ports of this host.
#pragma once

#include <vmctl/vmctl.hpp>

#include "firewall.hpp"

namespace vmctl::cli
{

// A socket at the outside of `ports`; one of TCP does not listen yet. EADDRINUSE, EADDRNOTAVAIL not
// an address of this host, EACCES.
result<descriptor> bind_port(system &calls, const port_pair &ports);

// The same, but one of TCP listens, and none blocks.
result<descriptor> open_port(system &calls, const port_pair &ports);

} // namespace vmctl::cli
