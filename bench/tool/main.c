/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-tool SUBCOMMAND ...: see the table below. Exit 0 done, 1 failed (said on
 * stderr), 2 wrong usage.
 */
#include "tool.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *name, *usage;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "json", "PATH...: values from the JSON on stdin, as in plugins[name=flood].state", tool_json },
	{ "usage", "PID: user ns, system ns, precise total ns, resident KiB", tool_usage },
	{ "ready", "PORT LOG COMMAND...: start it, print its pid and the ms until /ready says 200", tool_ready },
	{ "flood", "CPU: the helper alone: prints its pid; a line RATE SECONDS runs it", tool_flood },
	{ "time", "N COMMAND...: run it N times; the least and the median ms", tool_time },
};

uint64_t tool_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		fprintf(stderr, "bench-tool %s %s\n", commands[i].name, commands[i].usage);
	return 2;
}
