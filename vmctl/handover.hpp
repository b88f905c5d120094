// SPDX-License-Identifier: Apache-2.0
// What the two sides of a migration say to each other, a line each:
//
//	receiver	sender
//	waiting
//			the saved image (docs/snapshots.md)
//	arrived
//			start NAME, or keep NAME; NAME may be missing
//	running ID, or failed
//
// Until `start` is written, the VM is the sender's. From then on it is the receiver's, unless
// that says `failed`, or has waited too long for this word.
#pragma once

#include <chrono>
#include <string_view>

namespace vmctl::cli::handover
{

// With the number of this protocol. What comes before it is a shell's that greets.
constexpr std::string_view waiting = "mayfly waiting 1";
constexpr std::string_view arrived = "arrived";
constexpr std::string_view start = "start";
constexpr std::string_view keep = "keep"; // made, but not started
constexpr std::string_view running = "running";
constexpr std::string_view failed = "failed";

// The receiver waits for the sender's last word, which follows `arrived` at once.
constexpr std::chrono::seconds longest_wait{60};

// Bytes of a line at most.
constexpr unsigned longest_line = 256;

} // namespace vmctl::cli::handover
