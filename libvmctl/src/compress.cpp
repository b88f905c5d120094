// SPDX-License-Identifier: Apache-2.0
#include "compress.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

namespace vmctl
{

namespace
{

// Guests' memory is compressed while they wait: fast is better than small.
constexpr int level = 1;

// How far back a frame may refer: both sides need so much memory, and small guests are
// many. A hostile frame cannot ask for more than 8 MiB (RFC 8878 3.1.1.1.2).
constexpr int window_log_min = 14, window_log_usual = 20, window_log_max = 23;

std::unexpected<error> no_memory()
{
	return fail(ENOMEM, errno_text(ENOMEM));
}

std::unexpected<error> damaged()
{
	return fail(EBADMSG, "damaged");
}

} // namespace

frame_writer::frame_writer(const byte_sink &to, std::uint64_t most)
	: to_(to), context_(ZSTD_createCCtx()), room_(ZSTD_CStreamOutSize())
{
	if (!context_)
		return;
	ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_windowLog,
			       std::clamp(static_cast<int>(std::bit_width(most)), window_log_min, window_log_usual));
	ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
}

result<void> frame_writer::compress(std::span<const std::byte> bytes, ZSTD_EndDirective how)
{
	ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
	std::size_t left;

	if (!context_)
		return no_memory();
	do {
		ZSTD_outBuffer output{room_.data(), room_.size(), 0};

		left = ZSTD_compressStream2(context_.get(), &output, &input, how);
		if (ZSTD_isError(left) != 0)
			return no_memory();
		if (output.pos > 0)
			VMCTL_TRY(to_(std::span(room_).first(output.pos)));
	} while (input.pos < input.size || (how == ZSTD_e_end && left > 0));
	return {};
}

result<void> frame_writer::write(std::span<const std::byte> bytes)
{
	return compress(bytes, ZSTD_e_continue);
}

result<void> frame_writer::finish()
{
	return compress({}, ZSTD_e_end);
}

frame_reader::frame_reader(const byte_source &from)
	: from_(from), context_(ZSTD_createDCtx()), room_(ZSTD_DStreamInSize())
{
	if (context_)
		ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, window_log_max);
}

result<void> frame_reader::refill()
{
	const std::size_t got = VMCTL_TRY(from_(room_));

	if (got == 0)
		return fail(EBADMSG, "ends too early");
	input_ = {room_.data(), got, 0};
	return {};
}

result<std::size_t> frame_reader::decompress(std::span<std::byte> bytes)
{
	ZSTD_outBuffer output{bytes.data(), bytes.size(), 0};

	while (output.pos == 0 && !ended_) {
		const std::size_t left = ZSTD_decompressStream(context_.get(), &output, &input_);

		if (ZSTD_isError(left) != 0)
			return damaged();
		ended_ = left == 0;
		// It may have more than there was room for.
		if (output.pos == 0 && !ended_ && input_.pos == input_.size)
			VMCTL_TRY(refill());
	}
	return output.pos;
}

result<void> frame_reader::read(std::span<std::byte> bytes)
{
	if (!context_)
		return no_memory();
	while (!bytes.empty()) {
		const std::size_t got = VMCTL_TRY(decompress(bytes));

		if (got == 0)
			return damaged();
		bytes = bytes.subspan(got);
	}
	return {};
}

result<void> frame_reader::finish(bool to_the_end)
{
	std::byte more;

	if (VMCTL_TRY(decompress({&more, 1})) != 0)
		return damaged();
	if (to_the_end && (input_.pos < input_.size || VMCTL_TRY(from_(room_)) != 0))
		return fail(EBADMSG, "has something behind its end");
	return {};
}

} // namespace vmctl
