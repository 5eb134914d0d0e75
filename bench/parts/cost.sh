# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# What iomonitor costs a process that reads: see bench/cost/cost.c.

# cost_case TITLE LIMIT OPTIONS [COMM]
cost_case() {
	local r rounds=12

	[[ $quick ]] && rounds=4
	daemon_start "  iomonitor: { $3 }"$'\n'"  count: {}" || { skip "$1" "the daemon does not start"; return; }
	r=$("$build/bench/cost/bench-cost" --pid "$daemon" --cpu "$make_cpu" --rounds $rounds \
		--on "$weir enable iomonitor" --off "$weir disable iomonitor" ${4:+--comm "$4"}) || {
		skip "$1" "see above"
		daemon_stop
		return
	}
	row "$1" "$(get added_min_ns <<<"$r")" ns "<=" "$2" \
		"median $(get added_median_ns <<<"$r"); empty programs +$(get floor_min_ns <<<"$r"), read() $(get none.min_ns <<<"$r")"
	daemon_stop
}

part_cost() {
	[[ -e $build/plugins/iomonitor.so ]] || { skip "cost of a 1-byte read()" "no iomonitor in this build"; return; }
	cost_case "1-byte read(), iomonitor's defaults" 250 ""
	# With no process that matches the filter iomonitor follows no system calls at
	# all; the limit is for when there is one, and it is not the one that reads.
	cp -- "$(command -v sleep)" "$work/weir-bench-some"
	"$work/weir-bench-some" 600 &
	others+=("$!")
	cost_case "1-byte read(), process filtered out" 150 "comm: [weir-bench-some]"
	cost_case "1-byte read(), filter matches no process" 150 "comm: [weir-bench-none]"
	cost_case "1-byte read(), latency off" 15 "latency: false"
}
