#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: dkms.bash OUT BACKPORTS
#
# In a Debian of debian-root: installs a kernel's headers, Mayfly by `make install-dkms`,
# and the headers of suite BACKPORTS. Puts what DKMS has built into OUT, as RELEASE.ko,
# and fails if there is not one for each kernel.

set -euo pipefail
out=$1 backports=$2

install()
{
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The module's file for kernel $1; fails if DKMS has installed none.
module_for()
{
	[[ $(dkms status -m mayfly -k "$1") == *': installed' ]] &&
		find "/lib/modules/$1/updates/dkms" -name 'mayfly.ko*' | grep .
}

kernels()
{
	find /lib/modules -mindepth 1 -maxdepth 1 -printf '%f\n'
}

apt-get update -qq
install linux-headers-amd64
first=$(kernels)

make install-dkms
module_for "$first"
# Again, as for a new version of the sources.
make install-dkms
module_for "$first"

install -t "$backports" linux-headers-amd64
[[ $(kernels | wc -l) == 2 ]]
for release in $(kernels); do
	module=$(module_for "$release")
	case $module in
	*.xz) xz -dc "$module" >"$out/$release.ko" ;;
	*) cp "$module" "$out/$release.ko" ;;
	esac
done

dkms remove "mayfly/$(sed -n 's/^version := //p' libvmctl/version.mk)" --all
[[ ! $(find /lib/modules -name 'mayfly.ko*') ]]
