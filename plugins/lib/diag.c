/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds of INET_DIAG dumps, and the closings between them. See diag.h.
 *
 * A dump is made by the kernel while it is received: each recv(2) fills the buffer, and the
 * caller stops when its time is up and goes on later. Closings are received before a dump begins
 * and after it, so that a socket's last word comes before it is missed.
 * Threads: one at a time.
 */
#include "diag_priv.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (256 * 1024)      /* the kernel makes 32 KiB at a time, more where it can */
#define LOOK_NS 10000000000ull   /* for namespaces: a container lives longer, as a rule */
#define LINKS 64                 /* descriptors looked at between two looks at the clock */
#define EPHEMERAL 32768          /* an unconnected UDP socket above this is a client's */
#define ST(s) (1u << (s))
/* ESTABLISHED to LISTEN, without TIME_WAIT (6) and CLOSE (7), which count nothing */
#define TCP_STATES (ST(1) | ST(2) | ST(3) | ST(4) | ST(5) | ST(8) | ST(9) | ST(10) | ST(11))
#define UDP_STATES (ST(1) | ST(7))

static const struct {
	uint8_t family, proto;
	uint8_t ext;
	uint32_t states;
} kinds[DIAG_KINDS] = {
	{ AF_INET, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), TCP_STATES },
	{ AF_INET6, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), TCP_STATES },
	{ AF_INET, IPPROTO_UDP, 1 << (INET_DIAG_SKMEMINFO - 1), UDP_STATES },
	{ AF_INET6, IPPROTO_UDP, 1 << (INET_DIAG_SKMEMINFO - 1), UDP_STATES },
	{ AF_INET, IPPROTO_SCTP, 0, ~0u },
	{ AF_INET6, IPPROTO_SCTP, 0, ~0u },
};
#define FIRST_SCTP 4

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int ask(const struct diag_ns *ns, unsigned kind, uint32_t seq, uint32_t states)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} q = {
		.h = { .nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = seq },
		.r = { .sdiag_family = kinds[kind].family, .sdiag_protocol = kinds[kind].proto,
		       .idiag_ext = kinds[kind].ext, .idiag_states = states },
	};

	return send(ns->dump, &q, sizeof q, MSG_DONTWAIT) == sizeof q ? 0 : -errno;
}

/* ---- opening ----------------------------------------------------------------------- */

/* Is there inet_diag at all? No state is asked for, so the answer is short. */
static int try_it(struct diag *d)
{
	struct diag_from from = { .seq = ++d->seq, .proto = IPPROTO_TCP };
	int err = ask(&d->ns[0], 0, d->seq, 0);
	size_t at = 0;
	ssize_t n;

	if (err)
		return err;
	n = recv(d->ns[0].dump, d->buffer, BUFFER, 0);
	if (n < 0)
		return -errno;
	for (;;) {
		struct sock_reading r;

		switch (diag_parse(d->buffer, (size_t)n, &at, &from, &r, &err)) {
		case DIAG_DONE:
			return 0;
		case DIAG_ERROR:
			return err;
		case DIAG_END:
		case DIAG_MALFORMED:
			return -EPROTO;
		default:
			break;
		}
	}
}

int diag_open(const struct pkt_memory *m, const struct diag_options *o,
              const struct sock_sink *sink, struct diag **ret, char *why, size_t size)
{
	struct diag *d = m->realloc(m->arg, NULL, sizeof *d);
	int err = -ENOMEM;

	if (!d)
		goto fail;
	memset(d, 0, sizeof *d);
	d->m = *m;
	d->o = *o;
	d->buffer = m->realloc(m->arg, NULL, BUFFER);
	if (!d->buffer || sock_table_new(m, o->capacity, "diag", sink, &d->table))
		goto fail;
	err = diag_ns_open(&d->ns[0]);
	if (err)
		goto fail;
	d->namespaces = 1;
	err = try_it(d);
	if (err)
		goto fail;
	*ret = d;
	return 0;
fail:
	if (err == -ENOMEM)
		snprintf(why, size, "no memory for %u sockets", o->capacity);
	else
		snprintf(why, size, "this kernel has no INET_DIAG (%s): it needs CONFIG_INET_DIAG and "
		         "CONFIG_INET_TCP_DIAG, built in or loaded (modprobe tcp_diag)", strerror(-err));
	diag_close(d);
	return err;
}

void diag_close(struct diag *d)
{
	struct pkt_memory m;

	if (!d)
		return;
	m = d->m;
	for (unsigned i = 0; i < d->namespaces; i++)
		diag_ns_close(&d->ns[i]);
	sock_table_free(d->table);
	if (d->buffer)
		m.realloc(m.arg, d->buffer, 0);
	m.realloc(m.arg, d, 0);
}

/* ---- messages ---------------------------------------------------------------------- */

static void take(struct diag *d, struct sock_reading *r, bool closed, uint64_t now_ns)
{
	if (r->key.proto == IPPROTO_UDP && r->listening && r->key.port[0] >= EPHEMERAL)
		return;
	if (r->listening) { /* its peer is any, whatever the family says of it */
		memset(r->key.addr[1], 0, sizeof r->key.addr[1]);
		r->key.port[1] = 0;
	}
	if (closed)
		sock_closed(d->table, r, now_ns);
	else
		sock_seen(d->table, r, now_ns);
}

/* One buffer. *ret_over: the dump is. */
static void take_all(struct diag *d, size_t len, const struct diag_from *from, bool closed,
                     uint64_t now_ns, bool *ret_over)
{
	struct sock_reading r;
	size_t at = 0;
	int err = 0;

	for (;;) {
		switch (diag_parse(d->buffer, len, &at, from, &r, &err)) {
		case DIAG_SOCKET:
			take(d, &r, closed, now_ns);
			break;
		case DIAG_MALFORMED:
			d->stats.malformed++;
			break;
		case DIAG_ERROR:
			/* A protocol that is not there has no sockets: that is no gap. */
			if (d->at_kind >= 2)
				d->ns[d->at_ns].unsupported[d->at_kind] = true;
			else
				d->whole = false;
			d->stats.errors += d->at_kind < FIRST_SCTP;
			*ret_over = true;
			break;
		case DIAG_DONE:
			*ret_over = true;
			break;
		case DIAG_END:
			return;
		case DIAG_OTHER:
			break;
		}
	}
}

static bool events_of(struct diag *d, struct diag_ns *ns, uint64_t now_ns, uint64_t until)
{
	struct diag_from from = { .netns = ns->cookie, .netns_inum = ns->inum };
	bool over = false;
	ssize_t n;

	if (ns->events < 0)
		return false;
	/* A message each: the clock once in 64. */
	for (unsigned i = 1; (n = recv(ns->events, d->buffer, BUFFER, MSG_DONTWAIT)) >= 0 ||
	                     errno == ENOBUFS || errno == EINTR; i++) {
		if (n >= 0)
			take_all(d, (size_t)n, &from, true, now_ns, &over);
		else if (errno == ENOBUFS) {
			d->stats.overruns++;
			d->again = true;
		}
		if (!(i & 63) && clock_ns() > until)
			return true;
	}
	return false;
}

bool diag_events(struct diag *d, uint64_t now_ns, uint64_t budget_ns)
{
	uint64_t until = clock_ns() + budget_ns;

	/* What the kernel has made of a dump already may list a socket that has closed since:
	 * its last word must come after that, or it would be taken for a new one. */
	if (d->asked)
		return true;
	for (unsigned i = 0; i < d->namespaces; i++)
		if (events_of(d, &d->ns[i], now_ns, until))
			return true;
	if (d->again && !d->running)
		diag_begin(d, now_ns);
	return false;
}

bool diag_running(const struct diag *d)
{
	return d->running;
}

/* ---- rounds ------------------------------------------------------------------------ */

void diag_begin(struct diag *d, uint64_t now_ns)
{
	if (d->running) {
		d->stats.behind++;
		return;
	}
	if (d->o.other_namespaces && (!d->looked_ns || now_ns - d->looked_ns >= LOOK_NS)) {
		diag_ns_find(d);
		d->looked_ns = now_ns;
	}
	d->running = d->whole = true;
	d->asked = d->again = false;
	d->at_ns = d->at_kind = 0;
	sock_round(d->table, now_ns);
}

static bool next_kind(struct diag *d)
{
	d->asked = false;
	if (++d->at_kind == DIAG_KINDS) {
		d->at_kind = 0;
		d->at_ns++;
	}
	return d->at_ns < d->namespaces;
}

/* sctp_diag would be loaded by asking for it, and the protocol with it. */
static bool has_sctp(void)
{
	return !access("/proc/net/sctp", F_OK);
}

/* One buffer of the dump, or its beginning. False: the round is over. */
static bool step(struct diag *d, uint64_t now_ns)
{
	struct diag_ns *ns = &d->ns[d->at_ns];
	struct diag_from from = { .proto = kinds[d->at_kind].proto, .netns = ns->cookie,
	                          .netns_inum = ns->inum };
	bool over = false;
	ssize_t n;

	if (!d->asked) {
		if (ns->unsupported[d->at_kind] || (d->at_kind >= FIRST_SCTP && !has_sctp()))
			return next_kind(d);
		if (ask(ns, d->at_kind, ++d->seq, kinds[d->at_kind].states)) {
			d->stats.errors++;
			d->whole = false;
			return next_kind(d);
		}
		d->asked = true;
	}
	from.seq = d->seq;
	n = recv(ns->dump, d->buffer, BUFFER, MSG_DONTWAIT);
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0) { /* EAGAIN too: a dump always has more until its end */
		d->stats.errors++;
		d->whole = false;
		return next_kind(d);
	}
	take_all(d, (size_t)n, &from, false, now_ns, &over);
	return over ? next_kind(d) : true;
}

bool diag_work(struct diag *d, uint64_t now_ns, uint64_t budget_ns)
{
	uint64_t until = clock_ns() + budget_ns;

	while (d->running) {
		if (!d->asked && diag_events(d, now_ns, budget_ns))
			return true;
		if (!step(d, now_ns)) {
			d->running = false;
			diag_events(d, now_ns, budget_ns);
			sock_swept(d->table, d->whole, now_ns);
			d->finding = true;
			break;
		}
		if (clock_ns() > until)
			return true;
	}
	while (d->finding && clock_ns() < until)
		d->finding = sock_find_owners(d->table, d->o.proc, LINKS);
	return d->running || d->finding;
}

bool diag_finish(struct diag *d, uint64_t now_ns, uint64_t budget_ns)
{
	uint64_t until = clock_ns() + budget_ns;

	/* What runs began earlier, so it does not show all up to now. */
	for (int round = d->running ? 0 : 1; round < 2; round++) {
		if (round)
			diag_begin(d, now_ns);
		while (d->running) {
			if (clock_ns() > until)
				return false;
			diag_work(d, now_ns, 1000000);
		}
	}
	return !sock_owed(d->table);
}

void diag_stats(const struct diag *d, struct diag_stats *ret, struct sock_stats *ret_sockets)
{
	*ret = d->stats;
	ret->namespaces = d->namespaces;
	sock_stats(d->table, ret_sockets);
	ret_sockets->memory_bytes += sizeof *d + BUFFER;
}
