/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between plugin and test, both ways: files, metrics, queries.
 */
#include "testhost_priv.h"
#include "format.h"
#include "options.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- files ------------------------------------------------------------------------ */

void weir_test_file_bytes(struct weir_test *t, const char *path, const void *data, size_t len)
{
	weir__named_set(&t->files, path, data, len);
}

void weir_test_file(struct weir_test *t, const char *path, const char *text)
{
	weir_test_file_bytes(t, path, text, strlen(text));
}

void weir_test_file_error(struct weir_test *t, const char *path, int err)
{
	if (err >= 0)
		weir__test_die("file_error: %d is no negative errno", err);
	weir__named_set(&t->files, path, "", 0)->err = err;
}

void weir_test_real_files(struct weir_test *t, bool on)
{
	t->real_files = on;
}

static ssize_t read_real(const char *path, void *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (done < size && (n = read(fd, (char *)buf + done, size - done)) > 0)
		done += (size_t)n;
	if (n < 0)
		n = -errno;
	close(fd);
	return n < 0 ? n : (ssize_t)done;
}

static ssize_t test_read_file(struct weir_plugin *p, const char *path, void *buf, size_t size)
{
	struct weir_test *t = weir__test_of(p);
	struct named *n = weir__named_find(t->files, path);
	size_t len;

	if (weir__test_must_fail(t, WEIR_TEST_READ_FILE))
		return -EIO;
	if (!n)
		return t->real_files ? read_real(path, buf, size) : -ENOENT;
	if (n->err)
		return n->err;
	len = n->len < size ? n->len : size;
	memcpy(buf, n->data, len);
	return (ssize_t)len;
}

/* ---- metrics ------------------------------------------------------------------------ */

static struct weir_series *test_series(struct weir_plugin *p, uint32_t metric, const char *const *labels)
{
	struct weir_test *t = weir__test_of(p);

	if (metric >= t->desc->metrics.count)
		weir__test_die("series of metric %u, there are %u", metric, t->desc->metrics.count);
	if (weir__test_must_fail(t, WEIR_TEST_SERIES))
		return NULL;
	return weir__series(t->metrics, metric, labels);
}

static int test_metrics_walk(struct weir_plugin *p, weir_sample_cb cb, void *arg)
{
	(void)p;
	return weir__metrics_walk(cb, arg);
}

struct wanted {
	struct weir_test *test;
	const char *const *name_and_labels;
	double value;
	bool found;
};

static int match_sample(void *arg, const struct weir_sample *s)
{
	struct wanted *w = arg;
	const char *const *want = w->name_and_labels;
	size_t n = 0, labels = *s->metric->labels ? 1 : 0;

	if (strcmp(s->plugin, w->test->plugin.name) != 0 || strcmp(s->metric->name, want[0]) != 0)
		return 0;
	for (const char *c = s->metric->labels; *c; c++)
		labels += *c == ' ';
	while (want[n + 1])
		n++;
	if (n != labels)
		weir__test_die("metric %s has %zu labels (%s), %zu values given", want[0], labels,
		               s->metric->labels, n);
	for (n = 0; n < labels; n++)
		if (strcmp(s->label_values[n], want[n + 1]) != 0)
			return 0;
	w->found = true;
	w->value = s->value;
	if (s->buckets) {
		size_t size = (s->metric->bucket_count + 1) * sizeof(uint64_t);

		free(w->test->histogram);
		w->test->histogram = weir__test_alloc(size);
		memcpy(w->test->histogram, s->buckets, size);
	}
	return 1;
}

static struct wanted find_sample(struct weir_test *t, const char *const *name_and_labels)
{
	struct wanted w = { .test = t, .name_and_labels = name_and_labels };
	const struct weir_metric *m;
	uint32_t i;

	for (i = 0; (m = weir_table_row(&t->desc->metrics, i)); i++)
		if (strcmp(m->name, name_and_labels[0]) == 0)
			break;
	if (!m)
		weir__test_die("%s has no metric \"%s\"", t->desc->name, name_and_labels[0]);
	weir__metrics_walk(match_sample, &w);
	return w;
}

double weir_test_metric_with(struct weir_test *t, const char *const *name_and_labels)
{
	struct wanted w = find_sample(t, name_and_labels);

	return w.found ? w.value : (double)NAN;
}

const uint64_t *weir_test_histogram_with(struct weir_test *t, const char *const *name_and_labels)
{
	free(t->histogram);
	t->histogram = NULL;
	find_sample(t, name_and_labels);
	return t->histogram;
}

/* ---- queries ------------------------------------------------------------------------ */

#define MAX_ANSWER (4u << 20) /* what query.h promises */

struct weir_out {
	char *text;
	size_t len, room;
	bool cut;
};

static void out_write(struct weir_out *out, const void *data, size_t len)
{
	if (len > MAX_ANSWER - out->len) {
		len = MAX_ANSWER - out->len;
		out->cut = true;
	}
	if (out->len + len >= out->room) {
		out->room = 2 * (out->len + len) + 256;
		out->text = realloc(out->text, out->room);
		if (!out->text)
			weir__test_die("out of memory");
	}
	if (len)
		memcpy(out->text + out->len, data, len);
	out->len += len;
	out->text[out->len] = 0;
}

static void out_printf(struct weir_out *out, const char *fmt, va_list ap)
{
	va_list again;
	char *text;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		weir__test_die("out_printf: bad format \"%s\"", fmt);
	text = weir__test_alloc((size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	out_write(out, text, (size_t)n);
	free(text);
}

static void out_json_string(struct weir_out *out, const char *s, size_t max)
{
	size_t len = weir__json_string(s, max, NULL, 0);
	char *text = weir__test_alloc(len + 1);

	weir__json_string(s, max, text, len + 1);
	out_write(out, text, len);
	free(text);
}

static int answer(struct weir_test *t, const struct weir_query *q, const char *const *args,
                  struct weir_out *out)
{
	void *values = weir__test_alloc(q->args_size);
	char err[256] = "";
	size_t n = 0;
	int r;

	while (args && args[n])
		n++;
	r = weir__options_parse_args(&q->args, values, args, n, err, sizeof(err));
	if (r < 0) {
		out_write(out, err, strlen(err));
	} else {
		if ((q->flags & WEIR_QUERY_FRESH) && t->desc->collect)
			t->desc->collect(&t->plugin);
		r = q->answer(&t->plugin, values, out);
		if (r >= 0 && out->cut)
			r = -EFBIG;
	}
	weir__options_free(&q->args, values);
	free(values);
	return r;
}

int weir_test_query_with(struct weir_test *t, const char *name, const char *const *args,
                         char *buf, size_t size)
{
	struct weir_out out = { 0 };
	const struct weir_query *q;
	uint32_t i;
	int r;

	for (i = 0; (q = weir_table_row(&t->desc->queries, i)); i++)
		if (strcmp(q->name, name) == 0)
			break;
	if (size)
		buf[0] = 0;
	if (!q)
		return -ENOENT;
	r = answer(t, q, args, &out);
	if (size && out.text)
		snprintf(buf, size, "%s", out.text);
	free(out.text);
	return r;
}

/* ---- fallback ------------------------------------------------------------------------- */

struct want {
	bool wanted;
	uint64_t since_ns;
};

void weir_test_want(struct weir_test *t, const char *topic, bool wanted)
{
	struct want w = { .wanted = wanted, .since_ns = t->now_ns };

	weir__named_set(&t->wants, topic, &w, sizeof(w));
}

static bool test_topic_wanted(struct weir_plugin *p, const char *topic)
{
	struct named *n = weir__named_find(weir__test_of(p)->wants, topic);

	return !n || ((struct want *)n->data)->wanted;
}

static uint64_t test_topic_since(struct weir_plugin *p, const char *topic)
{
	struct named *n = weir__named_find(weir__test_of(p)->wants, topic);

	return n ? ((struct want *)n->data)->since_ns : 0;
}

bool weir_test_approx(struct weir_test *t)
{
	return t->approx;
}

static void test_source_approx(struct weir_plugin *p, bool approx)
{
	weir__test_of(p)->approx = approx;
}

void weir__test_ask_slots(struct weir_host *h)
{
	h->read_file = test_read_file;
	h->series = test_series;
	h->series_set = weir__series_set;
	h->series_add = weir__series_add;
	h->series_histogram = weir__series_histogram;
	h->series_absent = weir__series_absent;
	h->series_free = weir__series_free;
	h->metrics_walk = test_metrics_walk;
	h->out_write = out_write;
	h->out_printf = out_printf;
	h->out_json_string = out_json_string;
	h->topic_wanted = test_topic_wanted;
	h->topic_since = test_topic_since;
	h->source_approx = test_source_approx;
}
