# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# What the network plugin costs: bench/network/, and libbpf-tools' tcplife on the same connections.

# network_daemon OPTIONS: with a counting output, or what is in $2.
network_daemon() {
	daemon_start "  network: { budget: { events: 0 }, $1 }"$'\n'"${2:-  count: { queue: 64MiB, on_full: block \}}" || {
		skip "network" "the daemon does not start"
		return 1
	}
}

network_programs() {
	local r name

	network_daemon "scope: both, discovery: { interfaces: [lo] }" || return
	r=$("$bench" programs --pid "$daemon") || { skip "network: programs" "none of them is loaded"; return; }
	for name in net_egress net_ingress net_eth_in net_eth_out; do
		row "network: $name, a packet" "$(get "$name.v4_ns" <<<"$r")" ns "<=" 150 \
			"IPv6 $(get "$name.v6_ns" <<<"$r"), an empty program $(get "$name.empty_ns" <<<"$r")"
	done
	daemon_stop
}

network_speed() {
	local r name rounds=14

	[[ $quick ]] && rounds=10
	network_daemon "scope: host" || return
	r=$("$bench" speed --pid "$daemon" --rounds $rounds --on "$weir enable network >/dev/null" \
		--off "$weir disable network >/dev/null") || { skip "network: speed" "see above"; daemon_stop; return; }
	for name in tcp_offload tcp_single round_trips; do
		row "network: $name, share that is left" "$(get "$name.share" <<<"$r")" "" ">=" 0.95 \
			"median of $rounds, half of them $(get "$name.share_low" <<<"$r") to $(get "$name.share_high" <<<"$r"); empty programs $(
			get "$name.empty" <<<"$r"), $(get "$name.empty_low" <<<"$r") to $(get "$name.empty_high" <<<"$r"); $(get "$name.off" <<<"$r")/s without"
	done
	daemon_stop
}

network_flows() {
	local r

	# Twice the flows: else a map that is half full is drained early, and no drain is of all of them.
	network_daemon "flow_capture: { flow_stats_capacity: 262144 }" || return
	taskset -apc "0-$(($(nproc) - 1))" "$daemon" >/dev/null
	sleep 1
	r=$("$bench" flows --pid "$daemon" --count 100000) || { skip "network: flows" "see above"; daemon_stop; return; }
	row "network: 100 000 flows, memory all told" "$(calc "$(get added <<<"$r") / 1048576")" MiB "<=" 64 \
		"resident +$(calc "($(get rss <<<"$r") - $(get before_rss <<<"$r")) / 1048576"), maps +$(calc "($(get maps <<<"$r") - $(get before_maps <<<"$r")) / 1048576"), at most at once"
	r=$(query network.stats)
	ms() { calc "$(get "$1" <<<"$r") / 1000000" 1; }
	row "network: drain of $(get drain_most_flows <<<"$r") flows, map to store" "$(ms drain_most_ns)" ms "<=" 100 \
		"RCU $(ms drain_most_wait_ns); reading $(ms drain_most_fetch_ns), the engine $(ms drain_most_add_ns); deleting afterwards $(ms drain_most_delete_ns)"
	daemon_stop
}

# Short connections, 10 000 new flows a second; the second time with tcplife beside.
network_births() {
	local r count=50000 seen life cpu

	[[ $quick ]] && count=15000
	network_daemon "flow_capture: { flow_stats_capacity: 131072 }, flow_producer: { flow_store_poll_interval: 1s }, span: { tcp_fin_timeout: 1s }" || return
	r=$("$bench" births --pid "$daemon" --count $count --rate 5000) || { skip "network: births" "see above"; return; }
	row "network: user CPU at $(get flows_per_s <<<"$r") new flows/s" "$(get user_percent <<<"$r")" % "<=" 10
	seen=$(query network.stats | get created)
	row "network: flows of $((2 * count)) sockets" "$seen" "" ">=" $((2 * count)) "the machine's other flows among them"
	daemon_stop
	life=$(command -v tcplife || command -v /usr/sbin/tcplife) || { skip "tcplife beside" "not installed (libbpf-tools)"; return; }
	# Its tracepoints need tracefs, which is mounted for it alone.
	unshare -m sh -c 'mount -t tracefs none /sys/kernel/tracing 2>/dev/null; exec stdbuf -oL "$0"' "$life" \
		>"$work/tcplife" 2>/dev/null &
	others+=("$!")
	cpu=$!
	sleep 2
	r=$("$bench" births --pid "$cpu" --count $count --rate 5000) || { skip "tcplife beside" "see above"; return; }
	sleep 2
	kill "$cpu"
	seen=$(grep -c '10\.77\.63\.' "$work/tcplife")
	row "tcplife: user CPU at $(get flows_per_s <<<"$r") sockets/s" "$(get user_percent <<<"$r")" % - ""
	row "tcplife: lines of $((2 * count)) sockets" "$seen" "" - "" "no UDP, no packets, no failures, no server's pid: $(
		awk '/10\.77\.63\./ && $2 !~ /^short-/ { n++ } END { print n + 0 }' "$work/tcplife") lines name another process"
}

part_network() {
	local bench=$build/bench/network/bench-network

	[[ -x $bench && -e $build/plugins/network.so ]] || { skip "network" "not in this build"; return; }
	network_programs
	network_speed
	network_flows
	network_births
}
