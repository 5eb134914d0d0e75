/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdout: what its parts know of each other.
 *
 *   stdout.c  tables, options, which mode
 *   lines.c   records to lines to large writes; batches until they are written
 *   sink.c    the descriptor: standard output or a file, never blocking
 *   table.c   the live view
 *
 * All of it runs on the host's loop.
 */
#ifndef WEIR_STDOUT_H
#define WEIR_STDOUT_H

#include <weir/weir.h>

enum mode { MODE_AUTO, MODE_JSON, MODE_TABLE, MODE_TEXT };
enum metric { M_LINES, M_BYTES, M_REJECTED, M_ERRORS };

/* ---- sink ------------------------------------------------------------------- */

struct sink {
	int fd;          /* -1: closed */
	bool may_block;  /* a write may: at most PIPE_BUF, and only when poll says so */
	bool is_socket;
	bool is_file;    /* with a name: may be rotated away */
};

/* file "" and "-": standard output. 0 or -errno. */
int sink_open(struct sink *s, const char *file);
void sink_close(struct sink *s); /* idempotent */
/* Like write(2), but negative errno, and -EAGAIN instead of blocking. */
ssize_t sink_write(struct sink *s, const char *data, size_t len);
/* Has the file been moved away or removed (log rotation)? */
bool sink_is_stale(const struct sink *s, const char *file);
/* One that can move its cursor. */
bool sink_is_terminal(const struct sink *s);

/* ---- lines -------------------------------------------------------------------- */

/* One write. Large enough that its cost per line does not show, and a pipe's whole
 * default size. */
#define WRITE_SIZE 65536
/* A line longer than this is rejected: a record has 8 KiB, and even if all of it were
 * control bytes, six characters each, it would fit. */
#define MAX_LINE 65536
#define BUFFER_SIZE (WRITE_SIZE + MAX_LINE)
/* A sink that failed is tried again no sooner than this. */
#define RETRY_NS 1000000000ull

struct held; /* a batch until its last line is written */

struct lines {
	char *buffer;              /* BUFFER_SIZE */
	size_t start, end;         /* what is not written yet */
	struct held *held;         /* a queue; its bound is that of the route */
	size_t first, count, room;
	struct weir_fd *watch;     /* while the sink would block */
	struct weir_timer *timer;  /* while a flush is put off */
	int error;                 /* why the sink does not work, 0: it does */
	bool torn;                 /* the last byte written was inside a line */
	bool mended;               /* the buffer begins with the line feed it lacked */
	uint64_t retry_ns, checked_ns;
	uint64_t written, bytes, rejected, errors, rejected_at_error;
};

struct stdout_state {
	/* options */
	uint32_t format;
	const char *file;
	uint64_t interval_ns, flush_interval_ns;
	/* the rest is the plugin's */
	enum mode mode;
	struct sink sink;
	struct lines lines;
	struct table *table;
};

/* For messages. */
const char *sink_name(const struct stdout_state *s);

int lines_start(struct weir_plugin *p);
void lines_stop(struct weir_plugin *p);
int lines_deliver(struct weir_plugin *p, const struct weir_batch *b);
void lines_flush(struct weir_plugin *p);

/* ---- table -------------------------------------------------------------------- */

int table_start(struct weir_plugin *p);
void table_stop(struct weir_plugin *p);
void table_count(struct weir_plugin *p, uint64_t records);

#endif
