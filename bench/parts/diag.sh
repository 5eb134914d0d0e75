# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# What a look at all TCP sockets costs: see bench/diag/diag.c. Lines are "name value unit limit".

part_diag() {
	local name value unit limit op

	local -A what=([first]="first look" [proc_read]="/proc/net/tcp read, not parsed"
		[idle]="a look, nothing changed" [busy]="a look, each with a delta" [memory]="memory")
	while read -r name value unit limit; do
		op="<="
		[[ $limit == - ]] && op=-
		row "diag, per socket of 20 000: ${what[$name]:-$name}" "$value" "$unit" "$op" "$limit"
	done < <(taskset -c "$weir_cpu" "$build/bench/diag/bench-diag" 20000)
}
