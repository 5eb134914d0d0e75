/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings and samples as JSON, for the way between the daemon and a plugin's
 * process: see host_wire.h. What is decoded is bound and bounded like anything else
 * from outside.
 */
#include "host_wire.h"
#include "host_link.h"
#include "mem.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- settings ------------------------------------------------------------------- */

static json_t *encode_list(const struct weir_strings *l)
{
	json_t *a = json_array();

	for (size_t i = 0; a && i < l->count; i++)
		json_array_append_new(a, json_string_nocheck(l->items[i]));
	return a;
}

static json_t *encode_option(const struct weir_option *o, const void *base)
{
	const char *at = (const char *)base + o->offset, *text;
	struct weir_strings list;
	char buf[256];
	double number;

	switch (o->type) {
	case WEIR_OPT_STRING: /* as it is: a secret, too */
		memcpy(&text, at, sizeof text);
		return json_string_nocheck(text ? text : "");
	case WEIR_OPT_LIST:
		memcpy(&list, at, sizeof list);
		return encode_list(&list);
	case WEIR_OPT_DOUBLE:
		memcpy(&number, at, sizeof number);
		snprintf(buf, sizeof buf, "%.17g", number);
		return json_string(buf);
	default:
		weir__option_format(o, base, buf, sizeof buf);
		return json_string(buf);
	}
}

static json_t *encode_options(const struct weir_table *opts, const void *base)
{
	json_t *o = json_object();
	const struct weir_option *row;

	for (uint32_t i = 0; o && (row = weir_table_row(opts, i)); i++)
		if (json_object_set_new(o, row->name, encode_option(row, base))) {
			json_decref(o);
			return NULL;
		}
	return o;
}

json_t *weir__settings_encode(const struct weir__settings *s)
{
	/* Takes both, even when it fails. */
	return json_pack("{s:o, s:o}", "common", encode_options(&weir__common_options, &s->common),
	                 "options", encode_options(&s->desc->options, s->values));
}

static int decode_option(const struct weir_option *row, void *base, const json_t *v, char *err, size_t size)
{
	size_t n = json_array_size(v);
	const char **items;
	int rc;

	if (json_is_string(v))
		return weir__option_set(row, base, json_string_value(v), err, size);
	if (!json_is_array(v))
		return 0; /* not said: the default */
	items = weir__zalloc((n + 1) * sizeof *items);
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		items[i] = json_string_value(json_array_get(v, i)) ? json_string_value(json_array_get(v, i)) : "";
	rc = weir__option_set_list(row, base, items, n, err, size);
	weir__free(items);
	return rc;
}

static int decode_options(const json_t *o, const struct weir_table *opts, void *base, char *err, size_t size)
{
	int rc = weir__options_defaults(opts, base, err, size);
	const struct weir_option *row;

	for (uint32_t i = 0; !rc && (row = weir_table_row(opts, i)); i++)
		rc = decode_option(row, base, json_object_get(o, row->name), err, size);
	return rc;
}

int weir__settings_decode(const json_t *j, const char *name, const struct weir_plugin_desc *desc,
                          struct weir__settings **ret, char *err, size_t size)
{
	struct weir__settings *s = weir__zalloc(sizeof *s);
	int rc = -ENOMEM;

	snprintf(err, size, "out of memory");
	if (s) {
		s->desc = desc;
		s->name = weir__strdup(name);
		s->values = weir__zalloc(desc->state_size + 1);
		if (s->name && s->values)
			rc = decode_options(json_object_get(j, "common"), &weir__common_options, &s->common, err, size);
		if (!rc)
			rc = decode_options(json_object_get(j, "options"), &desc->options, s->values, err, size);
	}
	if (rc)
		weir__settings_free(s);
	else
		*ret = s;
	return rc;
}

/* ---- handles -------------------------------------------------------------------- */

/* Every place a descriptor may be in, in the order they travel. */
static size_t places(struct weir__bpf_handles *h, int **ret)
{
	size_t n = 0;

	for (uint32_t i = 0; i < h->map_count; i++)
		ret[n++] = &h->maps[i].fd;
	for (uint32_t i = 0; i < h->program_count; i++) {
		ret[n++] = &h->programs[i].fd;
		ret[n++] = &h->programs[i].link_fd;
	}
	for (uint32_t i = 0; i < h->ring_count; i++)
		ret[n++] = &h->ring_fds[i];
	return n;
}

#define PLACES (WEIR__HANDLES_MAPS + 2 * WEIR_MAX_PROGRAMS + WEIR__HANDLES_RINGS)
_Static_assert(PLACES <= WEIR__LINK_FDS, "an object's descriptors travel in one frame");

size_t weir__handles_fds(const struct weir__bpf_handles *h, int *fds)
{
	struct weir__bpf_handles copy = *h;
	int *at[PLACES];
	size_t n = places(&copy, at), count = 0;

	for (size_t i = 0; i < n; i++)
		if (*at[i] >= 0)
			fds[count++] = *at[i];
	return count;
}

bool weir__handles_take(struct weir__bpf_handles *h, int *fds, size_t count)
{
	int *at[PLACES];
	size_t n, want = 0;

	if (h->map_count > WEIR__HANDLES_MAPS || h->program_count > WEIR_MAX_PROGRAMS ||
	    h->ring_count > WEIR__HANDLES_RINGS)
		goto fail;
	n = places(h, at);
	for (size_t i = 0; i < n; i++)
		want += *at[i] >= 0;
	if (want != count)
		goto fail;
	for (size_t i = 0; i < h->map_count; i++)
		h->maps[i].name[sizeof h->maps[i].name - 1] = 0;
	for (size_t i = 0; i < h->program_count; i++)
		h->programs[i].variant[sizeof h->programs[i].variant - 1] = 0;
	for (size_t i = 0, k = 0; i < n; i++)
		if (*at[i] >= 0) {
			*at[i] = fds[k];
			fds[k++] = -1;
		}
	return true;
fail:
	h->map_count = h->program_count = h->ring_count = 0;
	h->movable = false;
	return false;
}

/* ---- samples ---------------------------------------------------------------------- */

/* Labels one metric may have (metrics.c), and buckets that make sense to a reader. */
#define LABELS_MAX  16
#define BUCKETS_MAX 64

static size_t words(const char *s)
{
	size_t n = 0;

	for (const char *at = s ? s : ""; *at; at += *at == ' ') {
		n++;
		at += strcspn(at, " ");
	}
	return n;
}

static json_t *encode_metric(const struct weir_sample *s)
{
	const struct weir_metric *m = s->metric;
	json_t *bounds = json_array();

	for (uint32_t i = 0; i < m->bucket_count; i++)
		json_array_append_new(bounds, json_real(m->buckets[i]));
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:o, s:[]}", "name", m->name, "type", (int)m->type,
	                 "unit", m->unit ? m->unit : "", "help", m->help ? m->help : "",
	                 "labels", m->labels ? m->labels : "", "plugin", s->plugin, "bounds", bounds, "samples");
}

struct encoding {
	json_t *all, *metric;
	const struct weir_metric *last;
};

static int encode_sample(void *arg, const struct weir_sample *s)
{
	struct encoding *e = arg;
	json_t *o = json_pack("{s:f, s:[], s:[]}", "v", s->value, "l", "b");
	size_t n = words(s->metric->labels);

	if (e->last != s->metric) {
		e->metric = encode_metric(s);
		e->last = s->metric;
		if (json_array_append_new(e->all, e->metric))
			e->metric = NULL;
	}
	for (size_t i = 0; i < n; i++)
		json_array_append_new(json_object_get(o, "l"), json_string_nocheck(s->label_values[i]));
	for (uint32_t i = 0; s->buckets && i <= s->metric->bucket_count; i++)
		json_array_append_new(json_object_get(o, "b"), json_integer((json_int_t)s->buckets[i]));
	json_array_append_new(json_object_get(e->metric, "samples"), o);
	return 0;
}

json_t *weir__samples_encode(void)
{
	struct encoding e = { .all = json_array() };

	if (e.all)
		weir__metrics_walk(encode_sample, &e);
	return e.all;
}

struct decoded {
	const char *labels[LABELS_MAX + 1];
	uint64_t buckets[BUCKETS_MAX + 1];
	size_t bucket_count;
	double value;
	uint64_t count;
};

static bool decode_sample(const json_t *o, struct decoded *ret)
{
	const json_t *l = json_object_get(o, "l"), *b = json_object_get(o, "b");

	memset(ret, 0, sizeof *ret);
	if (json_array_size(l) > LABELS_MAX || json_array_size(b) > BUCKETS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(l); i++)
		if (!(ret->labels[i] = json_string_value(json_array_get(l, i))))
			return false;
	ret->bucket_count = json_array_size(b);
	for (size_t i = 0; i < ret->bucket_count; i++) {
		ret->buckets[i] = (uint64_t)json_integer_value(json_array_get(b, i));
		ret->count += ret->buckets[i];
	}
	ret->value = json_number_value(json_object_get(o, "v"));
	return true;
}

static const struct weir_metric *row_named(const struct weir_table *metrics, const char *name, uint32_t *ret)
{
	const struct weir_metric *m;

	for (uint32_t i = 0; name && (m = weir_table_row(metrics, i)); i++)
		if (!strcmp(m->name, name)) {
			*ret = i;
			return m;
		}
	return NULL;
}

void weir__samples_apply(const json_t *samples, struct weir__metrics_set *set,
                         const struct weir_table *metrics)
{
	size_t i, k;
	json_t *m, *o;

	weir__metrics_mark(set);
	json_array_foreach(samples, i, m) {
		uint32_t index = 0;
		const struct weir_metric *row =
			row_named(metrics, json_string_value(json_object_get(m, "name")), &index);

		json_array_foreach(json_object_get(m, "samples"), k, o) {
			struct weir_series *s;
			struct decoded d;

			if (!row || !decode_sample(o, &d))
				continue;
			s = weir__series(set, index, d.labels);
			if (row->type == WEIR_HISTOGRAM && d.bucket_count == row->bucket_count + 1)
				weir__series_histogram(s, d.buckets, d.value);
			else if (row->type != WEIR_HISTOGRAM)
				weir__series_set(s, d.value);
		}
	}
	weir__metrics_sweep(set);
}

static int walk_metric(const json_t *j, weir_sample_cb cb, void *arg)
{
	const json_t *bounds = json_object_get(j, "bounds");
	double bucket_bounds[BUCKETS_MAX];
	struct weir_metric m = { .type = (uint32_t)json_integer_value(json_object_get(j, "type")),
		.buckets = bucket_bounds };
	int rc = 0;
	size_t i;
	json_t *o;

	m.name = json_string_value(json_object_get(j, "name"));
	m.unit = json_string_value(json_object_get(j, "unit"));
	m.help = json_string_value(json_object_get(j, "help"));
	m.labels = json_string_value(json_object_get(j, "labels"));
	if (!m.name || !m.unit || !m.help || !m.labels || json_array_size(bounds) > BUCKETS_MAX)
		return 0;
	m.bucket_count = (uint32_t)json_array_size(bounds);
	for (i = 0; i < m.bucket_count; i++)
		bucket_bounds[i] = json_number_value(json_array_get(bounds, i));
	json_array_foreach(json_object_get(j, "samples"), i, o) {
		struct decoded d;
		struct weir_sample s = { .metric = &m, .label_values = d.labels };

		if (rc || !decode_sample(o, &d))
			continue;
		s.plugin = json_string_value(json_object_get(j, "plugin"));
		s.value = d.value;
		s.buckets = m.type == WEIR_HISTOGRAM ? d.buckets : NULL;
		s.count = d.count;
		rc = cb(arg, &s);
	}
	return rc;
}

int weir__samples_walk(const json_t *samples, weir_sample_cb cb, void *arg)
{
	int rc = 0;
	size_t i;
	json_t *m;

	json_array_foreach(samples, i, m)
		if (!rc)
			rc = walk_metric(m, cb, arg);
	return rc;
}
