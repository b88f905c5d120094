// SPDX-License-Identifier: Apache-2.0
// A file's records: each is a length of 4 bytes, and a zstd frame (RFC 8878) of so many that
// has a checksum. Neither side copies what is in them, as a stream would.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <zstd.h>

#include "vmctl/saved.hpp"

namespace vmctl
{

class record_writer final
{
public:
	// No record will have more than \p longest bytes.
	record_writer(const byte_sink &to, std::size_t longest);

	[[nodiscard]] result<void> write(std::span<const std::byte> content);

private:
	struct free_context {
		void operator()(ZSTD_CCtx *context) const { ZSTD_freeCCtx(context); }
	};

	const byte_sink &to_;
	std::unique_ptr<ZSTD_CCtx, free_context> context_;
	std::size_t size_;
	std::unique_ptr<std::byte[]> room_; // of so many bytes
};

class record_reader final
{
public:
	// A record with more than \p longest bytes is damaged.
	record_reader(const byte_source &from, std::size_t longest);

	// The next record, which is there until the next one is read. Reads nothing that is
	// behind it. EBADMSG: it is damaged, or there is none.
	[[nodiscard]] result<std::span<const std::byte>> read();

	// Is nothing behind what was read? EBADMSG.
	[[nodiscard]] result<void> expect_end() const;

private:
	struct free_context {
		void operator()(ZSTD_DCtx *context) const { ZSTD_freeDCtx(context); }
	};

	const byte_source &from_;
	std::unique_ptr<ZSTD_DCtx, free_context> context_;
	std::size_t longest_;
	std::vector<std::byte> frame_, content_;
};

} // namespace vmctl
