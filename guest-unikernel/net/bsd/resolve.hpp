// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <netinet/in.h>

/// Asks the name server that this VM was given for the IPv4 address of @p name, and waits for its
/// answer, about seven seconds at most. Returns 0; EAI_NONAME for what is no name, and whenever the
/// server says that it has no address for it, be it because it cannot ask others; EAI_AGAIN when
/// there is no server or it does not answer; EAI_MEMORY.
int resolve(const char *name, in_addr &address);
