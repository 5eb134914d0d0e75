/* SPDX-License-Identifier: Apache-2.0 */
/* Many UDP datagrams of one size. See traffic.h. */
#include "traffic.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define BATCH 32
#define SEGMENTS 40      /* the kernel takes 64 and less than 64 KiB */

static char payload[65536];

static void send_one(int fd, const struct datagrams *d, size_t size)
{
	const void *to = d->how == UDP_SENDTO ? &d->to : NULL;
	ssize_t n = sendto(fd, payload, size, 0, to, to ? d->len : 0);

	if (n != (ssize_t)size)
		net_die("cannot send a datagram");
}

static uint32_t send_batch(int fd, const struct datagrams *d, uint32_t left)
{
	struct iovec iov = { payload, d->size };
	struct mmsghdr m[BATCH];
	uint32_t want = left < BATCH ? left : BATCH;
	int n;

	memset(m, 0, sizeof m);
	for (uint32_t i = 0; i < want; i++) {
		m[i].msg_hdr.msg_iov = &iov;
		m[i].msg_hdr.msg_iovlen = 1;
	}
	n = sendmmsg(fd, m, want, 0);
	if (n <= 0)
		net_die("cannot send datagrams");
	return (uint32_t)n;
}

static uint32_t send_some(int fd, const struct datagrams *d, uint32_t left)
{
	uint32_t most = 65000 / d->size < SEGMENTS ? 65000 / d->size : SEGMENTS;

	if (d->how == UDP_SENDMMSG)
		return send_batch(fd, d, left);
	if (d->how == UDP_GSO) {
		most = left < most ? left : most;
		send_one(fd, d, (size_t)most * d->size);
		return most;
	}
	send_one(fd, d, d->size);
	return 1;
}

void datagrams_client(void *arg)
{
	struct datagrams *d = arg;
	int fd = socket(d->to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = (int)d->size;

	flag_wait(&d->listening, 1);
	d->client_pid = (uint32_t)getpid();
	if (d->how != UDP_SENDTO && connect(fd, (struct sockaddr *)&d->to, d->len))
		net_die("cannot connect a datagram socket");
	if (d->how == UDP_GSO && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size))
		net_die("no UDP_SEGMENT");
	while (d->sent < d->count)
		d->sent += send_some(fd, d, d->count - (uint32_t)d->sent);
	d->port = port_of(fd);
	atomic_store(&d->sent_all, 1);
	close(fd);
}

/* Takes what comes until all was sent and nothing came for a while. */
void datagrams_server(void *arg)
{
	static struct mmsghdr m[BATCH];
	static char room[BATCH][2048];
	struct datagrams *d = arg;
	struct iovec iov[BATCH];
	int fd = open_udp(&d->to, d->len, false);
	struct pollfd p = { fd, POLLIN, 0 };

	d->server_pid = (uint32_t)getpid();
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ room[i], sizeof room[i] };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	atomic_store(&d->listening, 1);
	while (d->received < d->count) {
		int n = recvmmsg(fd, m, BATCH, MSG_DONTWAIT, NULL);

		if (n > 0)
			d->received += (uint64_t)n;
		else if (!poll(&p, 1, 200) && atomic_load(&d->sent_all))
			break;
	}
	close(fd);
}

void datagrams_run(struct datagrams *d, const struct ns *client, const struct ns *server)
{
	pid_t s = actor_start(server, "udp-server", datagrams_server, d);
	pid_t c = actor_start(client, "udp-client", datagrams_client, d);

	actor_wait(c, 120);
	actor_wait(s, 30);
}
