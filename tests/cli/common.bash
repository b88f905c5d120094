# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # stderr and status are bats'
#
# What every file of this tier uses. They run as root in the nested host, which
# has not loaded the module: scripts/nested-host --no-load -- bats tests/cli

bats_require_minimum_version 1.5.0

load_module()
{
	insmod "$MAYFLY_KO" "$@"
}

# Leaves nothing behind, and proves it: a module with a VM left cannot go.
unload_module()
{
	vmctl rm -f --all 2>/dev/null || true
	rmmod mayfly
}

# vmctl with its output and its errors apart, in $output and $stderr.
vm()
{
	run --separate-stderr vmctl "$@"
}

# Shows what came, for the log of a failed test.
show()
{
	echo "status $status"
	echo "output: $output"
	echo "stderr: $stderr"
}

expect_status()
{
	show
	[[ $status -eq $1 ]]
}

# Like vm, for a status of 127, which bats otherwise warns about.
vm_without_image()
{
	run -127 --separate-stderr vmctl "$@"
}

# The first line of the errors is just this.
expect_error()
{
	show
	[[ ${stderr%%$'\n'*} == "$1" ]]
}

expect_output()
{
	show
	[[ $output == "$1" ]]
}

# A field of the only VM that is meant: field NAME state
field()
{
	vmctl ps -a --json "$1" | jq -r ".[0].$2"
}

# Until COMMAND is true, for at most ten seconds.
eventually()
{
	local tries
	for ((tries = 0; tries < 100; tries++)); do
		if "$@" 2>"$BATS_TEST_TMPDIR/eventually"; then
			return
		fi
		sleep 0.1
	done
	cat "$BATS_TEST_TMPDIR/eventually"
	echo "never became true: $*"
	return 1
}

has_state()
{
	[[ $(field "$1" state) == "$2" ]]
}

# COMMAND on a terminal that nobody types on.
on_terminal()
{
	script -qec "stty rows 24 cols 100; $*" /dev/null </dev/null | tr -d '\r'
}

# COMMAND in the background, with its output in $log and its id in $pid. It has what
# bash takes from such: standard input and Ctrl-C.
in_background()
{
	log=$BATS_TEST_TMPDIR/background
	env --default-signal=INT "$@" <&0 >"$log" 2>"$log.err" 3>&- &
	pid=$!
}

# The same on a terminal where press types KEYS (as printf's).
on_terminal_in_background()
{
	mkfifo "$BATS_TEST_TMPDIR/keys"
	exec {keys}<>"$BATS_TEST_TMPDIR/keys"
	in_background script -qec "$*" /dev/null <&"$keys"
}

press()
{
	# shellcheck disable=SC2059
	printf "$1" >&"$keys"
}

# True when $log has COUNT lines like PATTERN: logged COUNT PATTERN
logged()
{
	(($(grep -c -- "$2" "$log") >= $1))
}

# The status of $pid.
status_of_background()
{
	status=0
	wait "$pid" || status=$?
	output=$(<"$log") stderr=$(<"$log.err")
	show
}

# A copy of the bundled hello with BYTES (as printf's) at OFFSET: patched OFFSET BYTES
patched()
{
	local file=$BATS_TEST_TMPDIR/patched.elf
	[[ -e $file ]] || cp "$(dirname "$(command -v vmctl)")/guests/hello" "$file"
	# shellcheck disable=SC2059
	printf "$2" | dd of="$file" bs=1 seek="$1" conv=notrunc status=none
	echo "$file"
}

as_nobody()
{
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
