/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vtable a plugin sees, as thin as it can be: each entry checks its arguments
 * and calls the part of the daemon that does the work. Threads as host.h of the
 * SDK says; `log`, `fail`, `realloc` and the clocks from any.
 */
#include "host_priv.h"
#include "host_remote.h"
#include "format.h"
#include "log.h"
#include "mem.h"
#include "out.h"
#include "privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Bound on the timers and descriptors one plugin may have on its loop: far beyond any
 * need (a collector has a handful), so that a loop that leaks them is stopped. */
#define MAX_SERVICES 4096

struct weir_timer {
	uv_timer_t uv;
	struct weir__host *host;
	void (*cb)(struct weir_plugin *, void *);
	void *arg;
	struct weir_timer *prev, *next;
};

struct weir_fd {
	uv_poll_t uv;
	struct weir__host *host;
	int fd;
	void (*cb)(struct weir_plugin *, int, int, void *);
	void *arg;
	struct weir_fd *prev, *next;
};

static void api_log(struct weir_plugin *p, int level, const char *fmt, va_list ap)
{
	weir__vlog(level, p->name, fmt, ap);
}

static void api_fail(struct weir_plugin *p, const char *fmt, va_list ap)
{
	struct weir__host *h = host_of(p);

	vsnprintf(h->fail_text, sizeof h->fail_text, fmt, ap);
}

static void *api_realloc(struct weir_plugin *p, void *ptr, size_t size)
{
	struct weir__host *h = host_of(p);
	size_t before = ptr ? malloc_usable_size(ptr) : 0;
	void *q;

	if (!size) {
		atomic_fetch_sub(&h->heap_bytes, before);
		weir__free(ptr);
		return NULL;
	}
	q = weir__realloc(ptr, size);
	if (q)
		atomic_fetch_add(&h->heap_bytes, malloc_usable_size(q) - before);
	return q;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t api_now(struct weir_plugin *p)
{
	(void)p;
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t api_realtime(struct weir_plugin *p)
{
	(void)p;
	return clock_ns(CLOCK_REALTIME);
}

static uint64_t api_random(struct weir_plugin *p)
{
	uint64_t v = 0;

	(void)p;
	if (getrandom(&v, sizeof v, 0) != sizeof v)
		v = clock_ns(CLOCK_MONOTONIC) * 0x9e3779b97f4a7c15u;
	return v;
}

/* ---- timers, fds, work ----------------------------------------------------------- */

#define LIST_ADD(head, e)                                                      \
	do {                                                                   \
		(e)->next = (head);                                            \
		(e)->prev = NULL;                                              \
		if ((head))                                                    \
			(head)->prev = (e);                                    \
		(head) = (e);                                                  \
	} while (0)
#define LIST_DEL(head, e)                                                      \
	do {                                                                   \
		if ((e)->prev)                                                 \
			(e)->prev->next = (e)->next;                           \
		else                                                           \
			(head) = (e)->next;                                    \
		if ((e)->next)                                                 \
			(e)->next->prev = (e)->prev;                           \
	} while (0)

static void on_timer(uv_timer_t *uv)
{
	struct weir_timer *t = uv->data;
	struct weir__host *h = t->host;
	uint64_t entered = host_enter(h, WEIR__IN_TIMER);

	t->cb(&h->plugin, t->arg); /* may stop the timer */
	weir__host_left(h, entered);
}

static struct weir_timer *api_timer_start(struct weir_plugin *p, uint64_t first_ns, uint64_t repeat_ns,
                                          void (*cb)(struct weir_plugin *, void *), void *arg)
{
	struct weir__host *h = host_of(p);
	uint64_t repeat = repeat_ns / 1000000;
	struct weir_timer *t = h->services < MAX_SERVICES ? weir__zalloc(sizeof *t) : NULL;

	if (!t)
		return NULL;
	h->services++;
	t->host = h;
	t->cb = cb;
	t->arg = arg;
	uv_timer_init(&h->loop, &t->uv);
	t->uv.data = t;
	uv_update_time(&h->loop);
	uv_timer_start(&t->uv, on_timer, first_ns / 1000000, repeat_ns && !repeat ? 1 : repeat);
	LIST_ADD(h->timers, t);
	return t;
}

static void free_handle(uv_handle_t *uv)
{
	weir__free(uv->data);
}

static void api_timer_stop(struct weir_timer *t)
{
	if (!t)
		return;
	LIST_DEL(t->host->timers, t);
	t->host->services--;
	uv_close((uv_handle_t *)&t->uv, free_handle);
}

static void on_fd(uv_poll_t *uv, int status, int events)
{
	struct weir_fd *w = uv->data;
	struct weir__host *h = w->host;
	uint64_t entered = host_enter(h, WEIR__IN_FD);

	/* An error is a readable condition: the plugin's read will tell. */
	w->cb(&h->plugin, w->fd, status < 0 ? WEIR_READABLE
	      : ((events & UV_READABLE) ? WEIR_READABLE : 0) |
	        ((events & UV_WRITABLE) ? WEIR_WRITABLE : 0), w->arg);
	weir__host_left(h, entered);
}

static struct weir_fd *api_fd_start(struct weir_plugin *p, int fd, int events,
                                    void (*cb)(struct weir_plugin *, int, int, void *), void *arg)
{
	struct weir__host *h = host_of(p);
	struct weir_fd *w = h->services < MAX_SERVICES ? weir__zalloc(sizeof *w) : NULL;

	if (!w)
		return NULL;
	w->host = h;
	w->fd = fd;
	w->cb = cb;
	w->arg = arg;
	if (uv_poll_init(&h->loop, &w->uv, fd)) {
		weir__free(w);
		return NULL;
	}
	w->uv.data = w;
	h->services++;
	uv_poll_start(&w->uv, ((events & WEIR_READABLE) ? UV_READABLE : 0) |
	              ((events & WEIR_WRITABLE) ? UV_WRITABLE : 0), on_fd);
	LIST_ADD(h->fds, w);
	return w;
}

static void api_fd_stop(struct weir_fd *w)
{
	if (!w)
		return;
	LIST_DEL(w->host->fds, w);
	w->host->services--;
	uv_close((uv_handle_t *)&w->uv, free_handle);
}

void weir__host_close_services(struct weir__host *h)
{
	struct ask_ticket *t, *next;

	while (h->timers)
		api_timer_stop(h->timers);
	while (h->fds)
		api_fd_stop(h->fds);
	pthread_mutex_lock(&h->lock); /* the main thread may be answering one */
	t = h->tickets;
	h->tickets = NULL;
	pthread_mutex_unlock(&h->lock);
	for (; t; t = next) {
		next = t->next;
		weir__free(t->text);
		weir__free(t);
	}
}

struct work {
	uv_work_t uv;
	struct weir__host *host;
	void (*work)(void *);
	void (*done)(struct weir_plugin *, void *);
	void *arg;
};

static void do_work(uv_work_t *uv)
{
	struct work *w = uv->data;

	weir__privilege_thread(0); /* shared by all plugins, so none's rights */
	w->work(w->arg);
}

static void work_done(uv_work_t *uv, int status)
{
	struct work *w = uv->data;
	uint64_t entered;

	(void)status;
	if (w->done && w->host->plugin.state) {
		entered = host_enter(w->host, WEIR__IN_WORK_DONE);
		w->done(&w->host->plugin, w->arg);
		weir__host_left(w->host, entered);
	}
	weir__free(w);
}

static int api_work(struct weir_plugin *p, void (*work)(void *),
                    void (*done)(struct weir_plugin *, void *), void *arg)
{
	struct weir__host *h = host_of(p);
	struct work *w = weir__zalloc(sizeof *w);
	int rc;

	if (!w)
		return -ENOMEM;
	*w = (struct work){ .host = h, .work = work, .done = done, .arg = arg };
	w->uv.data = w;
	rc = uv_queue_work(&h->loop, &w->uv, do_work, work_done);
	if (rc)
		weir__free(w);
	return rc;
}

static ssize_t api_read_file(struct weir_plugin *p, const char *path, void *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n = 0;

	(void)p;
	if (fd < 0)
		return -errno;
	while (at < size) {
		n = read(fd, (char *)buf + at, size - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	n = n < 0 ? -errno : (ssize_t)at;
	close(fd);
	return n;
}

/* ---- events -------------------------------------------------------------------------- */

static int api_emit(struct weir_plugin *p, uint16_t kind, const void *payload, uint32_t len,
                    uint64_t time_ns, uint32_t weight)
{
	return weir__emit(host_of(p), kind, payload, len, time_ns, weight);
}

static void api_count(struct weir_plugin *p, uint16_t kind, int verdict, uint64_t n)
{
	struct weir__host *h = host_of(p);

	if (kind >= WEIR_MAX_KINDS || verdict == WEIR_RECORD_PASS)
		return;
	h->account->kinds[kind].emitted += n;
	if (verdict == WEIR_RECORD_AGGREGATED)
		h->account->kinds[kind].aggregated += n;
	else
		h->account->kinds[kind].filtered += n;
}

static struct weir_series *api_series(struct weir_plugin *p, uint32_t metric, const char *const *values)
{
	struct weir__host *h = host_of(p);

	return h->metrics ? weir__series(h->metrics, metric, values) : NULL;
}

static int api_metrics_walk(struct weir_plugin *p, weir_sample_cb cb, void *arg)
{
	struct weir__host *h = host_of(p);

	return h->metrics_walk ? h->metrics_walk(h, cb, arg) : weir__metrics_walk(cb, arg);
}

static void api_batch_done(struct weir_plugin *p, const struct weir_batch *b, uint32_t rejected)
{
	struct weir__frame *f = (struct weir__frame *)((char *)(uintptr_t)b - offsetof(struct weir__frame, view));

	(void)p;
	weir__route_ack(f, rejected < f->count ? rejected : f->count);
}

static size_t api_format(struct weir_plugin *p, const struct weir_batch *b,
                         const struct weir_record *r, int fmt, char *buf, size_t size)
{
	(void)p;
	return weir__format(b, r, fmt, buf, size);
}

/* ---- queries ------------------------------------------------------------------------- */

void weir__host_query(struct weir__host *h, const struct weir_query *q, const void *args,
                      struct weir__answer *ret)
{
	struct weir_out out = { 0 };
	uint64_t entered;

	if (!h->started) {
		ret->err = -ESHUTDOWN;
		return;
	}
	h->fail_text[0] = 0;
	entered = host_enter(h, WEIR__IN_QUERY);
	ret->err = q->answer(&h->plugin, args, &out);
	weir__host_left(h, entered);
	if (!ret->err && out.err)
		ret->err = out.err;
	if (ret->err < 0 && !out.len && h->fail_text[0])
		weir__out_write(&out, h->fail_text, strlen(h->fail_text));
	ret->text = out.text;
	ret->len = out.len;
}

static int api_ask(struct weir_plugin *p, const char *query,
                   void (*cb)(struct weir_plugin *, int, const char *, size_t, void *), void *arg)
{
	struct weir__host *h = host_of(p);
	struct ask_ticket *t = weir__zalloc(sizeof *t);

	if (!t)
		return -ENOMEM;
	t->id = ++h->next_ticket;
	t->cb = cb;
	t->arg = arg;
	pthread_mutex_lock(&h->lock);
	t->next = h->tickets;
	h->tickets = t;
	pthread_mutex_unlock(&h->lock);
	h->events.ask(h->events.arg, h, query, t->id);
	return 0;
}

void weir__host_answer(struct weir__host *h, uint64_t ticket, int err, const char *text, size_t len)
{
	if (h->remote) {
		weir__remote_answer(h->remote, ticket, err, text, len);
		return;
	}
	pthread_mutex_lock(&h->lock);
	for (struct ask_ticket *t = h->tickets; t; t = t->next) {
		if (t->id != ticket || t->answered)
			continue;
		t->text = text ? weir__strndup(text, len) : NULL;
		t->len = t->text ? len : 0;
		t->err = text && !t->text ? -ENOMEM : err;
		t->answered = true;
	}
	pthread_mutex_unlock(&h->lock);
	weir__host_wake(h);
}

static struct ask_ticket *take_answered(struct weir__host *h)
{
	struct ask_ticket **at, *t = NULL;

	pthread_mutex_lock(&h->lock);
	for (at = &h->tickets; *at; at = &(*at)->next)
		if ((*at)->answered) {
			t = *at;
			*at = t->next;
			break;
		}
	pthread_mutex_unlock(&h->lock);
	return t;
}

void weir__host_run_answers(struct weir__host *h)
{
	struct ask_ticket *t;

	while ((t = take_answered(h))) {
		if (h->started) {
			uint64_t entered = host_enter(h, WEIR__IN_ANSWER);

			t->cb(&h->plugin, t->err, t->text ? t->text : "", t->len, t->arg);
			weir__host_left(h, entered);
		}
		weir__free(t->text);
		weir__free(t);
	}
}

/* topic_count: it has none of that name. */
static size_t topic_index(const struct weir__host *h, const char *topic)
{
	size_t t = 0;

	while (t < h->topic_count && strcmp(h->topic_names[t], topic) != 0)
		t++;
	return t;
}

static bool api_topic_wanted(struct weir_plugin *p, const char *topic)
{
	struct weir__host *h = host_of(p);
	size_t t = topic_index(h, topic);

	return t < h->topic_count && atomic_load(&h->wanted) & (1u << t);
}

static uint64_t api_topic_since(struct weir_plugin *p, const char *topic)
{
	struct weir__host *h = host_of(p);
	size_t t = topic_index(h, topic);

	return t < h->topic_count ? h->wanted_since_ns[t] : 0;
}

static void api_source_approx(struct weir_plugin *p, bool approx)
{
	host_of(p)->approx = approx;
}

/* ---- BPF --------------------------------------------------------------------------------- */

#define WITH_BPF(p, call) (host_of(p)->bpf ? (call) : -ENODEV)

static int api_bpf_set_const(struct weir_plugin *p, const char *name, const void *v, size_t n)
{
	return WITH_BPF(p, weir__bpf_set_const(host_of(p)->bpf, name, v, n));
}
static int api_bpf_set_entries(struct weir_plugin *p, const char *map, uint32_t entries)
{
	return WITH_BPF(p, weir__bpf_set_entries(host_of(p)->bpf, map, entries));
}
static int api_bpf_enable(struct weir_plugin *p, const char *program, bool on)
{
	return WITH_BPF(p, weir__bpf_set_enabled(host_of(p)->bpf, program, on));
}
static bool api_kernel_has(struct weir_plugin *p, const char *type, const char *member)
{
	(void)p;
	return weir__kernel_has(type, member);
}
static int api_kernel_enum(struct weir_plugin *p, const char *type, int64_t value, char *ret_name, size_t size)
{
	(void)p;
	return weir__kernel_enum(type, value, ret_name, size);
}
static int api_bpf_map(struct weir_plugin *p, const char *map)
{
	return WITH_BPF(p, weir__bpf_map_fd(host_of(p)->bpf, map));
}
static int api_bpf_attach(struct weir_plugin *p, const char *program, bool on)
{
	return WITH_BPF(p, weir__bpf_attach(host_of(p)->bpf, program, on));
}
static int api_bpf_attach_at(struct weir_plugin *p, const char *program, int ifindex, uint32_t flags, bool on)
{
	return WITH_BPF(p, weir__bpf_attach_at(host_of(p)->bpf, program, ifindex, flags, on));
}
static int api_bpf_iter(struct weir_plugin *p, const char *program)
{
	return WITH_BPF(p, weir__bpf_iter(host_of(p)->bpf, program));
}

static const char *api_bpf_attached(struct weir_plugin *p, const char *program)
{
	struct weir__bpf_program *rows;
	size_t n = host_of(p)->bpf ? weir__bpf_programs(host_of(p)->bpf, &rows) : 0;

	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].row->name, program))
			return rows[i].attached ? rows[i].variant : NULL;
	return NULL;
}

static const void *api_bpf_mmap(struct weir_plugin *p, const char *map, size_t *value, uint32_t *entries)
{
	return host_of(p)->bpf ? weir__bpf_mmap(host_of(p)->bpf, map, value, entries) : NULL;
}

static uint32_t api_cpus(struct weir_plugin *p)
{
	(void)p;
	return weir__possible_cpus();
}

static struct bpf_object *api_bpf_object(struct weir_plugin *p)
{
	return host_of(p)->bpf ? weir__bpf_object(host_of(p)->bpf) : NULL;
}

const struct weir_host weir__host_vtable = {
	.size = sizeof(struct weir_host),
	.abi_major = WEIR_ABI_MAJOR,
	.abi_minor = WEIR_ABI_MINOR,
	.log = api_log,
	.fail = api_fail,
	.realloc = api_realloc,
	.now = api_now,
	.realtime = api_realtime,
	.random = api_random,
	.timer_start = api_timer_start,
	.timer_stop = api_timer_stop,
	.fd_start = api_fd_start,
	.fd_stop = api_fd_stop,
	.work = api_work,
	.read_file = api_read_file,
	.emit = api_emit,
	.count = api_count,
	.series = api_series,
	.series_set = weir__series_set,
	.series_add = weir__series_add,
	.series_histogram = weir__series_histogram,
	.series_absent = weir__series_absent,
	.series_free = weir__series_free,
	.metrics_walk = api_metrics_walk,
	.batch_done = api_batch_done,
	.format = api_format,
	.out_write = weir__out_write,
	.out_printf = weir__out_vprintf,
	.out_json_string = weir__out_json_string,
	.ask = api_ask,
	.bpf_set_const = api_bpf_set_const,
	.bpf_set_entries = api_bpf_set_entries,
	.bpf_enable = api_bpf_enable,
	.kernel_has = api_kernel_has,
	.kernel_enum = api_kernel_enum,
	.bpf_map = api_bpf_map,
	.bpf_attach = api_bpf_attach,
	.bpf_attached = api_bpf_attached,
	.bpf_mmap = api_bpf_mmap,
	.map_lookup = weir__map_lookup,
	.map_update = weir__map_update,
	.map_delete = weir__map_delete,
	.map_next = weir__map_next,
	.map_batch = weir__map_batch,
	.bpf_iter = api_bpf_iter,
	.cpus = api_cpus,
	.bpf_object = api_bpf_object,
	.topic_wanted = api_topic_wanted,
	.topic_since = api_topic_since,
	.source_approx = api_source_approx,
	.bpf_attach_at = api_bpf_attach_at,
	.map_drain = weir__map_drain,
};
