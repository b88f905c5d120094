# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the files of this tier share: the module, a network called web, and guests that serve.

load ../cli/common

setup_file()
{
	load_module
}

teardown_file()
{
	unload_module
}

setup()
{
	vmctl net create web --subnet 10.9.0.0/16
}

remove_all()
{
	vmctl rm -f --all 2>/dev/null || true
	vmctl net ls -q | xargs -r vmctl net rm -f
	# dnsmasq's.
	[[ ! -e $BATS_TEST_TMPDIR/pid ]] || xargs -r kill <"$BATS_TEST_TMPDIR/pid" 2>/dev/null || true
}

teardown()
{
	remove_all
	ip link delete ifb0 2>/dev/null || true
}

far=(ip netns exec far)

# A machine elsewhere, and this host's address there.
add_far()
{
	ip link set lo up
	ip netns add far
	ip link add near type veth peer name far netns far
	ip address add 192.168.9.1/24 dev near
	ip link set near up
	ip -n far address add 192.168.9.2/24 dev far
	ip -n far link set far up
}

# And what nobody turns off, while other tests do without.
remove_far()
{
	echo 0 >/proc/sys/net/ipv4/ip_forward
	ip netns delete far
}

# What the bundled http serves.
# shellcheck disable=SC2034
page='<!doctype html><title>Mayfly</title><p>It works.</p>'

# As vm, for somebody without rights.
vm_as_nobody()
{
	run --separate-stderr as_nobody vmctl "$@"
}

# Until restore_nft, nft is not installed.
hide_nft()
{
	mv /usr/sbin/nft /usr/sbin/nft.away
}

restore_nft()
{
	[[ ! -e /usr/sbin/nft.away ]] || mv /usr/sbin/nft.away /usr/sbin/nft
}

# What a browser here gets from $1, or somewhere else if words come before.
fetched()
{
	"${@:2}" curl -sS -m 20 "http://$1/"
}

# What port $2 of $1 answers to the words on standard input, a line.
asked()
{
	local line
	exec {socket}<>"/dev/tcp/$1/$2" || return
	cat >&"$socket"
	read -r -t 20 line <&"$socket"
	exec {socket}>&-
	echo "$line"
}

# A guest of the tests, as a client: net_guest NAME ARGS…
net_guest()
{
	vmctl run --name "$1" --net web "$BATS_TEST_DIRNAME/../../build/tests/net-guest" -- "${@:2}"
}
