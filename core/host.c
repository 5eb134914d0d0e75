/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's thread, its calls, and the life of its plugin. See host.h.
 *
 * Happy path: new (the thread begins), calls run on its loop and end on the main one, free.
 *
 * Threads: what is under `lock` (calls, finished, inbox, tickets' answers) is
 * shared; all else belongs to the host's thread once it runs. Failure modes: no
 * thread, no memory, a callback that returns <0; all come back as -errno and a
 * reason. A callback that never returns hurts this host alone: calls pile up here
 * and the daemon's deadlines pass.
 */
#include "host_priv.h"
#include "host_remote.h"
#include "log.h"
#include "mem.h"
#include "privilege.h"
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

/* What the contract allows a callback at most; longer ones are counted. */
#define CALLBACK_LIMIT_NS 10000000u

const struct weir_plugin_desc *weir__host_desc(const struct weir__host *h)
{
	return h->desc;
}

const char *weir__host_reason(const struct weir__host *h)
{
	return h->reason;
}

const char *weir__host_source_reason(const struct weir__host *h, size_t source)
{
	return source < 8 ? h->source_reasons[source] : "";
}

int weir__host_source(const struct weir__host *h)
{
	return h->source;
}

uint64_t weir__host_counts_ns(const struct weir__host *h)
{
	return h->source < 0 ? 0 : h->counts_ns;
}

void weir__host_set_reason(struct weir__host *h, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(h->reason, sizeof h->reason, fmt, ap);
	va_end(ap);
}

const char *weir__callback_name(uint32_t callback)
{
	static const char *const names[] = {
#define X(id, name, doc) [WEIR__IN_##id] = name,
		WEIR__CALLBACKS(X)
#undef X
	};

	return callback < WEIR__CALLBACK_COUNT ? names[callback] : "";
}

void weir__host_count(uint64_t *counts, const double *bounds, size_t n, uint64_t ns)
{
	size_t i = 0;

	while (i < n && (double)ns > bounds[i] * 1e9)
		i++;
	counts[i]++;
}

void weir__host_left(struct weir__host *h, uint64_t entered)
{
	uint64_t ns = uv_hrtime() - entered;

	weir__host_count(h->callbacks, weir__callback_buckets, WEIR__CALLBACK_BUCKETS, ns);
	h->callback_ns += ns;
	h->overruns += ns > CALLBACK_LIMIT_NS;
	atomic_store_explicit(&h->account->doing.busy_ns, 0, memory_order_relaxed);
}

bool weir__host_busy(struct weir__host *h, struct weir__busy *ret)
{
	const struct weir__doing *d = h->account ? &h->account->doing : NULL;
	uint32_t callback;

	if (!d)
		return false;
	ret->since_ns = atomic_load_explicit(&d->busy_ns, memory_order_relaxed);
	/* A process may have written anything there. */
	callback = atomic_load_explicit(&d->callback, memory_order_relaxed);
	ret->callback = callback < WEIR__CALLBACK_COUNT ? (enum weir__callback)callback : WEIR__IN_NONE;
	return ret->since_ns;
}

uint64_t weir__host_unanswered_ns(const struct weir__host *h)
{
	return h->remote ? weir__remote_unanswered_ns(h->remote) : 0;
}

void weir__host_kill(struct weir__host *h, const char *why)
{
	if (h->remote)
		weir__remote_kill(h->remote, why);
}

void weir__host_demote(struct weir__host *h)
{
	struct sched_param none = { .sched_priority = 0 };
	int tid = atomic_load(&h->tid);

	if (tid)
		sched_setscheduler(tid, SCHED_IDLE, &none);
}

/* ---- calls --------------------------------------------------------------------- */

void weir__host_wake(struct weir__host *h)
{
	uv_async_send(&h->async);
}

int weir__host_call(struct weir__host *h, void (*fn)(struct weir__host *, void *),
                    void (*done)(struct weir__host *, void *), void *arg)
{
	struct call *c = weir__zalloc(sizeof *c);

	if (!c)
		return -ENOMEM;
	*c = (struct call){ .fn = fn, .done = done, .arg = arg };
	pthread_mutex_lock(&h->lock);
	*h->calls_tail = c;
	h->calls_tail = &c->next;
	pthread_mutex_unlock(&h->lock);
	weir__host_wake(h);
	return 0;
}

int weir__host_post(struct weir__host *h, void (*done)(struct weir__host *, void *), void *arg)
{
	struct call *c = weir__zalloc(sizeof *c);

	if (!c)
		return -ENOMEM;
	*c = (struct call){ .done = done, .arg = arg };
	pthread_mutex_lock(&h->lock);
	*h->finished_tail = c;
	h->finished_tail = &c->next;
	pthread_mutex_unlock(&h->lock);
	uv_async_send(&h->main_async);
	return 0;
}

static struct call *take(struct weir__host *h, struct call **list, struct call ***tail)
{
	struct call *c;

	pthread_mutex_lock(&h->lock);
	c = *list;
	*list = NULL;
	*tail = list;
	pthread_mutex_unlock(&h->lock);
	return c;
}

/* Main thread: what the host has finished. */
static void on_finished(uv_async_t *async)
{
	struct weir__host *h = async->data;
	struct call *c = take(h, &h->finished, &h->finished_tail), *next;

	for (; c; c = next) {
		next = c->next;
		if (c->done)
			c->done(h, c->arg);
		weir__free(c);
	}
}

/* The thread is gone: every call ends, also those that never ran. */
static void end_calls(struct weir__host *h)
{
	struct call *c, *next;

	on_finished(&h->main_async);
	for (c = take(h, &h->calls, &h->calls_tail); c; c = next) {
		next = c->next;
		if (c->done)
			c->done(h, c->arg);
		weir__free(c);
	}
}

static void run_calls(struct weir__host *h)
{
	struct call *c = take(h, &h->calls, &h->calls_tail), *next;

	for (; c; c = next) {
		next = c->next;
		c->next = NULL;
		if (c->fn)
			c->fn(h, c->arg);
		pthread_mutex_lock(&h->lock);
		*h->finished_tail = c;
		h->finished_tail = &c->next;
		pthread_mutex_unlock(&h->lock);
		uv_async_send(&h->main_async);
	}
}

static void on_async(uv_async_t *async)
{
	struct weir__host *h = async->data;
	bool exiting;

	weir__host_deliver(h, false);
	weir__host_run_answers(h);
	run_calls(h);
	pthread_mutex_lock(&h->lock);
	exiting = h->exiting;
	pthread_mutex_unlock(&h->lock);
	if (!exiting)
		return;
	weir__host_deliver(h, true); /* what came meanwhile, before one that ends us is seen */
	uv_stop(&h->loop);
}

/* Before the loop sleeps: hand over what callbacks emitted. */
static void on_prepare(uv_prepare_t *prepare)
{
	weir__emit_flush(prepare->data);
}

/* ---- thread -------------------------------------------------------------------------- */

static void close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void *thread_main(void *arg)
{
	struct weir__host *h = arg;
	char name[16];
	sigset_t all;

	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	snprintf(name, sizeof name, "%s", h->plugin.name);
	pthread_setname_np(pthread_self(), name);
	weir__privilege_thread(h->desc->needs);
	atomic_store(&h->tid, gettid());
	h->who = (struct weir__fatal_who){ .plugin = h->plugin.name, .doing = &h->account->doing };
	weir__fatal_enter(&h->who);
	uv_run(&h->loop, UV_RUN_DEFAULT);
	weir__switch_abort(h); /* its loader has a handle of this loop */
	uv_walk(&h->loop, close_handle, NULL);
	uv_run(&h->loop, UV_RUN_DEFAULT);
	weir__fatal_leave(&h->who);
	return NULL;
}

/* Last reference to the host: its handle on the main loop is gone. */
static void on_main_closed(uv_handle_t *handle)
{
	struct weir__host *h = handle->data;

	pthread_mutex_destroy(&h->lock);
	h->magic = 0;
	weir__free(h->own_account);
	weir__free(h);
}

static int init_loop(struct weir__host *h)
{
	int rc = uv_loop_init(&h->loop);

	if (rc)
		return rc;
	uv_async_init(&h->loop, &h->async, on_async);
	uv_prepare_init(&h->loop, &h->prepare);
	uv_timer_init(&h->loop, &h->tick);
	h->async.data = h->prepare.data = h->tick.data = h;
	uv_prepare_start(&h->prepare, on_prepare);
	uv_unref((uv_handle_t *)&h->prepare);
	return 0;
}

/* All that a handle has, wherever the plugin runs; no loop, no thread, no account. */
static struct weir__host *new_handle(uv_loop_t *main_loop, const struct weir_plugin_desc *desc,
                                     const struct weir__settings *settings,
                                     struct weir__metrics_set *metrics,
                                     const struct weir__host_events *events)
{
	struct weir__host *h = weir__zalloc(sizeof *h);

	if (!h)
		return NULL;
	h->magic = HOST_MAGIC;
	h->plugin.host = &weir__host_vtable;
	h->plugin.name = settings->name;
	h->desc = desc;
	h->settings = settings;
	h->latency = settings->common.latency;
	h->metrics = metrics;
	h->events = *events;
	h->source = h->spoke = -1;
	weir__source_list_of(&settings->common, &h->allowed);
	h->calls_tail = &h->calls;
	h->finished_tail = &h->finished;
	h->inbox_tail = &h->inbox;
	h->main_loop = main_loop;
	pthread_mutex_init(&h->lock, NULL);
	weir__emit_setup(h);
	return h;
}

static int start_process(struct weir__host *h)
{
	int rc;

	uv_async_init(h->main_loop, &h->main_async, on_finished);
	h->main_async.data = h;
	rc = weir__remote_new(h);
	if (rc && h->remote)
		weir__remote_free(h->remote);
	else if (rc)
		weir__host_free_handle(h);
	return rc;
}

static int start_thread(struct weir__host *h)
{
	int rc = -ENOMEM;

	h->own_account = weir__zalloc(sizeof *h->own_account);
	h->account = h->events.account ? h->events.account : h->own_account;
	if (h->own_account)
		rc = init_loop(h);
	if (!rc)
		weir__limit_setup(h);
	if (rc) {
		weir__free(h->own_account);
		weir__free(h);
		return rc;
	}
	uv_async_init(h->main_loop, &h->main_async, on_finished);
	h->main_async.data = h;
	rc = -pthread_create(&h->thread, NULL, thread_main, h);
	if (rc) {
		h->thread = 0;
		weir__host_free(h);
	}
	return rc;
}

int weir__host_new(uv_loop_t *main_loop, const struct weir_plugin_desc *desc,
                   const struct weir__settings *settings, struct weir__metrics_set *metrics,
                   const struct weir__host_events *events, struct weir__host **ret)
{
	struct weir__host *h = new_handle(main_loop, desc, settings, metrics, events);
	int rc;

	if (!h)
		return -ENOMEM;
	rc = settings->library ? start_process(h) : start_thread(h);
	if (!rc)
		*ret = h;
	return rc;
}

void weir__host_limit(struct weir__host *h, const struct weir__common_config *c)
{
	if (h->remote)
		weir__remote_limit(h->remote, c);
}

pid_t weir__host_pid(const struct weir__host *h)
{
	return h->remote ? weir__remote_pid(h->remote) : 0;
}

void weir__host_end_stats(struct weir__host *h, uint32_t route, struct weir__route_stats *ret)
{
	memset(ret, 0, sizeof *ret);
	for (size_t i = 0; h->remote && i < WEIR__MAX_ROUTES; i++)
		if (h->account->ends[i].id == route)
			*ret = h->account->ends[i].stats;
}

/* The end of a handle, whatever was behind it. */
void weir__host_free_handle(struct weir__host *h)
{
	end_calls(h);
	uv_close((uv_handle_t *)&h->main_async, on_main_closed);
}

void weir__host_free(struct weir__host *h)
{
	if (!h)
		return;
	if (h->remote) {
		weir__remote_free(h->remote); /* and the handle, when the process has gone */
		return;
	}
	pthread_mutex_lock(&h->lock);
	h->exiting = true;
	pthread_mutex_unlock(&h->lock);
	if (h->thread) {
		weir__host_wake(h);
		pthread_join(h->thread, NULL);
	} else {
		uv_walk(&h->loop, close_handle, NULL);
		uv_run(&h->loop, UV_RUN_DEFAULT);
	}
	uv_loop_close(&h->loop);
	end_calls(h); /* they may still use what is freed below */
	weir__host_lose_inbox(h);
	for (size_t t = 0; t < WEIR__MAX_TOPICS; t++)
		weir__batch_unref(h->open[t]);
	weir__host_free_handle(h);
}

uint64_t weir__host_cpu_ns(struct weir__host *h)
{
	struct timespec ts;
	clockid_t clock;

	if (h->remote)
		return weir__remote_cpu_ns(h->remote);
	if (pthread_getcpuclockid(h->thread, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- life of the plugin; host thread ---------------------------------------------------- */

/* stop and fini */
static void run_end(struct weir__host *h, enum weir__callback step, void (*fn)(struct weir_plugin *))
{
	uint64_t entered;

	if (!fn)
		return;
	entered = host_enter(h, step);
	fn(&h->plugin);
	weir__host_left(h, entered);
}

/* Run init or start; a failure's reason is the plugin's sentence. */
static int run_step(struct weir__host *h, enum weir__callback step, int (*fn)(struct weir_plugin *))
{
	uint64_t entered;
	int rc;

	if (!fn)
		return 0;
	h->fail_text[0] = 0;
	entered = host_enter(h, step);
	rc = fn(&h->plugin);
	weir__host_left(h, entered);
	if (rc < 0)
		weir__host_set_reason(h, "%s: %s", weir__callback_name(step),
		                      h->fail_text[0] ? h->fail_text : strerror(-rc));
	return rc < 0 ? rc : 0;
}

int weir__host_start(struct weir__host *h)
{
	int rc;

	assert(!h->started);
	h->reason[0] = 0;
	if (!h->inited) {
		h->plugin.state = weir__zalloc(h->desc->state_size + 1);
		if (!h->plugin.state)
			return -ENOMEM;
		memcpy(h->plugin.state, h->settings->values, h->desc->state_size);
		rc = run_step(h, WEIR__IN_INIT, h->desc->init);
		if (rc)
			return rc; /* nothing to undo, says the contract */
		h->inited = true;
	}
	rc = run_step(h, WEIR__IN_START, h->desc->start);
	if (rc)
		return rc;
	h->started = true;
	if (h->desc->kind == WEIR_COLLECTOR) {
		rc = h->beside ? weir__source_prepare(h, h->beside_source) : weir__source_start(h);
		if (rc) {
			run_end(h, WEIR__IN_STOP, h->desc->stop);
			h->started = false;
			return rc;
		}
	}
	return 0;
}

void weir__host_stop(struct weir__host *h)
{
	if (!h->started)
		return;
	weir__source_stop(h);
	weir__host_deliver(h, true);
	run_end(h, WEIR__IN_STOP, h->desc->stop);
	weir__emit_flush(h);
	h->started = false;
}

void weir__host_fini(struct weir__host *h)
{
	weir__host_stop(h);
	if (h->inited)
		run_end(h, WEIR__IN_FINI, h->desc->fini);
	h->inited = false;
	weir__host_close_services(h);
	weir__free(h->plugin.state);
	h->plugin.state = NULL;
	if (atomic_load(&h->heap_bytes))
		weir__log(WEIR_DEBUG, h->plugin.name, "%llu bytes not freed by fini",
		          (unsigned long long)atomic_load(&h->heap_bytes));
}

void weir__host_collect(struct weir__host *h)
{
	uint64_t entered;

	if (!h->started || !h->desc->collect)
		return;
	entered = host_enter(h, WEIR__IN_COLLECT);
	h->desc->collect(&h->plugin);
	weir__host_left(h, entered);
}

void weir__host_set_latency(struct weir__host *h, uint32_t latency)
{
	h->latency = latency;
}

void weir__host_set_wanted(struct weir__host *h, const struct weir__wanted *wanted)
{
	memcpy(h->wanted_since_ns, wanted->since_ns, sizeof h->wanted_since_ns);
	atomic_store(&h->wanted, wanted->topics);
}

void weir__host_failed(struct weir_plugin *p, int err)
{
	struct weir__host *h = host_of(p);

	weir__host_set_reason(h, "%s", strerror(-err));
	h->events.failed(h->events.arg, h, err);
}
