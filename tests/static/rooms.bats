#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# scripts/check-rooms, and that it sees what it is there to see.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || exit
	copy=$BATS_TEST_TMPDIR/kmod
	cp -r kmod "$copy"
}

# FILE LINE: at the end of a file of the copy.
add_line()
{
	sed -i "\$a$2" "$copy/$1"
}

sees()
{
	run scripts/check-rooms "$copy"
	echo "$output"
	[[ $status -eq 1 && $output == *"$1"* ]]
}

@test "calls in the module go downwards only" {
	scripts/check-rooms
}

@test "a call upwards is seen" {
	add_line mem/fault.c '#include "vm/life.h"'
	sees 'mem/fault.c includes vm/life.h: mem/ may include mem debug'
}

@test "a vendor that looks at a VM is seen" {
	add_line cpu/svm/exit.c '#include "vm/vm.h"'
	sees 'cpu/svm/exit.c includes vm/vm.h'
}

@test "a check of DEBUG builds that uses more than mem and cpu is seen" {
	add_line debug/shadow.c '#include "vm/vm.h"'
	sees 'debug/shadow.c includes vm/vm.h'
}

@test "a circle within a room is seen" {
	add_line vm/vm.c '#include "vm/life.h"'
	sees 'files that include each other in a circle'
}

@test "a file that is not named by its path is seen" {
	add_line vm/vm.c '#include "life.h"'
	sees 'vm/vm.c: "life.h" is not a path from kmod/'
}

@test "a function that is declared where it is called is seen" {
	add_line mem/fault.c 'extern void life_kill(struct vm *vm);'
	sees 'declared in a .c file'
}

@test "another writer of run_state is seen" {
	add_line vm/cold.c 'static void wake(struct vm *vm) { WRITE_ONCE(vm->run_state, MAYFLY_READY); }'
	sees 'vm/cold.c:'
	sees 'run_state is written here'
}

@test "a room that is not in the list is seen" {
	mkdir "$copy/attic"
	echo '#include "mem/stage2.h"' >"$copy/attic/box.c"
	sees 'attic/box.c includes mem/stage2.h: attic/ may include nothing'
}
