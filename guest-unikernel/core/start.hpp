// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <mayfly_guest.h>

/// Exit status of a VM whose device page is not one.
inline constexpr int bad_device_page = 126;

/// Runs the constructors and main(), and ends the VM with its result.
extern "C" [[noreturn]] void run_application(const mayfly_device_page *page);
