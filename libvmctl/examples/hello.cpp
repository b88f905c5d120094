// SPDX-License-Identifier: Apache-2.0
// Spawns a guest, reads its greeting, asks it to stop, and tells how it ended.
//
//   build/examples/hello build/guests/hello
#include <array>
#include <cstdio>

#include <vmctl/vmctl.hpp>

namespace
{

vmctl::result<void> greet(const std::string &path)
{
	vmctl::posix_system calls;
	const auto device = VMCTL_TRY(vmctl::device::open(calls));
	const auto file = VMCTL_TRY(calls.read_file(path, 1 << 20));
	const auto image = VMCTL_TRY(device.load_image(file, "hello"));

	// Not detached: the VM ends with the handle, whatever happens here.
	const auto vm = VMCTL_TRY(device.spawn_attached(image, {}));
	std::array<std::byte, 256> greeting;
	const std::size_t length = VMCTL_TRY(vm.read(greeting));

	std::fwrite(greeting.data(), 1, length, stdout);

	VMCTL_TRY(vm.ask_to_stop());
	while (VMCTL_TRY(vm.poll()) != vmctl::poll_result::ended)
		VMCTL_TRY(vm.read(greeting));
	std::printf("%s\n", VMCTL_TRY(vm.info()).end_text().c_str());
	return {};
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::fprintf(stderr, "usage: hello ELF\n");
		return 2;
	}

	const auto greeted = greet(argv[1]);

	if (!greeted) {
		std::fprintf(stderr, "hello: %s\n", greeted.error().what.c_str());
		return 1;
	}
	return 0;
}
