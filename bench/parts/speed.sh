# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# Full rate: ring -> host -> nng -> counting output, against the bare consumer. The
# runs alternate, each alone on the machine (a program of the other side's would run
# on every call); the best of each is compared, since noise only makes them slower.
part_speed() {
	local runs=${quick:+3} i rate=0 r bare=0 mode bare_mode='' bare_user=0 lost=0 user=0 total=0 all=0
	local here_rate here_cpu cpu_rate=0 bare_cpu_rate=0

	runs=${runs:-8}
	for ((i = 0; i < runs; i++)); do
		for mode in wake poll; do
			r=$("$build/bench/bare/bench-bare" --mode $mode --seconds 1 --ring "$ring_bytes" \
				--producer-cpu "$make_cpu" --consumer-cpu "$weir_cpu") || continue
			{ read -r here_rate; read -r here_cpu; } < <(get per_second per_cpu_second <<<"$r")
			((here_cpu > bare_cpu_rate)) && bare_cpu_rate=$here_cpu
			if (($(calc "$here_rate > $bare" 0))); then
				bare=$here_rate bare_mode=$mode bare_user=$(get user_ns <<<"$r")
			fi
		done
		daemon_start "  flood: { wait: true, cpu: $make_cpu, ring: $ring_bytes }"$'\n'"  count: {}" || {
			skip "full rate" "the daemon does not start"
			return
		}
		flood_run 0 1 || break
		here_cpu=$(calc "$arrived * 1e9 / $(query flood.stats | get cpu_ns)" 0)
		((here_cpu > cpu_rate)) && cpu_rate=$here_cpu
		daemon_stop
		here_rate=$(calc "$arrived * 1e9 / $run_ns" 0)
		say "run $i: weir $here_rate/s, best bare $bare/s"
		((here_rate > rate)) && rate=$here_rate
		lost=$((lost + made - arrived)) user=$((user + user_ns)) total=$((total + cpu_ns)) all=$((all + arrived))
	done
	[[ $bare != 0 && $all != 0 ]] || { skip "full rate" "no run ended"; return; }
	row "full rate: events/s" "$rate" /s - "" "bare libbpf $bare/s ($bare_mode)"
	row "full rate: share of the bare consumer's" "$(calc "$rate / $bare" 3)" "" ">=" 0.85
	# The same without what other processes took from the helper's CPU.
	row "full rate: share, per CPU second of the workload" "$(calc "$cpu_rate / $bare_cpu_rate" 3)" "" - "" \
		"weir $cpu_rate, bare $bare_cpu_rate"
	row "full rate: lost" $lost events = 0 "of $all"
	row "full rate: user CPU per event" "$(calc "$user / $all")" ns "<=" 200 "bare $bare_user, weir with kernel $(calc "$total / $all")"
}
