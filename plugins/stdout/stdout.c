/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdout: events as JSON lines or text, or a live table on a terminal.
 *
 * `format: auto` is the table when the sink is a terminal, else JSON lines. See
 * lines.c for how lines are written and what failures mean, table.c for the view.
 */
#include "stdout.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

static const struct weir_option options[] = {
	WEIR_OPTION_ENUM(struct stdout_state, format, "format", "auto json table text", "auto",
	                 "What to write: json and text are one line per event, table is a live view; "
	                 "auto is table on a terminal, else json"),
	WEIR_OPTION_STRING(struct stdout_state, file, "file", "",
	                   "Append to this file instead of standard output; \"\" and \"-\" are standard output"),
	WEIR_OPTION_DURATION(struct stdout_state, interval_ns, "interval", "1s",
	                     "How often the table is painted", .min = 1e8, .max = 3.6e12),
	WEIR_OPTION_DURATION(struct stdout_state, flush_interval_ns, "flush_interval", "0s",
	                     "Lines wait at most this long for more to be written with them; 0s writes "
	                     "whatever came together", .min = 0, .max = 1e10),
};

static const struct weir_metric metrics[] = {
	[M_LINES] = { .name = "weir_stdout_lines_total", .type = WEIR_COUNTER, .labels = "",
	              .help = "Events written as a line", .unit = "" },
	[M_BYTES] = { .name = "weir_stdout_bytes_total", .type = WEIR_COUNTER, .labels = "",
	              .help = "Bytes of the lines written", .unit = "bytes" },
	[M_REJECTED] = { .name = "weir_stdout_rejected_total", .type = WEIR_COUNTER, .labels = "",
	                 .help = "Events that could not be written", .unit = "" },
	[M_ERRORS] = { .name = "weir_stdout_errors_total", .type = WEIR_COUNTER, .labels = "",
	               .help = "Writes that failed", .unit = "" },
};

static int start(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;
	sigset_t pipe;
	int err;

	/* A reader that goes away is an error code here, not the end. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	err = sink_open(&s->sink, s->file);
	if (err)
		return weir_fail(p, err, "cannot open %s: %s; set plugins.stdout.file to a file Weir may write",
		                 sink_name(s), strerror(-err));
	s->mode = (enum mode)s->format;
	if (s->mode == MODE_AUTO)
		s->mode = sink_is_terminal(&s->sink) ? MODE_TABLE : MODE_JSON;
	if (s->mode == MODE_TABLE && !sink_is_terminal(&s->sink))
		err = weir_fail(p, -ENOTTY, "format table needs a terminal that can move its cursor, and %s is none; "
		                "set plugins.stdout.format to json or text", sink_name(s));
	else
		err = s->mode == MODE_TABLE ? table_start(p) : lines_start(p);
	if (err)
		sink_close(&s->sink);
	return err;
}

static void stop(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;

	table_stop(p);
	lines_stop(p);
	sink_close(&s->sink);
}

static int init(struct weir_plugin *p)
{
	((struct stdout_state *)p->state)->sink.fd = -1;
	return 0;
}

static int deliver(struct weir_plugin *p, const struct weir_batch *b)
{
	struct stdout_state *s = p->state;

	if (s->mode != MODE_TABLE)
		return lines_deliver(p, b);
	table_count(p, b->header->count);
	return WEIR_DELIVERED;
}

static void flush(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;

	if (s->mode != MODE_TABLE)
		lines_flush(p);
}

static int collect(struct weir_plugin *p)
{
	const struct lines *l = &((struct stdout_state *)p->state)->lines;

	weir_set(p, M_LINES, (double)l->written);
	weir_set(p, M_BYTES, (double)l->bytes);
	weir_set(p, M_REJECTED, (double)l->rejected);
	weir_set(p, M_ERRORS, (double)l->errors);
	return 0;
}

static int check(struct weir_plugin *p)
{
	const struct stdout_state *s = p->state;

	if (s->lines.error)
		return weir_fail(p, s->lines.error, "cannot write to %s: %s", sink_name(s), strerror(-s->lines.error));
	return 0;
}

WEIR_PLUGIN(
	.kind = WEIR_OUTPUT, .name = "stdout", .version = "1.0.0", .topics = "*",
	.doc = "Writes events as JSON lines or text, or shows a live table on a terminal",
	.state_size = sizeof(struct stdout_state),
	.options = WEIR_TABLE(options), .metrics = WEIR_TABLE(metrics),
	.init = init, .start = start, .stop = stop, .collect = collect,
	.deliver = deliver, .flush = flush, .check = check);
