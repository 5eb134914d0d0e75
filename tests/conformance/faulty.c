/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin with one fault, chosen by a macro, that the conformance test must
 * find. Without a macro it has none.
 */
#include <weir/weir.h>

#ifdef FAULT_PROGRAM
#define PROGRAM "no_such_program"
#else
#define PROGRAM "on_exit"
#endif

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
	uint64_t interval_ns;
	char *buffer;
	int fd;
	pthread_t thread;
	bool running, started;
	int stops;
};
#include "faulty_events.h"

static const struct weir_option options[] = {
	WEIR_OPTION_DURATION(struct state, interval_ns, "interval", "1s", "How often"),
};
static const struct weir_field fields[] = {
	WEIR_FIELD(struct weir_faulty_event, pid, WEIR_U32, "", "A number"),
	WEIR_FIELD(struct weir_faulty_event, time_in_state, WEIR_U64, "ns", "Another"),
};
static const struct weir_schema schemas[] = {
	{ .name = "faulty_event", .topic = "process", .doc = "Anything", .version = 1,
	  .size = sizeof(struct weir_faulty_event), .fields = WEIR_TABLE(fields) },
};

static int init(struct weir_plugin *p)
{
	struct state *s = p->state;

	s->fd = -1;
	s->buffer = weir_alloc(p, 64);
#ifdef FAULT_UNCHECKED
	memset(s->buffer, 0, 64); /* NULL when memory is short */
#endif
	return s->buffer ? 0 : weir_fail(p, -ENOMEM, "no memory for the buffer");
}

static void fini(struct weir_plugin *p)
{
	struct state *s = p->state;

#ifndef FAULT_LEAK
	weir_free(p, s->buffer);
#endif
	s->buffer = NULL;
}

static void *idle(void *arg)
{
	(void)arg;
	pause();
	return NULL;
}

static int start(struct weir_plugin *p)
{
	struct state *s = p->state;

	s->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return weir_fail(p, -errno, "/dev/null: %s", strerror(errno));
#ifdef FAULT_SILENT
	close(s->fd);
	s->fd = -1;
	return -EPERM;
#endif
	s->started = true;
	s->stops = 0;
	s->running = pthread_create(&s->thread, NULL, idle, NULL) == 0;
	return 0;
}

static void stop(struct weir_plugin *p)
{
	struct state *s = p->state;

	if (s->running) {
		pthread_cancel(s->thread);
		pthread_join(s->thread, NULL);
	}
#ifdef FAULT_TWICE
	if (s->started && s->stops++)
		abort();
#endif
	s->running = false;
#ifndef FAULT_FD
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
#endif
}

static int tick(struct weir_plugin *p)
{
	struct weir_faulty_event e = { .pid = 1 };

	return weir_emit(p, 0, &e, sizeof(e));
}

static int answer(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	(void)args;
#ifdef FAULT_JSON
	weir_printf(p, out, "{\"a\":}");
#else
	weir_printf(p, out, "{\"a\":1}");
#endif
	return 0;
}
static const struct weir_query queries[] = {
	{ .name = "state", .doc = "State", .content_type = "application/json", .answer = answer },
};

WEIR_BPF_DECLARE(faulty);
static const struct weir_program programs[] = {
	{ .name = PROGRAM, .doc = "Exits", .kinds = 1 },
};
static const struct weir_source sources[] = {
	{ .name = "bpf", .doc = "The kernel", .quality = "", WEIR_BPF_OBJECT(faulty),
	  .programs = WEIR_TABLE(programs) },
	{ .name = "timer", .doc = "A clock", .quality = "", .start = start, .stop = stop, .tick = tick,
	  .interval_offset = offsetof(struct state, interval_ns) },
};
WEIR_PLUGIN(.name = NAME, .version = "1.0.0", .kind = WEIR_COLLECTOR, .doc = "Has one fault",
	    .topics = "process", .state_size = sizeof(struct state), .options = WEIR_TABLE(options),
	    .schemas = WEIR_TABLE(schemas), .sources = WEIR_TABLE(sources),
	    .queries = WEIR_TABLE(queries), .init = init, .fini = fini);
