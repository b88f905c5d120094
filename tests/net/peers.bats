#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Programs of Debian's that every machine has, and guests; tests/peers has more of them.

load with_network

# What curl says of connections and answers for its arguments.
told_by_curl()
{
	curl -sS -m 60 -w '%{num_connects} %{http_code} %{size_download}\n' -o /dev/null "$@"
}

@test "curl: pages by one connection and by many, and what is wrong" {
	local url=http://10.9.3.17/ i urls=()
	vmctl spawn -q --net web,ip=10.9.3.17 http
	[[ $(told_by_curl $url) == "1 200 53" ]]
	for ((i = 0; i < 50; i++)); do
		urls+=(-o /dev/null "$url?$i")
	done
	[[ $(told_by_curl $url "${urls[@]}" | sort | uniq -c | tr -s ' ') == $' 50 0 200 53\n 1 1 200 53' ]]
	[[ $(told_by_curl --http1.0 $url -o /dev/null $url) == $'1 200 53\n1 200 53' ]]
	[[ $(told_by_curl --parallel --parallel-immediate --parallel-max 50 $url "${urls[@]}" | grep -c ' 200 53$') -eq 51 ]]
	[[ $(told_by_curl -I $url) == "1 200 0" && $(told_by_curl $url/no) == "1 404 0" ]]
	[[ $(told_by_curl -X DELETE $url) == "1 405 0" && $(told_by_curl -X "$(printf 'A%.0s' {1..100})" $url) == "1 405 0" ]]
	# It takes no more of a header than it wants.
	[[ $(told_by_curl -H "X: $(head -c 4000 /dev/zero | tr '\0' x)" $url) == "1 200 53" ]]
	[[ $(told_by_curl -H "X: $(head -c 9000 /dev/zero | tr '\0' x)" $url) == "1 400 0" ]]
	# What is no HTTP is told so, or waits for more that nobody sends.
	run ! curl -sS -m 3 --http2-prior-knowledge $url
	run ! curl -sS -m 3 https://10.9.3.17:80/
	run -7 curl -sS -m 60 http://10.9.3.17:81/
	[[ $(curl -sS -m 60 $url) == *"It works."* && -z $(vmctl logs --all) ]]
}

@test "fping: packets of any size, whole and in pieces" {
	local size
	vmctl spawn -q -n 16 --net web echo >/dev/null
	for size in 0 1 2 55 1471 1472 1473 8000 60000; do
		[[ $(fping -a -q -t 60000 -b $size -g 10.9.0.2 10.9.0.17 | wc -l) -eq 16 ]]
	done
	# In pieces, which the guest puts together, and takes apart to answer.
	vmctl net create small --subnet 10.12.0.0/24 --mtu 576
	vmctl spawn -q -n 2 --net small echo >/dev/null
	for size in 548 549 600 5000 20000; do
		[[ $(fping -a -q -t 60000 -b $size 10.12.0.2 10.12.0.3 | wc -l) -eq 2 ]]
	done
	[[ -z $(vmctl logs --all) ]]
}
