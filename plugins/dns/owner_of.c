/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a record says about a process beyond its pid, and about its flow: container, unit and
 * pod by cgroup, the program by /proc, the Community ID. Each is cached, since one process
 * asks again and again over one socket: 256 programs for 10 s, 1024 flows.
 */
#include "dns.h"

#include <community_id.h>
#include <string.h>
#include <unistd.h>

#define EXES 256
#define EXE_AGE_NS 10000000000ull
#define CIDS 1024

struct dns_exe {
	uint32_t pid;
	char comm[16];
	uint64_t read_ns;
	char path[128];
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

	d->exes = weir_alloc(p, EXES * sizeof *d->exes);
	d->cids = weir_alloc(p, CIDS * sizeof *d->cids);
	if (!d->exes || !d->cids)
		return -ENOMEM;
	memset(d->exes, 0, EXES * sizeof *d->exes);
	memset(d->cids, 0, CIDS * sizeof *d->cids);
	return owner_cache_new(&m, &d->owners);
}

void dns_owners_fini(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	owner_cache_free(d->owners);
	weir_free(p, d->exes);
	weir_free(p, d->cids);
	d->owners = NULL;
	d->exes = NULL;
	d->cids = NULL;
}

static const char *executable(struct dns *d, uint32_t pid, const char *comm, uint64_t now)
{
	struct dns_exe *e = &d->exes[pid % EXES];
	char link[32];
	ssize_t n;

	if (e->pid == pid && !memcmp(e->comm, comm, sizeof e->comm) &&
	    (int64_t)(now - e->read_ns) < (int64_t)EXE_AGE_NS)
		return e->path;
	e->pid = pid;
	memcpy(e->comm, comm, sizeof e->comm);
	e->read_ns = now;
	snprintf(link, sizeof link, "/proc/%u/exe", pid);
	n = readlink(link, e->path, sizeof e->path - 1);
	e->path[n > 0 ? n : 0] = 0;
	return e->path;
}

void dns_owner_fill(struct dns *d, struct weir_dns_transaction *r)
{
	const struct owner_cgroup *g;

	if (d->executable && r->pid)
		memcpy(r->executable, executable(d, r->pid, r->comm, r->query_ns), sizeof r->executable);
	if (!d->containers || (!r->cgroup_id && !r->pid))
		return;
	g = owner_cgroup(d->owners, r->cgroup_id, r->pid);
	if (!g)
		return;
	memcpy(r->container_id, g->container, strnlen(g->container, sizeof r->container_id));
	memcpy(r->unit, g->unit, strnlen(g->unit, sizeof r->unit));
	memcpy(r->pod_uid, g->pod, strnlen(g->pod, sizeof r->pod_uid));
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
