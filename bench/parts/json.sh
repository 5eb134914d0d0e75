# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# JSON lines to a file, against bpftrace's printf of the same fields of the same
# events: what each does at most without a loss. bpftrace gets what it is best at: a
# tracepoint of that one system call, 2 MiB per CPU, full buffering. Its wakes also
# hold the workload back; the rate counted is the one really made.

bpftrace_pid='' flood_in='' flood_out=''

# tracefs may not be mounted: mount it privately, where nobody else sees it.
bpftrace_start() {
	local program="tracepoint:syscalls:sys_enter_getppid /pid == $1/ {
		printf(\"{\\\"time\\\":%llu,\\\"collector\\\":\\\"flood\\\",\\\"topic\\\":\\\"flood\\\",\\\"event\\\":\\\"flood_call\\\",\\\"seq\\\":%llu,\\\"pid\\\":%d,\\\"nr\\\":%d}\\n\", nsecs, nsecs, pid, 110); }"
	local i

	rm -f "$work/bt.out" "$work/bt.err"
	# shellcheck disable=SC2016
	BPFTRACE_PERF_RB_PAGES=512 BPFTRACE_PROGRAM=$program unshare -m bash -c '
		mount -t tracefs none /sys/kernel/tracing; mount -t debugfs none /sys/kernel/debug
		exec taskset -c "$1" bpftrace -B full -o "$2" -e "$BPFTRACE_PROGRAM"' - \
		"$weir_cpu" "$work/bt.out" >/dev/null 2>"$work/bt.err" &
	bpftrace_pid=$!
	others+=("$bpftrace_pid")
	for ((i = 0; i < 150; i++)); do
		kill -0 $bpftrace_pid 2>/dev/null || return 1
		# -B full keeps "Attaching" in its buffer: look for its program instead.
		grep -qs '^prog_id' /proc/$bpftrace_pid/fdinfo/* && break
		sleep 0.1
	done
	sleep 0.5
}

# bpftrace_try RATE: sets made, run_ns, arrived, lost_said
bpftrace_try() {
	echo "$1 $try_seconds" >&"$flood_in"
	read -r made run_ns <&"$flood_out"
	sleep 0.5
	kill -INT $bpftrace_pid
	wait $bpftrace_pid 2>/dev/null
	arrived=$(grep -c '"flood_call"' "$work/bt.out")
	lost_said=$(cat "$work/bt.out" "$work/bt.err" | grep -ci 'lost')
}

# The most without loss. Sets best.
bpftrace_limit() {
	local pid rate

	best=0
	coproc FLOOD { "$tool" flood "$make_cpu"; }
	others+=("$FLOOD_PID")
	flood_in=${FLOOD[1]} flood_out=${FLOOD[0]}
	read -r pid <&"$flood_out"
	for rate in 20000 40000 60000 80000 100000 125000 150000 200000 250000 300000; do
		bpftrace_start "$pid" || { tail -n 3 "$work/bt.err" >&2; break; }
		bpftrace_try $rate
		say "bpftrace at $rate/s: $(calc "$made * 1e9 / $run_ns" 0)/s made, $arrived of $made printed"
		((arrived == made && lost_said == 0)) || break
		here_rate=$(calc "$made * 1e9 / $run_ns" 0)
		((here_rate > best)) && best=$here_rate
		((here_rate * 10 > rate * 9)) || break
	done
	eval "exec $flood_in>&-"
	wait "$FLOOD_PID" 2>/dev/null
}

# weir_try RATE: sets made, run_ns, arrived, cpu_ns.
weir_try() {
	local running=true before after i last=-1

	: >"$work/events"
	before=$("$tool" usage "$daemon")
	query flood.go rate="$1" duration="${try_seconds}s" >/dev/null || return 1
	while [[ $running == true ]]; do
		sleep 0.2
		{ read -r running; read -r made; read -r run_ns; } < <(query flood.stats | get running run_made run_ns)
	done
	for ((i = 0; i < 30; i++)); do
		arrived=$(grep -c '"flood_call"' "$work/events")
		[[ $arrived == "$made" || $arrived == "$last" ]] && break
		last=$arrived
		sleep 0.3
	done
	after=$("$tool" usage "$daemon")
	cpu_ns=$(awk '{ if (NR == 1) t = $3; else print $3 - t }' <<<"$before"$'\n'"$after")
}

part_json() {
	local best here_rate peer weir_best=0 cost factor try_seconds=2

	[[ $quick ]] && try_seconds=1

	command -v bpftrace >/dev/null || { skip "JSON lines to a file" "no bpftrace (apt install bpftrace)"; return; }
	bpftrace_limit
	peer=$best
	[[ $peer != 0 ]] || { skip "JSON lines to a file" "bpftrace does not run here"; return; }
	daemon_start "  flood: { wait: true, cpu: $make_cpu, ring: $ring_bytes }"$'\n'"  stdout: { format: json, file: $work/events, queue: 32MiB }" || {
		skip "JSON lines to a file" "the daemon does not start"
		return
	}
	for factor in 4 5 6 8 10 12 16; do
		weir_try $((peer * factor)) || break
		here_rate=$(calc "$made * 1e9 / $run_ns" 0)
		say "weir at $factor times that: $here_rate/s made, $arrived of $made printed, $(calc "$cpu_ns / $made" 0) ns CPU each"
		((arrived == made)) || break
		((here_rate > weir_best)) && weir_best=$here_rate cost=$(calc "$cpu_ns / $made" 0)
		((here_rate * 10 > peer * factor * 9)) || break
	done
	row "JSON lines to a file, no loss" "$weir_best" /s - "" "bpftrace $peer/s; weir ${cost:-?} ns CPU each"
	row "JSON lines to a file, times bpftrace" "$(calc "$weir_best / $peer" 2)" "" ">=" 4
}
