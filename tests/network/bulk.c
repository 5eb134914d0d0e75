/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection with much in it. See traffic.h. */
#include "traffic.h"

#include <netinet/in.h>
#include <linux/tcp.h>
#include <unistd.h>

/* Only netinet/tcp.h names the states, and its tcp_info ends too early. */
#define STATE_CLOSE 7

static void tcp_info(int fd, struct tcp_info *ret)
{
	socklen_t len = sizeof *ret;

	*ret = (struct tcp_info){ 0 };
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len))
		net_die("no tcp_info");
}

/* Both sides have said that they are done. The counts stay readable while the descriptor is
 * open; the kernel hands a TIME_WAIT on to something smaller and leaves this CLOSE. */
static void ended(int fd, struct tcp_end *ret)
{
	double until = now_seconds() + 20;
	struct tcp_info ti;

	for (;;) {
		tcp_info(fd, &ti);
		if (ti.tcpi_state == STATE_CLOSE)
			break;
		if (now_seconds() > until)
			net_die("a connection does not end: state %u", ti.tcpi_state);
		nap_ms(1);
	}
	ret->bytes_sent = ti.tcpi_bytes_sent;
	ret->bytes_received = ti.tcpi_bytes_received - 1; /* the kernel counts the FIN's number */
	ret->segs_out = ti.tcpi_segs_out;
	ret->segs_in = ti.tcpi_segs_in;
	ret->retransmits = ti.tcpi_total_retrans;
	ret->pid = (uint32_t)getpid();
	close(fd);
}

void bulk_client(void *arg)
{
	struct bulk *b = arg;
	int fd;

	if (b->in_order)
		stay_on_one_cpu();
	flag_wait(&b->listening, 1);
	fd = open_client(&b->to, b->len);
	b->client.port = port_of(fd);
	send_all(fd, b->bytes);
	shutdown(fd, SHUT_WR);
	receive(fd, SIZE_MAX);
	ended(fd, &b->client);
}

/* A window of less than a veth's queue (netdev_max_backlog, 1000 packets): nothing is dropped. */
#define WINDOW (256 << 10)

void bulk_server(void *arg)
{
	struct bulk *b = arg;
	int listener = open_listener(&b->to, b->len, false), fd, window = WINDOW;

	if (b->in_order)
		stay_on_one_cpu();
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
	atomic_store(&b->listening, 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		net_die("cannot accept");
	b->server.port = port_of(fd);
	if (receive(fd, SIZE_MAX) != b->bytes)
		net_die("not all has arrived");
	shutdown(fd, SHUT_WR);
	ended(fd, &b->server);
}

void bulk_run(struct bulk *b, const struct ns *client, const struct ns *server)
{
	pid_t s, c;

	atomic_store(&b->listening, 0);
	s = actor_start(server, "bulk-server", bulk_server, b);
	c = actor_start(client, "bulk-client", bulk_client, b);
	actor_wait(c, 120);
	actor_wait(s, 10);
}
