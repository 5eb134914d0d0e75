/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prometheus: all metrics of all plugins and of Weir itself, as a page that the core's
 * HTTP listener serves at /metrics. It takes no events, so what a scrape costs
 * depends on the number of series alone.
 *
 * Failure: out of memory, or a page beyond the bound of an answer, fails the scrape
 * with the reason; series that a scraper would not accept are left out and counted.
 */
#include "exposition.h"

#include <string.h>

enum metric { M_SCRAPES, M_FAILED, M_SERIES, M_BYTES, M_DURATION, M_DROPPED };

struct prometheus {
	struct exposition *page; /* kept: it is large for a stack, small for a heap */
	struct seen seen;
	uint64_t scrapes, failed, dropped[DROP_COUNT];
	uint64_t series, bytes, took_ns; /* of the last scrape */
};

static const struct weir_metric metrics[] = {
	[M_SCRAPES] = { .name = "weir_prometheus_scrapes_total", .type = WEIR_COUNTER, .labels = "", .unit = "",
	                .help = "Scrapes before this one" },
	[M_FAILED] = { .name = "weir_prometheus_scrapes_failed_total", .type = WEIR_COUNTER, .labels = "", .unit = "",
	               .help = "Scrapes that could not be answered" },
	[M_SERIES] = { .name = "weir_prometheus_scrape_series", .type = WEIR_GAUGE, .labels = "", .unit = "",
	               .help = "Series on the page of the last scrape" },
	[M_BYTES] = { .name = "weir_prometheus_scrape_bytes", .type = WEIR_GAUGE, .labels = "", .unit = "bytes",
	              .help = "Size of the page of the last scrape" },
	[M_DURATION] = { .name = "weir_prometheus_scrape_duration_seconds", .type = WEIR_GAUGE, .labels = "",
	                 .unit = "seconds", .help = "Time it took to write the page of the last scrape" },
	[M_DROPPED] = { .name = "weir_prometheus_series_dropped_total", .type = WEIR_COUNTER, .labels = "reason",
	                .unit = "", .help = "Series left out because a scraper would refuse the page with them" },
};

static int collect(struct weir_plugin *p)
{
	static const char *const reasons[] = {
#define X(id, label) [DROP_##id] = label,
		EXPOSITION_DROPS(X)
#undef X
	};
	struct prometheus *s = p->state;
	int i;

	weir_set(p, M_SCRAPES, (double)s->scrapes);
	weir_set(p, M_FAILED, (double)s->failed);
	for (i = 0; i < DROP_COUNT; i++)
		weir_set(p, M_DROPPED, (double)s->dropped[i], reasons[i]);
	if (!s->scrapes)
		return 0;
	weir_set(p, M_SERIES, (double)s->series);
	weir_set(p, M_BYTES, (double)s->bytes);
	weir_set(p, M_DURATION, (double)s->took_ns / 1e9);
	return 0;
}

static int answer(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct prometheus *s = p->state;
	uint64_t began = weir_now(p);
	int err, i;

	(void)args;
	s->page->plugin = p;
	s->page->out = out;
	s->page->seen = &s->seen;
	s->page->family = NULL;
	s->page->len = 0;
	s->page->samples = s->page->bytes = 0;
	memset(s->page->dropped, 0, sizeof s->page->dropped);
	err = p->host->metrics_walk(p, exposition_sample, s->page);
	s->scrapes++;
	if (err) {
		s->failed++;
		weir_printf(p, out, "\ncannot read the metrics: %s\n", strerror(-err));
		return err;
	}
	exposition_end(s->page);
	for (i = 0; i < DROP_COUNT; i++)
		s->dropped[i] += s->page->dropped[i];
	s->series = s->page->samples;
	s->bytes = s->page->bytes;
	s->took_ns = weir_now(p) - began;
	return 0;
}

static const struct weir_query queries[] = {
	{ .name = "metrics", .doc = "All metrics in the Prometheus text format",
	  .content_type = "text/plain; version=0.0.4; charset=utf-8", .mount = "/metrics",
	  .flags = WEIR_QUERY_FRESH, .answer = answer },
};

static int init(struct weir_plugin *p)
{
	struct prometheus *s = p->state;

	s->page = weir_alloc(p, sizeof *s->page);
	return s->page ? 0 : -ENOMEM;
}

static void fini(struct weir_plugin *p)
{
	struct prometheus *s = p->state;

	weir_free(p, s->page);
	seen_fini(p, &s->seen);
	s->page = NULL;
}

WEIR_PLUGIN(
	.kind = WEIR_OUTPUT, .name = "prometheus", .version = "1.0.0", .topics = "",
	.doc = "Serves all metrics to Prometheus at /metrics",
	.state_size = sizeof(struct prometheus),
	.metrics = WEIR_TABLE(metrics), .queries = WEIR_TABLE(queries),
	.init = init, .fini = fini, .collect = collect);
