# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# 500 000 events/s: from the kernel's timestamp to the output.
# The best of some short runs: what others do on the machine only adds.
part_latency() {
	local runs=${quick:+2} i s p50 p99 p999 best='' all='' lost=0 bare='' r cpu=''

	runs=${runs:-5}
	for ((i = 0; i < runs; i++)); do
		r=$("$build/bench/bare/bench-bare" --mode poll --rate 500000 --seconds 1 --ring "$ring_bytes" \
			--producer-cpu "$make_cpu" --consumer-cpu "$weir_cpu" | get p99_ns)
		bare=$(least "$bare" "$r")
	done
	daemon_start "  flood: { wait: true, cpu: $make_cpu, ring: $ring_bytes, latency_class: low }"$'\n'"  count: {}" || {
		skip "500 000/s" "the daemon does not start"
		return
	}
	for ((i = 0; i < runs; i++)); do
		flood_run 500000 2 || { skip "500 000/s" "the run did not end"; return; }
		s=$(query count.stats)
		{ read -r p50; read -r p99; read -r p999; } < <(get latency_ns.p50 latency_ns.p99 latency_ns.p999 <<<"$s")
		say "run $i: p50 $((p50 / 1000)) us, p99 $((p99 / 1000)) us, p99.9 $((p999 / 1000)) us"
		lost=$((lost + made - arrived)) all+=" $((p99 / 1000))"
		best=$(least "$best" "$p99")
		cpu=$(least "$cpu" "$(calc "$cpu_ns * 100 / $run_ns" 2)")
	done
	row "500 000/s: p99 to the output" "$(calc "$best / 1000")" us "<=" 500 \
		"runs:$all; bare $(calc "$bare / 1000")"
	row "500 000/s: lost" $lost events = 0
	row "500 000/s: CPU" "$cpu" "% core" - ""
}
