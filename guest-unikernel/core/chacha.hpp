// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

using chacha_key = std::array<std::uint32_t, 8>;
using chacha_block = std::array<std::uint32_t, 16>;

/// Block @p counter of ChaCha20's key stream (RFC 8439, 2.3), as little-endian words;
/// @p nonce is the last two words of the nonce there, its first one is 0.
chacha_block chacha20(const chacha_key &key, std::uint32_t counter, std::uint64_t nonce = 0);
