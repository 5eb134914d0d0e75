/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flood's helper by itself, for other tracers: prints its pid; then each line
 * "RATE SECONDS" on stdin is one run, answered by "MADE NS".
 */
#include "../flood/helper.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int tool_flood(int argc, char **argv)
{
	struct flood_helper h;
	struct flood_state s;
	char line[128];
	double rate, seconds;
	int err;

	if (argc != 2)
		return 2;
	err = flood_helper_open(&h, atoi(argv[1]), 600000000000u);
	if (err) {
		fprintf(stderr, "bench-tool flood: %s\n", strerror(-err));
		return 1;
	}
	printf("%d\n", (int)h.pid);
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && sscanf(line, "%lf %lf", &rate, &seconds) == 2) {
		struct flood_run r = { .rate = (uint64_t)rate, .duration_ns = (uint64_t)(seconds * 1e9) };

		if (flood_helper_run(&h, &r))
			break;
		do {
			usleep(1000);
			flood_helper_state(&h, &s);
		} while (s.running);
		printf("%" PRIu64 " %" PRIu64 "\n", s.run_made, s.run_ns);
		fflush(stdout);
	}
	flood_helper_close(&h);
	return 0;
}
