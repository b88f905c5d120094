// SPDX-License-Identifier: Apache-2.0
// A zstd frame (RFC 8878) with a checksum, written and read piece by piece.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <zstd.h>

#include "vmctl/saved.hpp"

namespace vmctl
{

class frame_writer final
{
public:
	// \p most bytes will be written.
	frame_writer(const byte_sink &to, std::uint64_t most);

	[[nodiscard]] result<void> write(std::span<const std::byte> bytes);
	// The end of the frame, with the checksum.
	[[nodiscard]] result<void> finish();

private:
	struct free_context {
		void operator()(ZSTD_CCtx *context) const { ZSTD_freeCCtx(context); }
	};

	[[nodiscard]] result<void> compress(std::span<const std::byte> bytes, ZSTD_EndDirective how);

	const byte_sink &to_;
	std::unique_ptr<ZSTD_CCtx, free_context> context_;
	std::vector<std::byte> room_;
};

class frame_reader final
{
public:
	explicit frame_reader(const byte_source &from);

	// Fills all of \p bytes. EBADMSG when the frame is damaged or ends before.
	[[nodiscard]] result<void> read(std::span<std::byte> bytes);
	// The frame must be over, and with \p to_the_end so must the source. EBADMSG.
	[[nodiscard]] result<void> finish(bool to_the_end);

private:
	struct free_context {
		void operator()(ZSTD_DCtx *context) const { ZSTD_freeDCtx(context); }
	};

	[[nodiscard]] result<void> refill();
	// What there is for \p bytes; how much.
	[[nodiscard]] result<std::size_t> decompress(std::span<std::byte> bytes);

	const byte_source &from_;
	std::unique_ptr<ZSTD_DCtx, free_context> context_;
	std::vector<std::byte> room_;
	ZSTD_inBuffer input_{};
	bool ended_ = false; // the frame, not the source
};

} // namespace vmctl
