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
	sees 'mem/fault.c includes vm/life.h: mem/ may use mem debug'
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

@test "an include in brackets is seen" {
	add_line mem/fault.c ' #  include  <vm/life.h>'
	sees 'mem/fault.c includes vm/life.h'
}

@test "a vendor that looks at the other one is seen" {
	add_line cpu/svm/exit.c '#include "cpu/vmx/vmcs.h"'
	sees 'cpu/svm/exit.c includes cpu/vmx/vmcs.h'
}

@test "what objects use is below them, whoever declares it" {
	objects=(build/kmod-*-amd64)
	[[ -f ${objects[0]}/mayfly.ko ]] || skip "there is no module: make"
	scripts/check-rooms --objects "${objects[0]}"
}

@test "an object that uses what is above it is seen" {
	copy=$BATS_TEST_TMPDIR/objects
	mkdir -p "$copy"/{mem,vm}
	echo 'int life_kill(void *vm) { return !vm; }' >"$copy/vm/life.c"
	echo 'int life_kill(void *vm); int room(void *vm) { return life_kill(vm); }' >"$copy/mem/room.c"
	for name in vm/life mem/room; do
		cc -c -o "$copy/$name.o" "$copy/$name.c"
	done
	run scripts/check-rooms --objects "$copy"
	echo "$output"
	[[ $status -eq 1 && $output == *'mem/room.o uses life_kill of vm/life.o: mem/ may use mem debug'* ]]
}

@test "another writer of run_state is seen" {
	add_line vm/cold.c 'static void wake(struct vm *vm) { WRITE_ONCE(vm->run_state, MAYFLY_READY); }'
	sees 'vm/cold.c:'
	sees 'run_state is written here'
}

@test "run_state written in another way is seen" {
	add_line sched/run.c 'static void wake(struct vm *vm) { smp_store_release(&vm->run_state, 0); }'
	sees 'run_state is written here'
}

@test "a room that is not in the list is seen" {
	mkdir "$copy/attic"
	echo '#include "mem/stage2.h"' >"$copy/attic/box.c"
	sees 'attic/box.c includes mem/stage2.h: attic/ may use nothing'
}
