#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Packets that are wrong, made by scapy.

load with_peers

@test "scapy: what is wrong harms neither the VM nor the host" {
	vmctl spawn -q --name victim --net web,ip=10.9.0.9 echo
	vmctl spawn -q --name other --net web,ip=10.9.0.80 http
	exec {old}<>/dev/tcp/10.9.0.9/7
	# Debian's, which has Debian's scapy.
	/usr/bin/python3 "$BATS_TEST_DIRNAME/malformed.py" web 10.9.0.9
	echo "still here" >&"$old"
	read -r -t 60 line <&"$old"
	exec {old}>&-
	[[ $line == "still here" ]]
	serves_a_page 10.9.0.80
	ethtool -S web
	are_unharmed
	kernel_is_quiet
}
