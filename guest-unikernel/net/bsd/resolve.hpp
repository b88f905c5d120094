// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <netinet/in.h>

/// Asks the name server that this VM was given for the IPv4 address of @p name, and waits for its
/// answer, about seven seconds at most. Returns 0, EAI_NONAME, EAI_AGAIN when there is no server
/// or it does not answer, EAI_MEMORY.
int resolve(const char *name, in_addr &address);
