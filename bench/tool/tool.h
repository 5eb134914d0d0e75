/* SPDX-License-Identifier: Apache-2.0 */
/* bench-tool: the small things bench/run needs and bash cannot do exactly. */
#ifndef WEIR_BENCH_TOOL_H
#define WEIR_BENCH_TOOL_H

#include <stdint.h>

/* Each is one subcommand; returns the exit status. */
int tool_json(int argc, char **argv);
int tool_usage(int argc, char **argv);
int tool_ready(int argc, char **argv);
int tool_flood(int argc, char **argv);
int tool_time(int argc, char **argv);

uint64_t tool_now(void); /* CLOCK_MONOTONIC, ns */

#endif
