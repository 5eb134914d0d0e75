/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir host`: the process of one plugin. It is a small daemon with one host on one
 * thread, that does over a link what the supervisor asks (host_wire.h), and sends its
 * records straight to their outputs.
 *
 * Happy path: LOAD (the library is mapped, then the filter of system calls is put on),
 * START, requests, FINI, the link closes. Failure: a wrong library is answered with
 * the reason; anything the daemon should not say ends the process. Threads: the main
 * one has the loop of the link; the plugin is on its host's, as everywhere.
 */
#include "host_child.h"
#include "bpf_kernel.h"
#include "confine.h"
#include "desc_wire.h"
#include "host_link.h"
#include "host_priv.h"
#include "host_upgrade.h"
#include "host_wire.h"
#include "kernel_guard.h"
#include "loader.h"
#include "log.h"
#include "mem.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longer than any scrape takes to be put together. */
#define METRICS_TIMEOUT_S 1

struct child_upgrade {
	struct weir__bpf_handles handles;
	struct weir__yielded yielded;
};

/* A request being carried out. */
struct child_call {
	struct weir__request rq;
	uint32_t id;
	struct weir__snapshot snap;
	void *args;
	json_t *json;
	struct child_upgrade *upgrade; /* EXPORT, ADOPT, YIELD, TAKE */
};

/* One end of a route. */
struct child_end {
	uint32_t id;
	bool closed; /* an output's: but the daemon has not read its counts for good */
	bool forget; /* it has; gone when the plugin has no frames of it any more */
	struct weir__route *route;
	struct weir__desc_copy *from; /* RECEIVE */
	struct weir__end_account *account;
};

static struct child {
	uv_loop_t loop;
	struct weir__link *link;
	struct weir__loaded *loaded;
	struct weir__settings *settings;
	struct weir__metrics_set *metrics;
	struct weir__host *host;
	struct weir__account *account;
	struct child_end ends[WEIR__MAX_ROUTES];

	/* from other threads: log lines, and a question for all metrics */
	uv_async_t async;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct line *lines, **lines_tail;
	size_t line_count;
	bool asking, asked;
	json_t *samples;
} child;

/* Lines that wait for the link; what is more is lost, and the log's own limit is far
 * below it. */
#define LINES_MAX 1024

struct line {
	struct line *next;
	int level;
	char text[];
};

/* ---- sending ------------------------------------------------------------------------ */

static void send_head(struct weir__link_head head, const void *body, size_t len, const int *fds)
{
	head.len = (uint32_t)len;
	if (weir__link_send(child.link, &head, body, fds) == -ENOMEM)
		_exit(1); /* the daemon would wait for ever */
}

static void reply(uint16_t type, uint32_t id, int rc, const void *body, size_t len)
{
	send_head((struct weir__link_head){ .type = type, .id = id, .rc = rc }, body, len, NULL);
}

/* Any thread. */
static void on_log(int level, const char *plugin, const char *message)
{
	size_t len = strlen(message);
	struct line *l = malloc(sizeof *l + len + 1);

	(void)plugin;
	if (!l)
		return;
	l->next = NULL;
	l->level = level;
	memcpy(l->text, message, len + 1);
	pthread_mutex_lock(&child.lock);
	if (child.line_count < LINES_MAX) {
		*child.lines_tail = l;
		child.lines_tail = &l->next;
		child.line_count++;
		l = NULL;
	}
	pthread_mutex_unlock(&child.lock);
	free(l);
	uv_async_send(&child.async);
}

static void send_lines(void)
{
	struct line *l, *next;

	pthread_mutex_lock(&child.lock);
	l = child.lines;
	child.lines = NULL;
	child.lines_tail = &child.lines;
	child.line_count = 0;
	pthread_mutex_unlock(&child.lock);
	for (; l; l = next) {
		next = l->next;
		reply(WEIR__WIRE_LOG, 0, l->level, l->text, strlen(l->text));
		free(l);
	}
}

static void on_async(uv_async_t *async)
{
	bool ask;

	(void)async;
	send_lines();
	pthread_mutex_lock(&child.lock);
	ask = child.asking && !child.asked;
	child.asked |= ask;
	pthread_mutex_unlock(&child.lock);
	if (ask)
		reply(WEIR__WIRE_METRICS, 1, 0, NULL, 0);
}

/* ---- what the plugin's host wants of the daemon ------------------------------------------ */

struct note {
	int err;
	char text[512];
};

static void note_failed(struct weir__host *h, void *arg)
{
	struct note *n = arg;

	(void)h;
	reply(WEIR__WIRE_FAILED, 0, n->err, n->text, strlen(n->text));
	weir__free(n);
}

/* Host thread. */
static void on_failed(void *arg, struct weir__host *h, int err)
{
	struct note *n = weir__zalloc(sizeof *n);

	(void)arg;
	if (!n)
		return; /* it will fail again */
	n->err = err;
	snprintf(n->text, sizeof n->text, "%s", weir__host_reason(h));
	if (weir__host_post(h, note_failed, n))
		weir__free(n);
}

static void note_ask(struct weir__host *h, void *arg)
{
	struct note *n = arg;

	(void)h;
	reply(WEIR__WIRE_ASK, (uint32_t)n->err, 0, n->text, strlen(n->text));
	weir__free(n);
}

/* Host thread. */
static void on_ask(void *arg, struct weir__host *h, const char *query, uint64_t ticket)
{
	struct note *n = weir__zalloc(sizeof *n);

	(void)arg;
	if (n) {
		n->err = (int)ticket;
		snprintf(n->text, sizeof n->text, "%s", query);
	}
	if (!n || weir__host_post(h, note_ask, n)) {
		weir__free(n);
		weir__host_answer(h, ticket, -ENOMEM, NULL, 0);
	}
}

/* Host thread: waits for what the daemon says; it is not asked often. */
static int walk_all(struct weir__host *h, weir_sample_cb cb, void *arg)
{
	struct timespec until;
	json_t *samples;
	int rc = 0;

	(void)h;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += METRICS_TIMEOUT_S;
	pthread_mutex_lock(&child.lock);
	child.asking = true;
	child.asked = false;
	uv_async_send(&child.async);
	while (!child.samples && !rc)
		rc = pthread_cond_timedwait(&child.answered, &child.lock, &until);
	samples = child.samples;
	child.samples = NULL;
	child.asking = false;
	pthread_mutex_unlock(&child.lock);
	if (!samples)
		return -ETIMEDOUT;
	rc = weir__samples_walk(samples, cb, arg);
	json_decref(samples);
	return rc;
}

/* ---- load, start ------------------------------------------------------------------------- */

static void do_load(const struct weir__link_head *head, const char *body, const int *fds)
{
	json_t *j = json_loads(body, 0, NULL), *desc;
	const char *path = json_string_value(json_object_get(j, "path"));
	const char *name = json_string_value(json_object_get(j, "name"));
	char why[512] = "the daemon did not say what to load", *text;
	int refusal, rc = -EINVAL;

	if (path && !child.loaded && head->fds) {
		/* Before the library, whose constructors are the plugin's code already. */
		rc = weir__confine_seal((uint64_t)json_integer_value(json_object_get(j, "needs")),
		                        json_is_true(json_object_get(j, "forks")));
		if (rc && rc != -EOPNOTSUPP) /* without filters the other walls stand */
			snprintf(why, sizeof why, "cannot filter system calls: %s", strerror(-rc));
		else
			rc = weir__load_fd(fds[0], path, name && *name ? name : NULL, &child.loaded, &refusal, why, sizeof why);
	}
	json_decref(j);
	desc = rc ? NULL : weir__desc_encode(&child.loaded->desc);
	text = desc ? json_dumps(desc, JSON_COMPACT) : NULL;
	if (text)
		reply(WEIR__WIRE_LOAD, head->id, 0, text, strlen(text));
	else
		reply(WEIR__WIRE_LOAD, head->id, rc ? rc : -ENOMEM, why, strlen(why));
	weir__free(text);
	json_decref(desc);
	if (rc)
		child.loaded = NULL;
}

static int map_account(int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || (size_t)st.st_size < sizeof *child.account)
		return -EINVAL;
	child.account = mmap(NULL, sizeof *child.account, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (child.account == MAP_FAILED) {
		child.account = NULL;
		return -errno;
	}
	return 0;
}

static int prepare_host(const json_t *j, int fd, char *why, size_t size)
{
	struct weir__host_events events = { .failed = on_failed, .ask = on_ask };
	const char *name = json_string_value(json_object_get(j, "name"));
	int rc;

	snprintf(why, size, "out of memory");
	if (!child.loaded || child.host) {
		snprintf(why, size, "started before it was loaded, or twice");
		return -EINVAL;
	}
	rc = weir__guard_decode(json_object_get(j, "kernel_guard"));
	if (!rc)
		rc = map_account(fd);
	if (!rc)
		rc = weir__settings_decode(j, name ? name : child.loaded->desc.name, &child.loaded->desc,
		                           &child.settings, why, size);
	if (rc)
		return rc;
	child.metrics = weir__metrics_set_new(child.settings->name, &child.loaded->desc.metrics);
	if (!child.metrics)
		return -ENOMEM;
	events.account = child.account;
	rc = weir__host_new(&child.loop, &child.loaded->desc, child.settings, child.metrics, &events, &child.host);
	if (!rc)
		child.host->metrics_walk = walk_all;
	return rc;
}

static void send_started(uint16_t type, uint32_t id, int rc, const char *why, bool adopted)
{
	struct weir__link_head head = { .type = type, .id = id, .rc = rc };
	struct weir__wire_started s = { .source = -1, .adopted = adopted };
	struct weir__host *h = child.host;
	int fds[2] = { h && h->bpf ? weir__bpf_map_fd(h->bpf, WEIR_MAP_CPU) : -1,
		h && h->bpf ? weir__bpf_map_fd(h->bpf, WEIR_MAP_KNOBS) : -1 };

	snprintf(s.reason, sizeof s.reason, "%s", why ? why : weir__host_reason(h));
	if (!why) {
		s.source = weir__host_source(h);
		for (size_t i = 0; i < 8; i++)
			snprintf(s.source_reasons[i], sizeof s.source_reasons[i], "%s",
			         weir__host_source_reason(h, i));
	}
	s.cpus = weir__possible_cpus();
	head.fds = fds[0] >= 0 && fds[1] >= 0 ? 2 : 0;
	send_head(head, &s, sizeof s, fds);
	weir__kernel_btf_release(); /* what was needed to start only */
	malloc_trim(0);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void free_call(struct child_call *c)
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
	reply(WEIR__WIRE_REQUEST + WEIR__HOST_SNAPSHOT, c->id, c->rq.rc, body, sizeof c->snap + len);
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

	send_head(head, h, sizeof *h, fds);
}

static void done(struct weir__host *h, struct weir__request *rq)
{
	struct child_call *c = rq->arg;
	const struct weir__answer *answer = &rq->query.answer;
	uint16_t type = (uint16_t)(WEIR__WIRE_REQUEST + rq->type);

	(void)h;
	send_lines(); /* what was said before comes before */
	switch (rq->type) {
	case WEIR__HOST_START:
	case WEIR__HOST_PREPARE:
	case WEIR__HOST_TAKE:
		send_started(type, c->id, rq->rc, NULL, false);
		break;
	case WEIR__HOST_ADOPT:
		send_started(type, c->id, rq->rc, NULL, rq->adopt.adopted);
		break;
	case WEIR__HOST_EXPORT:
		send_export(c);
		break;
	case WEIR__HOST_YIELD:
		reply(type, c->id, rq->rc, &c->upgrade->yielded, sizeof c->upgrade->yielded);
		break;
	case WEIR__HOST_STOP:
		reply(type, c->id, rq->rc, rq->stop.items, rq->stop.count * sizeof rq->stop.items[0]);
		break;
	case WEIR__HOST_DETACH:
		reply(type, c->id, rq->rc, &rq->detach.item, sizeof rq->detach.item);
		break;
	case WEIR__HOST_SNAPSHOT:
		send_snapshot(c);
		break;
	case WEIR__HOST_QUERY:
		reply(type, c->id, rq->rc ? rq->rc : answer->err, answer->text ? answer->text : "", answer->len);
		break;
	default:
		reply(type, c->id, rq->rc, NULL, 0);
	}
	free_call(c);
}

static struct child_end *end_of(uint32_t id)
{
	for (size_t i = 0; i < WEIR__MAX_ROUTES; i++)
		if (child.ends[i].id == id && !child.ends[i].closed)
			return &child.ends[i];
	return NULL;
}

static void free_end(struct child_end *e)
{
	weir__route_free(e->route);
	weir__desc_copy_free(e->from);
	if (e->account)
		e->account->id = 0;
	memset(e, 0, sizeof *e);
}

/* Ends that were kept for their frames' sake only, and have none any more. */
static void forget_closed(void)
{
	struct weir__route_stats st;

	for (size_t i = 0; i < WEIR__MAX_ROUTES; i++) {
		if (!child.ends[i].forget)
			continue;
		weir__route_stats(child.ends[i].route, &st);
		if (!st.queued)
			free_end(&child.ends[i]);
	}
}

/* A route object whose counters the daemon sees. */
static int new_end(const struct weir__wire_route *w, struct child_end **ret)
{
	struct weir__route_config cfg = { .id = w->id, .from = w->from, .to = w->to,
		.limit = w->limit, .policy = w->policy };
	struct child_end *e;
	int rc;

	forget_closed();
	e = end_of(0);
	if (!e || !w->id || !child.account)
		return -ENOSPC;
	rc = weir__route_new(&cfg, &e->route);
	if (rc)
		return rc;
	e->account = &child.account->ends[e - child.ends];
	memset(&e->account->stats, 0, sizeof e->account->stats);
	weir__route_share_stats(e->route, &e->account->stats);
	e->account->id = e->id = w->id;
	*ret = e;
	return 0;
}

static bool wire_route(const char *body, size_t len, struct weir__wire_route *w)
{
	if (len < sizeof *w)
		return false;
	memcpy(w, body, sizeof *w);
	w->from[sizeof w->from - 1] = w->to[sizeof w->to - 1] = w->url[sizeof w->url - 1] = 0;
	return true;
}

/* 0: the request is to be passed on to the host. */
static int prepare_attach(struct child_call *c, const char *body, size_t len)
{
	struct weir__wire_route w;
	struct child_end *e;
	int rc = wire_route(body, len, &w) && child.host ? new_end(&w, &e) : -EINVAL;

	if (rc)
		return rc;
	rc = weir__route_open_tx(e->route, w.url);
	if (rc) {
		free_end(e);
		return rc;
	}
	c->rq.attach.route = e->route;
	c->rq.attach.topics = w.topics;
	return 0;
}

static int do_receive(const char *body, size_t len)
{
	struct weir__wire_route w;
	struct child_end *e;
	char why[256];
	json_t *j;
	int rc = wire_route(body, len, &w) && child.host ? new_end(&w, &e) : -EINVAL;

	if (rc)
		return rc;
	j = json_loadb(body + sizeof w, len - sizeof w, 0, NULL);
	rc = j ? weir__desc_decode(j, &e->from, why, sizeof why) : -EINVAL;
	json_decref(j);
	if (!rc)
		rc = weir__route_open_rx(e->route, w.url, weir__desc_of(e->from), weir__host_receive, child.host);
	if (rc)
		free_end(e);
	return rc;
}

/* The frames of an output's end may still be in its hands: it stays until they are
 * acknowledged, and until it is closed a second time. */
static void do_close(struct child_call *c, uint32_t id)
{
	struct child_end *e = NULL;

	for (size_t i = 0; i < WEIR__MAX_ROUTES && !e; i++)
		if (id && child.ends[i].id == id && !child.ends[i].forget)
			e = &child.ends[i];
	if (e && !e->closed)
		weir__route_close(e->route);
	if (e) {
		weir__route_stats(e->route, &c->rq.close.stats);
		e->forget = e->closed || !e->from;
		e->closed = true;
	}
	forget_closed();
	reply(WEIR__WIRE_REQUEST + WEIR__HOST_CLOSE, c->id, e ? 0 : -ENOENT, &c->rq.close.stats,
	      sizeof c->rq.close.stats);
	free_call(c);
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
	for (uint32_t i = 0; name && (q = weir_table_row(&child.loaded->desc.queries, i)); i++)
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
		return prepare_attach(c, body, len);
	case WEIR__HOST_DETACH:
		c->rq.detach.id = number(body, len);
		return 0;
	case WEIR__HOST_SNAPSHOT:
		c->rq.snapshot.collect = len && *body;
		c->rq.snapshot.snap = &c->snap;
		return 0;
	case WEIR__HOST_WANTED:
		c->rq.wanted.wanted = number(body, len);
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
	rc = prepare_host(c->json, fd_count ? fds[0] : -1, why, sizeof why);
	c->rq.start.wanted = json_u32(c->json, "wanted");
	c->rq.start.tune = (struct weir__tune){ .weight = json_u32(c->json, "weight"),
		.kinds_off = json_u32(c->json, "kinds_off"),
		.detach_below = json_u32(c->json, "detach_below"),
		.widen = json_is_true(json_object_get(c->json, "widen")) };
	snprintf(c->rq.start.beside, sizeof c->rq.start.beside, "%s", json_object_get(c->json, "beside")
	         ? json_string_value(json_object_get(c->json, "beside")) : "");
	if (c->rq.start.tune.weight > WEIR__WEIGHT_MAX)
		c->rq.start.tune.weight = WEIR__WEIGHT_MAX;
	if (!rc)
		rc = weir__host_request(child.host, &c->rq);
	if (!rc)
		return;
	send_started((uint16_t)(WEIR__WIRE_REQUEST + c->rq.type), c->id, rc, why, false);
	free_call(c);
}

static void do_request(const struct weir__link_head *head, const char *body, int *fds)
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
		do_close(c, number(body, head->len));
		return;
	}
	if (c->rq.type == WEIR__HOST_RECEIVE)
		rc = do_receive(body, head->len);
	else
		rc = child.host ? prepare(c, body, head->len, fds, head->fds) : -ESHUTDOWN;
	if (!rc && c->rq.type != WEIR__HOST_RECEIVE)
		rc = weir__host_request(child.host, &c->rq);
	else if (c->rq.type == WEIR__HOST_RECEIVE || rc) {
		c->rq.rc = rc;
		done(child.host, &c->rq);
		return;
	}
	if (rc)
		_exit(1); /* no memory: it would be waited for */
}

static void on_frame(void *arg, const struct weir__link_head *head, const char *body, int *fds)
{
	(void)arg;
	switch (head->type) {
	case WEIR__WIRE_LOAD:
		do_load(head, body, fds);
		return;
	case WEIR__WIRE_ANSWER:
		if (child.host)
			weir__host_answer(child.host, head->id, head->rc, body, head->len);
		return;
	case WEIR__WIRE_METRICS_ARE:
		pthread_mutex_lock(&child.lock);
		json_decref(child.samples);
		child.samples = json_loadb(body, head->len, 0, NULL);
		pthread_cond_signal(&child.answered);
		pthread_mutex_unlock(&child.lock);
		return;
	default:
		if (head->type < WEIR__WIRE_REQUEST)
			_exit(1);
		do_request(head, body, fds);
	}
}

/* The daemon has closed it, or is gone: there is nobody to work for. */
static void on_end(void *arg, int err)
{
	(void)arg, (void)err;
	_exit(0);
}

int weir__host_child(int argc, char **argv)
{
	struct stat st;
	char name[16];

	if (fstat(WEIR__CHILD_LINK_FD, &st) || !S_ISSOCK(st.st_mode)) {
		fprintf(stderr, "weir host: this is what the daemon starts for a plugin with "
		        "`isolation: process`; it is of no use by hand\n");
		return 2;
	}
	snprintf(name, sizeof name, "weir:%s", argc > 1 ? argv[1] : "");
	prctl(PR_SET_NAME, name);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* from a terminal, for the daemon */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	mallopt(M_TRIM_THRESHOLD, 128 * 1024);
	setenv("UV_THREADPOOL_SIZE", "1", 0);
	child.lines_tail = &child.lines;
	pthread_mutex_init(&child.lock, NULL);
	pthread_cond_init(&child.answered, NULL);
	if (uv_loop_init(&child.loop) || uv_async_init(&child.loop, &child.async, on_async) ||
	    weir__link_open(&child.loop, WEIR__CHILD_LINK_FD, on_frame, on_end, NULL, &child.link))
		return 1;
	weir__log_setup(&(struct weir__log_config){ .level = WEIR_DEBUG });
	weir__log_divert(on_log); /* the daemon has the level and the limits */
	uv_run(&child.loop, UV_RUN_DEFAULT);
	return 0;
}
