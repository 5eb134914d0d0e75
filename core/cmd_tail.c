/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir tail [TOPIC...]: live events, one line each, as the daemon sends them; it has
 * escaped them. Ends at --count, at SIGINT, or when the daemon ends (exit 1).
 */
#include "cli.h"
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *request(const struct weir__cli *cli)
{
	json_t *topics = json_array();

	for (int i = 0; i < cli->argc; i++)
		if (json_array_append_new(topics, json_string(cli->argv[i])) != 0) {
			json_decref(topics);
			return NULL;
		}
	return json_pack("{s:s, s:o, s:s}", "cmd", "tail", "topics", topics,
	                 "format", cli->option[WEIR__CLI_JSON] ? "json" : "text");
}

static bool write_all(const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

/* Bytes up to the end of the *left-th line; *left becomes what is missing. Lines
 * about left-out events ("# ...", {"dropped":...) do not count. */
static size_t cut(const char *buf, size_t len, unsigned long *left, bool *line_start)
{
	static bool event;
	size_t i;

	for (i = 0; i < len && *left; i++) {
		if (*line_start)
			event = buf[i] != '#' && !(len - i >= 11 && !memcmp(buf + i, "{\"dropped\":", 11));
		*line_start = buf[i] == '\n';
		*left -= buf[i] == '\n' && event;
	}
	return i;
}

/* count 0: no end. */
static int copy(const char *name, int fd, unsigned long count)
{
	unsigned long left = count;
	bool line_start = true;
	char buf[65536];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n = poll(&p, 1, -1) < 0 ? -1 : read(fd, buf, sizeof buf);
		size_t len;

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return weir__cli_error(name, "the daemon has ended");
		len = count ? cut(buf, (size_t)n, &left, &line_start) : (size_t)n;
		if (!write_all(buf, len))
			return weir__cli_error(name, "cannot write: %s", strerror(errno));
		if (count && !left)
			return 0;
	}
}

int weir__cmd_tail(int argc, char **argv)
{
	unsigned long count = 0;
	struct weir__cli cli;
	char err[512], *end;
	json_t *req;
	int fd, r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.option[WEIR__CLI_COUNT]) {
		const char *text = cli.option[WEIR__CLI_COUNT];

		count = strtoul(text, &end, 10);
		if (*text < '1' || *text > '9' || *end)
			return weir__cmd_usage(cli.name, "--count takes a number from 1");
	}
	req = request(&cli);
	if (!req)
		return weir__cli_error(cli.name, "out of memory, or a topic that is not UTF-8");
	r = weir__control_open(weir__cli_socket(&cli), req, &fd, err, sizeof err);
	json_decref(req);
	if (r)
		return weir__cli_error(cli.name, "%s", err);
	r = copy(cli.name, fd, count);
	close(fd);
	return r;
}
