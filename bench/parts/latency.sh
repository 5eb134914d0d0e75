# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# 500 000 events/s: from the kernel's timestamp to the output.
part_latency() {
	local seconds=${quick:+2} r s p50 p99 p999

	seconds=${seconds:-5}
	daemon_start "  flood: { wait: true, cpu: $make_cpu, ring: $ring_bytes, latency_class: low }"$'\n'"  count: {}" || {
		skip "500 000/s" "the daemon does not start"
		return
	}
	r=$("$build/bench/bare/bench-bare" --mode poll --rate 500000 --seconds "$seconds" --ring "$ring_bytes" \
		--producer-cpu "$make_cpu" --consumer-cpu "$weir_cpu")
	flood_run 500000 1
	flood_run 500000 "$seconds" || { skip "500 000/s" "the run did not end"; return; }
	s=$(query count.stats)
	{ read -r p50; read -r p99; read -r p999; } < <(get latency_ns.p50 latency_ns.p99 latency_ns.p999 <<<"$s")
	row "500 000/s: p99 to the output" "$(calc "$p99 / 1000")" us "<=" 500 \
		"p50 $(calc "$p50 / 1000"), p99.9 $(calc "$p999 / 1000"); bare p99 $(calc "$(get p99_ns <<<"$r") / 1000")"
	row "500 000/s: made" "$(calc "$made * 1e9 / $run_ns" 0)" /s - ""
	row "500 000/s: lost" $((made - arrived)) events = 0
	row "500 000/s: CPU" "$(calc "$cpu_ns * 100 / $run_ns" 2)" "% core" - "" "user $(calc "$user_ns * 100 / $run_ns" 2)"
}
