// SPDX-License-Identifier: Apache-2.0
/// \file
/// The way into the module.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "demand.hpp"
#include "descriptor.hpp"
#include "elf_image.hpp"
#include "image.hpp"
#include "image_info.hpp"
#include "limits.hpp"
#include "module_info.hpp"
#include "operation.hpp"
#include "saved.hpp"
#include "vm.hpp"
#include "vm_info.hpp"

namespace vmctl
{

/// Places that a VM can have.
inline constexpr std::size_t most_places = 4;

/// A place for a VM on a network of this host's.
struct network_place {
	std::uint32_t network = 0; ///< index of its device, in this network namespace
	std::uint32_t ip4 = 0;     ///< the VM's address, as a number; 0: any that is free
	std::uint32_t dns4 = 0;    ///< of its name server; 0: the host's address on the network
	std::uint64_t rate = 0;    ///< bytes a second that it may send, and receive; 0: no limit
	bool router = false;       ///< it may send with any source
	bool or_any = false;       ///< any that is free, if another VM has `ip4`, or no VM can
};

/// What spawn needs to know.
struct spawn_request {
	/// VMs to make, at least 1.
	std::uint32_t count = 1;
	/// Bytes of memory each: see check_memory(). Nothing: what the image says.
	std::optional<std::uint64_t> memory{};
	/// The guests' arguments: see check_arguments().
	std::span<const std::string> arguments{};
	/// See check_name(); empty means `vm<ID>`.
	std::string name{};
	/// When set, names are numbered from here on: see numbered_name().
	std::optional<std::uint32_t> first{};
	/// Hand them to the module's workers at once.
	bool start = true;
	/// Where each gets places, at most most_places; with an address \p count is 1.
	std::vector<network_place> places{};
};

/// What an image is besides its file.
struct image_options {
	/// Bytes of memory for a VM whose maker has no preference: see check_memory().
	/// Nothing: default_memory, or what it needs at least if that is more.
	std::optional<std::uint64_t> memory{};
	/// What the CPU that its guests see can do.
	cpu_level level = cpu_level::sse2;
	/// They count the TSC's ticks by themselves: what is saved of them is restored only where
	/// it can have the same frequency.
	bool same_tsc = false;
};

/// A piece of an image's memory.
struct image_segment {
	std::uint64_t gpa = 0;              ///< guest-physical, on a page boundary, from 64 KiB on
	std::span<const std::byte> bytes{}; ///< zeros follow up to the end of the last page
	bool writable = false;              ///< VMs get their own copy when they write
	bool executable = false;            ///< may hold code
};

/// What an image is made of, when it does not come from an ELF file.
struct image_parts {
	/// For lists; cut to what a name may have.
	std::string_view label{};
	/// By ascending address, no two on a page; up to max_segments.
	std::span<const image_segment> segments{};
	std::uint64_t rip = 0;            ///< first instruction
	std::uint64_t rsp = 0;            ///< first stack pointer
	std::uint64_t cr3 = 0;            ///< top page table, inside a segment
	std::uint64_t rdi = 0;            ///< the device page's virtual address
	std::uint64_t memory_min = 0;     ///< bytes a VM needs at least; 0: to the end of the segments
	std::uint64_t memory_default = 0; ///< bytes for a VM whose maker has no preference; 0: default_memory
	/// What kind of guest it is.
	guest_profile profile = guest_profile::unikernel;
	/// What the CPU that its guests see can do.
	cpu_level level = cpu_level::sse2;
	/// That CPU's maker. Nothing: as the host's.
	std::optional<cpu_vendor> vendor{};
	/// As image_options has it.
	bool same_tsc = false;
};

/// What came of a batch. Not a result: a batch can stop half-way, and what was
/// made by then stays.
struct spawn_report {
	/// The VMs that were made, in order.
	std::vector<std::uint64_t> ids{};
	/// Why there are not more; nothing when all were made.
	std::optional<error> failure{};
};

/// An open /dev/mayfly.
class device final
{
public:
	/// Opens \p path and checks that the module speaks this library's version.
	/// A failure names the cause and what mends it: see host_check.
	[[nodiscard]] static result<device> open(system &calls, const std::string &path = device_path);

	/// The module's numbers, now.
	[[nodiscard]] result<module_info> info() const;

	/// Gives the module an image made from \p elf, which lists will show as \p label,
	/// or as much of it as a name may have. EOPNOTSUPP the host's CPU does not
	/// have that level, EDQUOT too many bytes, ENOMEM, EINVAL memory or no label.
	[[nodiscard]] result<image> load_image(const elf_image &elf, std::string_view label,
					       const image_options &options = {}) const;

	/// The same from \p file, the content of an ELF file. ENOEXEC when it is not one
	/// that Mayfly can start: see elf_image.
	[[nodiscard]] result<image> load_image(std::span<const std::byte> file, std::string_view label,
					       const image_options &options = {}) const;

	/// Gives the module an image made from \p parts. Errors as load_image(), EINVAL for what
	/// the module does not believe.
	[[nodiscard]] result<image> make_image(const image_parts &parts) const;

	/// Writes \p what to \p to, in a form that restore() of any host reads: see
	/// docs/snapshots.md. Errors of \p to, and EINTR when a signal came, ENOMEM, EFAULT when
	/// the host's memory is broken.
	[[nodiscard]] result<void> save(const image &what, const byte_sink &to) const;

	/// The same of a VM with its arguments, as it is now, wherever it is. It goes on
	/// meanwhile; what it writes is copied. Errors as vm::snapshot(), too.
	[[nodiscard]] result<void> save(const vm &what, const byte_sink &to) const;

	/// Makes an image of what save() has written. Nothing in \p from is believed: EBADMSG
	/// when it is not a saved image, or damaged, or ends too early; ENOTSUP when it is of a
	/// newer version, or this host or module cannot have such guests; errors of \p from, of
	/// load_image() and of image::tag(). Then nothing has been made. It shares pages with an
	/// image of the caller's from which the same VMs can be made.
	[[nodiscard]] result<restored> restore(const byte_source &from, const restore_options &options = {}) const;

	/// A handle on image \p id. ENOENT, EPERM.
	[[nodiscard]] result<image> open_image(std::uint64_t id) const;

	/// A handle on the caller's own image \p name. ENOENT.
	[[nodiscard]] result<image> open_image(std::string_view name) const;

	/// All images the caller may see, by ascending id.
	[[nodiscard]] result<std::vector<image_info>> images() const;

	/// Makes detached VMs in one call: they outlive this process. EEXIST name
	/// taken, EDQUOT too many, ENOMEM, EBUSY another hypervisor has the CPU,
	/// EINVAL memory, name or address; ENODEV no such network, EPERM someone else's,
	/// EADDRINUSE, EADDRNOTAVAIL it has no address, or none that is free.
	[[nodiscard]] spawn_report spawn(const image &from, const spawn_request &request) const;

	/// Makes one VM that ends with its last handle; \p request.count is 1. For
	/// vm::run() leave request.start false. Errors as spawn().
	[[nodiscard]] result<vm> spawn_attached(const image &from, const spawn_request &request) const;

	/// Makes no VM: has the module make one from \p from, as \p request says, whenever a packet
	/// comes for an address of \p range on its one network, and end it when nothing comes any
	/// more. This lasts as long as the network's device, or until remove_demand(). The
	/// caller owns the VMs, and is charged for them. In \p request the count is 1, and there is no
	/// name and no address. EINVAL also for addresses that are not of the network, EEXIST some are
	/// on demand already, ENOSPC the network has too many ranges; else errors as spawn().
	[[nodiscard]] result<void> make_on_demand(const image &from, const spawn_request &request,
						  const demand_range &range) const;

	/// All registered ranges that the caller may see, by ascending id.
	[[nodiscard]] result<std::vector<demand_info>> demands() const;

	/// From now on packets make no VMs. Those that there are end when they are idle. ENOENT, EPERM.
	[[nodiscard]] result<void> remove_demand(std::uint64_t id) const;

	/// All VMs the caller may see with ids from \p from to \p to, ascending: one
	/// system call for up to 1,024, then one for every 65,536.
	[[nodiscard]] result<std::vector<vm_info>>
	list(std::uint64_t from = 0, std::uint64_t to = std::numeric_limits<std::uint64_t>::max()) const;

	/// Does \p what with all \p ids, one system call for every 65,536: 0 or a
	/// positive errno for each, see operation. \p port is notify's event port.
	[[nodiscard]] result<std::vector<int>> control(operation what, std::span<const std::uint64_t> ids,
						       std::uint32_t port = 0) const;

	/// A handle on VM \p id. ENOENT, EPERM.
	[[nodiscard]] result<vm> open_vm(std::uint64_t id) const;

	/// A handle on the caller's own VM \p name. ENOENT.
	[[nodiscard]] result<vm> open_vm(std::string_view name) const;

	/// The VMs that have ended since open() or the last call, oldest first: some of
	/// them, so call again. Waits for the first up to \p timeout or, without one, for
	/// ever; none when the time passed. EINTR when a signal came, EPIPE when so many
	/// have ended that some are forgotten: list() says which, and the next call goes on.
	[[nodiscard]] result<std::vector<vm_end>> ends(std::optional<std::chrono::milliseconds> timeout = {}) const;

private:
	explicit device(descriptor handle) : handle_(std::move(handle)) {}

	[[nodiscard]] result<void> save_beyond(const image &what, const image &root, std::vector<std::string> arguments,
					       std::uint32_t ip4, const byte_sink &to) const;
	[[nodiscard]] error spawn_error(int code, const spawn_request &request, std::uint64_t missing) const;
	[[nodiscard]] result<vm> open_vm(std::uint64_t id, std::string_view name) const;
	[[nodiscard]] result<descriptor> open_by(unsigned long request, const char *what, std::uint64_t id,
						 std::string_view name) const;

	descriptor handle_;
};

} // namespace vmctl
