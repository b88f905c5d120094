// SPDX-License-Identifier: Apache-2.0
/// \file
/// libvmctl: images and VMs of the Mayfly hypervisor. Include only this file.
///
/// No globals, no threads, no exceptions: calls that can fail return a result.
/// Handles can be moved, not copied, and release what they hold when they go.
/// Nothing here is safe to use from two threads at once without a lock, but
/// different handles of one posix_system are independent.
#pragma once

#include "address.hpp"
#include "demand.hpp"
#include "descriptor.hpp"
#include "device.hpp"
#include "elf_image.hpp"
#include "error.hpp"
#include "exit_reason.hpp"
#include "host_check.hpp"
#include "image.hpp"
#include "image_info.hpp"
#include "limits.hpp"
#include "module_info.hpp"
#include "network.hpp"
#include "operation.hpp"
#include "system.hpp"
#include "vcpu_state.hpp"
#include "vm.hpp"
#include "vm_info.hpp"
#include "vm_stat.hpp"
