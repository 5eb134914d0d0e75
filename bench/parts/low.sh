# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# 10 000 events/s: what collecting a normal load costs.
part_low() {
	local seconds=${quick:+3} r bare_cpu

	seconds=${seconds:-10}
	r=$("$build/bench/bare/bench-bare" --mode poll --rate 10000 --seconds 2 \
		--producer-cpu "$make_cpu" --consumer-cpu "$weir_cpu")
	bare_cpu=$(calc "($(get user_ns <<<"$r") + $(get sys_ns <<<"$r")) * 10000 / 1e7" 2)
	daemon_start "  flood: { wait: true, cpu: $make_cpu }"$'\n'"  count: {}" || {
		skip "10 000/s" "the daemon does not start"
		return
	}
	flood_run 10000 "$seconds" || { skip "10 000/s" "the run did not end"; return; }
	row "10 000/s: CPU" "$(calc "$cpu_ns * 100 / $run_ns" 2)" "% core" "<=" 1 "bare, a look every 200 us: $bare_cpu"
	row "10 000/s: lost" $((made - arrived)) events = 0
	row "10 000/s: p99 to the output" "$(calc "$(query count.stats | get latency_ns.p99) / 1e6" 2)" ms - ""
}
