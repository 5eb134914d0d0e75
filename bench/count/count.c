/* SPDX-License-Identifier: Apache-2.0 */
/*
 * count: an output that only counts, for tests and benchmarks: records, bytes,
 * batches, what each collector's batch and route numbers say is missing, and how
 * long a record took from the kernel's clock to here. For records whose first
 * field is an u64 named `seq` (flood's are) it also counts gaps and repetitions.
 *
 * It can be made to misbehave: a delay per batch, late acknowledgement, rejection,
 * so that a test sees what becomes of a slow or failing output.
 *
 * Failure: none of its own; a delay blocks its host's thread, on purpose.
 */
#include "histogram.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <weir/weir.h>

#ifndef COUNT_VERSION
#define COUNT_VERSION "1.0.0"
#endif

/* Collectors told apart; a test has one to three. More share the last place. */
#define MAX_PEERS 8
/* Batches that wait for their late acknowledgement; further ones are not late. */
#define MAX_LATE 256

struct peer {
	char name[32];
	uint64_t records, batches, rejected;
	uint64_t batch_gaps, route_gaps; /* batches missing by their numbers */
	uint64_t seq_gaps, seq_again;    /* records missing, records not newer */
	uint64_t first_seq, last_seq, last_batch[16], last_route;
	uint64_t seen, lost;             /* the collector's account, last batch */
};

struct late {
	const struct weir_batch *batch;
	uint64_t due_ns;
};

struct count {
	uint64_t delay_ns, late_ns, reject_every;
	uint64_t records, weighted, bytes, batches, first_ns, last_ns;
	struct histogram *latency;
	struct peer peers[MAX_PEERS];
	unsigned peer_count;
	struct late late[MAX_LATE];
	unsigned late_count;
	struct weir_timer *timer;
};

static const struct weir_option options[] = {
	WEIR_OPTION_DURATION(struct count, delay_ns, "delay", "0s",
	                     "Block this long in every batch: a slow output", .min = 0, .max = 6e10),
	WEIR_OPTION_DURATION(struct count, late_ns, "late", "0s",
	                     "Acknowledge a batch this much later: an output that waits for its peer",
	                     .min = 0, .max = 6e11),
	WEIR_OPTION_UINT(struct count, reject_every, "reject_every", "0",
	                 "Reject each n-th batch for good, 0 for none", .unit = "batches"),
};

static struct peer *peer_of(struct count *c, const struct weir_batch *b)
{
	struct peer *p = c->peers;

	for (unsigned i = 0; i < c->peer_count; i++, p++)
		if (!strncmp(p->name, b->collector, sizeof p->name))
			return p;
	if (c->peer_count == MAX_PEERS)
		return &c->peers[MAX_PEERS - 1];
	strncpy(p->name, b->collector, sizeof p->name - 1);
	c->peer_count++;
	return p;
}

static void check_numbers(struct peer *p, const struct weir_batch *b)
{
	uint64_t *last = &p->last_batch[b->header->topic & 15];

	if (*last && b->header->seq > *last + 1)
		p->batch_gaps += b->header->seq - *last - 1;
	if (p->last_route && b->route_seq > p->last_route + 1)
		p->route_gaps += b->route_seq - p->last_route - 1;
	*last = b->header->seq;
	p->last_route = b->route_seq;
	p->seen = b->header->seen;
	p->lost = b->header->lost;
}

static bool has_seq(const struct weir_schema *s)
{
	const struct weir_field *f = s ? weir_table_row(&s->fields, 0) : NULL;

	return f && f->type == WEIR_U64 && f->offset == 0 && !strcmp(f->name, "seq");
}

static void check_seq(struct peer *p, uint64_t seq)
{
	if (!p->first_seq)
		p->first_seq = seq;
	else if (seq > p->last_seq + 1)
		p->seq_gaps += seq - p->last_seq - 1;
	else if (seq <= p->last_seq) {
		p->seq_again++;
		return;
	}
	p->last_seq = seq;
}

static void take(struct count *c, struct peer *p, const struct weir_batch *b, uint64_t now)
{
	const struct weir_record *r = NULL;
	int last_kind = -1;
	bool seq = false;

	while ((r = weir_batch_next(b, r))) {
		if (r->kind != last_kind) {
			last_kind = r->kind;
			seq = has_seq(weir_batch_schema(b, r));
		}
		if (seq) {
			uint64_t v;

			memcpy(&v, weir_payload(r), sizeof v);
			check_seq(p, v);
		}
		histogram_add(c->latency, now > r->time_ns ? now - r->time_ns : 0, 1);
		c->records++;
		c->weighted += r->weight;
		p->records++;
	}
	c->bytes += b->header->len;
}

static void delay(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	if (ns)
		nanosleep(&ts, NULL);
}

static void acknowledge(struct weir_plugin *p, void *all)
{
	struct count *c = weir_state(p);
	uint64_t now = weir_now(p);
	unsigned n = 0;

	while (n < c->late_count && (all || c->late[n].due_ns <= now))
		p->host->batch_done(p, c->late[n++].batch, 0);
	c->late_count -= n;
	memmove(c->late, c->late + n, c->late_count * sizeof *c->late);
}

static void on_timer(struct weir_plugin *p, void *arg)
{
	(void)arg;
	acknowledge(p, NULL);
}

static int deliver(struct weir_plugin *p, const struct weir_batch *b)
{
	struct count *c = weir_state(p);
	struct peer *peer = peer_of(c, b);
	uint64_t now = weir_now(p);

	delay(c->delay_ns);
	c->batches++;
	peer->batches++;
	check_numbers(peer, b);
	if (!c->first_ns)
		c->first_ns = now;
	c->last_ns = now;
	if (c->reject_every && c->batches % c->reject_every == 0) {
		peer->rejected += b->header->count;
		return weir_fail(p, -EIO, "rejected on purpose (reject_every)");
	}
	take(c, peer, b, now);
	if (!c->late_ns || c->late_count == MAX_LATE)
		return WEIR_DELIVERED;
	c->late[c->late_count++] = (struct late){ b, now + c->late_ns };
	return WEIR_PENDING;
}

/* ---- queries ------------------------------------------------------------- */

static void print_peer(struct weir_plugin *p, struct weir_out *out, const struct peer *x)
{
	p->host->out_json_string(out, x->name, sizeof x->name);
	weir_printf(p, out, ": {\"records\": %" PRIu64 ", \"batches\": %" PRIu64 ", \"rejected\": %" PRIu64,
	            x->records, x->batches, x->rejected);
	weir_printf(p, out, ", \"batch_gaps\": %" PRIu64 ", \"route_gaps\": %" PRIu64
	            ", \"seq_gaps\": %" PRIu64 ", \"seq_again\": %" PRIu64,
	            x->batch_gaps, x->route_gaps, x->seq_gaps, x->seq_again);
	weir_printf(p, out, ", \"first_seq\": %" PRIu64 ", \"last_seq\": %" PRIu64
	            ", \"seen\": %" PRIu64 ", \"lost\": %" PRIu64 "}",
	            x->first_seq, x->last_seq, x->seen, x->lost);
}

static void reset(struct count *c)
{
	c->records = c->weighted = c->bytes = c->batches = c->first_ns = c->last_ns = 0;
	memset(c->latency, 0, sizeof *c->latency);
	for (unsigned i = 0; i < c->peer_count; i++) {
		struct peer *x = &c->peers[i];

		x->records = x->batches = x->rejected = x->batch_gaps = x->route_gaps = 0;
		x->seq_gaps = x->seq_again = 0;
	}
}

struct stats_args {
	bool reset;
};
static const struct weir_option stats_options[] = {
	WEIR_OPTION_BOOL(struct stats_args, reset, "reset", "false", "Begin anew after this answer"),
};

static int answer_stats(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	static const struct { const char *name; double q; } quantiles[] = {
		{ "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p999", 0.999 },
	};
	const struct stats_args *a = args;
	struct count *c = weir_state(p);

	weir_printf(p, out, "{\"records\": %" PRIu64 ", \"weighted\": %" PRIu64 ", \"bytes\": %" PRIu64
	            ", \"batches\": %" PRIu64 ", \"span_ns\": %" PRIu64 ", \"pending\": %u",
	            c->records, c->weighted, c->bytes, c->batches, c->last_ns - c->first_ns, c->late_count);
	weir_printf(p, out, ", \"latency_ns\": {");
	for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
		weir_printf(p, out, "\"%s\": %" PRIu64 ", ", quantiles[i].name,
		            histogram_quantile(c->latency, quantiles[i].q));
	weir_printf(p, out, "\"max\": %" PRIu64 "}, \"collectors\": {", c->latency->max);
	for (unsigned i = 0; i < c->peer_count; i++) {
		weir_printf(p, out, "%s", i ? ", " : "");
		print_peer(p, out, &c->peers[i]);
	}
	weir_printf(p, out, "}}\n");
	if (a && a->reset)
		reset(c);
	return 0;
}

static const struct weir_query queries[] = {
	{ .name = "stats", .doc = "What has been counted", .content_type = "application/json",
	  .args = WEIR_TABLE(stats_options), .args_size = sizeof(struct stats_args),
	  .answer = answer_stats },
};

/* ---- lifecycle ----------------------------------------------------------- */

static int init(struct weir_plugin *p)
{
	struct count *c = weir_state(p);

	c->latency = weir_alloc(p, sizeof *c->latency);
	if (!c->latency)
		return -ENOMEM;
	memset(c->latency, 0, sizeof *c->latency);
	return 0;
}

static int start(struct weir_plugin *p)
{
	struct count *c = weir_state(p);

	if (!c->late_ns)
		return 0;
	c->timer = p->host->timer_start(p, 1000000, 1000000, on_timer, NULL);
	return c->timer ? 0 : -ENOMEM;
}

static void stop(struct weir_plugin *p)
{
	struct count *c = weir_state(p);

	p->host->timer_stop(c->timer);
	c->timer = NULL;
	acknowledge(p, c);
}

static void fini(struct weir_plugin *p)
{
	struct count *c = weir_state(p);

	weir_free(p, c->latency);
	c->latency = NULL;
}

WEIR_PLUGIN(
	.name = "count", .version = COUNT_VERSION, .kind = WEIR_OUTPUT, .topics = "*",
	.doc = "Counts what arrives, for tests and benchmarks",
	.state_size = sizeof(struct count),
	.options = WEIR_TABLE(options), .queries = WEIR_TABLE(queries),
	.init = init, .fini = fini, .start = start, .stop = stop, .deliver = deliver);
