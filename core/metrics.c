/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics registry. Each set has its series in a hash table (to find one by
 * its label values) and, per metric, in a list in the order they were made. All
 * rows of all sets are in one list sorted by name, so that a walk meets the
 * samples of one metric together even when several plugins declare it.
 *
 * A walk takes references to all present series under the locks and calls back
 * without any, so a callback may make, set and free series, and the owner of a
 * set never waits for a slow reader.
 *
 * Failure: no room or no memory gives a NULL series, counted in the set; setting
 * NULL does nothing. A label value that was not given reads "".
 *
 * Threads: any. Lock order: the registry's, then a set's. Values are atomics;
 * buckets of a histogram and its sum are changed and read under the set's lock,
 * so that they belong together.
 */
#include "metrics.h"
#include "mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* A path is the longest thing that is sensibly a label; beyond that it is cut,
 * so that 4096 series cannot take more than a few MiB. */
#define LABEL_MAX 256
/* Prometheus itself advises against more than ten. */
#define LABELS_MAX 16
#define FIRST_SLOTS 16

struct weir_series {
	struct weir__metrics_set *set;
	struct row *row;
	struct weir_series *next_slot; /* same hash */
	struct weir_series *next, *prev; /* same row */
	uint32_t hash;
	uint32_t refs;             /* under the set's lock */
	_Atomic bool present;
	bool marked;               /* not looked for since weir__metrics_mark; under the lock */
	_Atomic uint64_t value;    /* bits of a double */
	uint64_t *buckets;         /* HISTOGRAM, bucket_count + 1; under the lock */
	double sum;                /* HISTOGRAM, under the lock */
	const char *labels[];      /* point behind themselves */
};

/* One metric of one set. */
struct row {
	const struct weir_metric *metric;
	struct weir__metrics_set *set;
	struct row *next;          /* by name, under the registry's lock */
	uint32_t index, label_count;
	struct weir_series *first, *last;
};

struct weir__metrics_set {
	pthread_mutex_t lock;
	char *plugin;
	struct weir_series **slots;
	size_t slot_count, count;
	uint64_t dropped;
	bool hidden;               /* under the registry's lock */
	uint32_t walkers;          /* walks that refer to it; under the registry's lock */
	uint32_t row_count;
	struct row rows[];
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t walk_ended = PTHREAD_COND_INITIALIZER;
static struct row *registry;

static uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof bits);
	return bits;
}

static double double_of(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

static uint32_t count_words(const char *s)
{
	uint32_t n = 0;

	while (s && *s) {
		s += strspn(s, " ");
		if (*s)
			n++;
		s += strcspn(s, " ");
	}
	return n;
}

/* ---- sets ---------------------------------------------------------------- */

static void registry_add(struct row *row)
{
	struct row **at = &registry;

	/* After the equal ones: sets keep the order in which they came. */
	while (*at && strcmp((*at)->metric->name, row->metric->name) <= 0)
		at = &(*at)->next;
	row->next = *at;
	*at = row;
}

static void registry_remove(const struct weir__metrics_set *set)
{
	struct row **at = &registry;

	while (*at) {
		if ((*at)->set == set)
			*at = (*at)->next;
		else
			at = &(*at)->next;
	}
}

struct weir__metrics_set *weir__metrics_set_new(const char *plugin, const struct weir_table *metrics)
{
	uint32_t count = metrics && metrics->row_size >= sizeof(struct weir_metric) ? metrics->count : 0;
	struct weir__metrics_set *set = weir__zalloc(sizeof *set + count * sizeof set->rows[0]);
	uint32_t i;

	if (!set)
		return NULL;
	set->plugin = weir__strdup(plugin);
	set->slots = weir__zalloc(FIRST_SLOTS * sizeof(struct weir_series *));
	if (!set->plugin || !set->slots) {
		weir__free(set->slots);
		weir__free(set->plugin);
		weir__free(set);
		return NULL;
	}
	set->slot_count = FIRST_SLOTS;
	set->row_count = count;
	pthread_mutex_init(&set->lock, NULL);
	pthread_mutex_lock(&registry_lock);
	for (i = 0; i < count; i++) {
		struct row *row = &set->rows[i];

		row->metric = weir_table_row(metrics, i);
		row->set = set;
		row->index = i;
		row->label_count = count_words(row->metric->labels);
		registry_add(row);
	}
	pthread_mutex_unlock(&registry_lock);
	return set;
}

void weir__metrics_set_free(struct weir__metrics_set *set)
{
	struct weir_series *s, *next;
	uint32_t i;

	if (!set)
		return;
	pthread_mutex_lock(&registry_lock);
	registry_remove(set);
	while (set->walkers)
		pthread_cond_wait(&walk_ended, &registry_lock);
	pthread_mutex_unlock(&registry_lock);
	for (i = 0; i < set->row_count; i++) {
		for (s = set->rows[i].first; s; s = next) {
			next = s->next;
			weir__free(s);
		}
	}
	pthread_mutex_destroy(&set->lock);
	weir__free(set->slots);
	weir__free(set->plugin);
	weir__free(set);
}

uint64_t weir__metrics_set_dropped(const struct weir__metrics_set *set)
{
	struct weir__metrics_set *s = (struct weir__metrics_set *)set;
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	n = s->dropped;
	pthread_mutex_unlock(&s->lock);
	return n;
}

size_t weir__metrics_set_count(const struct weir__metrics_set *set)
{
	struct weir__metrics_set *s = (struct weir__metrics_set *)set;
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->count;
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* ---- finding and making a series, all under the set's lock ---------------- */

static uint32_t hash_labels(uint32_t metric, uint32_t count, const char *const *labels)
{
	uint32_t h = 2166136261u ^ metric;
	uint32_t i;

	for (i = 0; i < count; i++) {
		size_t n = 0;

		for (; n < LABEL_MAX && labels[i][n]; n++)
			h = (h ^ (unsigned char)labels[i][n]) * 16777619u;
		h = (h ^ 0xff) * 16777619u;
	}
	return h;
}

static bool same_labels(const struct weir_series *s, const char *const *labels)
{
	uint32_t i;

	for (i = 0; i < s->row->label_count; i++)
		if (strncmp(s->labels[i], labels[i], LABEL_MAX))
			return false;
	return true;
}

/* On no memory the chains just grow longer. */
static void grow_slots(struct weir__metrics_set *set)
{
	size_t count = set->slot_count * 2, i;
	struct weir_series **slots, *s;

	slots = weir__zalloc(count * sizeof(struct weir_series *));
	if (!slots)
		return;
	for (i = 0; i < set->slot_count; i++) {
		while ((s = set->slots[i])) {
			set->slots[i] = s->next_slot;
			s->next_slot = slots[s->hash & (count - 1)];
			slots[s->hash & (count - 1)] = s;
		}
	}
	weir__free(set->slots);
	set->slots = slots;
	set->slot_count = count;
}

static void link_series(struct weir__metrics_set *set, struct weir_series *s)
{
	struct row *row = s->row;
	struct weir_series **slot;

	if (set->count >= set->slot_count)
		grow_slots(set);
	slot = &set->slots[s->hash & (set->slot_count - 1)];
	s->next_slot = *slot;
	*slot = s;
	s->prev = row->last;
	if (row->last)
		row->last->next = s;
	else
		row->first = s;
	row->last = s;
	set->count++;
}

static struct weir_series *make_series(struct row *row, uint32_t hash, const char *const *labels)
{
	size_t lengths[LABELS_MAX], text = 0, buckets = 0, head;
	struct weir_series *s;
	uint32_t i;
	char *at;

	for (i = 0; i < row->label_count; i++) {
		lengths[i] = strnlen(labels[i], LABEL_MAX);
		text += lengths[i] + 1;
	}
	if (row->metric->type == WEIR_HISTOGRAM)
		buckets = (row->metric->bucket_count + 1) * sizeof(uint64_t);
	head = sizeof *s + row->label_count * sizeof s->labels[0];
	s = weir__zalloc(head + buckets + text);
	if (!s)
		return NULL;
	at = (char *)s + head;
	if (buckets)
		s->buckets = (uint64_t *)(void *)at;
	at += buckets;
	for (i = 0; i < row->label_count; i++) {
		memcpy(at, labels[i], lengths[i]);
		s->labels[i] = at;
		at += lengths[i] + 1;
	}
	s->set = row->set;
	s->row = row;
	s->hash = hash;
	s->refs = 1;
	return s;
}

static struct weir_series *find_or_make(struct row *row, const char *const *labels)
{
	uint32_t hash = hash_labels(row->index, row->label_count, labels);
	struct weir__metrics_set *set = row->set;
	struct weir_series *s = set->slots[hash & (set->slot_count - 1)];

	for (; s; s = s->next_slot)
		if (s->hash == hash && s->row == row && same_labels(s, labels)) {
			s->marked = false;
			return s;
		}
	if (set->count < WEIR__MAX_SERIES)
		s = make_series(row, hash, labels);
	if (s)
		link_series(set, s);
	else
		set->dropped++;
	return s;
}

struct weir_series *weir__series(struct weir__metrics_set *set, uint32_t metric,
                                 const char *const *label_values)
{
	const char *labels[LABELS_MAX];
	struct weir_series *s;
	struct row *row;
	uint32_t i = 0;

	if (!set || metric >= set->row_count || set->rows[metric].label_count > LABELS_MAX)
		return NULL;
	row = &set->rows[metric];
	/* The list ends with NULL; whoever gave too few gets "" for the rest. */
	for (; i < row->label_count && label_values && label_values[i]; i++)
		labels[i] = label_values[i];
	for (; i < row->label_count; i++)
		labels[i] = "";
	pthread_mutex_lock(&set->lock);
	s = find_or_make(row, labels);
	pthread_mutex_unlock(&set->lock);
	return s;
}

/* ---- one series ------------------------------------------------------------ */

void weir__series_set(struct weir_series *s, double value)
{
	if (!s)
		return;
	atomic_store_explicit(&s->value, bits_of(value), memory_order_relaxed);
	atomic_store_explicit(&s->present, true, memory_order_release);
}

void weir__series_add(struct weir_series *s, double value)
{
	uint64_t was;

	if (!s)
		return;
	was = atomic_load_explicit(&s->value, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&s->value, &was, bits_of(double_of(was) + value),
	                                              memory_order_relaxed, memory_order_relaxed))
		;
	atomic_store_explicit(&s->present, true, memory_order_release);
}

void weir__series_histogram(struct weir_series *s, const uint64_t *buckets, double sum)
{
	if (!s || !s->buckets || !buckets)
		return;
	pthread_mutex_lock(&s->set->lock);
	memcpy(s->buckets, buckets, (s->row->metric->bucket_count + 1) * sizeof *buckets);
	s->sum = sum;
	pthread_mutex_unlock(&s->set->lock);
	atomic_store_explicit(&s->present, true, memory_order_release);
}

void weir__series_absent(struct weir_series *s)
{
	if (!s)
		return;
	atomic_store_explicit(&s->present, false, memory_order_relaxed);
	atomic_store_explicit(&s->value, bits_of(0), memory_order_relaxed);
}

static void unref_locked(struct weir_series *s)
{
	if (--s->refs == 0)
		weir__free(s);
}

void weir__series_free(struct weir_series *s)
{
	struct weir__metrics_set *set;
	struct weir_series **at;

	if (!s)
		return;
	set = s->set;
	pthread_mutex_lock(&set->lock);
	at = &set->slots[s->hash & (set->slot_count - 1)];
	while (*at != s)
		at = &(*at)->next_slot;
	*at = s->next_slot;
	*(s->prev ? &s->prev->next : &s->row->first) = s->next;
	*(s->next ? &s->next->prev : &s->row->last) = s->prev;
	set->count--;
	unref_locked(s);
	pthread_mutex_unlock(&set->lock);
}

void weir__metrics_set_show(struct weir__metrics_set *set, bool on)
{
	pthread_mutex_lock(&registry_lock);
	set->hidden = !on;
	pthread_mutex_unlock(&registry_lock);
}

void weir__metrics_mark(struct weir__metrics_set *set)
{
	pthread_mutex_lock(&set->lock);
	for (uint32_t i = 0; i < set->row_count; i++)
		for (struct weir_series *s = set->rows[i].first; s; s = s->next)
			s->marked = true;
	pthread_mutex_unlock(&set->lock);
}

void weir__metrics_sweep(struct weir__metrics_set *set)
{
	struct weir_series *s, *next;

	/* One writer: nobody else makes or frees series of this set meanwhile. */
	for (uint32_t i = 0; i < set->row_count; i++)
		for (s = set->rows[i].first; s; s = next) {
			next = s->next;
			if (s->marked)
				weir__series_free(s);
		}
}

/* ---- the walk --------------------------------------------------------------- */

struct walk {
	struct weir_series **series;
	size_t count, room;
	struct weir__metrics_set **sets; /* each once per row that was met */
	size_t set_count, set_room;
	uint64_t *buckets;               /* room for the largest histogram */
	uint32_t bucket_room;
};

/* Room for everything there is now. Under the registry's lock, so no set comes
 * or goes; one may grow before it is visited, and then its newest are left out. */
static int walk_init(struct walk *w)
{
	struct row *row;

	for (row = registry; row; row = row->next) {
		if (row->metric->type == WEIR_HISTOGRAM && row->metric->bucket_count >= w->bucket_room)
			w->bucket_room = row->metric->bucket_count + 1;
		w->set_room++;
		if (row->index == 0)
			w->room += weir__metrics_set_count(row->set);
	}
	w->series = weir__alloc(w->room * sizeof(struct weir_series *));
	w->sets = weir__alloc(w->set_room * sizeof(struct weir__metrics_set *));
	w->buckets = weir__alloc(w->bucket_room * sizeof *w->buckets);
	return w->series && w->sets && w->buckets ? 0 : -ENOMEM;
}

static void walk_take(struct walk *w)
{
	struct weir_series *s;
	struct row *row;

	for (row = registry; row; row = row->next) {
		if (row->set->hidden)
			continue;
		row->set->walkers++;
		w->sets[w->set_count++] = row->set;
		pthread_mutex_lock(&row->set->lock);
		for (s = row->first; s && w->count < w->room; s = s->next) {
			if (!atomic_load_explicit(&s->present, memory_order_acquire))
				continue;
			s->refs++;
			w->series[w->count++] = s;
		}
		pthread_mutex_unlock(&row->set->lock);
	}
}

static int walk_call(struct walk *w, struct weir_series *s, weir_sample_cb cb, void *arg)
{
	struct weir_sample sample = {
		.metric = s->row->metric,
		.plugin = s->set->plugin,
		.label_values = s->labels,
	};
	uint32_t i;

	if (!s->buckets) {
		sample.value = double_of(atomic_load_explicit(&s->value, memory_order_relaxed));
		return cb(arg, &sample);
	}
	pthread_mutex_lock(&s->set->lock);
	memcpy(w->buckets, s->buckets, (s->row->metric->bucket_count + 1) * sizeof *w->buckets);
	sample.value = s->sum;
	pthread_mutex_unlock(&s->set->lock);
	sample.buckets = w->buckets;
	for (i = 0; i <= s->row->metric->bucket_count; i++)
		sample.count += w->buckets[i];
	return cb(arg, &sample);
}

static void walk_fini(struct walk *w)
{
	size_t i;

	for (i = 0; i < w->count; i++) {
		struct weir__metrics_set *set = w->series[i]->set;

		pthread_mutex_lock(&set->lock);
		unref_locked(w->series[i]);
		pthread_mutex_unlock(&set->lock);
	}
	pthread_mutex_lock(&registry_lock);
	for (i = 0; i < w->set_count; i++)
		w->sets[i]->walkers--;
	pthread_cond_broadcast(&walk_ended);
	pthread_mutex_unlock(&registry_lock);
	weir__free(w->buckets);
	weir__free(w->sets);
	weir__free(w->series);
}

int weir__metrics_walk(weir_sample_cb cb, void *arg)
{
	struct walk w = { 0 };
	size_t i;
	int err;

	pthread_mutex_lock(&registry_lock);
	err = walk_init(&w);
	if (!err)
		walk_take(&w);
	pthread_mutex_unlock(&registry_lock);
	for (i = 0; !err && i < w.count; i++)
		err = walk_call(&w, w.series[i], cb, arg);
	walk_fini(&w);
	return err;
}
