#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An example builds and passes its tests against the installed SDK, with CMake and
# with pkg-config alone: build_example.sh SOURCE FOLDER. The environment says which
# tools (CMAKE, CTEST, CC, FLAGS) and which build of Weir (BUILD).
set -eu -o pipefail

source=$1 work=$2 name=${1##*/}
rm -rf "$work"
mkdir -p "$work"

say() { printf '%s\n' "-- $*"; }

say "Installing the SDK"
"$CMAKE" --install "$BUILD" --component sdk --prefix "$work/sdk" >"$work/install.log"
# What is installed is all there is: nothing may point back into the tree.
if grep -rIl -e "${BUILD%/*}/" "$work/sdk" | grep .; then
	say "these installed files name the tree they were built in"
	exit 1
fi

say "Building $name with find_package(Weir)"
"$CMAKE" -S "$source" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/sdk" -DCMAKE_C_COMPILER="$CC" \
	-DCMAKE_C_FLAGS="-Wall -Wextra -Werror $FLAGS" -DWEIR_SANITIZE="${FLAGS#*=}" >"$work/configure.log"
"$CMAKE" --build "$work/build"
"$CTEST" --test-dir "$work/build" --output-on-failure --no-tests=error

say "Building a plugin of one file with pkg-config"
cflags=$(PKG_CONFIG_PATH=$(dirname "$(find "$work/sdk" -name weir.pc)") pkg-config --cflags weir)
cat >"$work/one.c" <<'C'
#include <weir/weir.h>
static int deliver(struct weir_plugin *p, const struct weir_batch *b)
{
	(void)p, (void)b;
	return 0;
}
WEIR_PLUGIN(.name = "one", .version = "1.0.0", .kind = WEIR_OUTPUT, .doc = "One file", .deliver = deliver);
C
# shellcheck disable=SC2086 # flags are words
"$CC" $cflags -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden "$work/one.c" -o "$work/one.so"
"$(find "$work/sdk" -name weir-conformance)" "$work/one.so"
say "done"
