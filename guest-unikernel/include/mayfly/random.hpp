// SPDX-License-Identifier: BSD-2-Clause
//
// Random numbers that nobody can guess, for keys and tokens: ChaCha20 from the seed that
// Mayfly gives each VM. In a clone they start afresh: no two VMs draw the same. If a VM
// that is not ready() is snapshotted in the midst of a call, what that call returns may
// be the same in its clones.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mayfly
{

/// Fills @p bytes.
void fill_random(std::span<std::byte> bytes);

/// Any number, each as likely as the others.
std::uint64_t random_number();

}
