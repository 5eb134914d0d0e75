#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd.sh BUILD SOURCE: the unit's exposure is at most 3.0, systemd
# knows every word in it, and its capabilities are what the shipped plugins declare.
set -euo pipefail
export LC_ALL=C.UTF-8 SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat
build=$1 source=$2
unit=$build/deploy/weir.service

fail() {
	echo "FAIL: $*"
	exit 1
}

# ---- without systemd: the list of capabilities, and that nothing is left unfilled
! grep -n '@[A-Z_]*@' "$unit" || fail "placeholders are left in $unit"
! grep -nE '^[A-Za-z]+=$' "$unit" || fail "an empty setting in $unit"
declared=$(for plugin in "$build"/plugins/*.so; do
	"$build/weir" plugins describe "$plugin" --json
done | jq -r '.needs[]' | sort -u | tr '\n' ' ')
for key in AmbientCapabilities CapabilityBoundingSet; do
	set_in_unit=$(sed -n "s/^$key=//p" "$unit" | tr ' ' '\n' | sort -u | tr '\n' ' ')
	[[ $set_in_unit == "$declared" ]] || fail "$key is \"$set_in_unit\", the plugins declare \"$declared\""
done
# The service's configuration is a valid one.
WEIR_PLUGIN_DIRS=$build/plugins "$build/weir" config check -c "$source/deploy/systemd/weir.yaml"

# ---- with it
if ! systemd-analyze security --help 2>/dev/null | grep -q -- --offline; then
	echo "SKIP: needs systemd-analyze of version 250 or newer (package systemd)"
	exit 77
fi
systemd-analyze security --offline=true --no-pager "$unit" | tail -n 1
systemd-analyze security --offline=true --no-pager --threshold=30 "$unit" >/dev/null ||
	fail "the exposure level is above 3.0"
# verify wants the program to be where the unit says: give it one that is.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
sed "s|^ExecStart=[^ ]*|ExecStart=$build/weir|" "$unit" >"$copy/weir.service"
complaints=$(systemd-analyze verify --man=no --recursive-errors=no "$copy/weir.service" 2>&1 |
	grep -F weir.service || true)
[[ -z $complaints ]] || fail "$complaints"
