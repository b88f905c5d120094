// SPDX-License-Identifier: Apache-2.0
// Every cause that a failed open can have.
#include <gtest/gtest.h>

#include "fake_module.hpp"

namespace
{

class host_check_test : public testing::Test
{
protected:
	fake_module fake;

	void unload()
	{
		fake.files.erase("/dev/mayfly");
		fake.files.erase("/sys/module/mayfly");
	}

	vmctl::error cause()
	{
		const auto opened = vmctl::device::open(fake);

		EXPECT_FALSE(opened);
		return opened ? vmctl::error{} : opened.error();
	}

	vmctl::host_check::finding owner() { return vmctl::host_check(fake).report().back(); }

	bool healthy()
	{
		for (const auto &found : vmctl::host_check(fake).report())
			if (found.outcome == vmctl::host_check::verdict::bad)
				return false;
		return true;
	}
};

TEST_F(host_check_test, finds_nothing_where_all_is_well)
{
	EXPECT_TRUE(healthy());
}

TEST_F(host_check_test, module_not_loaded)
{
	unload();
	EXPECT_EQ(cause().what, "the mayfly module is not loaded");
	EXPECT_NE(cause().fix.find("insmod"), std::string::npos);
	EXPECT_FALSE(healthy());
}

TEST_F(host_check_test, a_device_that_answers_is_enough)
{
	fake.files.erase("/sys/module/mayfly");
	fake.files.erase("/proc/cpuinfo");
	EXPECT_TRUE(healthy());
	EXPECT_TRUE(fake.open_fds.empty());
	fake.open_errors["/dev/mayfly"] = ENXIO;
	EXPECT_FALSE(healthy());
	EXPECT_EQ(cause().what, "the mayfly module is not loaded");
}

TEST_F(host_check_test, no_rights)
{
	fake.open_errors["/dev/mayfly"] = EACCES;
	EXPECT_EQ(cause().what, "no right to open /dev/mayfly");
	EXPECT_FALSE(healthy());
	EXPECT_EQ(cause().fix, "sudo usermod -aG kvm $USER and log in again, or use sudo");
	fake.device_status.st_gid = 200;
	EXPECT_NE(cause().fix.find("usermod -aG 200 "), std::string::npos);
	fake.files["/etc/group"] += "vms:x:200:somebody";
	EXPECT_NE(cause().fix.find("usermod -aG vms "), std::string::npos);
	// A group has the device only where the rule has given it to it, when it came.
	for (const auto &[mode, group] : {std::pair{0600, 0}, {0660, 0}, {0640, 107}}) {
		fake.device_status.st_mode = static_cast<mode_t>(mode);
		fake.device_status.st_gid = static_cast<gid_t>(group);
		EXPECT_TRUE(cause().fix.starts_with("sudo make install PREFIX=/usr/local, where udev finds the rule"));
		EXPECT_NE(cause().fix.find("usermod -aG kvm"), std::string::npos);
		for (const char *folder : {"/etc", "/usr/lib", "/usr/local/lib"}) {
			const std::string rule = std::string(folder) + "/udev/rules.d/60-mayfly.rules";

			fake.files[rule] = "";
			EXPECT_TRUE(cause().fix.starts_with("load the module again, for the udev rule"));
			EXPECT_NE(cause().fix.find("usermod -aG kvm"), std::string::npos);
			fake.files.erase(rule);
		}
	}
}

// The rights of the device are not what forbids it.
TEST_F(host_check_test, not_allowed_in_a_container)
{
	fake.open_errors["/dev/mayfly"] = EPERM;
	EXPECT_EQ(cause().what, "no right to open /dev/mayfly");
	EXPECT_EQ(cause().fix, "in a container, allow it the device, as docker run --device=/dev/mayfly does");
	EXPECT_FALSE(healthy());
}

TEST_F(host_check_test, a_module_that_is_too_old_is_found)
{
	const auto device = [&] { return *(vmctl::host_check(fake).report().rbegin() + 1); };

	fake.module_info.features = 0;
	EXPECT_FALSE(healthy());
	EXPECT_EQ(device().text, cause().what);
	EXPECT_EQ(device().fix, cause().fix);
	EXPECT_NE(device().text.find("the module is too old"), std::string::npos);
	fake.module_info.features = ~0ull;
	EXPECT_TRUE(healthy());
	fake.module_info.api_version = 0;
	EXPECT_FALSE(healthy());
	EXPECT_EQ(device().text, cause().what);
	EXPECT_TRUE(fake.open_fds.empty());
}

TEST_F(host_check_test, no_svm)
{
	unload();
	fake.files["/proc/cpuinfo"] = "flags\t\t: fpu nx svm_lock\n";
	EXPECT_EQ(cause().what, "the CPU has neither SVM nor VT-x, or the firmware hides it");
	EXPECT_FALSE(cause().fix.empty());
	EXPECT_FALSE(healthy());
}

TEST_F(host_check_test, no_nested_virtualization)
{
	unload();
	fake.files["/proc/cpuinfo"] = "flags\t\t: fpu nx hypervisor\n";
	EXPECT_NE(cause().what.find("without nested virtualization"), std::string::npos);
}

TEST_F(host_check_test, intel)
{
	unload();
	fake.files["/proc/cpuinfo"] = "flags\t\t: vmx fpu\n";
	EXPECT_EQ(cause().what, "the mayfly module is not loaded");
	fake.files["/dev/cpu/0/msr"] = "";
	fake.msr = 0x5;
	EXPECT_EQ(cause().what, "the mayfly module is not loaded");
	fake.msr = 0x1;
	EXPECT_EQ(cause().what, "the firmware has turned VT-x off");
	EXPECT_NE(cause().fix.find("firmware setup"), std::string::npos);
}

TEST_F(host_check_test, firmware_off)
{
	unload();
	fake.files["/dev/cpu/0/msr"] = "";
	fake.msr = 0x18;
	EXPECT_EQ(cause().what, "the firmware has turned SVM off");
	EXPECT_NE(cause().fix.find("firmware setup"), std::string::npos);
	fake.msr = 0x8;
	EXPECT_EQ(cause().what, "the mayfly module is not loaded");
}

TEST_F(host_check_test, secure_boot)
{
	unload();
	fake.files["/sys/kernel/security/lockdown"] = "none [integrity] confidentiality\n";
	EXPECT_EQ(cause().what, "the kernel is locked down: only modules signed with an enrolled key can be loaded");
	EXPECT_NE(cause().fix.find("mokutil"), std::string::npos);

	fake.files["/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"] =
		std::string("\x06\0\0\0\x01", 5);
	EXPECT_EQ(cause().what, "Secure Boot is on: only modules signed with an enrolled key can be loaded");
	EXPECT_FALSE(healthy());

	fake.files["/sys/kernel/security/lockdown"] = "[none] integrity confidentiality\n";
	EXPECT_EQ(cause().what, "the mayfly module is not loaded");
}

TEST_F(host_check_test, kvm_holds_the_cpu)
{
	fake.files["/proc/modules"] = "kvm_amd 155648 1 - Live 0x0\nkvm 1146880 1 kvm_amd, Live 0x0\n";
	EXPECT_EQ(vmctl::host_check(fake).explain(EBUSY).what,
		  "KVM has virtual machines and holds the CPU's virtualization");
	EXPECT_FALSE(healthy());
}

TEST_F(host_check_test, loaded_kvm_alone_is_no_trouble)
{
	EXPECT_EQ(owner().text, "none holds the CPU");
	fake.files["/proc/modules"] = "kvm_intel 155648 0 - Live 0x0\nkvm 1146880 1 kvm_intel, Live 0x0\n";
	EXPECT_TRUE(healthy());
	EXPECT_EQ(owner().text, "KVM is loaded and idle: whoever starts a VM first has the CPU, the other gets EBUSY");
}

TEST_F(host_check_test, kvm_that_holds_the_cpu_from_its_load_on)
{
	fake.files["/sys/module/kvm/parameters/enable_virt_at_load"] = "Y\n";
	EXPECT_TRUE(healthy()); // kvm alone, without a vendor's module
	fake.files["/proc/modules"] = "kvm_amd 155648 0 - Live 0x0\nkvm 1146880 1 kvm_amd, Live 0x0\n";
	EXPECT_FALSE(healthy());
	EXPECT_EQ(owner().text, "KVM is loaded and holds the CPU's virtualization");
	EXPECT_NE(owner().fix.find("modprobe -r"), std::string::npos);
	fake.files["/sys/module/kvm/parameters/enable_virt_at_load"] = "N\n";
	EXPECT_TRUE(healthy());
}

TEST_F(host_check_test, kvm_that_is_built_in)
{
	fake.files["/sys/module/kvm_intel"] = "";
	EXPECT_EQ(owner().outcome, vmctl::host_check::verdict::unknown);
	EXPECT_TRUE(healthy());
	fake.files["/sys/module/kvm/parameters/enable_virt_at_load"] = "Y\n";
	EXPECT_FALSE(healthy());
	EXPECT_EQ(owner().fix, "boot with kvm.enable_virt_at_load=0");
}

TEST_F(host_check_test, own_vms_hold_the_cpu)
{
	fake.module_info.vms = 1;
	fake.files["/proc/modules"] = "kvm_amd 155648 1 - Live 0x0\nkvm 1146880 1 kvm_amd, Live 0x0\n";
	EXPECT_TRUE(healthy());
	EXPECT_EQ(owner().text, "Mayfly has VMs and holds the CPU: KVM gets none until the last one is removed");
	fake.files["/sys/module/kvm/parameters/enable_virt_at_load"] = "N\n";
	EXPECT_TRUE(owner().text.ends_with("with KVM's modules loaded a crash kernel may not start"));
	EXPECT_TRUE(fake.open_fds.empty());
}

TEST_F(host_check_test, unknown_owner)
{
	EXPECT_EQ(vmctl::host_check(fake).explain(EBUSY).what, "another hypervisor holds the CPU's virtualization");
}

TEST_F(host_check_test, device_node_missing)
{
	fake.files.erase("/dev/mayfly");
	EXPECT_EQ(cause().what, "the module is loaded, but there is no /dev/mayfly");
}

} // namespace
