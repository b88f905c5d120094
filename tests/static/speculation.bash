# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What tests of check-speculation need: a module that lacks something.

# shellcheck disable=SC2154 # output, status are bats', module is the test's

# Overwrites the instruction number $3 of function $2 (-: any) in section $1 of
# $module that matches $4, with the bytes $5 (hex) and NOPs behind them.
overwrite()
{
	local begin address length bytes=${5:-}
	begin=$(readelf -SW "$module" | sed -n "s/^ *\[ *[0-9]*\] ${1//./\\.} *[A-Z]* *[0-9a-f]* \([0-9a-f]*\) .*/\1/p")
	read -r address length < <(objdump -d -r -z --insn-width=16 -j "$1" "$module" |
		awk -v wanted="$2" -v number="$3" -v pattern="$4" '
			function flush() {
				if (text ~ pattern && (wanted == "-" || wanted == name) && ++found == number)
					print address, length_of
				text = ""
			}
			/^[0-9a-f]+ <.*>:$/ { flush(); name = substr($2, 2, length($2) - 3); next }
			/^ +[0-9a-f]+:\t/ {
				flush()
				split($0, part, "\t")
				address = part[1]; gsub(/[ :]/, "", address)
				length_of = split(part[2], unused, " ")
				text = part[3]
			}
			/: R_X86_64_/ { text = text " =" $3 }
			END { flush() }')
	[ "$address" ] || { echo "no '$4' in $2"; return 1; }
	while ((${#bytes} < 2 * length)); do
		bytes+=90
	done
	# shellcheck disable=SC2059 # the bytes are the format
	printf "$(sed 's/../\\x&/g' <<<"$bytes")" |
		dd of="$module" bs=1 seek=$((16#$begin + 16#$address)) conv=notrunc status=none
}

# $1 is what must be missed, by the check for kernel series $2.
must_miss()
{
	run scripts/check-speculation "$module" "${2:-6.1}"
	[ "$status" -eq 1 ] && grep -q "^not ok .* $1\$" <<<"$output"
}

# Of module $1, for kernel series $2: every mutation of the rest is missed. A mutation is
# check, section, function, which one, instruction, what to put there if not NOPs.
each_is_missed()
{
	local original=$1 series=$2 mutation check section function number pattern bytes
	shift 2

	for mutation; do
		read -r check section function number pattern bytes <<<"$mutation"
		cp "$original" "$module"
		overwrite "$section" "$function" "$number" "$pattern" "$bytes"
		must_miss "$check" "$series" || { echo "not missed: $mutation"; echo "$output"; return 1; }
	done
}
