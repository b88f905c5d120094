// SPDX-License-Identifier: GPL-2.0-only
/*
 * hardware.c - take every CPU for the first VM, give them back after the last.
 *
 * Meanwhile another hypervisor's module may be loaded and idle; the hypervisor that
 * comes second gets -EBUSY. CPUs that come online meanwhile are taken before a
 * worker can be scheduled on them.
 *
 * Locks: cpus_read_lock() outside, hardware_lock inside.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/printk.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>

#include "compat.h"
#include "cpu/backend.h"
#include "cpu/clock.h"
#include "cpu/hardware.h"
#include "cpu/neighbour.h"

static DEFINE_MUTEX(hardware_lock);
static atomic_t users = ATOMIC_INIT(0);
static int hotplug_state;
static bool going_down;	/* The machine is going down: no CPU is taken any more. */

static void enable_here(void *error)
{
	int ret = READ_ONCE(going_down) ? -EBUSY : backend->enable_cpu();

	if (ret)
		atomic_cmpxchg(error, 0, ret);
}

static void disable_here(void *unused)
{
	backend->disable_cpu();
}

static int enable_all(void)
{
	atomic_t error = ATOMIC_INIT(0);

	lockdep_assert_held(&hardware_lock);
	on_each_cpu(enable_here, &error, 1);
	if (atomic_read(&error))
		on_each_cpu(disable_here, NULL, 1);
	return atomic_read(&error);
}

static const char *cause_of_refusal(int error)
{
	if (error != -EBUSY)
		return "disabled by firmware";
	if (READ_ONCE(going_down))
		return "the machine is going down";
	if (neighbour_has_vms())
		return "KVM is using it; end its virtual machines, its modules may stay";
	if (neighbour_may_hold_idle())
		return "KVM, if it was loaded with enable_virt_at_load=1, or another hypervisor has taken it; unload it, or load KVM with enable_virt_at_load=0";
	return "another hypervisor is using it; end its virtual machines or unload it";
}

/**
 * hardware_get - make sure guests can run
 *
 * Context: may sleep.
 * Return: 0, -EBUSY when another hypervisor has a CPU, -EIO when firmware
 * forbids it. Pair with hardware_put().
 */
int hardware_get(void)
{
	int ret = 0;

	if (atomic_inc_not_zero(&users))
		return 0;
	cpus_read_lock();
	mutex_lock(&hardware_lock);
	if (!atomic_read(&users)) {
		ret = enable_all();
		clock_measure();
	}
	if (!ret) {
		neighbour_take_slot();
		atomic_inc(&users);
	}
	mutex_unlock(&hardware_lock);
	cpus_read_unlock();
	if (ret)
		pr_notice_ratelimited("mayfly: cannot take the CPU's %s (error %d): %s\n",
				      backend->name, ret, cause_of_refusal(ret));
	return ret;
}

/**
 * hardware_put - undo a hardware_get()
 *
 * Context: may sleep.
 */
void hardware_put(void)
{
	if (atomic_add_unless(&users, -1, 1))
		return;
	cpus_read_lock();
	mutex_lock(&hardware_lock);
	if (atomic_dec_and_test(&users))
		on_each_cpu(disable_here, NULL, 1);
	mutex_unlock(&hardware_lock);
	cpus_read_unlock();
}

static int on_cpu_online(unsigned int cpu)
{
	atomic_t error = ATOMIC_INIT(0);

	mutex_lock(&hardware_lock);
	if (atomic_read(&users)) {
		unsigned long flags;

		local_irq_save(flags);
		enable_here(&error);
		local_irq_restore(flags);
	}
	mutex_unlock(&hardware_lock);
	return atomic_read(&error);
}

static int on_cpu_offline(unsigned int cpu)
{
	unsigned long flags;

	mutex_lock(&hardware_lock);
	local_irq_save(flags);
	backend->disable_cpu();
	local_irq_restore(flags);
	mutex_unlock(&hardware_lock);
	return 0;
}

/* Only one CPU is left, interrupts are off, no task runs: the lock cannot be held. */
static int hardware_suspend(SYSCORE_ARGUMENT)
{
	backend->disable_cpu();
	return 0;
}

static void hardware_resume(SYSCORE_ARGUMENT)
{
	if (atomic_read(&users) && backend->enable_cpu())
		pr_err("mayfly: %s is off after suspend; VMs stand still on CPU %u\n",
		       backend->name, smp_processor_id());
}

static int on_reboot(struct notifier_block *block, unsigned long event, void *data)
{
	/* The next kernel, by kexec, must find the CPUs free. */
	WRITE_ONCE(going_down, true);
	on_each_cpu(disable_here, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_notifier = {
	.notifier_call = on_reboot,
};

DEFINE_SYSCORE(power, hardware_suspend, hardware_resume);

/**
 * hardware_setup - at load
 *
 * Return: 0 or a negative errno.
 */
int hardware_setup(void)
{
	int ret = neighbour_setup();

	if (ret)
		return ret;
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "mayfly:online",
				on_cpu_online, on_cpu_offline);
	if (ret < 0) {
		neighbour_teardown();
		return ret;
	}
	hotplug_state = ret;
	register_syscore(&power);
	register_reboot_notifier(&reboot_notifier);
	return 0;
}

/**
 * hardware_teardown - at unload; there are no VMs
 */
void hardware_teardown(void)
{
	unregister_reboot_notifier(&reboot_notifier);
	unregister_syscore(&power);
	cpuhp_remove_state(hotplug_state);
	neighbour_teardown();
}
