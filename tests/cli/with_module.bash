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

# Is nothing left in the module?
holds_nothing()
{
	vmctl info --json | jq -e '.[0] | .vms == 0 and .images == 0 and .pages == 0'
}

# A VM that has counted for a while, which its clones go on with: $1 is its name.
counting()
{
	vmctl spawn -q --name "$1" daytime >/dev/null
	eventually has_lines "$1" 2
}

has_lines()
{
	[[ $(vmctl logs "$1" | wc -l) -ge $2 ]]
}
