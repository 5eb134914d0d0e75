# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts share: where the tree is, which Debian packages a job needs,
# and how a long command is shown. Sourced, never run.
#
# Everything is said on stderr, so that stdout stays the program's own. Packages
# are installed only if one is missing; with all of them there no network is
# used and no rights are needed.

set -euo pipefail
umask 022 # the loader refuses plugins that others may write

weir_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
weir_logs=$weir_root/build/logs
weir_jobs=${WEIR_JOBS:-$(nproc)}
export LC_ALL=C.UTF-8

# One list per job. The build and what its tests are compiled with come first.
packages_build="cmake ninja-build make gcc libc6-dev linux-libc-dev pkg-config clang llvm
	libbpf-dev libelf-dev zlib1g-dev libuv1-dev libyaml-dev libnng-dev
	libmicrohttpd-dev libjansson-dev libseccomp-dev libpcap-dev nettle-dev"
packages_test="$packages_build libcmocka-dev libclang-rt-14-dev clang-format
	binutils curl jq openssl libbpf-tools systemd iproute2 ethtool libldns-dev
	unbound dnsperf bind9-dnsutils"
packages_bench="$packages_build bpftrace"
packages_kernels="$packages_build qemu-system-x86 busybox-static cpio kmod xz-utils
	e2fsprogs jq"

say() { printf '%s\n' "weir: $*" >&2; }

die() {
	say "$*"
	exit 1
}

# missing_packages NAME...: those that are not installed.
missing_packages() {
	local name status

	for name; do
		status=$(dpkg-query -W -f='${db:Status-Status}\n' "$name" 2>/dev/null || true)
		[[ $status == *installed* && $status != *not-installed* ]] || printf '%s ' "$name"
	done
}

# need_packages NAME...: install what is missing, or say what to do.
need_packages() {
	local missing

	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		say "no apt here: these must be there under this system's own names: $*"
		return 0
	fi
	missing=$(missing_packages "$@")
	[[ $missing ]] || return 0
	if [[ $EUID -ne 0 ]]; then
		say "missing packages, and installing them needs root. Run once:"
		die "  sudo apt-get install --no-install-recommends ${missing% }"
	fi
	mkdir -p "$weir_logs"
	# shellcheck disable=SC2086
	step "Installing $(wc -w <<<"$missing") packages" install apt_install $missing
}

apt_install() {
	local options=(-y -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)

	export DEBIAN_FRONTEND=noninteractive
	# A failed update may still leave lists that are good enough.
	apt-get "${options[@]}" update || echo "apt-get update failed, going on with the lists at hand"
	apt-get "${options[@]}" install --no-install-recommends "$@"
}

# step TITLE LOG COMMAND...: run quietly into build/logs/LOG.log, with one line
# about it. If it fails, show the end of the log and return its status. Callers
# test that status, which switches `set -e` off in COMMAND: it chains with &&.
step() {
	local title=$1 log=$weir_logs/$2.log start=$SECONDS status=0 pid mark
	shift 2

	mkdir -p "$weir_logs"
	("$@") >"$log" 2>&1 </dev/null &
	pid=$!
	if [[ -t 2 && -z ${CI:-} ]]; then
		while kill -0 $pid 2>/dev/null; do
			mark=$(tail -n 3 "$log" | grep -oE '^\[[0-9]+/[0-9]+\]' | tail -n 1 || true)
			printf '\r\033[Kweir: %s %s' "$title" "${mark:-...}" >&2
			sleep 0.3
		done
		printf '\r\033[K' >&2
	else
		say "$title ..."
	fi
	wait $pid || status=$?
	if [[ $status -eq 0 ]]; then
		say "$title: done ($((SECONDS - start)) s)"
		return 0
	fi
	say "$title: failed (exit $status); the end of ${log#"$weir_root"/}:"
	tail -n "${WEIR_LOG_LINES:-60}" "$log" >&2
	return "$status"
}

# build_preset PRESET [TARGET...] [-D...]: configure and build build/PRESET.
build_preset() {
	local preset=$1 arg defines=() targets=()
	shift

	for arg; do
		case $arg in
		-D*) defines+=("$arg") ;;
		*) targets+=(--target "$arg") ;;
		esac
	done
	cd "$weir_root" && cmake --preset "$preset" "${defines[@]}" &&
		cmake --build "build/$preset" -j "$weir_jobs" "${targets[@]}"
}
