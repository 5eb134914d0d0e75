/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels that do not survive a type of BPF program. A row is here only if somebody
 * has reported it, with the place to read about it; a row whose fix can be seen in
 * the kernel's types asks for that instead of trusting the version, since
 * distributions carry fixes back. See kernel_guard.h.
 */
#include "kernel_guard.h"
#include "bpf.h"
#include "mem.h"
#include "words.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* Entries of a configuration: a list of kernels, not a database. */
#define MAX_ENTRIES 64

#define V(a, b, c) (((a) << 16) + ((b) << 8) + (c))

static const struct guard {
	const char *name;
	unsigned from, to;    /* first and last version, V(major, minor, patch) */
	const char *flavour;  /* the release ends so, NULL: any (4.18.0-... is RHEL 8, too) */
	const char *type;
	const char *fixed_by; /* a struct that came with the fix, or NULL */
	const char *why, *source;
} table[] = {
	/* Programs of type kprobe, which uprobes are, have private stacks since 6.13 on the
	 * assumption that they cannot be preempted; uprobes can (a76ab5731e32). */
	{ "ubuntu-7.0-uprobe", V(7, 0, 0), V(7, 0, 0), "-generic", "uprobe", NULL,
	  "panics under load",
	  "https://github.com/open-telemetry/opentelemetry-ebpf-instrumentation/issues/3056" },
	/* Netdata loads nothing at all there; the panic is in the kernel's usercopy check. */
	{ "ubuntu-4.18", V(4, 18, 0), V(4, 18, 0), "-generic", "all", NULL,
	  "panics with tracing programs", "https://github.com/netdata/netdata/issues/9634" },
	/* Detaching frees a trampoline that is in use; e21d2b92354b brought bpf_tramp_image. */
	{ "trampoline-uaf", V(5, 5, 0), V(5, 11, 255), NULL, "fentry", "bpf_tramp_image",
	  "crashes when one is detached", "https://github.com/deepflowio/deepflow/pull/9741" },
	/* A sampling program that walks user stacks meets a freed utask; fixed by
	 * b583ef82b671 in 6.13 and later stable releases. */
	{ "utask-race", V(6, 6, 58), V(6, 6, 58), NULL, "perf_event", NULL,
	  "panics when a process with uprobes ends",
	  "https://github.com/siderolabs/talos/issues/9671" },
};
#define TABLE (sizeof table / sizeof table[0])

static const struct {
	const char *name, *sections;
} types[] = {
#define X(name, sections) { name, sections },
	WEIR__GUARD_TYPES(X)
#undef X
};
#define TYPES (sizeof types / sizeof types[0])

/* What the configuration adds: text holds both strings of each. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	bool off;
	size_t count;
	struct { const char *prefix, *type; } entries[MAX_ENTRIES];
	char *text;
} extra;

/* "kretprobe.multi/x" is of type kprobe. NULL: a section that nothing is known of. */
static const char *type_of(const char *section)
{
	size_t n = strcspn(section, "/.");

	for (size_t i = 0; i < TYPES; i++)
		if (weir__has_word(types[i].sections, section, n))
			return types[i].name;
	return NULL;
}

static bool covers(const char *guarded, const char *type)
{
	return !strcmp(guarded, "all") || (type && !strcmp(guarded, type));
}

/* ---- the configuration's entries ------------------------------------------------------ */

static bool known_type(const char *name)
{
	for (size_t i = 0; i < TYPES; i++)
		if (!strcmp(types[i].name, name))
			return true;
	return !strcmp(name, "all");
}

static int wrong(const char *entry, char *err, size_t size)
{
	size_t len = (size_t)snprintf(err, size, "kernel_guard: \"%.60s\" should be off, or a kernel "
	                              "release's beginning and a program type, as 6.1.0-9:kprobe; "
	                              "types are all", entry);

	for (size_t i = 0; i < TYPES && len < size; i++)
		len += (size_t)snprintf(err + len, size - len, ", %s", types[i].name);
	return -EINVAL;
}

int weir__guard_check(const struct weir_strings *entries, char *err, size_t size)
{
	if (entries->count > MAX_ENTRIES) {
		snprintf(err, size, "kernel_guard: %zu entries, %d at most", entries->count, MAX_ENTRIES);
		return -EINVAL;
	}
	for (size_t i = 0; i < entries->count; i++) {
		const char *e = entries->items[i], *colon = strrchr(e, ':');

		if (strcmp(e, "off") && (!colon || colon == e || !known_type(colon + 1)))
			return wrong(e, err, size);
	}
	return 0;
}

/* With the lock held: at has room for all. */
static void take_entries(const struct weir_strings *entries, char *at)
{
	for (size_t i = 0; i < entries->count; i++) {
		size_t n = strlen(entries->items[i]) + 1;
		char *colon;

		memcpy(at, entries->items[i], n);
		colon = strrchr(at, ':');
		if (colon) {
			*colon = 0;
			extra.entries[extra.count].prefix = at;
			extra.entries[extra.count++].type = colon + 1;
		} else {
			extra.off = true;
		}
		at += n;
	}
}

int weir__guard_setup(const struct weir_strings *entries)
{
	size_t bytes = 0;
	char err[256], *text = NULL;

	if (weir__guard_check(entries, err, sizeof err))
		return -EINVAL;
	for (size_t i = 0; i < entries->count; i++)
		bytes += strlen(entries->items[i]) + 1;
	if (bytes) {
		text = weir__alloc(bytes);
		if (!text)
			return -ENOMEM;
	}
	pthread_mutex_lock(&lock);
	weir__free(extra.text);
	memset(&extra, 0, sizeof extra);
	extra.text = text;
	take_entries(entries, text);
	pthread_mutex_unlock(&lock);
	return 0;
}

json_t *weir__guard_encode(void)
{
	json_t *a = json_array();
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (extra.off)
		rc |= json_array_append_new(a, json_string("off"));
	for (size_t i = 0; i < extra.count; i++)
		rc |= json_array_append_new(a, json_sprintf("%s:%s", extra.entries[i].prefix, extra.entries[i].type));
	pthread_mutex_unlock(&lock);
	if (!rc)
		return a;
	json_decref(a);
	return NULL;
}

int weir__guard_decode(const json_t *entries)
{
	const char *items[MAX_ENTRIES + 1];
	struct weir_strings all = { 0, items };

	if (json_array_size(entries) > MAX_ENTRIES + 1)
		return -EINVAL;
	for (; all.count < json_array_size(entries); all.count++) {
		items[all.count] = json_string_value(json_array_get(entries, all.count));
		if (!items[all.count])
			return -EINVAL;
	}
	return weir__guard_setup(&all);
}

/* ---- asking ---------------------------------------------------------------------------- */

/* "7.0.0-22-generic" is V(7, 0, 0); 0 if it is no version. */
static unsigned version_of(const char *release)
{
	unsigned a, b = 0, c = 0;

	if (sscanf(release, "%3u.%3u.%3u", &a, &b, &c) < 2)
		return 0;
	return V(a, b < 255 ? b : 255, c < 255 ? c : 255);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static const struct guard *in_table(const char *release, bool (*has_type)(const char *), const char *type)
{
	unsigned v = version_of(release);

	for (size_t i = 0; i < TABLE; i++) {
		const struct guard *g = &table[i];

		if (v >= g->from && v <= g->to && covers(g->type, type) &&
		    (!g->flavour || ends_with(release, g->flavour)) &&
		    !(g->fixed_by && has_type(g->fixed_by)))
			return g;
	}
	return NULL;
}

/* Lock held. */
static bool in_extra(const char *release, const char *type, char *why, size_t size)
{
	for (size_t i = 0; i < extra.count; i++) {
		const char *prefix = extra.entries[i].prefix;

		if (strncmp(release, prefix, strlen(prefix)) || !covers(extra.entries[i].type, type))
			continue;
		if (why)
			snprintf(why, size, "not loaded on kernel %.40s: kernel_guard has %.40s:%s",
			         release, prefix, extra.entries[i].type);
		return true;
	}
	return false;
}

static bool guarded_type(const char *release, bool (*has_type)(const char *), const char *type,
                         char *why, size_t size)
{
	const struct guard *g;
	bool off, found;

	pthread_mutex_lock(&lock);
	off = extra.off;
	found = in_extra(release, type, why, size);
	pthread_mutex_unlock(&lock);
	if (found)
		return true;
	g = off ? NULL : in_table(release, has_type, type);
	if (g && why)
		snprintf(why, size, "not loaded on kernel %.40s: it %s (kernel_guard %s, %s)", release,
		         g->why, g->name, g->source);
	return g;
}

bool weir__guarded_on(const char *release, bool (*has_type)(const char *), const char *section,
                      char *why, size_t size)
{
	return guarded_type(release, has_type, type_of(section), why, size);
}

static bool kernel_has_type(const char *type)
{
	return weir__kernel_has(type, NULL);
}

bool weir__guarded(const char *section, char *why, size_t size)
{
	struct utsname u;

	return !uname(&u) && weir__guarded_on(u.release, kernel_has_type, section, why, size);
}

const char *weir__guard_next(size_t *at, char *why, size_t size)
{
	struct utsname u;

	if (uname(&u))
		return NULL;
	while (*at < TYPES) {
		const char *type = types[(*at)++].name;

		if (guarded_type(u.release, kernel_has_type, type, why, size))
			return type;
	}
	return NULL;
}

size_t weir__guard_count(void)
{
	size_t n;

	pthread_mutex_lock(&lock);
	n = (extra.off ? 0 : TABLE) + extra.count;
	pthread_mutex_unlock(&lock);
	return n;
}
