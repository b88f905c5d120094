#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: dkms.bash OUT RELEASE LATER
#
# In a Debian of debian-root: installs the headers of kernel RELEASE, Mayfly by `make
# install-dkms`, and the headers of kernel LATER. Puts what DKMS has built into OUT, as
# RELEASE.ko and LATER.ko, and fails if one is missing.

set -euo pipefail
out=$1 first=$2 later=$3

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

apt-get update -qq
install "linux-headers-$first"
make install-dkms
module_for "$first"

# A newer version takes the place of the older.
version=$(sed -n 's/^version := //p' libvmctl/version.mk)
scripts/install-dkms "$version.1"
module_for "$first"
[[ $(dkms status -m mayfly) == "mayfly/$version.1"* ]]

install "linux-headers-$later"
for release in "$first" "$later"; do
	module=$(module_for "$release")
	case $module in
	*.xz) xz -dc "$module" >"$out/$release.ko" ;;
	*) cp "$module" "$out/$release.ko" ;;
	esac
done

dkms remove "mayfly/$version.1" --all
[[ ! $(find /lib/modules -name 'mayfly.ko*') ]]
