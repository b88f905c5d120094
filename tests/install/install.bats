#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What `make install` gives, seen by those who have nothing else: users of vmctl,
# programs that link with libvmctl, guests.

# shellcheck disable=SC2154 # status, output and lines are bats'

# Folders below DESTDIR, and the environment of a program that is built against it.
locate()
{
	repository=$(realpath "$BATS_TEST_DIRNAME/../..")
	root=$BATS_FILE_TMPDIR/root
	prefix=$root/usr/local
	export PKG_CONFIG_PATH=$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
}

# The name of DESTDIR is a relative one, and the umask that of a careful root.
setup_file()
{
	locate
	cd "$repository" || exit
	MAKEFLAGS='' make --silent libvmctl vmctl guest-unikernel
	umask 077
	MAKEFLAGS='' make --silent install PREFIX=/usr/local "DESTDIR=$(realpath -m --relative-to=. "$root")"
}

setup()
{
	locate
	cp "$repository/libvmctl/examples/hello.cpp" "$BATS_TEST_TMPDIR"
	cd "$BATS_TEST_TMPDIR" || exit
}

# Prints what it gets, for the log, and fails if that is anything.
nothing()
{
	local lines
	lines=$(cat)
	echo "$lines"
	[[ ! $lines ]]
}

# --- files ------------------------------------------------------------------

@test "everybody may read what is installed, and only programs are executable" {
	find "$root" -mindepth 1 -type d ! -perm 755 | nothing
	find "$root" -type f ! -perm 644 ! -path '*/bin/vmctl' ! -path '*/check-image' | nothing
	[[ $(stat -c %a "$prefix/bin/vmctl" "$prefix/lib/mayfly/check-image") == 755$'\n'755 ]]
	find "$root" -xtype l | nothing
}

@test "nothing names the folder it was built or packed in" {
	grep -rlF -e "$repository/" -e "$root" "$root" | nothing
}

@test "installing takes no root" {
	((EUID == 0)) || skip "setup was it"
	as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	"${as_nobody[@]}" test -r "$repository/build/vmctl" || skip "only root may read the clone"
	packed=$(mktemp -d)
	chown 65534:65534 "$packed"
	MAKEFLAGS='' "${as_nobody[@]}" make --silent -C "$repository" install "DESTDIR=$packed" PREFIX=/usr
	diff -r "$prefix/lib/mayfly" "$packed/usr/lib/mayfly"
	grep -qx 'prefix=/usr' "$packed/usr/lib/pkgconfig/libvmctl.pc"
	rm -rf "$packed"
}

# --- vmctl ------------------------------------------------------------------

# bundled VMCTL
bundled()
{
	"$1" images | awk '$3 == "bundled" { print $1 }' | paste -sd ' '
}

@test "vmctl finds the bundled images, wherever the tree is" {
	cp -r "$prefix" elsewhere
	rm elsewhere/lib/mayfly/guests/noop
	cd /
	[[ $(bundled "$prefix/bin/vmctl") == "daytime echo hello http noop primes selftest" ]]
	[[ $(bundled "$BATS_TEST_TMPDIR/elsewhere/bin/vmctl") == "daytime echo hello http primes selftest" ]]
}

@test "one version: vmctl, page, pkg-config, library" {
	version=$(pkg-config --modversion libvmctl)
	[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]
	"$prefix/bin/vmctl" version | grep -F "vmctl $version "
	grep -F "\"Mayfly $version\"" "$prefix/share/man/man1/vmctl.1"
	[[ $(readlink -f "$prefix/lib/libvmctl.so") == "$prefix/lib/libvmctl.so.$version" ]]
}

# It has no date, so that the same sources give the same page.
@test "the manual page is clean" {
	page=$prefix/share/man/man1/vmctl.1
	grep -qF '.SH EXIT STATUS' "$page"
	groff -man -ww -Tutf8 -P-cbou "$page" 2>&1 >page | nothing
	grep -q 'spawn' page
	mandoc -T lint -W warning "$page" | grep -v 'WARNING: missing date' | nothing
}

@test "bash completes vmctl's commands" {
	run bash --norc -c "
		source '$prefix/share/bash-completion/completions/vmctl'
		complete -p vmctl
		COMP_WORDS=(vmctl sp) COMP_CWORD=1
		_vmctl
		echo \"\${COMPREPLY[@]}\""
	echo "$output"
	[[ $status -eq 0 && ${lines[0]} == *"-F _vmctl vmctl" && ${lines[1]} == spawn ]]
}

# Debian 12's udevadm cannot verify rules.
@test "the udev rule gives the device to the group kvm" {
	rules=$prefix/lib/udev/rules.d/60-mayfly.rules
	if udevadm verify --help >/dev/null 2>&1; then
		udevadm verify "$rules"
	fi
	rule=$(grep -v '^#' "$rules" | grep .)
	echo "$rule"
	term='[A-Z]+(==|=)"[^"]*"'
	[[ $rule =~ ^$term(, $term)*$ ]]
	[[ $rule == *'KERNEL=="mayfly", GROUP="kvm", MODE="0660"' ]]
}

# It does not look below /usr/local.
@test "NetworkManager is kept from networks of VMs, by a file where it looks" {
	local places
	places=$(MAKEFLAGS='' make -n -C "$repository" install PREFIX=/usr DESTDIR=/packed | grep -o '/[^ ]*NetworkManager/conf.d')
	[[ $places == /packed/usr/lib/NetworkManager/conf.d ]]
	[[ $(grep -v -e '^#' -e '^$' "$root/etc/NetworkManager/conf.d/60-mayfly.conf") == \
		$'[device-mayfly]\nmatch-device=driver:mayfly\nmanaged=0' ]]
}

# --- programs ---------------------------------------------------------------

# With the module it does what it is for; without, it says why not, as vmctl does.
greets_or_says_why()
{
	local cause
	cause=$("$prefix/bin/vmctl" ps 2>&1 | sed -n '1s/^vmctl: ps: //p')
	run "$@" "$prefix/lib/mayfly/guests/hello"
	echo "$output"
	if [[ $cause ]]; then
		[[ $status -eq 1 && $output == "hello: $cause" ]]
	else
		[[ $status -eq 0 && $output == "Hello from Mayfly VM"* ]]
	fi
}

@test "the example is built with pkg-config alone and runs with the shared library" {
	# shellcheck disable=SC2046 # words
	g++ -std=c++23 -Wall -Wextra -Werror -o hello hello.cpp $(pkg-config --cflags --libs libvmctl)
	readelf -d hello | grep -F 'NEEDED' | grep -F '[libvmctl.so.0]'
	if ./hello 2>error; then
		return 1
	fi
	grep -F 'libvmctl.so.0: cannot open' error
	greets_or_says_why env LD_LIBRARY_PATH="$prefix/lib" ./hello
}

@test "the example is built with the static library" {
	cp "$prefix/lib/libvmctl.a" .
	# shellcheck disable=SC2046
	g++ -std=c++23 -o hello hello.cpp $(pkg-config --cflags libvmctl) -L. \
		$(pkg-config --static --libs-only-l libvmctl)
	readelf -d hello | grep -F 'libvmctl' | nothing
	greets_or_says_why ./hello
}

@test "the shared library has a soname, and exports only what is its own" {
	library=$(readlink -f "$prefix/lib/libvmctl.so")
	readelf -d "$library" | grep -F 'soname: [libvmctl.so.0]'
	[[ $(readlink -f "$prefix/lib/libvmctl.so.0") == "$library" ]]
	nm -DC --defined-only "$library" | grep -F 'vmctl::device::open('
	nm -DC --defined-only "$library" | grep -v 'vmctl::' | nothing
}

@test "C programs find the kernel's interface" {
	printf '#include <mayfly/mayfly.h>\n#include <mayfly/mayfly_guest.h>\nint version = MAYFLY_API_VERSION;\n' >client.c
	gcc -std=c11 -Wall -Wextra -Werror -fsyntax-only -I"$prefix/include" client.c
}

# --- guests -----------------------------------------------------------------

# The application is the first one of the guide.
@test "a guest is built without a clone" {
	mkdir greeter
	sed -n '/^```c++$/,/^```$/{/^```/!p;/^```$/q}' "$repository/guest-unikernel/README.md" >greeter/main.cpp
	grep -q 'int main' greeter/main.cpp
	MAKEFLAGS='' make -f "$prefix/lib/mayfly/guest.mk" APP=greeter
	readelf -h build/guests/greeter | grep -F 'EXEC'
	"$prefix/lib/mayfly/check-image" build/guests/greeter 32768
	grep -rlF "$repository/" build | nothing
}

# The guide's own, too.
@test "a guest with a network is built without a clone, with lwIP's licence" {
	mkdir server
	awk '/^```c\+\+$/ { text = ""; next } /^```$/ { if (text ~ /net.hpp/) { printf "%s", text; exit } } { text = text $0 "\n" }' \
		"$repository/guest-unikernel/README.md" >server/main.cpp
	grep -q 'listener::listen' server/main.cpp
	MAKEFLAGS='' make -f "$prefix/lib/mayfly/guest.mk" APP=server NET=1
	"$prefix/lib/mayfly/check-image" build/guests/server 98304
	grep -q 'Swedish Institute of Computer Science' "$prefix/lib/mayfly/lwip-COPYING"
	run make_guest server
	[[ $status -ne 0 && $output == *"undefined reference"* ]]
}

make_guest()
{
	MAKEFLAGS='' make -f "$prefix/lib/mayfly/guest.mk" "APP=$1"
}

# cannot_make APP MESSAGE
cannot_make()
{
	run make_guest "$1"
	echo "$output"
	[[ $status -ne 0 && $output == *"$2"* ]]
}

# A C++ file whose program has these words in it: words FILE WORD…
words()
{
	mkdir -p "$(dirname "$1")"
	printf '#include <mayfly/console.hpp>\nint main() { mayfly::print("%s\\n"); }\n' "${*:2}" >"$1"
}

# Is this what build/guests/NAME prints? prints NAME WORD…
prints()
{
	grep -qaF "${*:2}" "build/guests/$1"
}

@test "a guest needs a folder that is there, with sources" {
	cannot_make '' APP=DIR
	cannot_make nowhere "APP=nowhere: no such folder"
	mkdir empty
	cannot_make empty "APP=empty: there is no .cpp .cc .cxx .c .S in it"
	words "my app/main.cpp" "of my app"
	words my/main.cpp "of my"
	cannot_make "my app" "make takes no blanks"
	[[ ! -e build/guests/my ]]
}

@test "folders of one name make an image each" {
	words a/web/main.cpp "the one of a"
	words b/web/main.cpp "the one of b"
	for folder in b a b "$PWD/a" "b/../a" b; do
		make_guest "$folder/web/"
		prints web "the one of $(basename "$folder")"
	done
	rm -r b
	make_guest a/web
	prints web "the one of a"
	(cd a/web && MAKEFLAGS='' make -f "$prefix/lib/mayfly/guest.mk" APP=.)
	[[ -e a/web/build/guests/web ]]
}

# PWD is what the last shell has said, and may be of another folder.
@test "a folder is looked for where make was started, whatever PWD is" {
	words web/main.cpp "of the caller"
	words away/web/main.cpp "of the folder"
	mkdir empty
	MAKEFLAGS='' env -C away make -f "$prefix/lib/mayfly/guest.mk" APP=web
	(cd away && prints web "of the folder")
	run env -C empty MAKEFLAGS='' make -f "$prefix/lib/mayfly/guest.mk" APP=web
	echo "$output"
	[[ $status -ne 0 && $output == *"APP=web: no such folder"* ]]
}

# A clone's Makefile is in a folder of its own, and only PWD tells whose folder APP is in.
@test "in a clone, a folder that may be one of two is refused" {
	mkdir -p guest-unikernel scripts
	cp "$repository"/guest-unikernel/{Makefile,guest.mk} guest-unikernel
	cp "$repository/scripts/install.mk" scripts
	words web/main.cpp "of the caller"
	words guest-unikernel/web/main.cpp "of the clone"
	run env MAKEFLAGS='' make -C guest-unikernel APP=web
	echo "$output"
	[[ $status -ne 0 && $output == *"APP=web: $PWD/web $PWD/guest-unikernel/web are two folders"* ]]
	rm -r guest-unikernel/web
	ln -s ../web guest-unikernel
	MAKEFLAGS='' make -n -C guest-unikernel APP=web | grep -F "$PWD/web/main.cpp"
	MAKEFLAGS='' env -u PWD make -n -C guest-unikernel APP=web | grep -F "$PWD/guest-unikernel/web/main.cpp"
}

@test "a source that has gone is in no image, one that has come is" {
	words app/main.cpp "the first"
	make_guest app
	words app/other.cc "the second"
	cannot_make app "multiple definition of"
	rm app/main.cpp
	make_guest app
	prints app "the second"
	mv app/other.cc app/third.cxx
	make_guest app
	prints app "the second"
}

# What g++ and gcc take by themselves, and main() need not return.
@test "a guest's code is its author's: it may have warnings" {
	mkdir rough
	cat >rough/main.cpp <<-'EOF'
		#include <mayfly/console.hpp>
		struct base { virtual int get(int unused) { return 1; } };
		struct derived : base { int get(int unused) { return 2; } };
		extern "C" int narrow(long wide);
		int main(int argc, char **argv)
		{
			int forgotten;
			base *b = new derived;
			{ long argc = (long)b; mayfly::print("%d\n", narrow(argc)); }
		}
	EOF
	cat >rough/narrow.c <<-'EOF'
		int narrow(long wide) { char c = wide; unsigned u = -1; return c < u; }
	EOF
	printf '.globl nothing\nnothing: ret\n' >rough/stack.S
	run make_guest rough
	echo "$output"
	[[ $status -eq 0 && -e build/guests/rough && $output == *"-Wunused-variable"* && $output != *"-Wconversion"* ]]
}

# symbol NAME: its value in the guest `threads`.
symbol()
{
	echo "0x$(nm build/guest-unikernel/apps/threads.debug | sed -n "s/ [A-Za-z] $1\$//p")"
}

# What code adds to FS is the linker's, what FS is, the script's: together they are to be
# where the initial values are.
@test "code finds a guest's thread storage, however small" {
	local storage offset base
	mkdir threads
	for storage in 'int x = 5, y' 'char x = 5, y' 'short y = 1, x' 'int y = 1, x = 2' 'char x[3], y' \
		'char y = 1; __thread long x' 'char y[9] = {1}; __thread int x' 'long x = 5, y' \
		'char y = 1, x __attribute__((aligned(64)))' 'char x = 5, y __attribute__((aligned(64)))'; do
		printf '__thread %s;\n__attribute__((noipa)) void *get(void) { return &x; }\n' "$storage" >threads/main.c
		echo 'int main(void) { return get() == &y; }' >>threads/main.c
		make_guest threads
		offset=$(objdump -d --no-show-raw-insn --disassemble=get build/guest-unikernel/apps/threads.debug |
			sed -nE 's/.*(lea +|add +\$)(-?0x[0-9a-f]+)\W.*/\2/p')
		base=$(readelf -lW build/guest-unikernel/apps/threads.debug | awk '$1 == "TLS" { print $3 }')
		echo "$storage: $(symbol thread_pointer) + $offset, $base + $(symbol x)"
		[[ $offset ]]
		(($(symbol thread_pointer) + offset == base + $(symbol x)))
	done
}

@test "no guest takes the place of a bundled one" {
	words hello/main.cpp "not the bundled one"
	run env MAKEFLAGS='' make -C "$repository/guest-unikernel" "APP=$PWD/hello"
	echo "$output"
	[[ $status -ne 0 && $output == *"hello is a bundled guest"* ]]
	make_guest hello
	prints hello "not the bundled one"
}
