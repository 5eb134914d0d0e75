/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/net/{tcp,tcp6,udp,udp6}, in bounded steps. See procnet.h.
 *
 * The kernel makes the text while it is read, a page or so a time, so a file is open over several
 * steps.
 * Threads: one at a time.
 */
#include "procnet.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (32 * 1024)
#define LINKS 64               /* descriptors looked at between two looks at the clock */
#define EPHEMERAL 32768        /* an unconnected UDP socket above this is a client's */
#define STATE_TIME_WAIT 6
#define FILES 4

static const struct {
	const char *name;
	bool v6;
	uint8_t proto;
} files[FILES] = {
	{ "tcp", false, IPPROTO_TCP }, { "tcp6", true, IPPROTO_TCP },
	{ "udp", false, IPPROTO_UDP }, { "udp6", true, IPPROTO_UDP },
};

struct procnet {
	struct pkt_memory m;
	const char *proc;
	struct sock_table *table;
	uint64_t netns;
	uint32_t inum;
	int fd;                        /* of the file being read, -1: none yet */
	unsigned at;                   /* which */
	bool running, whole, finding, cut;
	struct procnet_stats stats;
	size_t have;                   /* of an unfinished line */
	char buffer[BUFFER];
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int open_file(struct procnet *n)
{
	char path[512];
	int len = snprintf(path, sizeof path, "%s/self/net/%s", n->proc, files[n->at].name);

	if (len < 0 || len >= (int)sizeof path)
		return -ENAMETOOLONG;
	n->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (n->fd < 0 && errno == ENOENT) { /* another procfs than this process's has no self */
		snprintf(path, sizeof path, "%s/net/%s", n->proc, files[n->at].name);
		n->fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	n->have = 0;
	n->cut = false;
	return n->fd < 0 ? -errno : 0;
}

static void close_file(struct procnet *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

int procnet_open(const struct pkt_memory *m, const char *proc, uint32_t capacity,
                 const struct sock_sink *sink, struct procnet **ret, char *why, size_t size)
{
	struct procnet *n = m->realloc(m->arg, NULL, sizeof *n);
	socklen_t len = sizeof n->netns;
	int err = -ENOMEM, fd;
	struct stat st;

	if (!n) {
		snprintf(why, size, "no memory for %u sockets", capacity);
		return err;
	}
	memset(n, 0, offsetof(struct procnet, buffer));
	n->m = *m;
	n->proc = proc;
	n->fd = -1;
	if (!sock_table_new(m, capacity, "proc", sink, &n->table))
		err = open_file(n);
	if (err) {
		snprintf(why, size, "cannot read %s/net/tcp: %s", proc, strerror(-err));
		procnet_close(n);
		return err;
	}
	close_file(n);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
#ifdef SO_NETNS_COOKIE
	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &n->netns, &len))
		n->netns = 0;
#else
	(void)len;
#endif
	if (fd >= 0)
		close(fd);
	if (!stat("/proc/thread-self/ns/net", &st))
		n->inum = (uint32_t)st.st_ino;
	*ret = n;
	return 0;
}

void procnet_close(struct procnet *n)
{
	struct pkt_memory m;

	if (!n)
		return;
	m = n->m;
	close_file(n);
	sock_table_free(n->table);
	m.realloc(m.arg, n, 0);
}

void procnet_begin(struct procnet *n, uint64_t now_ns)
{
	if (n->running) {
		n->stats.behind++;
		return;
	}
	n->running = n->whole = true;
	n->at = 0;
	sock_round(n->table, now_ns);
}

static void take_line(struct procnet *n, const char *line, size_t len, uint64_t now_ns)
{
	struct sock_reading r;

	if (!procnet_parse(line, len, files[n->at].v6, files[n->at].proto, n->netns, &r)) {
		n->stats.malformed += !memmem(line, len, "local_address", 13);
		return;
	}
	r.netns = n->inum;
	if (r.key.proto == IPPROTO_UDP && r.listening && r.key.port[0] >= EPHEMERAL)
		return;
	if (r.key.proto == IPPROTO_TCP && r.state == STATE_TIME_WAIT)
		return;
	sock_seen(n->table, &r, now_ns);
}

/* What one read gives. False: the file's end. */
static bool read_some(struct procnet *n, uint64_t now_ns)
{
	ssize_t got = read(n->fd, n->buffer + n->have, BUFFER - n->have);
	char *at = n->buffer, *end, *nl;

	if (got < 0) {
		n->stats.errors++;
		n->whole = false;
	}
	if (got <= 0)
		return false;
	end = n->buffer + n->have + got;
	for (; (nl = memchr(at, '\n', (size_t)(end - at))); at = nl + 1) {
		if (!n->cut)
			take_line(n, at, (size_t)(nl - at), now_ns);
		n->cut = false;
	}
	n->have = (size_t)(end - at);
	memmove(n->buffer, at, n->have);
	if (n->have == BUFFER) { /* no line is so long */
		n->stats.malformed++;
		n->cut = true;
		n->have = 0;
	}
	return true;
}

bool procnet_work(struct procnet *n, uint64_t now_ns, uint64_t budget_ns)
{
	uint64_t until = clock_ns() + budget_ns;

	while (n->running && clock_ns() < until) {
		int err = n->fd < 0 ? open_file(n) : 0;

		if (err && err != -ENOENT) { /* no IPv6: no file, and no gap */
			n->stats.errors++;
			n->whole = false;
		}
		if (!err && read_some(n, now_ns))
			continue;
		close_file(n);
		if (++n->at < FILES)
			continue;
		n->running = false;
		sock_swept(n->table, n->whole, now_ns);
		n->finding = true;
	}
	while (!n->running && n->finding && clock_ns() < until)
		n->finding = sock_find_owners(n->table, n->proc, LINKS);
	return n->running || n->finding;
}

void procnet_stats(const struct procnet *n, struct procnet_stats *ret, struct sock_stats *ret_sockets)
{
	*ret = n->stats;
	sock_stats(n->table, ret_sockets);
	ret_sockets->memory_bytes += sizeof *n;
}
