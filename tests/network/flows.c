/* SPDX-License-Identifier: Apache-2.0 */
/* Records summed by flow. See flows.h. */
#include "flows.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BUCKETS (1u << 18)
#define LINE 16384 /* a record is below 4 KiB */

void flows_init(struct flows *f, const char *path, size_t most)
{
	memset(f, 0, sizeof *f);
	snprintf(f->path, sizeof f->path, "%s", path);
	f->bucket = calloc(BUCKETS, sizeof *f->bucket);
	f->pool = calloc(most, sizeof *f->pool);
	f->pool_size = most;
	assert_non_null(f->bucket);
	assert_non_null(f->pool);
}

void flows_fini(struct flows *f)
{
	free(f->bucket);
	free(f->pool);
	memset(f, 0, sizeof *f);
}

/* ---- keys ------------------------------------------------------------------------------ */

struct end {
	uint8_t addr[16];
	uint16_t port;
};

static int compare_ends(const struct end *a, const struct end *b)
{
	int c = memcmp(a->addr, b->addr, 16);

	return c ? c : (a->port > b->port) - (a->port < b->port);
}

static void mapped(const void *v4, uint8_t ret[16])
{
	memset(ret, 0, 10);
	memset(ret + 10, 0xff, 2);
	memcpy(ret + 12, v4, 4);
}

static struct end end_of(const struct sockaddr_storage *a)
{
	struct end e = { .port = address_port(a) };

	if (a->ss_family == AF_INET)
		mapped(&((const struct sockaddr_in *)a)->sin_addr, e.addr);
	else
		memcpy(e.addr, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
	return e;
}

static struct flow key_of(unsigned scope, uint64_t netns, int transport, const struct end *a, const struct end *b)
{
	const struct end *low = compare_ends(a, b) <= 0 ? a : b, *high = low == a ? b : a;
	struct flow k = { .scope = (uint8_t)scope, .transport = (uint8_t)transport, .netns = netns,
		          .port = { low->port, high->port } };

	memcpy(k.addr[0], low->addr, 16);
	memcpy(k.addr[1], high->addr, 16);
	return k;
}

/* Without the namespace, so that it may be left open. */
static uint32_t hash_of(const struct flow *k)
{
	const uint8_t *p = &k->addr[0][0];
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < 32; i++)
		h = (h ^ p[i]) * 16777619u;
	h = (h ^ k->port[0]) * 16777619u;
	h = (h ^ k->port[1]) * 16777619u;
	h = (h ^ (uint32_t)(k->scope << 8 | k->transport)) * 16777619u;
	return (h ^ h >> 15) % BUCKETS;
}

static struct flow *lookup(const struct flows *f, const struct flow *k)
{
	struct flow *at = f->bucket[hash_of(k)];

	for (; at; at = at->next)
		if (!memcmp(at->addr, k->addr, sizeof k->addr) && !memcmp(at->port, k->port, sizeof k->port) &&
		    at->scope == k->scope && at->transport == k->transport &&
		    (!k->netns || at->netns == k->netns))
			return at;
	return NULL;
}

struct flow *flows_find(const struct flows *f, enum flow_scope scope, uint64_t netns, int transport,
                        const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	struct end x = end_of(a), y = end_of(b);
	struct flow k = key_of(scope, netns, transport, &x, &y);

	return lookup(f, &k);
}

unsigned flow_end(const struct flow *f, const struct sockaddr_storage *a)
{
	struct end e = end_of(a);

	return memcmp(f->addr[0], e.addr, 16) || f->port[0] != e.port;
}

/* ---- records --------------------------------------------------------------------------- */

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* The record names the usual ones. */
static int transport_of(const json_t *o)
{
	static const struct {
		const char *name;
		int number;
	} names[] = { { "tcp", 6 }, { "udp", 17 }, { "icmp", 1 }, { "icmpv6", 58 } };
	const char *s = text(o, "transport");

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(s, names[i].name))
			return names[i].number;
	return atoi(s);
}

static struct end end_in(const json_t *o, const char *address, const char *port)
{
	struct end e = { .port = (uint16_t)number(o, port) };
	const char *s = text(o, address);
	uint8_t v4[4];

	if (inet_pton(AF_INET, s, v4) == 1)
		mapped(v4, e.addr);
	else if (inet_pton(AF_INET6, s, e.addr) != 1)
		fail_msg("no address in %s: \"%s\"", address, s);
	return e;
}

static struct flow *flow_of(struct flows *f, const json_t *o, const struct end *src, const struct end *dst)
{
	struct flow k = key_of(!strcmp(text(o, "scope"), "wire"), number(o, "netns_cookie"),
	                       transport_of(o), src, dst), *at = NULL;
	uint32_t h = hash_of(&k);

	for (at = f->bucket[h]; at; at = at->next)
		if (!memcmp(at->addr, k.addr, sizeof k.addr) && !memcmp(at->port, k.port, sizeof k.port) &&
		    at->scope == k.scope && at->transport == k.transport && at->netns == k.netns)
			return at;
	if (f->pool_used == f->pool_size)
		fail_msg("more flows than the test expects: %zu", f->pool_size);
	at = &f->pool[f->pool_used++];
	*at = k;
	at->next = f->bucket[h];
	f->bucket[h] = at;
	f->count++;
	return at;
}

static void take_counts(struct flow *f, const json_t *o, unsigned source)
{
	f->from[source].packets += number(o, "packets_delta");
	f->from[source].bytes += number(o, "bytes_delta");
	f->from[!source].packets += number(o, "reverse_packets_delta");
	f->from[!source].bytes += number(o, "reverse_bytes_delta");
	f->total[source] = (struct counts){ number(o, "packets_total"), number(o, "bytes_total") };
	f->total[!source] = (struct counts){ number(o, "reverse_packets_total"), number(o, "reverse_bytes_total") };
}

static void take(struct flows *fs, const json_t *o)
{
	struct end src = end_in(o, "source_address", "source_port");
	struct end dst = end_in(o, "destination_address", "destination_port");
	struct flow *f = flow_of(fs, o, &src, &dst);
	const char *phase = text(o, "phase");

	f->source_end = compare_ends(&src, &dst) > 0;
	take_counts(f, o, f->source_end);
	fs->records++;
	f->records++;
	f->starts += !strcmp(phase, "start");
	f->ends += !strcmp(phase, "end");
	snprintf(f->end_reason, sizeof f->end_reason, "%s", text(o, "end_reason"));
	snprintf(f->direction, sizeof f->direction, "%s", text(o, "direction"));
	snprintf(f->owner_from, sizeof f->owner_from, "%s", text(o, "owner_from"));
	snprintf(f->state, sizeof f->state, "%s", text(o, "state"));
	snprintf(f->comm, sizeof f->comm, "%s", text(o, "comm"));
	snprintf(f->interface_name, sizeof f->interface_name, "%s", text(o, "interface_name"));
	snprintf(f->source_name, sizeof f->source_name, "%s", text(o, "source_name"));
	f->netns_inode = (uint32_t)number(o, "netns");
	f->pid = (uint32_t)number(o, "pid");
	f->error = (uint32_t)number(o, "error");
	f->resets = (uint32_t)number(o, "resets");
	f->retransmits = (uint32_t)number(o, "retransmits");
	f->drops = (uint32_t)number(o, "drops");
	snprintf(f->drop_reason, sizeof f->drop_reason, "%s", text(o, "drop_reason"));
	f->sampled |= json_is_true(json_object_get(o, "sampled"));
	f->approx |= json_is_true(json_object_get(o, "approx"));
}

size_t flows_read(struct flows *f)
{
	FILE *file = fopen(f->path, "r");
	static char line[LINE];
	json_error_t error;
	size_t taken = 0;

	if (!file)
		return 0;
	fseek(file, f->offset, SEEK_SET);
	while (fgets(line, sizeof line, file) && strchr(line, '\n')) {
		json_t *o = json_loads(line, 0, &error);

		if (!o)
			fail_msg("not JSON: %s: %s", error.text, line);
		f->offset = ftell(file);
		if (!strcmp(text(o, "event"), "flow")) {
			take(f, o);
			taken++;
		}
		json_decref(o);
	}
	fclose(file);
	return taken;
}

void flow_print(const struct flow *f, const char *what)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, f->addr[0], a, sizeof a);
	inet_ntop(AF_INET6, f->addr[1], b, sizeof b);
	printf("    %s: %s.%u - %s.%u proto %u netns %llu scope %u: %llu packets %llu bytes, %llu packets %llu bytes; "
	       "%u records, %u ends, %s, %s, state %s, owner %u %s (%s), error %u, resets %u, retransmits %u\n",
	       what, a, f->port[0], b, f->port[1], f->transport, (unsigned long long)f->netns, f->scope,
	       (unsigned long long)f->from[0].packets, (unsigned long long)f->from[0].bytes,
	       (unsigned long long)f->from[1].packets, (unsigned long long)f->from[1].bytes, f->records, f->ends,
	       f->end_reason, f->direction, f->state, f->pid, f->comm, f->owner_from, f->error, f->resets,
	       f->retransmits);
}

void flow_check(const struct flow *f)
{
	if (f->sampled || f->approx || memcmp(f->from, f->total, sizeof f->from))
		flow_print(f, "sums and totals differ, or no exact counts");
	assert_false(f->sampled);
	assert_false(f->approx);
	assert_memory_equal(f->from, f->total, sizeof f->from);
}
