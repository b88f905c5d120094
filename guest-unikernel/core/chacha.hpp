// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

using chacha_key = std::array<std::uint32_t, 8>;
using chacha_block = std::array<std::uint32_t, 16>;

/// Block @p counter of ChaCha20's key stream (RFC 8439, 2.3) with a nonce of zeros, as
/// little-endian words. No key may be used for two streams.
chacha_block chacha20(const chacha_key &key, std::uint32_t counter);
