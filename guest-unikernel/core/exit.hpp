// SPDX-License-Identifier: BSD-2-Clause
#pragma once

/// Calls the destructors and what atexit() was given. Null in programs with neither.
[[gnu::weak]] void run_exit_calls();
