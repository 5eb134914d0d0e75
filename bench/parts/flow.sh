# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# The flow engine by itself: see bench/flow/flow.c. Lines are "name value unit limit".

part_flow() {
	local name value unit limit op

	local -A what=([new_flow]="a new flow, without a record" [flow_bytes]="memory of a flow, index included"
		[queue_bytes]="memory of the queues" [updates]="updates of 100 000 flows, no cache's order"
		[end_record]="the end of a flow, with its record" [life]="a whole flow: new, record, gone")
	while read -r name value unit limit; do
		op="<="
		[[ $limit == - ]] && op=-
		[[ $name == updates ]] && op=">="
		row "flow engine: ${what[$name]:-$name}" "$value" "$unit" "$op" "$limit"
	done < <(nice -n -5 taskset -c "$weir_cpu" "$build/bench/flow/bench-flow" 100000 $([[ $quick ]] && echo 5 || echo 50))
}
