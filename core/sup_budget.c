/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resource manager's tick: measure what everything uses, ask budget.c, send what
 * it wants to the hosts, log it. Main thread.
 *
 * Cheap while all is well: clocks of threads and the programs' own counters are read
 * from here, and no host is woken. Only what is near a limit is asked for a snapshot.
 * Suspension and its probes are in sup_suspend.c, what is shown in sup_budget_show.c.
 */
#include "sup_priv.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 1000
/* A window this short says nothing: the loop was held up before. */
#define MIN_WINDOW_NS 200000000u
/* Pressure and memory move slowly; so often they are read. */
#define PSI_NS 5000000000u
/* Below what drops kinds (95 %), above what samples (80 %). */
#define BLOCKED_AT 0.94
/* Of the memory's limit: what is free is given back to the kernel. */
#define TRIM_AT 0.90

static bool counts(const struct sup_plugin *p)
{
	return p->state == WEIR__RUNNING && p->host;
}

/* ---- setup ------------------------------------------------------------------------ */

static void on_tick(uv_timer_t *timer);

void weir__sup_budget_setup(struct weir__supervisor *s)
{
	struct sup_budget_total *t = &s->budget;

	t->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	uv_timer_init(s->loop, &t->tick);
	uv_timer_init(s->loop, &t->look);
	t->tick.data = t->look.data = s;
	uv_timer_start(&t->tick, on_tick, TICK_MS, TICK_MS);
}

void weir__sup_budget_close(struct weir__supervisor *s, uv_close_cb closed)
{
	if (s->budget.statm_fd >= 0)
		close(s->budget.statm_fd);
	s->budget.statm_fd = -1;
	uv_close((uv_handle_t *)&s->budget.tick, closed);
	uv_close((uv_handle_t *)&s->budget.look, closed);
}

static uint32_t topic_priority(const char *topics)
{
	static const struct { const char *topic; uint32_t priority; } known[] = {
		{ "process", 40 }, { "file", 40 }, { "alert", 40 }, { "flow", 30 }, { "dns", 20 },
	};
	uint32_t best = 10;

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		size_t n = strlen(known[i].topic);

		for (const char *at = topics; at && (at = strstr(at, known[i].topic)); at += n)
			if ((at == topics || at[-1] == ' ') && (at[n] == ' ' || !at[n]) &&
			    known[i].priority > best)
				best = known[i].priority;
	}
	return best;
}

static uint32_t allowed_actions(const struct weir_strings *list)
{
	uint32_t allowed = 0;

	for (size_t i = 0; i < list->count; i++)
		for (int l = WEIR__BUDGET_WIDEN; l < WEIR__BUDGET_LEVEL_COUNT; l++)
			if (!strcmp(list->items[i], weir__budget_level_name(l)))
				allowed |= 1u << l;
	return list->count ? allowed : ~0u;
}

void weir__sup_budget_configure(struct sup_plugin *p)
{
	const struct weir__common_config *c = &p->settings->common;
	struct weir__budget *b = &p->budget.logic;
	const struct weir_schema *s;

	b->name = p->name;
	b->allowed = allowed_actions(&c->on_pressure);
	b->limits[WEIR__RESOURCE_CPU] = c->budget_cpu;
	b->limits[WEIR__RESOURCE_MEMORY] = (double)c->budget_memory;
	b->limits[WEIR__RESOURCE_EVENTS] = (double)c->budget_events;
	b->burst = c->budget_burst ? (double)c->budget_burst : WEIR__BURST_SECONDS * (double)c->budget_events;
	b->limits[WEIR__RESOURCE_QUEUE] = (double)c->budget_queue;
	if (!p->desc)
		return;
	b->collector = p->desc->kind == WEIR_COLLECTOR;
	b->priority = c->priority ? (uint32_t)c->priority : topic_priority(p->desc->topics);
	for (b->kind_count = 0; b->kind_count < WEIR_MAX_KINDS &&
	     (s = weir_table_row(&p->desc->schemas, b->kind_count)); b->kind_count++)
		b->kind_priority[b->kind_count] = s->priority;
}

void weir__sup_budget_plugin(struct sup_plugin *p)
{
	p->budget.start_tune.weight = p->budget.start_tune.weight_seen = 1;
	weir__budget_reset(&p->budget.logic, 1);
	weir__sup_budget_configure(p);
}

/* The programs of the source that runs, and their account. */
static void learn_programs(struct sup_plugin *p)
{
	const struct weir_source *src = p->source < 0 ? NULL
		: weir_table_row(&p->desc->sources, (uint32_t)p->source);
	struct weir__budget *b = &p->budget.logic;
	const struct weir_program *row;

	b->program_count = b->optional = 0;
	for (uint32_t i = 0; src && i < WEIR_MAX_PROGRAMS && (row = weir_table_row(&src->programs, i)); i++) {
		b->program_priority[i] = row->priority;
		b->optional |= row->flags & WEIR_PROGRAM_REQUIRED ? 0 : 1u << i;
		b->program_count = i + 1;
	}
	weir__meter_close(p->budget.meter); /* of a host that was given up */
	p->budget.meter = weir__host_meter(p->host);
	p->budget.events = 0;
	memset(&p->budget.mark, 0, sizeof p->budget.mark);
}

/* Another source: what was asked of the host holds. */
void weir__sup_budget_switched(struct sup_plugin *p)
{
	learn_programs(p);
}

void weir__sup_budget_started(struct sup_plugin *p)
{
	struct weir__budget *b = &p->budget.logic;

	weir__budget_reset(b, p->budget.start_tune.weight);
	b->tune = p->budget.start_tune;
	learn_programs(p);
	p->budget.detach_below = b->tune.detach_below;
	p->budget.trial = false;
	weir__sup_budget_probe(p);
}

void weir__sup_budget_ended(struct sup_plugin *p)
{
	weir__meter_close(p->budget.meter);
	p->budget.meter = NULL;
	memset(p->budget.logic.pressure, 0, sizeof p->budget.logic.pressure);
	memset(&p->budget.logic.use, 0, sizeof p->budget.logic.use);
	p->budget.logic.max = 0;
}

/* ---- measuring --------------------------------------------------------------------- */

static uint64_t process_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t resident_bytes(int fd)
{
	char text[128];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
	unsigned long long pages = 0;

	text[n > 0 ? n : 0] = 0;
	if (sscanf(text, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Of the process of a plugin that has one. */
static uint64_t far_bytes(const struct sup_plugin *p)
{
	pid_t pid = weir__host_pid(p->host);
	uint64_t bytes;
	char path[64];
	int fd;

	if (!pid)
		return 0;
	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	bytes = resident_bytes(fd);
	if (fd >= 0)
		close(fd);
	return bytes;
}

static double queued_bytes(const struct sup_plugin *p)
{
	struct weir__route_stats st;
	double bytes = 0;

	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->from != p)
			continue;
		if (r->far_from)
			st = r->live_stats; /* its queue is in its process */
		else
			weir__route_stats(r->route, &st);
		bytes += (double)st.queued_bytes;
	}
	return bytes;
}

/* An output whose policy is `block` holds its collector back: before the rings overflow,
 * that makes larger batches, then fewer records. So its queue is a limit of its own. */
static void measure_blocking(struct sup_plugin *p)
{
	struct weir__budget *b = &p->budget.logic;
	struct weir__route_stats st;
	double limit = 0, used = 0;

	if (p->settings->common.budget_queue)
		return; /* that is the limit */
	for (struct sup_route *r = p->sup->routes; r; r = r->next) {
		if (r->from != p || !r->open || r->to->settings->common.on_full != WEIR__BLOCK)
			continue;
		if (r->far_from)
			st = r->live_stats;
		else
			weir__route_stats(r->route, &st);
		if ((double)st.queued_bytes * limit >= used * (double)st.limit) { /* the fuller one */
			limit = (double)r->to->settings->common.queue_bytes;
			/* The room that is kept for what one drain makes is never filled. */
			limit = limit > 4.0 * WEIR__BATCH_BYTES ? limit - 2.0 * WEIR__BATCH_BYTES : limit / 2;
			used = (double)st.queued_bytes;
		}
	}
	b->limits[WEIR__RESOURCE_QUEUE] = limit;
	/* It samples, and no more: an output that is dead shall not take kinds and programs
	 * from the others. */
	if (limit > 0)
		b->use.used[WEIR__RESOURCE_QUEUE] = used < BLOCKED_AT * limit ? used : BLOCKED_AT * limit;
}

static void measure_kernel(struct sup_plugin *p, struct sup_budget_mark *now, double dt_ns, bool stats)
{
	struct weir__budget_use *u = &p->budget.logic.use;
	const struct weir__meter_sample *was = &p->budget.mark.kernel;
	double extra = stats ? weir__meter_cal()->stats_ns : 0;

	weir__meter_read(p->budget.meter, &now->kernel);
	u->weight = now->kernel.weight;
	u->steady = now->kernel.weight == was->weight;
	u->seen = (double)(now->kernel.seen - was->seen) * 1e9 / dt_ns;
	u->kernel_cpu = (now->kernel.run_ns - was->run_ns + now->kernel.hook_ns - was->hook_ns +
	                 extra * (double)(now->kernel.runs - was->runs)) * 100 / dt_ns;
	u->kernel_cpu = u->kernel_cpu < 0 ? 0 : u->kernel_cpu; /* the mean run got cheaper */
	for (size_t i = 0; i < WEIR_MAX_PROGRAMS; i++)
		u->program_cpu[i] = (now->kernel.program_ns[i] - was->program_ns[i]) * 100 / dt_ns;
}

/* Records passed on, and those that found no token: what it would have passed on. */
static uint64_t events_of(const struct weir__snapshot *s)
{
	uint64_t n = s->records;

	for (size_t t = 0; t < s->topic_count; t++)
		n += s->topics[t].dropped[WEIR__RATE_LIMITED];
	return n;
}

/* A fresh snapshot says it exactly; else what the kernel saw must do. */
static double measure_events(struct sup_plugin *p, struct sup_budget_mark *now)
{
	struct sup_budget_mark *was = &p->budget.mark;
	const struct weir__budget_use *u = &p->budget.logic.use;
	double sampled = u->weight ? u->seen / u->weight : 0;

	now->records = was->records;
	now->records_ns = was->records_ns;
	if (!p->snapped || p->snap.taken_ns <= was->records_ns)
		return sampled > p->budget.events ? sampled : p->budget.events;
	now->records = events_of(&p->snap);
	now->records_ns = p->snap.taken_ns;
	if (was->records_ns && now->records >= was->records)
		p->budget.events = (double)(now->records - was->records) * 1e9 /
			(double)(now->records_ns - was->records_ns);
	return p->budget.events;
}

static void measure_plugin(struct sup_plugin *p, uint64_t now_ns, bool stats)
{
	struct weir__budget_use *u = &p->budget.logic.use;
	struct sup_budget_mark *was = &p->budget.mark, now = { .at_ns = now_ns };
	double dt_ns;

	now.cpu_ns = weir__host_cpu_ns(p->host);
	if (!was->at_ns) {
		/* The first look at it: from here on. What its start cost is in the total. */
		if (p->budget.meter)
			weir__meter_read(p->budget.meter, &now.kernel);
		memset(u, 0, sizeof *u);
		u->weight = now.kernel.weight;
		*was = now;
		return;
	}
	dt_ns = (double)(now_ns - was->at_ns);
	memset(u, 0, sizeof *u);
	if (p->budget.meter)
		measure_kernel(p, &now, dt_ns, stats);
	u->used[WEIR__RESOURCE_CPU] = (double)(now.cpu_ns - was->cpu_ns) * 100 / dt_ns + u->kernel_cpu;
	u->used[WEIR__RESOURCE_EVENTS] = p->desc->kind == WEIR_COLLECTOR ? measure_events(p, &now) : 0;
	u->used[WEIR__RESOURCE_QUEUE] = queued_bytes(p);
	u->used[WEIR__RESOURCE_MEMORY] = (double)(p->snap.heap_bytes + p->snap.map_bytes + p->budget.far_bytes) +
		u->used[WEIR__RESOURCE_QUEUE];
	measure_blocking(p);
	*was = now;
}

/* What outputs and the daemon do falls to the collectors by their records; an output
 * that is over its own budget, to the one that feeds it most. */
static void share_out(struct weir__supervisor *s, double process)
{
	double records = 0, others = process;

	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (counts(p) && p->desc->kind == WEIR_COLLECTOR) {
			const struct weir__budget_use *u = &p->budget.logic.use;

			records += u->used[WEIR__RESOURCE_EVENTS];
			others -= u->used[WEIR__RESOURCE_CPU] - u->kernel_cpu;
		}
	for (struct sup_plugin *p = s->plugins; p && records > 0 && others > 0; p = p->next)
		if (counts(p))
			p->budget.logic.use.shared_cpu =
				others * p->budget.logic.use.used[WEIR__RESOURCE_EVENTS] / records;
}

static void push_upstream(struct weir__supervisor *s)
{
	for (struct sup_plugin *out = s->plugins; out; out = out->next) {
		const struct weir__budget *b = &out->budget.logic;
		struct weir__budget_use *most = NULL;
		double pressure = 0;

		if (!counts(out) || out->desc->kind == WEIR_COLLECTOR)
			continue;
		for (int i = 0; i < WEIR__RESOURCE_COUNT; i++)
			if (b->limits[i] > 0 && b->use.used[i] / b->limits[i] > pressure)
				pressure = b->use.used[i] / b->limits[i];
		for (struct sup_route *r = s->routes; r; r = r->next)
			if (r->to == out && r->open && counts(r->from) &&
			    (!most || r->from->budget.logic.use.used[WEIR__RESOURCE_EVENTS] >
			     most->used[WEIR__RESOURCE_EVENTS]))
				most = &r->from->budget.logic.use;
		if (most && pressure > most->downstream)
			most->downstream = pressure;
	}
}

static void measure_total(struct weir__supervisor *s, uint64_t now_ns)
{
	struct sup_budget_total *t = &s->budget;
	uint64_t cpu_ns = process_cpu_ns() - weir__sup_lost_cpu_ns(s);
	double dt_ns = (double)(now_ns - t->at_ns);

	t->process_cpu = t->at_ns ? (double)(cpu_ns - t->cpu_ns) * 100 / dt_ns : 0;
	t->cpu_ns = cpu_ns;
	t->at_ns = now_ns;
	t->total.memory = (double)resident_bytes(t->statm_fd);
	t->total.cpu = 0;
	for (struct sup_plugin *p = s->plugins; p; p = p->next) {
		const struct weir__budget_use *u = &p->budget.logic.use;

		if (!counts(p))
			continue;
		if (weir__host_pid(p->host)) {
			t->process_cpu += u->used[WEIR__RESOURCE_CPU] - u->kernel_cpu;
			t->total.memory += (double)p->budget.far_bytes;
		}
		t->total.cpu += u->kernel_cpu;
		t->total.memory += (double)p->snap.map_bytes;
	}
	t->total.cpu += t->process_cpu;
	share_out(s, t->process_cpu);
	push_upstream(s);
	if (now_ns - t->psi_ns >= PSI_NS) {
		t->psi_ns = now_ns;
		weir__pressure_read(&t->reader, now_ns, &t->psi);
		t->total.stalled = t->psi.stalled;
		for (struct sup_plugin *p = s->plugins; p; p = p->next)
			p->budget.far_bytes = counts(p) ? far_bytes(p) : 0;
	}
}

/* ---- acting ------------------------------------------------------------------------ */

static void tuned(struct weir__host *h, struct weir__request *rq)
{
	(void)h;
	weir__free(rq);
}

static void send_tune(struct sup_plugin *p, bool give_back)
{
	struct weir__request *rq = weir__zalloc(sizeof *rq);

	if (!rq)
		return; /* the next tick decides again */
	*rq = (struct weir__request){ .type = WEIR__HOST_TUNE, .done = tuned, .tune = p->budget.logic.tune };
	rq->tune.give_back = give_back;
	if (weir__host_request(p->host, rq))
		weir__free(rq);
}

void weir__sup_budget_send(struct sup_plugin *p)
{
	send_tune(p, false);
}

static void carry_out(struct sup_plugin *p, uint64_t now_ns)
{
	struct weir__budget *b = &p->budget.logic;
	uint32_t below = p->budget.detach_below;

	p->budget.detach_below = b->tune.detach_below;
	if (!*b->action.what)
		return;
	snprintf(p->budget.what, sizeof p->budget.what, "%s", b->action.what);
	snprintf(p->budget.why, sizeof p->budget.why, "%s", b->action.why);
	p->budget.acted_ns = now_ns;
	if (b->action.recover)
		p->budget.recoveries++;
	else
		p->budget.actions[b->action.level]++;
	if (b->action.level == WEIR__BUDGET_SUSPEND && !b->action.recover) {
		weir__sup_budget_suspend(p);
		return;
	}
	weir__log(b->action.recover ? WEIR_INFO : WEIR_WARN, p->name, "budget: %s: %s",
	          b->action.what, b->action.why);
	if (b->changed)
		weir__sup_budget_send(p);
	if (b->tune.detach_below < below)
		weir__sup_budget_try(p, below);
}

/* Near the limit: what is free, here and in the hosts, goes back to the kernel. */
static void trim(struct weir__supervisor *s, uint64_t now_ns)
{
	struct sup_budget_total *t = &s->budget;

	if (t->total.memory_limit <= 0 || t->total.memory < TRIM_AT * t->total.memory_limit ||
	    (t->trimmed_ns && now_ns - t->trimmed_ns < PSI_NS))
		return;
	if (!t->trimmed_ns || now_ns - t->trimmed_ns > 12 * PSI_NS)
		weir__log(WEIR_WARN, NULL, "budget: memory %.0f of %.0f bytes (all of Weir); "
		          "free memory is given back", t->total.memory, t->total.memory_limit);
	t->trimmed_ns = now_ns;
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (counts(p))
			send_tune(p, true);
	malloc_trim(0);
}

static void decide(struct weir__supervisor *s, uint64_t now_ns)
{
	struct weir__budget *all[128]; /* far more plugins than a node runs */
	size_t n = 0;

	for (struct sup_plugin *p = s->plugins; p && n < 128; p = p->next)
		if (counts(p) && p->budget.mark.at_ns)
			all[n++] = &p->budget.logic;
	weir__budget_tick(all, n, &s->budget.total, now_ns);
	trim(s, now_ns);
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (counts(p) && p->budget.mark.at_ns)
			carry_out(p, now_ns);
}

/* ---- the tick ------------------------------------------------------------------------ */

static void refreshed(void *arg)
{
	struct weir__supervisor *s = arg;
	uint64_t now_ns = uv_hrtime();
	bool stats = weir__meter_stats_on();

	if (s->stopping || (s->budget.at_ns && now_ns - s->budget.at_ns < MIN_WINDOW_NS))
		return;
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (counts(p))
			measure_plugin(p, now_ns, stats);
	measure_total(s, now_ns);
	decide(s, now_ns);
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (counts(p))
			weir__sup_budget_settled(p, now_ns);
}

static bool all_idle(struct weir__supervisor *s)
{
	if (s->budget.total.pressure >= 0.5)
		return false;
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		if (counts(p) && !weir__budget_idle(&p->budget.logic))
			return false;
	return true;
}

static void on_tick(uv_timer_t *timer)
{
	struct weir__supervisor *s = timer->data;
	const struct weir__daemon_config *c = s->config ? weir__config_daemon(s->config) : NULL;

	if (s->stopping)
		return;
	s->budget.total.cpu_limit = c ? c->budget_cpu : 0;
	s->budget.total.memory_limit = c ? (double)c->budget_memory : 0;
	if (all_idle(s))
		refreshed(s);
	else
		weir__sup_refresh(s, false, refreshed, s);
}
