/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test host: a plugin's state, its life, its memory account. The services are
 * in the other files of this folder; each fills its slots of the vtable.
 *
 * Happy path: new -> init -> start(source) -> ... -> stop -> free. A callback that
 * fails is undone as the real host undoes it, so a test sees the same order of
 * calls. A mistake in the test aborts with a sentence.
 *
 * Threads: one; realloc, log and clocks are also called from the plugin's own.
 */
#include "testhost_priv.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

/* ---- helpers ----------------------------------------------------------------- */

void weir__test_die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "weir_test: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	abort();
}

void *weir__test_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		weir__test_die("out of memory");
	return p;
}

char *weir__test_strdup(const char *s)
{
	return strcpy(weir__test_alloc(strlen(s) + 1), s);
}

struct weir_test *weir__test_of(struct weir_plugin *p)
{
	struct weir_test *t = (struct weir_test *)(void *)p;

	if (!p || t->magic != TEST_MAGIC)
		weir__test_die("the plugin passed a handle that is not its own");
	return t;
}

bool weir__test_must_fail(struct weir_test *t, enum weir_test_service service)
{
	return atomic_fetch_add(&t->calls[service], 1) == t->fail_at[service];
}

long weir_test_fail(struct weir_test *t, enum weir_test_service service, long n)
{
	t->fail_at[service] = n;
	return atomic_exchange(&t->calls[service], 0);
}

struct named *weir__named_find(struct named *list, const char *name)
{
	while (list && strcmp(list->name, name) != 0)
		list = list->next;
	return list;
}

struct named *weir__named_set(struct named **list, const char *name, const void *data, size_t len)
{
	struct named *n = weir__named_find(*list, name);

	if (!n) {
		n = weir__test_alloc(sizeof(*n));
		n->name = weir__test_strdup(name);
		n->next = *list;
		*list = n;
	}
	free(n->data);
	n->data = weir__test_alloc(len + 1);
	if (len)
		memcpy(n->data, data, len);
	n->len = len;
	n->err = 0;
	return n;
}

void weir__named_free(struct named **list)
{
	while (*list) {
		struct named *n = *list;

		*list = n->next;
		free(n->name);
		free(n->data);
		free(n);
	}
}

/* ---- memory ------------------------------------------------------------------- */

struct block {
	_Alignas(16) struct weir_test *owner;
	size_t size;
};

static void *test_realloc(struct weir_plugin *p, void *ptr, size_t size)
{
	struct weir_test *t = weir__test_of(p);
	struct block *was = ptr ? (struct block *)ptr - 1 : NULL, *b;

	if (was && was->owner != t)
		weir__test_die("realloc of a block that is not the plugin's");
	if (size && weir__test_must_fail(t, WEIR_TEST_REALLOC))
		return NULL;
	/* Always a new block: who keeps the old pointer is found by ASan. */
	b = size ? malloc(sizeof(*b) + size) : NULL;
	if (size && !b)
		return NULL;
	if (b) {
		*b = (struct block){ .owner = t, .size = size };
		if (was)
			memcpy(b + 1, was + 1, was->size < size ? was->size : size);
		else /* what malloc gives is not zero */
			memset(b + 1, 0xa5, size);
		atomic_fetch_add(&t->bytes, size);
		atomic_fetch_add(&t->blocks, 1);
	}
	if (was) {
		atomic_fetch_sub(&t->bytes, was->size);
		atomic_fetch_sub(&t->blocks, 1);
		was->owner = NULL;
		free(was);
	}
	return b ? b + 1 : NULL;
}

long weir_test_blocks(struct weir_test *t)
{
	return atomic_load(&t->blocks);
}

size_t weir_test_bytes(struct weir_test *t)
{
	return atomic_load(&t->bytes);
}

/* ---- birth ---------------------------------------------------------------------- */

static const struct weir_host *vtable(void)
{
	static struct weir_host h;

	h.size = sizeof(h);
	h.abi_major = WEIR_ABI_MAJOR;
	h.abi_minor = WEIR_ABI_MINOR;
	h.realloc = test_realloc;
	weir__test_loop_slots(&h);
	weir__test_event_slots(&h);
	weir__test_ask_slots(&h);
	weir__test_bpf_slots(&h);
	return &h;
}

static struct weir_test *new_test(const struct weir_plugin_desc *desc)
{
	struct weir_test *t = weir__test_alloc(sizeof(*t));

	t->plugin.host = vtable();
	t->plugin.state = weir__test_alloc(desc->state_size);
	t->plugin.name = desc->name;
	t->magic = TEST_MAGIC;
	t->desc = desc;
	t->now_ns = WEIR_TEST_NOW;
	t->random = 0x9e3779b97f4a7c15ull;
	t->cpus = 2;
	t->pending_end = &t->pending;
	for (int i = 0; i < WEIR_TEST_SERVICES; i++)
		t->fail_at[i] = -1;
	t->metrics = weir__metrics_set_new(desc->name, &desc->metrics);
	if (!t->metrics)
		weir__test_die("out of memory");
	return t;
}

static void delete_test(struct weir_test *t)
{
	weir__test_loop_free(t);
	weir__test_events_free(t);
	weir__test_bpf_free(t);
	weir__named_free(&t->files);
	weir__named_free(&t->wants);
	weir__named_free(&t->answers);
	weir__metrics_set_free(t->metrics);
	weir__options_free(&t->desc->options, t->plugin.state);
	free(t->plugin.state);
	t->magic = 0;
	free(t);
}

int weir_test_try_new(const struct weir_plugin_desc *desc, const char *const *options,
                      struct weir_test **ret, char *err, size_t err_size)
{
	struct weir_test *t = new_test(desc);
	size_t n = 0;
	int r;

	while (options && options[n])
		n++;
	r = weir__options_parse_args(&desc->options, t->plugin.state, options, n, err, err_size);
	if (r < 0) {
		/* what was parsed before the error is freed with the rest */
		delete_test(t);
		return r;
	}
	*ret = t;
	return 0;
}

struct weir_test *weir_test_new_with(const struct weir_plugin_desc *desc, const char *const *options)
{
	struct weir_test *t = NULL;
	char err[512] = "";

	if (weir_test_try_new(desc, options, &t, err, sizeof(err)) < 0)
		weir__test_die("options of %s: %s", desc->name, err);
	return t;
}

struct weir_plugin *weir_test_plugin(struct weir_test *t)
{
	return &t->plugin;
}

/* ---- life -------------------------------------------------------------------------- */

const struct weir_source *weir__test_source(struct weir_test *t, const char *name)
{
	const struct weir_source *s;

	for (uint32_t i = 0; (s = weir_table_row(&t->desc->sources, i)); i++)
		if (strcmp(s->name, name) == 0)
			return s;
	weir__test_die("%s has no source \"%s\"", t->desc->name, name);
}

int weir_test_init(struct weir_test *t)
{
	int r = t->desc->init ? t->desc->init(&t->plugin) : 0;

	t->initialised = r >= 0;
	return r;
}

int weir_test_probe(struct weir_test *t, const char *source)
{
	const struct weir_source *s = weir__test_source(t, source);

	t->source = t->source_started ? t->source : s;
	return s->probe ? s->probe(&t->plugin) : 0;
}

int weir_test_prepare(struct weir_test *t, const char *source)
{
	const struct weir_source *s = weir__test_source(t, source);

	t->source = t->source_started ? t->source : s;
	return s->prepare ? s->prepare(&t->plugin) : 0;
}

static int start_source(struct weir_test *t, const char *source)
{
	int r = weir_test_probe(t, source);

	if (r >= 0)
		r = weir_test_prepare(t, source);
	if (r >= 0 && t->source->start)
		r = t->source->start(&t->plugin);
	if (r < 0) {
		t->source = NULL;
		return r;
	}
	t->source_started = true;
	weir__test_tick_start(t);
	return 0;
}

int weir_test_start(struct weir_test *t, const char *source)
{
	int r;

	if (t->source_started)
		weir__test_die("start: the source \"%s\" runs already", t->source->name);
	if (!t->initialised)
		weir__test_die("start before init");
	r = !t->started && t->desc->start ? t->desc->start(&t->plugin) : 0;
	if (r < 0)
		return r;
	t->started = true;
	t->stopped = NULL;
	if (source && (r = start_source(t, source)) < 0)
		weir_test_stop(t);
	return r < 0 ? r : 0;
}

void weir_test_stop(struct weir_test *t)
{
	const struct weir_source *s = t->source_started ? t->source : t->stopped;

	weir__test_tick_stop(t);
	if (s && s->stop)
		s->stop(&t->plugin);
	t->stopped = s; /* a second stop reaches it again */
	t->source_started = false;
	t->source = NULL;
	if (t->initialised && t->desc->stop)
		t->desc->stop(&t->plugin);
	t->started = false;
}

void weir_test_fini(struct weir_test *t)
{
	/* What is on the pool ends before the state goes, as in a real host. */
	weir__test_run_pending(t);
	if (t->initialised && t->desc->fini)
		t->desc->fini(&t->plugin);
	t->initialised = false;
}

long weir_test_free(struct weir_test *t)
{
	long left;

	if (!t)
		return 0;
	if (t->started || t->source_started)
		weir_test_stop(t);
	if (t->initialised)
		weir_test_fini(t);
	left = weir_test_blocks(t);
	delete_test(t);
	return left;
}

int weir_test_collect(struct weir_test *t)
{
	return t->desc->collect ? t->desc->collect(&t->plugin) : 0;
}

int weir_test_check(struct weir_test *t)
{
	return t->desc->check ? t->desc->check(&t->plugin) : 0;
}
