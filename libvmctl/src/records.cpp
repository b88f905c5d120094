// SPDX-License-Identifier: Apache-2.0
#include "records.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace vmctl
{

namespace
{

// Guests' memory is compressed while they wait: fast is better than small.
constexpr int level = 1;

// Of the compressor's table, which it clears for each record: 32 KiB, and most records are
// smaller than that.
constexpr int hash_log = 13;

using length = std::uint32_t;

std::unexpected<error> no_memory()
{
	return fail(ENOMEM, errno_text(ENOMEM));
}

std::unexpected<error> damaged()
{
	return fail(EBADMSG, "damaged");
}

// Fills all of \p room.
result<void> read_all(const byte_source &from, std::span<std::byte> room)
{
	while (!room.empty()) {
		const std::size_t got = VMCTL_TRY(from(room));

		if (got == 0)
			return fail(EBADMSG, "ends too early");
		room = room.subspan(got);
	}
	return {};
}

// Exactly one frame of today's zstd, which knows frames of others, too; and with a checksum
// (RFC 8878 3.1.1).
bool is_one_frame(std::span<const std::byte> bytes)
{
	constexpr std::byte has_checksum{4};
	std::uint32_t magic = 0;

	if (bytes.size() <= sizeof magic)
		return false;
	std::memcpy(&magic, bytes.data(), sizeof magic);
	return magic == ZSTD_MAGICNUMBER && (bytes[sizeof magic] & has_checksum) != std::byte{} &&
	       ZSTD_findFrameCompressedSize(bytes.data(), bytes.size()) == bytes.size();
}

} // namespace

record_writer::record_writer(const byte_sink &to, std::size_t longest)
	: to_(to), context_(ZSTD_createCCtx()), size_(sizeof(length) + ZSTD_compressBound(longest)),
	  room_(std::make_unique_for_overwrite<std::byte[]>(size_))
{
	if (!context_)
		return;
	ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_hashLog, hash_log);
	ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
}

result<void> record_writer::write(std::span<const std::byte> content)
{
	if (!context_)
		return no_memory();

	const std::span room(room_.get(), size_);
	const auto frame = room.subspan(sizeof(length));
	const std::size_t size = ZSTD_compress2(context_.get(), frame.data(), frame.size(), content.data(),
						content.size());

	if (ZSTD_isError(size) != 0)
		return no_memory();

	const auto prefix = static_cast<length>(size);

	std::memcpy(room.data(), &prefix, sizeof prefix);
	return to_(room.first(sizeof prefix + size));
}

record_reader::record_reader(const byte_source &from, std::size_t longest)
	: from_(from), context_(ZSTD_createDCtx()), longest_(longest)
{
}

result<std::span<const std::byte>> record_reader::read()
{
	length size = 0;

	if (!context_)
		return no_memory();
	VMCTL_TRY(read_all(from_, std::as_writable_bytes(std::span(&size, 1))));
	if (size > ZSTD_compressBound(longest_))
		return damaged();
	frame_.resize(size);
	VMCTL_TRY(read_all(from_, frame_));

	// Also the two numbers that mean an error are more than there may be.
	const std::uint64_t content_size = ZSTD_getFrameContentSize(frame_.data(), size);

	if (!is_one_frame(frame_) || content_size > longest_)
		return damaged();
	content_.resize(content_size);
	if (ZSTD_decompressDCtx(context_.get(), content_.data(), content_.size(), frame_.data(), size) !=
	    content_.size())
		return damaged();
	return content_;
}

result<void> record_reader::expect_end() const
{
	std::array<std::byte, 1> more{};

	if (VMCTL_TRY(from_(more)) != 0)
		return fail(EBADMSG, "has something behind its end");
	return {};
}

} // namespace vmctl
