// SPDX-License-Identifier: BSD-2-Clause
#pragma once

/// Prints `ok WHAT` or `FAIL WHAT`, and counts the latter.
void check(bool good, const char *what);

/// The same for a number, which a failure shows beside the one it should be.
void check_equal(unsigned long actual, unsigned long expected, const char *what);

// Each file has one of these.
void check_cpuid();
void check_device_page();
void check_fpu();
void check_hypercalls();
void check_memory();
void check_time();
void check_traps();
