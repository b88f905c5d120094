// SPDX-License-Identifier: Apache-2.0
// The usual causes, each looked up where the kernel shows it.
#include "vmctl/host_check.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>

#include "vmctl/device.hpp"

#include "convert.hpp"

namespace vmctl
{

namespace
{

using verdict = host_check::verdict;

// The words of the first line that starts with `key`, as " a b c ".
std::string words_after(std::string_view text, std::string_view key)
{
	for (std::size_t at = 0; at < text.size();) {
		const std::size_t end = std::min(text.find('\n', at), text.size());
		const std::string_view line = text.substr(at, end - at);

		at = end + 1;
		if (!line.starts_with(key))
			continue;

		std::string words = " " + std::string(line.substr(key.size())) + " ";

		std::ranges::replace(words, '\t', ' ');
		return words;
	}
	return {};
}

bool has_word(const std::string &words, std::string_view word)
{
	return words.find(" " + std::string(word) + " ") != std::string::npos;
}

// How many hold module `name`, from /proc/modules; nothing when not loaded.
std::optional<unsigned> module_users(std::string_view modules, const std::string &name)
{
	const std::string words = words_after(modules, name + " ");
	const std::size_t count = words.find(' ', 1);
	unsigned users = 0;

	if (words.empty() || count == std::string::npos)
		return {};
	std::from_chars(words.data() + count + 1, words.data() + words.size(), users);
	return users;
}

// The module's numbers; nothing when it does not answer.
std::optional<module_info> ask(system &calls, const std::string &device)
{
	const int fd = calls.open(device, O_RDWR);

	if (fd < 0)
		return {};

	const auto info = ask_module(calls, fd);

	calls.close(fd);
	return info ? std::optional(*info) : std::nullopt;
}

// The name of group `id`, or its number where that is not known.
std::string group_name(std::string_view groups, gid_t id)
{
	const std::string number = std::to_string(id);

	for (std::size_t at = 0; at < groups.size();) {
		const std::size_t end = std::min(groups.find('\n', at), groups.size());
		const std::string_view line = groups.substr(at, end - at); // NAME:PASSWORD:ID:MEMBERS
		const std::size_t name_end = line.find(':'), id_start = line.find(':', name_end + 1) + 1;

		if (line.substr(id_start).starts_with(number + ":"))
			return std::string(line.substr(0, name_end));
		at = end + 1;
	}
	return number;
}

std::string join(const std::string &group)
{
	return "sudo usermod -aG " + group + " $USER and log in again, or use sudo";
}

error as_error(int code, const host_check::finding &finding)
{
	return {code, finding.text, finding.fix};
}

} // namespace

std::string host_check::right_to_open(int code) const
{
	constexpr std::array folders{"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"};
	constexpr mode_t enough = S_IRGRP | S_IWGRP;
	struct ::stat found {};

	// The rights of files give EACCES.
	if (code == EPERM)
		return "in a container, allow it the device, as docker run --device=" + device_ + " does";
	if (system_->status(device_, found) == 0 && found.st_gid != 0 && (found.st_mode & enough) == enough)
		return join(group_name(text_of("/etc/group"), found.st_gid));
	// It is root's until a rule gives it to a group.
	if (std::ranges::any_of(folders, [&](const std::string &folder) {
		    return system_->exists(folder + "/udev/rules.d/60-mayfly.rules");
	    }))
		return "load the module again, for the udev rule that gives the device to the group kvm, then " +
		       join("kvm");
	return "sudo make install PREFIX=/usr/local, where udev finds the rule that gives the device to the group "
	       "kvm, load the module again, then " +
	       join("kvm");
}

std::string host_check::text_of(const std::string &path) const
{
	const auto bytes = system_->read_file(path, 16 << 20);

	if (!bytes)
		return {};
	return {reinterpret_cast<const char *>(bytes->data()), bytes->size()};
}

host_check::finding host_check::cpu() const
{
	const std::string flags = words_after(text_of("/proc/cpuinfo"), "flags");

	if (flags.empty())
		return {"cpu", verdict::unknown, "/proc/cpuinfo does not show the CPU's features", ""};
	if (has_word(flags, "svm"))
		return {"cpu", verdict::good, "the CPU has AMD SVM", ""};
	if (has_word(flags, "vmx"))
		return {"cpu", verdict::good, "the CPU has Intel VT-x", ""};
	if (has_word(flags, "hypervisor"))
		return {"cpu", verdict::bad,
			"the CPU has neither SVM nor VT-x: this is a virtual machine without nested virtualization",
			"turn on nested virtualization in the hypervisor below, or try scripts/nested-host"};
	return {"cpu", verdict::bad, "the CPU has neither SVM nor VT-x, or the firmware hides it",
		"turn on SVM or virtualization in the firmware setup, or try scripts/nested-host"};
}

host_check::finding host_check::firmware() const
{
	// AMD: VM_CR, SVMDIS (APM volume 2, 15.30.1). Intel: IA32_FEATURE_CONTROL,
	// locked without VMX outside SMX (SDM volume 3C, 24.7).
	constexpr std::uint64_t vm_cr = 0xc0010114, svm_disable = 1 << 4;
	constexpr std::uint64_t feature_control = 0x3a, locked = 1 << 0, vmx_enabled = 1 << 2;
	const bool intel = has_word(words_after(text_of("/proc/cpuinfo"), "flags"), "vmx");
	const int fd = system_->open("/dev/cpu/0/msr", O_RDONLY);
	std::array<std::byte, sizeof(std::uint64_t)> bytes{};
	ssize_t got = -1;

	if (fd >= 0) {
		got = system_->pread(fd, bytes, intel ? feature_control : vm_cr);
		system_->close(fd);
	}
	if (got != static_cast<ssize_t>(bytes.size()))
		return {"firmware", verdict::unknown,
			"cannot see whether the firmware allows virtualization (as root: modprobe msr)", ""};

	std::uint64_t value;

	std::memcpy(&value, bytes.data(), sizeof value);
	if (intel && (value & (locked | vmx_enabled)) == locked)
		return {"firmware", verdict::bad, "the firmware has turned VT-x off",
			"turn on virtualization (VT-x) in the firmware setup and power-cycle the machine"};
	if (intel)
		return {"firmware", verdict::good, "the firmware allows VT-x", ""};
	if (value & svm_disable)
		return {"firmware", verdict::bad, "the firmware has turned SVM off",
			"turn on SVM (AMD-V) in the firmware setup and power-cycle the machine"};
	return {"firmware", verdict::good, "the firmware allows SVM", ""};
}

host_check::finding host_check::secure_boot() const
{
	const std::string lockdown = text_of("/sys/kernel/security/lockdown");
	const std::string enforced = text_of("/sys/module/module/parameters/sig_enforce");
	// Four bytes of attributes, then the value.
	const std::string variable =
		text_of("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
	const bool on = variable.size() == 5 && variable[4] == 1;
	const bool locked = lockdown.find("[integrity]") != std::string::npos ||
			    lockdown.find("[confidentiality]") != std::string::npos;

	if (locked || enforced.starts_with('Y'))
		return {"secure boot", verdict::bad,
			std::string(on ? "Secure Boot is on" : "the kernel is locked down") +
				": only modules signed with an enrolled key can be loaded",
			"sign mayfly.ko, then: sudo mokutil --import /var/lib/dkms/mok.pub, and reboot"};
	return {"secure boot", verdict::good, "the kernel does not insist on signed modules", ""};
}

host_check::finding host_check::module() const
{
	// A device that answers needs no /sys, which a container may not have.
	if (system_->exists("/sys/module/mayfly") || ask(*system_, device_))
		return {"module", verdict::good, "mayfly is loaded", ""};
	return {"module", verdict::bad, "the mayfly module is not loaded",
		"sudo modprobe mayfly, or from the sources: make && sudo insmod kmod/mayfly.ko"};
}

host_check::finding host_check::access() const
{
	const int fd = system_->open(device_, O_RDWR);

	if (fd >= 0) {
		system_->close(fd);

		// It is of no use when the library refuses it.
		const auto opened = device::open(*system_, device_);

		return opened ? finding{"device", verdict::good, device_ + " can be opened", ""}
			      : finding{"device", verdict::bad, opened.error().what, opened.error().fix};
	}
	if (fd == -EACCES || fd == -EPERM)
		return {"device", verdict::bad, "no right to open " + device_, right_to_open(-fd)};
	if (fd == -ENOENT || fd == -ENXIO || fd == -ENODEV)
		return {"device", verdict::bad, "there is no " + device_,
			"load the module; in a container, pass the device in"};
	return {"device", verdict::bad, "cannot open " + device_ + ": " + errno_text(-fd), "see dmesg"};
}

bool host_check::has_vms() const
{
	const auto info = ask(*system_, device_);

	return info && info->vms > 0;
}

host_check::finding host_check::owner() const
{
	constexpr const char *subject = "other hypervisors";
	const std::string modules = text_of("/proc/modules");
	const auto users = std::max(module_users(modules, "kvm_amd"), module_users(modules, "kvm_intel"));
	const bool built_in = !users &&
			      (system_->exists("/sys/module/kvm_amd") || system_->exists("/sys/module/kvm_intel"));

	const std::string at_load = "/sys/module/kvm/parameters/enable_virt_at_load";
	const bool loaded = users || built_in;

	// An open /dev/kvm is a user too: who has VMs here need not look at it.
	if (has_vms())
		return {subject, verdict::good,
			std::string("Mayfly has VMs and holds the CPU: KVM gets none until the last one is removed") +
				// Decision 24.
				(loaded && system_->exists(at_load)
					 ? "; with KVM's modules loaded a crash kernel may not start"
					 : ""),
			""};
	if (users > 0u)
		return {subject, verdict::bad, "KVM has virtual machines and holds the CPU's virtualization",
			"end KVM's machines (pgrep -a qemu finds most); its modules may stay loaded"};
	// From Linux 6.12 on KVM may hold the CPU from the moment it is loaded.
	if (loaded && text_of(at_load).starts_with('Y'))
		return {subject, verdict::bad, "KVM is loaded and holds the CPU's virtualization",
			built_in ? "boot with kvm.enable_virt_at_load=0"
				 : "sudo modprobe -r kvm_amd kvm_intel; with kvm.enable_virt_at_load=0 it may stay"};
	if (built_in)
		return {subject, verdict::unknown,
			"KVM is part of this kernel: while it has virtual machines, Mayfly gets EBUSY", ""};
	if (users)
		return {subject, verdict::good,
			"KVM is loaded and idle: whoever starts a VM first has the CPU, the other gets EBUSY", ""};
	return {subject, verdict::good, "none holds the CPU", ""};
}

std::vector<host_check::finding> host_check::report() const
{
	std::vector<finding> findings{cpu(), firmware(), module()};

	if (findings.back().outcome != verdict::good)
		findings.push_back(secure_boot());
	findings.push_back(access());
	findings.push_back(owner());
	return findings;
}

error host_check::explain(int code) const
{
	if (code == EACCES || code == EPERM)
		return {code, "no right to open " + device_, right_to_open(code)};
	if (code == EBUSY) {
		const finding found = owner();

		if (found.outcome == verdict::bad)
			return as_error(code, found);
		return {code, "another hypervisor holds the CPU's virtualization",
			"end its machines or unload it; dmesg names it if it is known"};
	}
	for (const finding &found : {cpu(), firmware()})
		if (found.outcome == verdict::bad)
			return as_error(code, found);
	if (code == EOPNOTSUPP || code == EIO)
		return {code, "the CPU's virtualization cannot be turned on: " + errno_text(code),
			"look at dmesg; turn on SVM in the firmware setup"};
	if (code == ENOENT || code == ENXIO || code == ENODEV) {
		const finding loaded = module();

		if (loaded.outcome == verdict::good)
			return {code, "the module is loaded, but there is no " + device_,
				"look at dmesg; in a container, pass the device in"};

		const finding boot = secure_boot();

		return as_error(code, boot.outcome == verdict::bad ? boot : loaded);
	}
	return {code, device_ + ": " + errno_text(code), "run: vmctl doctor"};
}

} // namespace vmctl
