#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who looks around: nmap and fping.

load with_peers

# The ports of $1 that nmap finds with the other arguments, each as 80/open/tcp.
found()
{
	# What is slow is not filtered.
	nmap -n -Pn --min-rtt-timeout 10s -oG - "${@:2}" "$1" | grep -oE '[0-9]+/[a-z|]+/(tcp|udp)' | paste -sd ' '
}

@test "nmap: finds what is open, and nothing else" {
	vmctl spawn -q --net web,ip=10.9.0.7 echo
	vmctl spawn -q --net web,ip=10.9.0.13 daytime
	vmctl spawn -q --net web,ip=10.9.0.80 http
	# Closed ports are counted, and not listed.
	[[ $(found 10.9.0.7 -sS -p-) == "7/open/tcp" ]]
	[[ $(found 10.9.0.13 -sS -p 1-2000) == "13/open/tcp" ]]
	[[ $(found 10.9.0.80 -sT -p 1-2000) == "80/open/tcp" ]]
	[[ $(found 10.9.0.80 -sU -p 80) == "80/closed/udp" ]]
	[[ $(found 10.9.0.7 -sU -p 6-8 --data-length 8) == "6/closed/udp 7/open/udp 8/closed/udp" ]]
	[[ $(nmap -n -sn 10.9.0.0/24 | grep -c 'Host is up') -eq 4 ]]
	[[ $(nmap -n -sn -PE -oG - 10.9.0.80 | grep -c 'Status: Up') -eq 1 ]]
	serves_a_page 10.9.0.80
	kernel_is_quiet
}

@test "nmap: what it does to find more harms nobody" {
	vmctl spawn -q --net web,ip=10.9.0.7 echo
	vmctl spawn -q --net web,ip=10.9.0.80 http
	for how in -sN -sF -sX -sM -sA -sW "-sS -f" "-sS --badsum" "-sY" "-sO" "--scanflags SYNFIN" "-sS -g 80 --ttl 1"; do
		# shellcheck disable=SC2086
		nmap -n -Pn --max-retries 1 $how -p 1-100 10.9.0.7 10.9.0.80
		serves_a_page 10.9.0.80
		[[ $(asked 10.9.0.7 7 <<<"$how") == "$how" ]]
	done
	nmap -n -Pn -O -sV --version-light -p 1-100 10.9.0.7 10.9.0.80
	serves_a_page 10.9.0.80
	[[ $(asked 10.9.0.7 7 <<<"hello") == hello ]]
	are_unharmed
	kernel_is_quiet
}

@test "fping: all of a /24 are alive" {
	vmctl spawn -q -n 253 --net web echo >/dev/null
	[[ $(fping -a -q -t 60000 -g 10.9.0.2 10.9.0.254 | wc -l) -eq 253 ]]
	[[ -z $(fping -a -q -r 0 -t 100 10.9.1.1) ]]
	are_unharmed
	kernel_is_quiet
}
