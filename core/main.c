/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir COMMAND: find the command, run it, and make sure that what it printed has
 * really been written.
 */
#include "cli.h"
#include "host_child.h"
#include "protocol.h"

#include <errno.h>
#include <unistd.h>
#include <fcntl.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} table[] = {
#define X(name, args, help) { #name, weir__cmd_##name },
	WEIR__COMMANDS(X)
#undef X
};

static int run(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (!strcmp(table[i].name, argv[0]))
			return table[i].run(argc, argv);
	return weir__cli_unknown(argv[0]);
}

static int dispatch(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "host"))
		return weir__host_child(argc - 1, argv + 1);
	if (argc < 2) {
		weir__cli_overview(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		if (argc > 2)
			return run(2, (char *[]){ argv[2], (char[]){ "--help" }, NULL });
		weir__cli_overview(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return run(1, (char *[]){ (char[]){ "version" }, NULL });
	return run(argc - 1, argv + 1);
}

/* Started without them, 0 to 2 would become sockets and maps, and what is meant for
 * people would be written into those. */
static void open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	int r;

	open_standard_fds();
	weir__json_setup();
	r = dispatch(argc, argv);
	/* A full disk behind the output must not look like success. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && r == 0) {
		fprintf(stderr, "weir: cannot write the output: %s\n", strerror(errno));
		r = 1;
	}
	return r;
}
