# shellcheck shell=bash
# shellcheck disable=SC2154 # set by bench/run, which sources this
# SPDX-License-Identifier: Apache-2.0
# All plugins on, nothing to do: CPU, memory, time to get ready, time of a check.

# Peers in the same minute, if they are installed: name, pid, usage before.
peer_names=() peer_pids=() peer_before=()

peer_start() {
	command -v "$1" >/dev/null || [[ -x /usr/sbin/$1 ]] || { skip "idle: $1" "not installed"; return; }
	case $1 in
	collectd)
		printf 'Interval 10\nBaseDir "%s"\nLoadPlugin cpu\nLoadPlugin memory\nLoadPlugin disk\nLoadPlugin interface\nLoadPlugin processes\n' "$work" >"$work/collectd.conf"
		taskset -c "$weir_cpu" /usr/sbin/collectd -f -C "$work/collectd.conf" -P "$work/collectd.pid" >/dev/null 2>&1 &
		;;
	prometheus-node-exporter)
		taskset -c "$weir_cpu" prometheus-node-exporter --web.listen-address=127.0.0.1:29100 >/dev/null 2>&1 &
		;;
	esac
	others+=($!)
	peer_names+=("$1") peer_pids+=($!)
}

# What all the programs' maps take, from the daemon's map descriptors.
map_bytes() {
	cat /proc/"$daemon"/fdinfo/* 2>/dev/null | awk '/^map_type/ { m = 1 } /^link_type|^prog_type/ { m = 0 }
		/^memlock/ && m { b = $2 } /^map_id/ && m { sum[$2] = b; m = 0 }
		END { for (i in sum) t += sum[i]; print t + 0 }'
}

part_idle() {
	local plugins='' f n=0 i before after cpu rss times

	for f in "$build"/plugins/*.so; do
		n=$((n + 1)) f=${f##*/}
		# A file, so that printing is not what is measured; quiet anyway.
		plugins+="  ${f%.so}: {}"$'\n'
	done
	peer_start collectd
	peer_start prometheus-node-exporter
	times=''
	for i in 1 2 3 4 5; do
		daemon_start "$plugins" || { skip "idle" "the daemon does not start"; return; }
		times+="$ready_ms "
		((i < 5)) && daemon_stop
	done
	times=$(tr " " "\n" <<<"${times% }" | sort -n | sed -n '1p;3p' | paste -sd ' ')
	row "ready after exec" "${times#* }" ms "<=" 200 "least ${times% *}, $n plugins"
	sleep 3
	before=$("$tool" usage "$daemon")
	for i in "${!peer_pids[@]}"; do peer_before[i]=$("$tool" usage "${peer_pids[i]}"); done
	sleep "$idle_seconds"
	after=$("$tool" usage "$daemon")
	read -r cpu rss < <(awk -v s="$idle_seconds" '{ if (NR == 1) t = $3; else printf "%.3f %.1f\n", ($3 - t) / s / 1e7, $4 / 1024 }' <<<"$before"$'\n'"$after")
	row "idle: CPU over $idle_seconds s" "$cpu" "% core" "<=" 0.1
	row "idle: resident memory" "$rss" MiB "<=" 12
	row "idle: BPF maps" "$(calc "$(map_bytes) / 1024" 0)" KiB - "" "$(map_plugins)"
	for i in "${!peer_pids[@]}"; do
		after=$("$tool" usage "${peer_pids[i]}") || { skip "idle: ${peer_names[i]}" "it ended"; continue; }
		read -r cpu rss < <(awk -v s="$idle_seconds" '{ if (NR == 1) t = $3; else printf "%.3f %.1f\n", ($3 - t) / s / 1e7, $4 / 1024 }' <<<"${peer_before[i]}"$'\n'"$after")
		row "idle: ${peer_names[i]}" "$cpu" "% core" - "" "$rss MiB"
		kill "${peer_pids[i]}" 2>/dev/null
	done
	read -r _ cpu i < <("$tool" time 5 "$weir" check -c "$work/weir.yaml")
	row "weir check" "$cpu" ms "<=" 1000 "exit $i"
}

map_plugins() {
	local s name maps rings out=''

	s=$("$weir" status --json 2>/dev/null) || return
	for ((i = 0; i < 64; i++)); do
		{ read -r name; read -r maps; read -r rings; } < <(get "plugins[$i].name" "plugins[$i].memory.maps" "plugins[$i].memory.rings" <<<"$s")
		[[ $name ]] || break
		[[ $maps && $maps != 0 && $maps != null ]] && out+="$name $((maps / 1024)) KiB of which rings $((rings / 1024)); "
	done
	printf '%s' "${out%; }"
}
