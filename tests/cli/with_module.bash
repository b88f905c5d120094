# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For files that have the module loaded throughout and whose tests each end without
# a VM.

load common

setup_file()
{
	load_module
}

teardown_file()
{
	unload_module
}

teardown()
{
	vmctl rm -f --all 2>/dev/null || true
}
