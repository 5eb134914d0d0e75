/* SPDX-License-Identifier: Apache-2.0 */
/* Many short TCP connections. See traffic.h. */
#include "traffic.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_CLIENT_PORT 1024

/* What the client says first: so much, and how it will end. */
struct hello {
	uint16_t request, answer;
	uint8_t end;
	uint8_t reserved[3];
};

static size_t shorts_size(uint32_t count)
{
	return sizeof(struct shorts) + (size_t)count * sizeof(struct short_conn);
}

struct shorts *shorts_new(uint32_t count)
{
	struct shorts *s = shared_new(shorts_size(count));

	if (count / SHORT_PORTS >= 65536 - FIRST_CLIENT_PORT)
		net_die("more connections than ports");
	s->count = count;
	s->clients = s->servers = 1;
	s->request = 100;
	s->answer = 300;
	s->ends = 1u << SHORT_CLIENT_CLOSES;
	return s;
}

void shorts_free(struct shorts *s)
{
	shared_free(s, shorts_size(s->count));
}

static struct sockaddr_storage nth_address(const struct shorts *s, unsigned i)
{
	struct sockaddr_storage a = s->to;
	uint16_t port = htons((uint16_t)(address_port(&a) + i));

	if (a.ss_family == AF_INET)
		((struct sockaddr_in *)&a)->sin_port = port;
	else
		((struct sockaddr_in6 *)&a)->sin6_port = port;
	return a;
}

/* ---- client ---------------------------------------------------------------------------- */

static uint8_t nth_end(const struct shorts *s, uint32_t n)
{
	unsigned ways = (unsigned)__builtin_popcount(s->ends), skip = n % ways;

	for (uint8_t e = 0; e < SHORT_ENDS; e++)
		if (s->ends & 1u << e && !skip--)
			return e;
	return SHORT_CLIENT_CLOSES;
}

/* From a port of its own for each SHORT_PORTS connections: no pair of ports comes twice, also
 * where a reset leaves no TIME_WAIT to keep it. */
static int open_from(struct shorts *s, uint32_t n, const struct sockaddr_storage *to)
{
	int fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	uint16_t port = htons((uint16_t)(FIRST_CLIENT_PORT + n / SHORT_PORTS));
	struct sockaddr_storage at = { .ss_family = to->ss_family };

	if (at.ss_family == AF_INET)
		((struct sockaddr_in *)&at)->sin_port = port;
	else
		((struct sockaddr_in6 *)&at)->sin6_port = port;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) ||
	    bind(fd, (struct sockaddr *)&at, s->len) || connect(fd, (const struct sockaddr *)to, s->len))
		net_die("cannot connect from port %u", ntohs(port));
	return fd;
}

static void connect_once(struct shorts *s, uint32_t n)
{
	struct short_conn *c = &s->conn[n];
	struct hello h = { (uint16_t)(s->request + n % 7), (uint16_t)(s->answer + n % 11), nth_end(s, n), { 0 } };
	struct sockaddr_storage to = nth_address(s, n % SHORT_PORTS);
	struct linger reset = { 1, 0 };
	int fd = open_from(s, n, &to);

	c->client_pid = (uint32_t)getpid();
	c->port = port_of(fd);
	c->server_port = address_port(&to);
	c->sent = (uint16_t)(h.request + sizeof h);
	c->answered = h.answer;
	c->end = h.end;
	if (send(fd, &h, sizeof h, MSG_MORE) != sizeof h)
		net_die("cannot send");
	send_all(fd, h.request);
	if (receive(fd, h.end == SHORT_SERVER_CLOSES ? SIZE_MAX : h.answer) != h.answer)
		net_die("not the whole answer");
	if (h.end == SHORT_CLIENT_RESETS)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
}

void shorts_client(void *arg)
{
	struct shorts *s = arg;
	double start;
	uint32_t n;

	flag_wait(&s->listening, 1);
	start = now_seconds();
	while ((n = atomic_fetch_add(&s->next, 1)) < s->count) {
		while (s->per_second && now_seconds() - start < (double)n / s->per_second)
			nap_ms(1);
		connect_once(s, n);
	}
}

/* ---- server ---------------------------------------------------------------------------- */

static void serve(struct shorts *s, unsigned i, int fd)
{
	uint16_t port = peer_port_of(fd);
	struct hello h;
	char rest[16];

	if (recv(fd, &h, sizeof h, MSG_WAITALL) != sizeof h || receive(fd, h.request) != h.request)
		net_die("not the whole request");
	atomic_store(&s->served[i][port], (uint32_t)getpid());
	send_all(fd, h.answer);
	/* The client's end, or its reset; either is how it shall be. */
	if (h.end != SHORT_SERVER_CLOSES && recv(fd, rest, sizeof rest, 0) > 0)
		net_die("more than the request");
	close(fd);
}

static void serve_all(struct shorts *s, const int *listeners)
{
	struct pollfd p[SHORT_PORTS];

	for (unsigned i = 0; i < SHORT_PORTS; i++)
		p[i] = (struct pollfd){ listeners[i], POLLIN, 0 };
	while (!atomic_load(&s->done)) {
		if (poll(p, SHORT_PORTS, 20) <= 0)
			continue;
		for (unsigned i = 0; i < SHORT_PORTS; i++) {
			int fd = p[i].revents ? accept4(listeners[i], NULL, NULL, SOCK_CLOEXEC) : -1;

			if (fd >= 0) /* else another worker was faster */
				serve(s, i, fd);
		}
	}
}

struct worker {
	struct shorts *s;
	const int *listeners;
};

static void worker(void *arg)
{
	struct worker *w = arg;

	serve_all(w->s, w->listeners);
}

void shorts_server(void *arg)
{
	struct shorts *s = arg;
	int listeners[SHORT_PORTS];
	struct worker w = { s, listeners };

	for (unsigned i = 0; i < SHORT_PORTS; i++) {
		struct sockaddr_storage at = nth_address(s, i);

		listeners[i] = open_listener(&at, s->len, false);
		/* Workers race for a connection; who loses must not wait in accept(). */
		fcntl(listeners[i], F_SETFL, O_NONBLOCK);
	}
	for (uint32_t i = 0; i < s->servers; i++)
		s->server_pid[i] = (uint32_t)actor_start(NULL, "short-worker", worker, &w);
	atomic_store(&s->listening, 1);
	for (uint32_t i = 0; i < s->servers; i++)
		actor_wait((pid_t)s->server_pid[i], 600);
}

void shorts_run(struct shorts *s, const struct ns *client, const struct ns *server)
{
	pid_t srv = actor_start(server, "short-server", shorts_server, s);
	pid_t c[SHORT_WORKERS];

	for (uint32_t i = 0; i < s->clients; i++) {
		c[i] = actor_start(client, "short-client", shorts_client, s);
		s->client_pid[i] = (uint32_t)c[i];
	}
	for (uint32_t i = 0; i < s->clients; i++)
		actor_wait(c[i], 300);
	atomic_store(&s->done, 1);
	actor_wait(srv, 10);
}
