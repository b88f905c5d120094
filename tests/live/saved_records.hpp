// SPDX-License-Identifier: Apache-2.0
//
// The records of a saved image (docs/snapshots.md), taken apart and put together, so that
// tests can change what is in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include <zstd.h>

namespace live
{

using saved_bytes = std::vector<std::byte>;

constexpr std::size_t preamble_size = 16;

/// What is in each record of a file.
inline std::vector<saved_bytes> contents_of(std::span<const std::byte> file)
{
	std::vector<saved_bytes> all;

	for (auto rest = file.subspan(preamble_size); !rest.empty();) {
		std::uint32_t size = 0;

		std::memcpy(&size, rest.data(), sizeof(size));

		const auto frame = rest.subspan(sizeof(size), size);
		saved_bytes content(ZSTD_getFrameContentSize(frame.data(), size));

		if (ZSTD_isError(ZSTD_decompress(content.data(), content.size(), frame.data(), size)))
			throw std::runtime_error("what was saved cannot be read");
		all.push_back(std::move(content));
		rest = rest.subspan(sizeof(size) + size);
	}
	return all;
}

/// A record, with its length and a checksum.
inline saved_bytes record_of(std::span<const std::byte> content)
{
	saved_bytes all(sizeof(std::uint32_t) + ZSTD_compressBound(content.size()));
	const auto frame = std::span(all).subspan(sizeof(std::uint32_t));
	ZSTD_CCtx *const context = ZSTD_createCCtx();

	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);

	const auto size = static_cast<std::uint32_t>(ZSTD_compress2(context, frame.data(), frame.size(), content.data(),
								    content.size()));

	ZSTD_freeCCtx(context);
	std::memcpy(all.data(), &size, sizeof(size));
	all.resize(sizeof(size) + size);
	return all;
}

/// \p file with these records instead of its own.
inline saved_bytes with_records(const saved_bytes &file, const std::vector<saved_bytes> &contents)
{
	saved_bytes all(file.begin(), file.begin() + preamble_size);

	for (const saved_bytes &content : contents) {
		const saved_bytes record = record_of(content);

		all.insert(all.end(), record.begin(), record.end());
	}
	return all;
}

}
