#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The same machine with VT-x: see nested-host.bats. A boot of Bochs takes long,
# so one test checks what can be checked in one.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	nested=(scripts/nested-host --cpu vmx --no-load --timeout 500)
}

@test "Bochs: status, output, folder, --share, two CPUs with VT-x, KVM's module" {
	share=$BATS_TEST_TMPDIR/share
	mkdir -p "$share/folder"
	echo before >"$share/folder/mine"
	# shellcheck disable=SC2016 # the nested shell expands it
	run "${nested[@]}" --share "$share" -- bash -c '
		echo "folder $PWD"; test -e "$MAYFLY_KO" && echo "module $MAYFLY_KO"
		test -t 1 || echo "no terminal"
		echo "CPUs $(nproc), with vmx $(grep -cE "^flags.* vmx " /proc/cpuinfo)"
		dmesg | grep -q "using mwait in idle" || echo "idle in HLT"
		vmctl --version >/dev/null && echo "vmctl runs"
		modprobe kvm_intel && test -c /dev/kvm && echo "KVM loads"
		printf "<%s>" "$@"
		cd "$MAYFLY_OUT" && grep -H before folder/mine && echo after >folder/mine
		head -c 5000000 /dev/urandom >random && sha256sum random
		sleep 1000 & # must not hold the machine up
		exit 42' bash 'a b' '' '$HOME' "'"
	echo "$output" # shown if something is missing
	[ "$status" -eq 42 ]
	[[ $output == *"folder $PWD"*"module "*"/mayfly.ko"*"no terminal"* ]]
	[[ $output == *"CPUs 2, with vmx 2"*"idle in HLT"*"vmctl runs"*"KVM loads"* ]]
	[[ $output == *"<a b><><\$HOME><'>folder/mine:before"* ]]
	[ "$(<"$share/folder/mine")" = after ]
	[ "$(stat -c %s "$share/random")" -eq 5000000 ]
	[[ $output == *"$(cd "$share" && sha256sum random)"* ]]
}

@test "Bochs: what it cannot do is refused at once" {
	run "${nested[@]}"
	[ "$status" -eq 2 ]
	run "${nested[@]}" --memory 4G -- true
	[ "$status" -eq 2 ]
	run "${nested[@]}" --share /dev/null -- true
	[ "$status" -eq 2 ]
	run "${nested[@]}" --tty -- true
	[ "$status" -eq 2 ]
}
