#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# VMs that move from one machine to another, which a serial line joins. They agree on what
# comes next by files in a folder that both have.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	folder=$BATS_TEST_TMPDIR
	mkfifo "$folder"/{here,there}.in
	ln -s there.in "$folder/here.out"
	ln -s here.in "$folder/there.out"
}

teardown()
{
	touch "$folder/done"
	kill "$other" 2>/dev/null || true
}

machine()
{
	scripts/nested-host --debug --timeout 400 --share "$folder" --line "$folder/$1" -- bash -c "$common$2"
}

# shellcheck disable=SC2016
common='set -euo pipefail
	tty=/dev/$(ls /sys/bus/pci/devices/*/tty)
	# While nobody has it open, what arrives is lost. Opened by this shell it would be its
	# terminal.
	read -r _ < <(exec {line}<>"$tty"; echo is open; exec sleep infinity)
	stty -F "$tty" raw -echo 115200
	await() { until [[ -e $MAYFLY_OUT/$1 ]]; do sleep 0.1; done; }
	told() { touch "$MAYFLY_OUT/$1"; }
	states() { vmctl ps -a --json | jq -r "map(select(.state != \"ended\").state) | join(\" \")"; }
	# What is still on its way is of no trial that follows.
	empty_line() { grep -aqm 1 "^in step $1\$" <"$tty"; }
	mark_line() { printf "\nin step %s\n" "$1" | tee "$tty" >/dev/null; }
'

# Receives a VM in each trial, and tells what it has then.
# shellcheck disable=SC2016
receives='for ((i = 1; ; i++)); do
		until [[ -e $MAYFLY_OUT/begin-$i ]]; do
			[[ ! -e $MAYFLY_OUT/done ]] || exit 0
			sleep 0.1
		done
		vmctl restore --incoming - <"$tty" >"$tty" 2>>"$MAYFLY_OUT/receiver.log" &
		until [[ -e $MAYFLY_OUT/end-$i ]]; do
			if [[ -e $MAYFLY_OUT/kill-$i ]]; then
				kill -KILL $! || true
				wait $! || true
				told "killed-$i"
			fi
			sleep 0.1
		done
		# The line does not tell that it was cut.
		kill -KILL $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		told "quiet-$i"
		empty_line "$i"
		mark_line "$i"
		states >"$MAYFLY_OUT/there-$i"
		[[ ! -e $MAYFLY_OUT/last-$i ]] || until (($(vmctl logs web | wc -l) >= 3)); do sleep 0.1; done
		vmctl rm -f --all 2>/dev/null || true
		told "counted-$i"
	done'

# Moves a VM at each stage of which the link, or a side, is lost.
# shellcheck disable=SC2016
sends='i=0
	export RECEIVER=tests/nested/line
	trial() {
		i=$((i + 1))
		told "begin-$i"
		vmctl migrate --via "tests/cli/bad_link $1 \"$2\"" web 2>>"$MAYFLY_OUT/sender.log" || true
		told "end-$i"
		await "quiet-$i"
		mark_line "$i"
		empty_line "$i"
		await "counted-$i"
		echo "$1 $3: here ($(states)), there ($(<"$MAYFLY_OUT/there-$i"))"
		vmctl rm -f --all 2>/dev/null || true
	}
	loses() {
		vmctl spawn -q --name web >/dev/null
		until [[ $(states) == parked ]]; do sleep 0.1; done
		case $2 in
		link) trial "$1" true "$2" ;;
		sender) trial "$1" "pkill -KILL -x vmctl" "$2" ;;
		receiver)
			ask="touch $MAYFLY_OUT/kill-$((i + 1))"
			trial "$1" "$ask; until [[ -e $MAYFLY_OUT/killed-$((i + 1)) ]]; do sleep 0.1; done" "$2" ;;
		esac
	}
	for what in link sender receiver; do
		for stage in greeting image:0 image:100 image:2000 arrived order:0 answer; do
			loses "$stage" "$what"
		done
	done
	loses order:3 link
	vmctl spawn -q --name web daytime >/dev/null
	until (($(vmctl logs web | wc -l) >= 2)); do sleep 0.1; done
	told "last-$((i + 1))"
	trial nothing true lost
	told done
	rmmod mayfly'

@test "over a line that is cut, and between sides that are killed: never two, never none" {
	machine there "$receives" >"$folder/there.log" 2>&1 3>&- &
	other=$!
	run machine here "$sends"
	echo "$output"
	cat "$folder"/{sender,receiver,there}.log
	[ "$status" -eq 0 ]
	touch "$folder/done"
	wait "$other"
	for what in link sender receiver; do
		for stage in greeting image:0 image:100 image:2000 arrived; do
			grep -qxF "$stage $what: here (parked), there ()" <<<"$output"
		done
		grep -qxF "order:0 $what: here (paused), there ()" <<<"$output"
		grep -qxE "answer $what: here \(paused\), there \((parked|ready|running)\)" <<<"$output"
	done
	grep -qxF "order:3 link: here (paused), there ()" <<<"$output"
	grep -qxE "nothing lost: here \(\), there \((parked|ready|running)\)" <<<"$output"
}
