# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# What the SDK's BPF side adds to a system call that is observed: bench/hook/hook.c.
part_hook() {
	local r rounds=60

	[[ $quick ]] && rounds=15
	r=$("$build/bench/hook/bench-hook" $rounds) || { skip "hook" "see above"; return; }
	row "hook: an empty program" "$(get empty <<<"$r")" ns - "" "getppid() $(get none <<<"$r")"
	row "hook: switched off by the knobs" "+$(get off <<<"$r")" ns - ""
	row "hook: another process" "+$(get other <<<"$r")" ns - ""
	row "hook: counted, kind switched off" "+$(get kind_off <<<"$r")" ns - ""
	row "hook: an 80-byte record" "+$(get record <<<"$r")" ns - "" "without the SDK +$(get bare <<<"$r")"
}
