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
#include "host_child_priv.h"
#include "confine.h"
#include "desc_wire.h"
#include "host_wire.h"
#include "kernel_guard.h"
#include "loader.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
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

struct weir__child weir__child;

/* Lines that wait for the link; what is more is lost, and the log's own limit is far
 * below it. */
#define LINES_MAX 1024

struct line {
	struct line *next;
	int level;
	char text[];
};

/* ---- sending ------------------------------------------------------------------------ */

void weir__child_send(struct weir__link_head head, const void *body, size_t len, const int *fds)
{
	head.len = (uint32_t)len;
	if (weir__link_send(weir__child.link, &head, body, fds) == -ENOMEM)
		_exit(1); /* the daemon would wait for ever */
}

void weir__child_reply(uint16_t type, uint32_t id, int rc, const void *body, size_t len)
{
	struct weir__link_head head = { .type = type, .id = id, .rc = rc };

	weir__child_send(head, body, len, NULL);
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
	pthread_mutex_lock(&weir__child.lock);
	if (weir__child.line_count < LINES_MAX) {
		*weir__child.lines_tail = l;
		weir__child.lines_tail = &l->next;
		weir__child.line_count++;
		l = NULL;
	}
	pthread_mutex_unlock(&weir__child.lock);
	free(l);
	uv_async_send(&weir__child.async);
}

void weir__child_send_lines(void)
{
	struct line *l, *next;

	pthread_mutex_lock(&weir__child.lock);
	l = weir__child.lines;
	weir__child.lines = NULL;
	weir__child.lines_tail = &weir__child.lines;
	weir__child.line_count = 0;
	pthread_mutex_unlock(&weir__child.lock);
	for (; l; l = next) {
		next = l->next;
		weir__child_reply(WEIR__WIRE_LOG, 0, l->level, l->text, strlen(l->text));
		free(l);
	}
}

static void on_async(uv_async_t *async)
{
	bool ask;

	(void)async;
	weir__child_send_lines();
	pthread_mutex_lock(&weir__child.lock);
	ask = weir__child.asking && !weir__child.asked;
	weir__child.asked |= ask;
	pthread_mutex_unlock(&weir__child.lock);
	if (ask)
		weir__child_reply(WEIR__WIRE_METRICS, 1, 0, NULL, 0);
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
	weir__child_reply(WEIR__WIRE_FAILED, 0, n->err, n->text, strlen(n->text));
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
	weir__child_reply(WEIR__WIRE_ASK, (uint32_t)n->err, 0, n->text, strlen(n->text));
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
	pthread_mutex_lock(&weir__child.lock);
	weir__child.asking = true;
	weir__child.asked = false;
	uv_async_send(&weir__child.async);
	while (!weir__child.samples && !rc)
		rc = pthread_cond_timedwait(&weir__child.answered, &weir__child.lock, &until);
	samples = weir__child.samples;
	weir__child.samples = NULL;
	weir__child.asking = false;
	pthread_mutex_unlock(&weir__child.lock);
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

	if (path && !weir__child.loaded && head->fds) {
		/* Before the library, whose constructors are the plugin's code already. */
		rc = weir__confine_seal((uint64_t)json_integer_value(json_object_get(j, "needs")),
		                        json_is_true(json_object_get(j, "forks")));
		if (rc && rc != -EOPNOTSUPP) /* without filters the other walls stand */
			snprintf(why, sizeof why, "cannot filter system calls: %s", strerror(-rc));
		else
			rc = weir__load_fd(fds[0], path, name && *name ? name : NULL,
			                   &weir__child.loaded, &refusal, why, sizeof why);
	}
	json_decref(j);
	desc = rc ? NULL : weir__desc_encode(&weir__child.loaded->desc);
	text = desc ? json_dumps(desc, JSON_COMPACT) : NULL;
	if (text)
		weir__child_reply(WEIR__WIRE_LOAD, head->id, 0, text, strlen(text));
	else
		weir__child_reply(WEIR__WIRE_LOAD, head->id, rc ? rc : -ENOMEM, why, strlen(why));
	weir__free(text);
	json_decref(desc);
	if (rc)
		weir__child.loaded = NULL;
}

static int map_account(int fd)
{
	struct weir__account *at;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || (size_t)st.st_size < sizeof *at)
		return -EINVAL;
	at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	weir__child.account = at;
	return 0;
}

int weir__child_new_host(const json_t *j, int fd, char *why, size_t size)
{
	struct weir__host_events events = { .failed = on_failed, .ask = on_ask };
	const char *name = json_string_value(json_object_get(j, "name"));
	const struct weir_plugin_desc *desc;
	int rc;

	snprintf(why, size, "out of memory");
	if (!weir__child.loaded || weir__child.host) {
		snprintf(why, size, "started before it was loaded, or twice");
		return -EINVAL;
	}
	desc = &weir__child.loaded->desc;
	rc = weir__guard_decode(json_object_get(j, "kernel_guard"));
	if (!rc)
		rc = map_account(fd);
	if (!rc)
		rc = weir__settings_decode(j, name ? name : desc->name, desc, &weir__child.settings,
		                           why, size);
	if (rc)
		return rc;
	weir__child.metrics = weir__metrics_set_new(weir__child.settings->name, &desc->metrics);
	if (!weir__child.metrics)
		return -ENOMEM;
	events.account = weir__child.account;
	rc = weir__host_new(&weir__child.loop, desc, weir__child.settings, weir__child.metrics,
	                    &events, &weir__child.host);
	if (!rc)
		weir__child.host->metrics_walk = walk_all;
	return rc;
}

static void on_frame(void *arg, const struct weir__link_head *head, const char *body, int *fds)
{
	(void)arg;
	switch (head->type) {
	case WEIR__WIRE_LOAD:
		do_load(head, body, fds);
		return;
	case WEIR__WIRE_ANSWER:
		if (weir__child.host)
			weir__host_answer(weir__child.host, head->id, head->rc, body, head->len);
		return;
	case WEIR__WIRE_METRICS_ARE:
		pthread_mutex_lock(&weir__child.lock);
		json_decref(weir__child.samples);
		weir__child.samples = json_loadb(body, head->len, 0, NULL);
		pthread_cond_signal(&weir__child.answered);
		pthread_mutex_unlock(&weir__child.lock);
		return;
	default:
		if (head->type < WEIR__WIRE_REQUEST)
			_exit(1);
		weir__child_request(head, body, fds);
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
	weir__child.lines_tail = &weir__child.lines;
	pthread_mutex_init(&weir__child.lock, NULL);
	pthread_cond_init(&weir__child.answered, NULL);
	if (uv_loop_init(&weir__child.loop) ||
	    uv_async_init(&weir__child.loop, &weir__child.async, on_async) ||
	    weir__link_open(&weir__child.loop, WEIR__CHILD_LINK_FD, on_frame, on_end, NULL,
	                    &weir__child.link))
		return 1;
	weir__log_setup(&(struct weir__log_config){ .level = WEIR_DEBUG });
	weir__log_divert(on_log); /* the daemon has the level and the limits */
	uv_run(&weir__child.loop, UV_RUN_DEFAULT);
	return 0;
}
