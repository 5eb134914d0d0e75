/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon and a plugin's process say of a request, from the daemon's side: the
 * request as bytes, and its answer checked and put where the asker wants it.
 *
 * Happy path: send, later took with the answer's body. Failure: no memory or a full link
 * is -errno from send; took returns false for what is malformed, and the process is then
 * killed: it may be a stranger's by now, so every length, bound and end is looked at.
 * Main thread only.
 */
#include "host_remote_priv.h"
#include "desc_wire.h"
#include "host_upgrade.h"
#include "host_wire.h"
#include "kernel_guard.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- requests ------------------------------------------------------------------- */

int weir__remote_send_json(struct weir__link *l, uint16_t type, uint32_t id, json_t *j,
                           const int *fds, size_t n)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	struct weir__link_head head = { .type = type, .id = id, .fds = (uint16_t)n };
	int rc = -ENOMEM;

	json_decref(j);
	if (text) {
		head.len = (uint32_t)strlen(text);
		rc = weir__link_send(l, &head, text, fds);
	}
	weir__free(text);
	return rc;
}

static int send_bytes(struct weir__link *l, uint16_t type, uint32_t id, const void *body, size_t len)
{
	struct weir__link_head head = { .type = type, .id = id, .len = (uint32_t)len };

	return weir__link_send(l, &head, body, NULL);
}

static struct weir__wire_route wire_route(const struct weir__route_config *c, const char *url,
                                          uint32_t topics)
{
	struct weir__wire_route w = { .id = c->id, .topics = topics, .policy = c->policy,
		.limit = c->limit };

	snprintf(w.from, sizeof w.from, "%s", c->from);
	snprintf(w.to, sizeof w.to, "%s", c->to);
	snprintf(w.url, sizeof w.url, "%s", url);
	return w;
}

static int send_receive(struct weir__remote *r, uint32_t id, const struct weir__request *rq)
{
	struct weir__wire_route w = wire_route(&rq->receive.config, rq->receive.url, 0);
	json_t *j = weir__desc_encode(rq->receive.from);
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL, *body = NULL;
	size_t len = text ? strlen(text) : 0;
	int rc = -ENOMEM;

	if (text && (body = weir__alloc(sizeof w + len))) {
		memcpy(body, &w, sizeof w);
		memcpy(body + sizeof w, text, len);
		rc = send_bytes(r->link, WEIR__WIRE_REQUEST + WEIR__HOST_RECEIVE, id, body, sizeof w + len);
	}
	weir__free(body);
	weir__free(text);
	json_decref(j);
	return rc;
}

static json_t *query_json(const struct weir__request *rq)
{
	json_t *words = json_array();

	for (size_t i = 0; i < rq->query.count; i++)
		json_array_append_new(words, json_string_nocheck(rq->query.words[i]));
	return json_pack("{s:s, s:o}", "name", rq->query.row->name, "words", words);
}

static json_t *since_json(const struct weir__wanted *w)
{
	json_t *a = json_array();

	for (size_t i = 0; i < WEIR__MAX_TOPICS; i++)
		json_array_append_new(a, json_integer((json_int_t)w->since_ns[i]));
	return a;
}

static int send_start(struct weir__remote *r, uint32_t id, const struct weir__request *rq)
{
	json_t *j = weir__settings_encode(r->h->settings);

	if (j)
		json_object_update_new(j, json_pack("{s:o, s:I, s:o, s:I, s:I, s:I, s:b}",
		    "kernel_guard", weir__guard_encode(),
		    "wanted", (json_int_t)rq->start.wanted.topics,
		    "wanted_since_ns", since_json(&rq->start.wanted),
		    "weight", (json_int_t)rq->start.tune.weight,
		    "kinds_off", (json_int_t)rq->start.tune.kinds_off,
		    "detach_below", (json_int_t)rq->start.tune.detach_below, "widen", rq->start.tune.widen));
	if (j && rq->type == WEIR__HOST_PREPARE)
		json_object_set_new(j, "beside", json_string(rq->start.beside));
	return weir__remote_send_json(r->link, (uint16_t)(WEIR__WIRE_REQUEST + rq->type), id, j,
	                              &r->shared_fd, 1);
}

static int send_adopt(struct weir__remote *r, uint32_t id, const struct weir__request *rq)
{
	int fds[WEIR__LINK_FDS];
	struct weir__link_head head = { .type = WEIR__WIRE_REQUEST + WEIR__HOST_ADOPT, .id = id,
		.len = sizeof *rq->adopt.handles,
		.fds = (uint16_t)weir__handles_fds(rq->adopt.handles, fds) };

	return weir__link_send(r->link, &head, rq->adopt.handles, fds);
}

int weir__remote_send(struct weir__remote *r, uint32_t id, const struct weir__request *rq)
{
	uint16_t type = (uint16_t)(WEIR__WIRE_REQUEST + rq->type);
	struct weir__wire_route w;
	uint8_t flag;

	switch (rq->type) {
	case WEIR__HOST_START:
	case WEIR__HOST_PREPARE:
		return send_start(r, id, rq);
	case WEIR__HOST_ADOPT:
		return send_adopt(r, id, rq);
	case WEIR__HOST_YIELD:
		flag = rq->yield.adopted;
		return send_bytes(r->link, type, id, &flag, sizeof flag);
	case WEIR__HOST_TAKE:
		return send_bytes(r->link, type, id, rq->take.yielded, sizeof *rq->take.yielded);
	case WEIR__HOST_ATTACH:
		w = wire_route(&rq->attach.config, rq->attach.url, rq->attach.topics);
		return send_bytes(r->link, type, id, &w, sizeof w);
	case WEIR__HOST_RECEIVE:
		return send_receive(r, id, rq);
	case WEIR__HOST_DETACH:
		return send_bytes(r->link, type, id, &rq->detach.id, sizeof rq->detach.id);
	case WEIR__HOST_CLOSE:
		return send_bytes(r->link, type, id, &rq->close.id, sizeof rq->close.id);
	case WEIR__HOST_SNAPSHOT:
		flag = rq->snapshot.collect;
		return send_bytes(r->link, type, id, &flag, sizeof flag);
	case WEIR__HOST_WANTED:
		return send_bytes(r->link, type, id, &rq->wanted, sizeof rq->wanted);
	case WEIR__HOST_LATENCY:
		return send_bytes(r->link, type, id, &rq->latency, sizeof rq->latency);
	case WEIR__HOST_LIMIT:
		return send_bytes(r->link, type, id, &rq->limit, sizeof rq->limit);
	case WEIR__HOST_SWITCH:
		return send_bytes(r->link, type, id, &rq->sources, sizeof rq->sources);
	case WEIR__HOST_TUNE:
		return send_bytes(r->link, type, id, &rq->tune, sizeof rq->tune);
	case WEIR__HOST_QUERY:
		return weir__remote_send_json(r->link, type, id, query_json(rq), NULL, 0);
	default: /* STOP, FINI */
		return send_bytes(r->link, type, id, NULL, 0);
	}
}

/* ---- answers ---------------------------------------------------------------------- */

static void end_text(char *text, size_t size)
{
	text[size - 1] = 0;
}

/* Map what the kernel counts for it, to be read also when it has died. */
static void map_cpus(struct weir__remote *r, uint32_t cpus, int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = (cpus * sizeof(struct weir_cpu) + page - 1) & ~(page - 1);
	void *at;

	if (fd < 0 || !cpus || cpus != weir__possible_cpus() || r->h->far_cpus)
		return;
	at = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return;
	r->h->far_cpus = at;
	r->h->far_cpu_count = cpus;
	r->cpus_len = len;
}

/* It has other programs now, or none: what is known of the ones before is in its account. */
static void unmap_cpus(struct weir__remote *r)
{
	weir__meter_close(r->h->far_meter);
	r->h->far_meter = NULL;
	if (r->h->far_cpus)
		munmap((void *)(uintptr_t)r->h->far_cpus, r->cpus_len);
	r->h->far_cpus = NULL;
}

static bool took_start(struct weir__remote *r, struct weir__request *rq, const char *body, size_t len,
                       const int *fds, size_t fd_count)
{
	struct weir__wire_started s;
	struct weir__host *h = r->h;

	if (len != sizeof s)
		return false;
	memcpy(&s, body, sizeof s);
	end_text(s.reason, sizeof s.reason);
	h->source = s.source >= 0 && (uint32_t)s.source < h->desc->sources.count ? s.source : -1;
	h->counts_ns = s.counts_ns;
	snprintf(h->reason, sizeof h->reason, "%s", s.reason);
	for (size_t i = 0; i < 8; i++) {
		end_text(s.source_reasons[i], sizeof s.source_reasons[i]);
		snprintf(h->source_reasons[i], sizeof h->source_reasons[i], "%s", s.source_reasons[i]);
	}
	if (rq->type == WEIR__HOST_SWITCH && (!rq->rc || h->source < 0))
		unmap_cpus(r);
	if (fd_count)
		map_cpus(r, s.cpus, fds[0]);
	if (fd_count > 1 && s.cpus == weir__possible_cpus() && !h->far_meter)
		weir__meter_open(fds[0], fds[1], s.cpus, &h->far_meter); /* else: not metered */
	h->started = rq->type == WEIR__HOST_SWITCH ? h->started : !rq->rc;
	if (rq->type == WEIR__HOST_ADOPT)
		rq->adopt.adopted = s.adopted;
	return true;
}

static bool took_export(struct weir__request *rq, const char *body, size_t len, int *fds, size_t fd_count)
{
	struct weir__bpf_handles *h = rq->export.handles;

	if (len != sizeof *h)
		return false;
	memcpy(h, body, len);
	return weir__handles_take(h, fds, fd_count);
}

static bool took_yield(struct weir__request *rq, const char *body, size_t len)
{
	if (len != sizeof *rq->yield.yielded)
		return false;
	memcpy(rq->yield.yielded, body, len);
	return rq->yield.yielded->count <= WEIR__MAX_ROUTES;
}

static bool took_stop(struct weir__remote *r, struct weir__request *rq, const char *body, size_t len)
{
	(void)r;
	if (len % sizeof rq->stop.items[0] || len > sizeof rq->stop.items)
		return false;
	memcpy(rq->stop.items, body, len);
	rq->stop.count = len / sizeof rq->stop.items[0];
	return true;
}

/* Bounds and ends; rows of the descriptor we know. */
static bool check_snapshot(struct weir__remote *r, struct weir__snapshot *s)
{
	const struct weir_source *src = r->h->source < 0 ? NULL
		: weir_table_row(&r->h->desc->sources, (uint32_t)r->h->source);

	if (s->topic_count > WEIR__MAX_TOPICS || s->program_count > WEIR_MAX_PROGRAMS ||
	    s->map_count > sizeof s->maps / sizeof s->maps[0] || s->route_count > WEIR__MAX_ROUTES)
		return false;
	for (size_t i = 0; i < s->program_count; i++) {
		struct weir__bpf_program *p = &s->programs[i];

		p->row = src ? weir_table_row(&src->programs, (uint32_t)i) : NULL;
		if (!p->row)
			return false;
		end_text(p->variant, sizeof p->variant);
		end_text(p->error, sizeof p->error);
	}
	for (size_t i = 0; i < s->map_count; i++)
		end_text(s->maps[i].name, sizeof s->maps[i].name);
	end_text(s->source, sizeof s->source);
	end_text(s->quality, sizeof s->quality);
	return true;
}

static bool took_snapshot(struct weir__remote *r, struct weir__request *rq, const char *body, size_t len)
{
	json_t *samples;

	if (len < sizeof *rq->snapshot.snap)
		return false;
	memcpy(rq->snapshot.snap, body, sizeof *rq->snapshot.snap);
	if (!check_snapshot(r, rq->snapshot.snap))
		return false;
	if (len == sizeof *rq->snapshot.snap || !r->h->metrics)
		return true;
	samples = json_loadb(body + sizeof *rq->snapshot.snap, len - sizeof *rq->snapshot.snap, 0, NULL);
	if (samples)
		weir__samples_apply(samples, r->h->metrics, &r->h->desc->metrics);
	json_decref(samples);
	return true;
}

static bool took_query(struct weir__request *rq, const char *body, size_t len)
{
	rq->query.answer.err = rq->rc;
	rq->query.answer.text = weir__strndup(body, len);
	rq->query.answer.len = rq->query.answer.text ? len : 0;
	if (!rq->query.answer.text)
		rq->query.answer.err = -ENOMEM;
	return true;
}

bool weir__remote_took(struct weir__remote *r, struct weir__request *rq, const char *body, size_t len,
                       int *fds, size_t fd_count)
{
	switch (rq->type) {
	case WEIR__HOST_EXPORT:
		return took_export(rq, body, len, fds, fd_count);
	case WEIR__HOST_YIELD:
		return took_yield(rq, body, len);
	case WEIR__HOST_START:
	case WEIR__HOST_PREPARE:
	case WEIR__HOST_ADOPT:
	case WEIR__HOST_TAKE:
	case WEIR__HOST_SWITCH:
		return took_start(r, rq, body, len, fds, fd_count);
	case WEIR__HOST_STOP:
		return took_stop(r, rq, body, len);
	case WEIR__HOST_DETACH:
		if (len != sizeof rq->detach.item)
			return false;
		memcpy(&rq->detach.item, body, len);
		return true;
	case WEIR__HOST_CLOSE:
		if (len != sizeof rq->close.stats)
			return false;
		memcpy(&rq->close.stats, body, len);
		return true;
	case WEIR__HOST_SNAPSHOT:
		return took_snapshot(r, rq, body, len);
	case WEIR__HOST_QUERY:
		return took_query(rq, body, len);
	default:
		return len == 0;
	}
}
