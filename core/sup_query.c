/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: from outside (control, HTTP) and from one plugin to others. Each runs
 * on the asked plugin's loop; if it does not answer in time the asker is told so,
 * and the late answer is thrown away. Main thread.
 */
#include "sup_priv.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A scrape waits 10 s by default, a person less. */
#define QUERY_TIMEOUT_MS 2000
/* Queries one host may owe: more than clients can wait for at a time. Those of a host
 * that is stuck would pile up after their askers have gone. */
#define MAX_QUERIES 64

struct query_job {
	struct weir__request rq;
	struct sup_plugin *p;
	struct weir__supervisor *s;
	const struct weir_query *q;
	void *args;
	weir__sup_answer cb;
	void *arg;
	uv_timer_t timer;
	unsigned refs;           /* the call, and the timer */
	char **words;            /* as they were given, for a host in a process */
	char plugin[32];
};

static void job_unref(struct query_job *j)
{
	if (--j->refs)
		return;
	weir__options_free(&j->q->args, j->args);
	weir__free(j->args);
	weir__free(j->rq.query.answer.text);
	for (size_t i = 0; j->words && j->words[i]; i++)
		weir__free(j->words[i]);
	weir__free(j->words);
	weir__free(j);
}

static void job_timer_closed(uv_handle_t *handle)
{
	job_unref(handle->data);
}

static void job_finish(struct query_job *j, int err, const char *text, size_t len)
{
	struct sup_plugin *p = weir__sup_find(j->s, j->plugin);
	weir__sup_answer cb = j->cb;

	if (!cb)
		return;
	j->cb = NULL;
	if (p && err < 0)
		p->queries_failed++;
	else if (p)
		p->queries_ok++;
	uv_close((uv_handle_t *)&j->timer, job_timer_closed);
	cb(j->arg, err, j->q->content_type, text, len);
}

static void on_job_timeout(uv_timer_t *timer)
{
	struct query_job *j = timer->data;
	char text[160];
	int n = snprintf(text, sizeof text, "%s did not answer within %d ms: its loop is busy",
	                 j->plugin, QUERY_TIMEOUT_MS);

	job_finish(j, -ETIMEDOUT, text, (size_t)n);
}

static void query_done(struct weir__host *h, struct weir__request *rq)
{
	struct query_job *j = rq->arg;
	struct weir__answer *answer = &rq->query.answer;
	const char *text = answer->text ? answer->text : "";
	struct sup_plugin *p;

	if ((p = weir__sup_of_host(j->s, h)))
		p->queries--;
	if (rq->rc && !answer->err)
		answer->err = rq->rc; /* the host has gone meanwhile */
	if (answer->err < 0 && !*text)
		text = strerror(-answer->err);
	job_finish(j, answer->err, text, answer->err < 0 ? strlen(text) : answer->len);
	job_unref(j);
}

static void run_job(void *arg)
{
	struct query_job *j = arg;
	struct sup_plugin *p = weir__sup_find(j->s, j->plugin);

	if (j->cb && p && p->state == WEIR__RUNNING && p->queries >= MAX_QUERIES) {
		job_finish(j, -EBUSY, "its loop is busy with earlier queries", 37);
		job_unref(j);
		return;
	}
	if (j->cb && p && p->state == WEIR__RUNNING &&
	    !weir__host_request(p->host, &j->rq)) {
		p->queries++;
		return;
	}
	job_finish(j, -ESHUTDOWN, "the plugin has stopped", 22);
	job_unref(j);
}

static const struct weir_query *query_row(const struct sup_plugin *p, const char *name)
{
	const struct weir_query *q;

	for (uint32_t i = 0; p->desc && (q = weir_table_row(&p->desc->queries, i)); i++)
		if (!strcmp(q->name, name))
			return q;
	return NULL;
}

/* NULL-terminated copies; NULL: no memory. */
static char **copy_words(const char *const *words, size_t count)
{
	char **copy = weir__zalloc((count + 1) * sizeof *copy);
	size_t n = 0;

	while (copy && n < count && (copy[n] = weir__strdup(words[n])))
		n++;
	if (copy && n == count)
		return copy;
	while (n)
		weir__free(copy[--n]);
	weir__free(copy);
	return NULL;
}

static void start_job(struct sup_plugin *p, const struct weir_query *q, const char *const *words,
                      size_t count, weir__sup_answer cb, void *arg)
{
	struct query_job *j = weir__zalloc(sizeof *j);
	char err[300] = "out of memory";

	if (!j || !(j->args = weir__zalloc(q->args_size + 1)) || !(j->words = copy_words(words, count))) {
		if (j)
			weir__free(j->args);
		weir__free(j);
		cb(arg, -ENOMEM, q->content_type, err, strlen(err));
		return;
	}
	*j = (struct query_job){ .p = p, .s = p->sup, .q = q, .args = j->args, .words = j->words, .cb = cb,
		.arg = arg, .refs = 1 };
	j->rq = (struct weir__request){ .type = WEIR__HOST_QUERY, .done = query_done, .arg = j,
		.query = { .row = q, .args = j->args, .words = (const char *const *)j->words, .count = count } };
	snprintf(j->plugin, sizeof j->plugin, "%s", p->name);
	if (weir__options_defaults(&q->args, j->args, err, sizeof err) ||
	    weir__options_parse_args(&q->args, j->args, words, count, err, sizeof err)) {
		cb(arg, -EINVAL, q->content_type, err, strlen(err));
		job_unref(j);
		return;
	}
	j->refs = 2;
	uv_timer_init(p->sup->loop, &j->timer);
	j->timer.data = j;
	uv_timer_start(&j->timer, on_job_timeout, QUERY_TIMEOUT_MS, 0);
	if (q->flags & WEIR_QUERY_FRESH)
		weir__sup_refresh(p->sup, true, run_job, j);
	else
		run_job(j);
}

void weir__sup_query(struct weir__supervisor *s, const char *plugin, const char *query,
                     const char *const *words, size_t count, weir__sup_answer cb, void *arg)
{
	struct sup_plugin *p = weir__sup_find(s, plugin);
	const struct weir_query *q = p ? query_row(p, query) : NULL, *row;
	char text[500];
	size_t n;

	if (!p) {
		n = (size_t)snprintf(text, sizeof text, "there is no plugin \"%.64s\"", plugin);
		cb(arg, -ENOENT, "", text, n);
	} else if (p->state != WEIR__RUNNING) {
		n = (size_t)snprintf(text, sizeof text, "%.64s is %s%s%.300s", plugin,
		                     weir__state_name(p->state), *p->reason ? ": " : "", p->reason);
		cb(arg, -ESHUTDOWN, "", text, n);
	} else if (!q) {
		n = (size_t)snprintf(text, sizeof text, "%.64s has no query \"%.64s\"; it answers:",
		                     plugin, query);
		for (uint32_t i = 0; (row = weir_table_row(&p->desc->queries, i)) && n < sizeof text; i++)
			n += (size_t)snprintf(text + n, sizeof text - n, " %s", row->name);
		cb(arg, -ENOENT, "", text, n < sizeof text ? n : sizeof text - 1);
	} else {
		start_job(p, q, words, count, cb, arg);
	}
}

bool weir__sup_query_path(struct weir__supervisor *s, const char *path, weir__sup_answer cb, void *arg)
{
	const struct weir_query *q;

	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		if (p->state != WEIR__RUNNING)
			continue;
		for (uint32_t i = 0; (q = weir_table_row(&p->desc->queries, i)); i++)
			if (q->mount && !strcmp(q->mount, path)) {
				start_job(p, q, NULL, 0, cb, arg);
				return true;
			}
	}
	return false;
}

/* ---- one plugin asks others ------------------------------------------------------------ */

struct posted {
	struct posted *next;
	struct weir__host *host; /* compared, never followed, until found again */
	uint64_t ticket;
	char query[64];
};

/* 32 parts: as many plugins as one live view could show. */
#define MAX_PARTS 32

struct ask_part {
	struct ask_job *job;
	char *text;
};

struct ask_job {
	struct weir__supervisor *s;
	struct posted *posted;
	struct ask_part parts[MAX_PARTS];
	size_t count;
	unsigned waiting;
	int err;
};

static void ask_finish(struct ask_job *a)
{
	struct sup_plugin *p = weir__sup_of_host(a->s, a->posted->host);
	char *own = strcmp(a->posted->query, "*." WEIR_QUERY_SUMMARY) ? NULL : weir__sup_summary(a->s);
	size_t len = own ? strlen(own) : 0;
	char *all;

	for (size_t i = 0; i < a->count; i++)
		len += a->parts[i].text ? strlen(a->parts[i].text) : 0;
	all = weir__zalloc(len + 1);
	for (size_t i = 0; all && i < a->count; i++)
		if (a->parts[i].text)
			strcat(all, a->parts[i].text); /* bounded by 32 answers */
	if (all && own)
		strcat(all, own);
	if (p)
		weir__host_answer(p->host, a->posted->ticket, all ? a->err : -ENOMEM, all, len);
	for (size_t i = 0; i < a->count; i++)
		weir__free(a->parts[i].text);
	weir__free(all);
	weir__free(own);
	weir__free(a->posted);
	weir__free(a);
}

static void part_answered(void *arg, int err, const char *type, const char *text, size_t len)
{
	struct ask_part *part = arg;

	(void)type;
	if (err >= 0)
		part->text = weir__strndup(text, len);
	else
		part->job->err = err;
	if (!--part->job->waiting)
		ask_finish(part->job);
}

static void ask_run(void *arg)
{
	struct ask_job *a = arg;
	const char *dot = strchr(a->posted->query, '.');
	const char *name = dot ? dot + 1 : "";
	bool all = !strncmp(a->posted->query, "*.", 2);

	a->waiting = 1;
	for (struct sup_plugin *p = a->s->plugins; dot && p && a->count < MAX_PARTS; p = p->next) {
		const struct weir_query *q = query_row(p, name);
		size_t n = (size_t)(dot - a->posted->query);

		if (p->state != WEIR__RUNNING || !q ||
		    (!all && (strncmp(p->name, a->posted->query, n) || p->name[n])))
			continue;
		a->parts[a->count].job = a;
		a->waiting++;
		start_job(p, q, NULL, 0, part_answered, &a->parts[a->count++]);
	}
	if (!a->count && !all)
		a->err = -ENOENT;
	if (!--a->waiting)
		ask_finish(a);
}

static void on_ask_async(uv_async_t *async)
{
	struct weir__supervisor *s = async->data;
	struct posted *list, *next;

	pthread_mutex_lock(&s->ask_lock);
	list = s->posted;
	s->posted = NULL;
	s->posted_tail = &s->posted;
	pthread_mutex_unlock(&s->ask_lock);
	for (; list; list = next) {
		struct ask_job *a = weir__zalloc(sizeof *a);

		next = list->next;
		if (!a) {
			weir__free(list);
			continue;
		}
		a->s = s;
		a->posted = list;
		weir__sup_refresh(s, true, ask_run, a);
	}
}

/* Host thread. */
static void on_ask(void *arg, struct weir__host *h, const char *query, uint64_t ticket)
{
	struct weir__supervisor *s = arg;
	struct posted *p = weir__zalloc(sizeof *p);

	if (!p) {
		weir__host_answer(h, ticket, -ENOMEM, NULL, 0);
		return;
	}
	p->host = h;
	p->ticket = ticket;
	snprintf(p->query, sizeof p->query, "%s", query);
	pthread_mutex_lock(&s->ask_lock);
	*s->posted_tail = p;
	s->posted_tail = &p->next;
	pthread_mutex_unlock(&s->ask_lock);
	uv_async_send(&s->ask_async);
}

void weir__sup_ask_setup(struct weir__supervisor *s)
{
	pthread_mutex_init(&s->ask_lock, NULL);
	s->posted_tail = &s->posted;
	uv_async_init(s->loop, &s->ask_async, on_ask_async);
	s->ask_async.data = s;
	s->events.ask = on_ask;
}

void weir__sup_ask_close(struct weir__supervisor *s)
{
	struct posted *p, *next;

	for (p = s->posted; p; p = next) {
		next = p->next;
		weir__free(p);
	}
	s->posted = NULL;
}
