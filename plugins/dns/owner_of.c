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

struct dns_process {
	uint32_t pid;
	uint64_t cgroup, read_ns;
	char comm[16];
	char executable[128], container[64], unit[64], pod[40];
};

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

static void look_up(struct dns *d, struct dns_process *e)
{
	const struct owner_cgroup *g;
	char link[32];
	ssize_t n = 0;

	if (d->executable && e->pid) {
		snprintf(link, sizeof link, "/proc/%u/exe", e->pid);
		n = readlink(link, e->executable, sizeof e->executable - 1);
	}
	e->executable[n > 0 ? n : 0] = 0;
	memset(e->container, 0, sizeof e->container);
	memset(e->unit, 0, sizeof e->unit);
	memset(e->pod, 0, sizeof e->pod);
	g = d->containers ? owner_cgroup(d->owners, e->cgroup, e->pid) : NULL;
	if (!g)
		return;
	memcpy(e->container, g->container, strlen(g->container)); /* 64: no NUL needed */
	memcpy(e->unit, g->unit, strlen(g->unit));
	memcpy(e->pod, g->pod, strlen(g->pod));
}

/* A pid may come again: then its name or cgroup differs, or it is looked up anew soon. */
void dns_owner_fill(struct dns *d, struct weir_dns_transaction *r)
{
	struct dns_process *e = &d->processes[(r->pid ^ r->cgroup_id) % PROCESSES];
	uint64_t now = r->query_ns;

	if ((!d->executable && !d->containers) || (!r->cgroup_id && !r->pid))
		return;
	if (e->pid != r->pid || e->cgroup != r->cgroup_id || memcmp(e->comm, r->comm, sizeof e->comm) ||
	    !e->read_ns || now - e->read_ns >= PROCESS_AGE_NS) {
		e->pid = r->pid;
		e->cgroup = r->cgroup_id;
		memcpy(e->comm, r->comm, sizeof e->comm);
		e->read_ns = now;
		look_up(d, e);
	}
	memcpy(r->executable, e->executable, sizeof r->executable);
	memcpy(r->container_id, e->container, sizeof r->container_id);
	memcpy(r->unit, e->unit, sizeof r->unit);
	memcpy(r->pod_uid, e->pod, sizeof r->pod_uid);
}

void dns_community_fill(struct dns *d, struct weir_dns_transaction *r)
{
	uint8_t proto = r->transport == WEIR_DNS_TCP ? 6 : 17;
	struct dns_cid *c;
	uint32_t h;

	if (!d->community_id)
		return;
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
	memcpy(r->community_id, c->id, sizeof c->id);
}
