/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a record says about a process beyond its pid, and about its flow: container, unit and
 * pod by cgroup, the program by /proc, the Community ID. Each is cached, since one process
 * asks again and again over one socket: 256 processes for 2 s, 1024 flows.
 */
#include "dns.h"

#include <community_id.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES 256
#define PROCESS_AGE_NS 2000000000ull
#define CIDS 1024

struct dns_cid {
	uint8_t client[16], server[16];
	uint16_t client_port, server_port;
	uint8_t transport, used;
	char id[COMMUNITY_ID_SIZE];
};

int dns_owners_init(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);
	struct pkt_memory m = dns_memory(p);

	d->processes = weir_alloc(p, PROCESSES * sizeof *d->processes);
	d->cids = weir_alloc(p, CIDS * sizeof *d->cids);
	if (!d->processes || !d->cids)
		return -ENOMEM;
	memset(d->processes, 0, PROCESSES * sizeof *d->processes);
	memset(d->cids, 0, CIDS * sizeof *d->cids);
	return owner_cache_new(&m, &d->owners);
}

void dns_owners_fini(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	owner_cache_free(d->owners);
	weir_free(p, d->processes);
	weir_free(p, d->cids);
	d->owners = NULL;
	d->processes = NULL;
	d->cids = NULL;
}

static uint8_t keep(char *to, size_t size, const char *s)
{
	size_t n = strlen(s);

	n = n < size ? n : size;
	memcpy(to, s, n);
	return (uint8_t)n;
}

static void look_up(struct dns *d, struct dns_process *e)
{
	const struct owner_cgroup *g;
	char link[32];
	ssize_t n = 0;

	if (d->executable && e->pid) {
		snprintf(link, sizeof link, "/proc/%u/exe", e->pid);
		n = readlink(link, e->executable, sizeof e->executable - 1);
	}
	e->executable_len = (uint8_t)(n > 0 ? n : 0);
	e->container_len = e->unit_len = e->pod_len = 0;
	g = d->containers ? owner_cgroup(d->owners, e->cgroup, e->pid) : NULL;
	if (!g)
		return;
	e->container_len = keep(e->container, sizeof e->container, g->container);
	e->unit_len = keep(e->unit, sizeof e->unit, g->unit);
	e->pod_len = keep(e->pod, sizeof e->pod, g->pod);
}

/* NULL: nothing is known. A pid may come again: then its name or cgroup differs, or it is
 * looked up anew soon. */
const struct dns_process *dns_owner_of(struct dns *d, const struct weir_dns_transaction *r)
{
	struct dns_process *e = &d->processes[(r->pid ^ r->cgroup_id) % PROCESSES];
	uint64_t now = r->query_ns;

	if ((!d->executable && !d->containers) || (!r->cgroup_id && !r->pid))
		return NULL;
	if (e->pid != r->pid || e->cgroup != r->cgroup_id || memcmp(e->comm, r->comm, sizeof e->comm) ||
	    !e->read_ns || now - e->read_ns >= PROCESS_AGE_NS) {
		e->pid = r->pid;
		e->cgroup = r->cgroup_id;
		memcpy(e->comm, r->comm, sizeof e->comm);
		e->read_ns = now;
		look_up(d, e);
	}
	return e;
}

const char *dns_community_of(struct dns *d, const struct weir_dns_transaction *r)
{
	uint8_t proto = r->transport == WEIR_DNS_TCP ? 6 : 17;
	struct dns_cid *c;
	uint32_t h;

	if (!d->community_id)
		return NULL;
	h = (uint32_t)(r->client_port * 31u ^ r->server_port ^ r->client_address[15] * 7u ^
	               r->server_address[15] * 13u ^ proto);
	c = &d->cids[h % CIDS];
	if (!c->used || c->client_port != r->client_port || c->server_port != r->server_port ||
	    c->transport != r->transport || memcmp(c->client, r->client_address, 16) ||
	    memcmp(c->server, r->server_address, 16)) {
		*c = (struct dns_cid){ .client_port = r->client_port, .used = 1,
			.server_port = r->server_port, .transport = r->transport };
		memcpy(c->client, r->client_address, 16);
		memcpy(c->server, r->server_address, 16);
		community_id(0, r->client_address, r->server_address, proto, r->client_port,
		             r->server_port, c->id);
	}
	return c->id;
}
