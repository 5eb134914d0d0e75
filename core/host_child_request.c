/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon asks of a plugin's process: a frame becomes a request of its host, and
 * the request's end an answer with the same id.
 *
 * Happy path: request -> prepare (the body unpacked) -> the host carries it out -> done
 * -> answer. Failure: what cannot be unpacked is answered with -errno; no memory ends the
 * process, since the daemon would wait for an answer for ever. Main thread only.
 */
#include "host_child_priv.h"
#include "bpf_kernel.h"
#include "host_wire.h"
#include "loader.h"
#include "mem.h"
#include "options.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void send_started(uint16_t type, uint32_t id, int rc, const char *why, bool adopted)
{
	struct weir__link_head head = { .type = type, .id = id, .rc = rc };
	struct weir__wire_started s = { .source = -1, .adopted = adopted };
	struct weir__host *h = weir__child.host;
	int fds[2] = { h && h->bpf ? weir__bpf_map_fd(h->bpf, WEIR_MAP_CPU) : -1,
		h && h->bpf ? weir__bpf_map_fd(h->bpf, WEIR_MAP_KNOBS) : -1 };

	snprintf(s.reason, sizeof s.reason, "%s", why ? why : weir__host_reason(h));
	if (!why) {
		s.source = weir__host_source(h);
		s.counts_ns = weir__host_counts_ns(h);
		for (size_t i = 0; i < 8; i++)
			snprintf(s.source_reasons[i], sizeof s.source_reasons[i], "%s",
			         weir__host_source_reason(h, i));
	}
	s.cpus = weir__possible_cpus();
	head.fds = fds[0] >= 0 && fds[1] >= 0 ? 2 : 0;
	weir__child_send(head, &s, sizeof s, fds);
	weir__kernel_btf_release(); /* what was needed to start only */
	malloc_trim(0);
}

void weir__child_free_call(struct child_call *c)
{
	if (c->rq.type == WEIR__HOST_QUERY && c->args)
		weir__options_free(&c->rq.query.row->args, c->args);
	if (c->rq.type == WEIR__HOST_QUERY)
		weir__free(c->rq.query.answer.text);
	if (c->upgrade)
		weir__bpf_handles_close(&c->upgrade->handles);
	weir__free(c->upgrade);
	weir__free(c->args);
	json_decref(c->json);
	weir__free(c);
}

static void send_snapshot(struct child_call *c)
{
	json_t *samples = c->rq.snapshot.collect ? weir__samples_encode() : NULL;
	char *text = samples ? json_dumps(samples, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;
	char *body = weir__alloc(sizeof c->snap + len);

	if (!body)
		_exit(1);
	memcpy(body, &c->snap, sizeof c->snap);
	memcpy(body + sizeof c->snap, text ? text : "", len);
	weir__child_reply(WEIR__WIRE_REQUEST + WEIR__HOST_SNAPSHOT, c->id, c->rq.rc, body,
	                  sizeof c->snap + len);
	weir__free(body);
	weir__free(text);
	json_decref(samples);
}

static void send_export(struct child_call *c)
{
	const struct weir__bpf_handles *h = &c->upgrade->handles;
	int fds[WEIR__LINK_FDS];
	struct weir__link_head head = { .type = WEIR__WIRE_REQUEST + WEIR__HOST_EXPORT, .id = c->id,
		.rc = c->rq.rc, .fds = (uint16_t)weir__handles_fds(h, fds) };

	weir__child_send(head, h, sizeof *h, fds);
}

static void done(struct weir__host *h, struct weir__request *rq)
{
	struct child_call *c = rq->arg;
	const struct weir__answer *answer = &rq->query.answer;
	uint16_t type = (uint16_t)(WEIR__WIRE_REQUEST + rq->type);

	(void)h;
	weir__child_send_lines(); /* what was said before comes before */
	switch (rq->type) {
	case WEIR__HOST_START:
	case WEIR__HOST_PREPARE:
	case WEIR__HOST_TAKE:
	case WEIR__HOST_SWITCH:
		send_started(type, c->id, rq->rc, NULL, false);
		break;
	case WEIR__HOST_ADOPT:
		send_started(type, c->id, rq->rc, NULL, rq->adopt.adopted);
		break;
	case WEIR__HOST_EXPORT:
		send_export(c);
		break;
	case WEIR__HOST_YIELD:
		weir__child_reply(type, c->id, rq->rc, &c->upgrade->yielded,
		                  sizeof c->upgrade->yielded);
		break;
	case WEIR__HOST_STOP:
		weir__child_reply(type, c->id, rq->rc, rq->stop.items,
		                  rq->stop.count * sizeof rq->stop.items[0]);
		break;
	case WEIR__HOST_DETACH:
		weir__child_reply(type, c->id, rq->rc, &rq->detach.item, sizeof rq->detach.item);
		break;
	case WEIR__HOST_SNAPSHOT:
		send_snapshot(c);
		break;
	case WEIR__HOST_QUERY:
		weir__child_reply(type, c->id, rq->rc ? rq->rc : answer->err,
		                  answer->text ? answer->text : "", answer->len);
		break;
	default:
		weir__child_reply(type, c->id, rq->rc, NULL, 0);
	}
	weir__child_free_call(c);
}

static int prepare_query(struct child_call *c, const char *body, size_t len)
{
	const char *words[64]; /* as many as the daemon takes */
	const struct weir_query *q;
	const json_t *list;
	const char *name;
	char err[300];
	size_t n = 0;

	c->json = json_loadb(body, len, 0, NULL);
	name = json_string_value(json_object_get(c->json, "name"));
	list = json_object_get(c->json, "words");
	for (uint32_t i = 0; name && (q = weir_table_row(&weir__child.loaded->desc.queries, i)); i++)
		if (!strcmp(q->name, name))
			c->rq.query.row = q;
	if (!c->rq.query.row)
		return -ENOENT;
	for (; n < json_array_size(list) && n < 64; n++)
		words[n] = json_string_value(json_array_get(list, n));
	c->args = weir__zalloc(c->rq.query.row->args_size + 1);
	c->rq.query.args = c->args;
	if (!c->args || weir__options_defaults(&c->rq.query.row->args, c->args, err, sizeof err))
		return -ENOMEM;
	return weir__options_parse_args(&c->rq.query.row->args, c->args, words, n, err, sizeof err);
}

static uint32_t number(const char *body, size_t len)
{
	uint32_t v = 0;

	if (len >= sizeof v)
		memcpy(&v, body, sizeof v);
	return v;
}

static int prepare_upgrade(struct child_call *c, const char *body, size_t len, int *fds, size_t fd_count)
{
	struct child_upgrade *u = c->upgrade = weir__zalloc(sizeof *u);

	if (!u)
		return -ENOMEM;
	switch (c->rq.type) {
	case WEIR__HOST_ADOPT:
		if (len != sizeof u->handles)
			return -EINVAL;
		memcpy(&u->handles, body, len);
		c->rq.adopt.handles = &u->handles;
		return weir__handles_take(&u->handles, fds, fd_count) ? 0 : -EINVAL;
	case WEIR__HOST_YIELD:
		c->rq.yield.adopted = len && *body;
		c->rq.yield.yielded = &u->yielded;
		return 0;
	case WEIR__HOST_TAKE:
		if (len != sizeof u->yielded)
			return -EINVAL;
		memcpy(&u->yielded, body, len);
		c->rq.take.yielded = &u->yielded;
		return 0;
	default:
		c->rq.export.handles = &u->handles;
		return 0;
	}
}

/* < 0: it is answered with that here. */
static int prepare(struct child_call *c, const char *body, size_t len, int *fds, size_t fd_count)
{
	switch (c->rq.type) {
	case WEIR__HOST_EXPORT:
	case WEIR__HOST_ADOPT:
	case WEIR__HOST_YIELD:
	case WEIR__HOST_TAKE:
		return prepare_upgrade(c, body, len, fds, fd_count);
	case WEIR__HOST_ATTACH:
		return weir__child_attach(c, body, len);
	case WEIR__HOST_DETACH:
		c->rq.detach.id = number(body, len);
		return 0;
	case WEIR__HOST_SNAPSHOT:
		c->rq.snapshot.collect = len && *body;
		c->rq.snapshot.snap = &c->snap;
		return 0;
	case WEIR__HOST_WANTED:
		if (len != sizeof c->rq.wanted)
			return -EINVAL;
		memcpy(&c->rq.wanted, body, len);
		return 0;
	case WEIR__HOST_LATENCY:
		if (len != sizeof c->rq.latency)
			return -EINVAL;
		memcpy(&c->rq.latency, body, len);
		return c->rq.latency.class <= WEIR__LATENCY_ECONOMY ? 0 : -EINVAL;
	case WEIR__HOST_LIMIT:
		if (len != sizeof c->rq.limit)
			return -EINVAL;
		memcpy(&c->rq.limit, body, len);
		return 0;
	case WEIR__HOST_SWITCH:
		if (len != sizeof c->rq.sources)
			return -EINVAL;
		memcpy(&c->rq.sources, body, len);
		for (size_t i = 0; i < 8; i++)
			c->rq.sources.names[i][sizeof c->rq.sources.names[0] - 1] = 0;
		return c->rq.sources.count <= 8 ? 0 : -EINVAL;
	case WEIR__HOST_TUNE:
		if (len != sizeof c->rq.tune)
			return -EINVAL;
		memcpy(&c->rq.tune, body, len);
		return c->rq.tune.weight <= WEIR__WEIGHT_MAX ? 0 : -EINVAL;
	case WEIR__HOST_QUERY:
		return prepare_query(c, body, len);
	default:
		return 0;
	}
}

static uint32_t json_u32(const json_t *o, const char *key)
{
	return (uint32_t)json_integer_value(json_object_get(o, key));
}

static void do_start(struct child_call *c, const char *body, size_t len, const int *fds, size_t fd_count)
{
	char why[512];
	int rc;

	c->json = json_loadb(body, len, 0, NULL);
	rc = weir__child_new_host(c->json, fd_count ? fds[0] : -1, why, sizeof why);
	c->rq.start.wanted.topics = json_u32(c->json, "wanted");
	for (size_t i = 0; i < WEIR__MAX_TOPICS; i++)
		c->rq.start.wanted.since_ns[i] = (uint64_t)json_integer_value(
			json_array_get(json_object_get(c->json, "wanted_since_ns"), i));
	c->rq.start.tune = (struct weir__tune){ .weight = json_u32(c->json, "weight"),
		.kinds_off = json_u32(c->json, "kinds_off"),
		.detach_below = json_u32(c->json, "detach_below"),
		.widen = json_is_true(json_object_get(c->json, "widen")) };
	snprintf(c->rq.start.beside, sizeof c->rq.start.beside, "%s", json_object_get(c->json, "beside")
	         ? json_string_value(json_object_get(c->json, "beside")) : "");
	if (c->rq.start.tune.weight > WEIR__WEIGHT_MAX)
		c->rq.start.tune.weight = WEIR__WEIGHT_MAX;
	if (!rc)
		rc = weir__host_request(weir__child.host, &c->rq);
	if (!rc)
		return;
	send_started((uint16_t)(WEIR__WIRE_REQUEST + c->rq.type), c->id, rc, why, false);
	weir__child_free_call(c);
}

void weir__child_request(const struct weir__link_head *head, const char *body, int *fds)
{
	struct child_call *c = weir__zalloc(sizeof *c);
	int rc;

	if (!c || head->type - WEIR__WIRE_REQUEST >= WEIR__HOST_REQUEST_COUNT)
		_exit(1);
	c->id = head->id;
	c->rq.type = (enum weir__request_type)(head->type - WEIR__WIRE_REQUEST);
	c->rq.done = done;
	c->rq.arg = c;
	if (c->rq.type == WEIR__HOST_START || c->rq.type == WEIR__HOST_PREPARE) {
		do_start(c, body, head->len, fds, head->fds);
		return;
	}
	if (c->rq.type == WEIR__HOST_CLOSE) {
		weir__child_close(c, number(body, head->len));
		return;
	}
	if (c->rq.type == WEIR__HOST_RECEIVE)
		rc = weir__child_receive(body, head->len);
	else
		rc = weir__child.host ? prepare(c, body, head->len, fds, head->fds) : -ESHUTDOWN;
	if (!rc && c->rq.type != WEIR__HOST_RECEIVE)
		rc = weir__host_request(weir__child.host, &c->rq);
	else if (c->rq.type == WEIR__HOST_RECEIVE || rc) {
		c->rq.rc = rc;
		done(weir__child.host, &c->rq);
		return;
	}
	if (rc)
		_exit(1); /* no memory: it would be waited for */
}
