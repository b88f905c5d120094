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
