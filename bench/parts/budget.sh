# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# Budgets under a flood as fast as it can be made: is all of Weir (its processes' CPU
# and what its programs take inside the kernel) within its limit from the fifth second
# on, do the weights stay unbiased, is it whole again a minute after?

# One line a second: second, CPU of the processes and of programs, weight, level, state.
budget_second() {
	local answer

	answer=$("$weir" status --json) || [[ $answer == {* ]] || return 1 # 1: one is suspended
	{ read -r cpu; read -r weight; read -r level; read -r state; } < <(get \
		daemon.budget.cpu.used "plugins[name=$1].budget.weight" "plugins[name=$1].budget.level" \
		"plugins[name=$1].state" <<<"$answer")
}

# budget_watch PLUGIN FROM SECONDS: sets worst (CPU from FROM on), whole (second at which
# it ran at weight 1 and level none again, or none).
budget_watch() {
	local i begun=$SECONDS cpu weight level state

	worst=0 whole='' last_state=''
	for ((i = 1; i <= $3; i++)); do
		while ((SECONDS - begun < i)); do sleep 0.05; done
		budget_second "$1" || return 1
		say "$(printf '%-10s %3d s  cpu %6.2f %%  weight %4s  %-10s %s' "$1" "$i" "$cpu" "$weight" "$level" "$state")"
		((i >= $2)) && worst=$(awk -v a="$worst" -v b="$cpu" 'BEGIN { print (b + 0 > a + 0 ? b : a) }')
		[[ $weight == 1 && $state == running ]] || whole=''
		[[ ! $whole && $weight == 1 && $state == running ]] && whole=$i
		last_state=$state
	done
}

# budget_flood LIMIT SECONDS
budget_flood() {
	local what="budget $1 %" weighted seen

	budgets="budget: { cpu: $1, memory: 1TiB }"
	daemon_start "  flood: { isolation: thread, wait: true, cpu: $make_cpu, budget: { events: 25000 } }"$'\n'"  count: {}" || {
		skip "$what" "the daemon does not start"
		return
	}
	query flood.go >/dev/null
	budget_watch flood 6 "$2"
	row "$what: most of 1 s, from 5 s on" "$(calc "$worst" 2)" "% core" "<=" "$(calc "$1 * 1.1" 2)" "$last_state at the end"
	query flood.halt >/dev/null 2>&1
	budget_watch flood 1 60
	row "$what: weight 1 again after the flood" "${whole:-}" s "<=" 60
	weighted=$(query count.stats | get weighted)
	seen=$("$weir" status --json | get 'routes[from=flood].seen')
	row "$what: sum of weights / seen" "$(calc "$weighted / $seen" 4)" "" - "" "$seen seen"
	row "$what: off by" "$(calc "($weighted / $seen - 1) * 100 * ($weighted > $seen ? 1 : -1)" 2)" % "<=" 2
	daemon_stop
}

# budget_reads LIMIT SECONDS: iomonitor under reads of one byte from the page cache.
budget_reads() {
	local what="budget $1 %, cached reads"

	budgets="budget: { cpu: $1, memory: 1TiB }"
	daemon_start "  iomonitor: {}"$'\n'"  procfs-fallback: {}"$'\n'"  count: {}" || {
		skip "$what" "the daemon does not start"
		return
	}
	truncate -s 1G "$work/zeros" # more bytes than can be read one by one meanwhile
	taskset -c "$make_cpu" dd if="$work/zeros" of=/dev/null bs=1 2>/dev/null &
	others+=($!)
	budget_watch iomonitor 6 "$2"
	kill -KILL "${others[-1]}" 2>/dev/null
	rm -f "$work/zeros"
	row "$what: most of 1 s, from 5 s on" "$(calc "$worst" 2)" "% core" "<=" "$(calc "$1 * 1.1" 2)" "$last_state at the end"
	budget_watch iomonitor 1 60
	row "$what: weight 1 again after it" "${whole:-}" s "<=" 60
	daemon_stop
}

part_budget() {
	local seconds=${quick:+20} saved=$budgets

	seconds=${seconds:-65}
	budget_flood 25 "$seconds"
	budget_flood 5 "$seconds"
	budget_reads 25 "$seconds"
	budget_reads 5 "$seconds"
	budgets=$saved
}
