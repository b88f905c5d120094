// SPDX-License-Identifier: BSD-2-Clause
#pragma once

/// Whether next_ready() has a socket.
bool some_are_ready();
