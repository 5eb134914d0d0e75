/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records to lines to large writes.
 *
 * A batch is held (WEIR_PENDING) until its last line has been written, so that the
 * ledger never calls delivered what a full disk has swallowed. Lines hold no line
 * feed but their last byte, so the line feeds among the bytes written tell how many
 * records went out, in order.
 *
 * Happy path: deliver() formats into the buffer and writes at WRITE_SIZE; flush()
 * writes the rest and acknowledges.
 *
 * Slow reader: -EAGAIN leaves the rest in the buffer and watches the descriptor;
 * batches wait unformatted, the route fills up, and its policy decides.
 *
 * Failure (full disk, reader gone): what is held is rejected, one line in the log,
 * and further batches are rejected at once until a try, once a second, succeeds.
 *
 * batch_done() is never called inside deliver(): the host still looks at the batch.
 */
#include "stdout.h"

#include <poll.h>
#include <string.h>

struct held {
	const struct weir_batch *batch;
	const struct weir_record *last; /* formatted; NULL: none yet */
	uint32_t walked;                /* records formatted or rejected */
	uint32_t unwritten, rejected;
	bool formatted;                 /* all of it */
};

static struct held *held_at(struct lines *l, size_t i)
{
	return &l->held[(l->first + i) % l->room];
}

static int hold(struct weir_plugin *p, const struct weir_batch *b)
{
	struct lines *l = &((struct stdout_state *)p->state)->lines;
	size_t room = l->room ? 2 * l->room : 16, i;
	struct held *more;

	if (l->count == l->room) {
		more = weir_alloc(p, room * sizeof *more);
		if (!more)
			return -ENOMEM;
		for (i = 0; i < l->count; i++)
			more[i] = *held_at(l, i);
		weir_free(p, l->held);
		l->held = more;
		l->room = room;
		l->first = 0;
	}
	l->count++;
	*held_at(l, l->count - 1) = (struct held){ .batch = b };
	return 0;
}

/* ---- the account ------------------------------------------------------------- */

static void written(struct lines *l, const char *data, size_t len)
{
	const char *at = data, *end = data + len;
	uint64_t n = 0, taken;
	size_t i;

	l->bytes += len;
	l->torn = data[len - 1] != '\n';
	while ((at = memchr(at, '\n', (size_t)(end - at)))) {
		at++;
		n++;
	}
	if (n && l->mended) { /* that one only ended a torn line */
		l->mended = false;
		n--;
	}
	l->written += n;
	for (i = 0; i < l->count && n; i++) {
		struct held *h = held_at(l, i);

		taken = h->unwritten < n ? h->unwritten : n;
		h->unwritten -= (uint32_t)taken;
		n -= taken;
	}
}

/* Acknowledge what is complete. */
static void reap(struct weir_plugin *p)
{
	struct lines *l = &((struct stdout_state *)p->state)->lines;

	while (l->count) {
		struct held h = *held_at(l, 0);

		if (!h.formatted || h.unwritten)
			return;
		l->first = (l->first + 1) % l->room;
		l->count--;
		p->host->batch_done(p, h.batch, h.rejected);
	}
}

/* No more of this batch will be formatted: what was not, is rejected. */
static void end_formatting(struct lines *l, struct held *h)
{
	uint32_t left = h->batch->header->count > h->walked ? h->batch->header->count - h->walked : 0;

	h->rejected += left;
	l->rejected += left;
	h->walked += left;
	h->formatted = true;
}

static void reject_rest(struct lines *l, struct held *h)
{
	end_formatting(l, h);
	h->rejected += h->unwritten;
	l->rejected += h->unwritten;
	h->unwritten = 0;
}

static const char *advice(int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
		return "free some space";
	case -EPIPE:
		return "the reader is gone, start it again together with Weir";
	case -ETIMEDOUT:
		return "the reader did not read while Weir was stopping";
	default:
		return "choose another file or output";
	}
}

/* Everything held is lost; say so once. */
static void fail(struct weir_plugin *p, int err)
{
	struct stdout_state *s = p->state;
	struct lines *l = &s->lines;
	size_t i;

	if (!l->error) {
		l->rejected_at_error = l->rejected;
		weir_log(p, WEIR_ERROR, "cannot write to %s: %s. Events are rejected until it works again, which is "
		         "tried every second: %s", sink_name(s), strerror(-err),
		         advice(err));
	}
	l->error = err;
	l->errors++;
	l->retry_ns = weir_now(p) + RETRY_NS;
	for (i = 0; i < l->count; i++)
		reject_rest(l, held_at(l, i));
	l->start = l->end = 0;
	l->mended = false;
}

static void works_again(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;
	struct lines *l = &s->lines;

	if (l->error)
		weir_log(p, WEIR_WARN, "%s can be written again; %llu events were rejected meanwhile",
		         sink_name(s),
		         (unsigned long long)(l->rejected - l->rejected_at_error));
	l->error = 0;
}

/* ---- writing ------------------------------------------------------------------- */

static void on_writable(struct weir_plugin *p, int fd, int events, void *arg);

static void unwatch(struct weir_plugin *p, struct lines *l)
{
	p->host->fd_stop(l->watch);
	l->watch = NULL;
}

/* Would block: go on when there is room. Without a watch the next flush does. */
static void watch(struct weir_plugin *p, struct stdout_state *s)
{
	if (!s->lines.watch)
		s->lines.watch = p->host->fd_start(p, s->sink.fd, WEIR_WRITABLE, on_writable, NULL);
}

/* Write what is in the buffer. 0: all of it; -EAGAIN; else failed and accounted. */
static int push(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;
	struct lines *l = &s->lines;
	ssize_t n;

	while (l->start < l->end) {
		n = sink_write(&s->sink, l->buffer + l->start, l->end - l->start);
		if (n == -EAGAIN) {
			watch(p, s);
			return -EAGAIN;
		}
		if (n <= 0) {
			fail(p, n ? (int)n : -EIO);
			return l->error;
		}
		works_again(p);
		written(l, l->buffer + l->start, (size_t)n);
		l->start += (size_t)n;
	}
	l->start = l->end = 0;
	return 0;
}

/* ---- formatting ------------------------------------------------------------------ */

/* One line into the buffer. -ENOBUFS: it does not fit now; -E2BIG: it never will. */
static int put_line(struct weir_plugin *p, const struct weir_batch *b, const struct weir_record *r)
{
	struct stdout_state *s = p->state;
	struct lines *l = &s->lines;
	size_t room, n;

	if (l->start == l->end && l->torn) { /* end the line that failed half-way */
		l->start = 0;
		l->end = 1;
		l->buffer[0] = '\n';
		l->mended = true;
	}
	room = BUFFER_SIZE - l->end;
	n = p->host->format(p, b, r, s->mode == MODE_TEXT ? WEIR_FORMAT_TEXT : WEIR_FORMAT_JSON,
	                    l->buffer + l->end, room);
	if (n >= MAX_LINE)
		return -E2BIG;
	if (n >= room)
		return -ENOBUFS;
	l->end += n;
	l->buffer[l->end++] = '\n';
	return 0;
}

/* The next record of h. 1: at its end. */
static int format_next(struct weir_plugin *p, struct lines *l, struct held *h)
{
	const struct weir_record *r = weir_batch_next(h->batch, h->last);
	int err;

	if (!r) {
		end_formatting(l, h); /* a damaged batch may have promised more */
		return 1;
	}
	err = put_line(p, h->batch, r);
	if (err == -ENOBUFS)
		return err;
	h->last = r;
	h->walked++;
	if (err) {
		h->rejected++;
		l->rejected++;
	} else {
		h->unwritten++;
	}
	return 0;
}

/* Format what is held, writing whenever the buffer is full. */
static void format_held(struct weir_plugin *p)
{
	struct lines *l = &((struct stdout_state *)p->state)->lines;
	size_t i;

	for (i = 0; i < l->count; i++) {
		struct held *h = held_at(l, i);

		while (!h->formatted) {
			if (l->end - l->start >= WRITE_SIZE && push(p))
				return; /* no room, or failed and accounted */
			if (format_next(p, l, h) == -ENOBUFS && push(p))
				return;
		}
	}
}

static void on_writable(struct weir_plugin *p, int fd, int events, void *arg)
{
	struct lines *l = &((struct stdout_state *)p->state)->lines;

	(void)fd;
	(void)events;
	(void)arg;
	if (!push(p)) {
		format_held(p);
		push(p);
	}
	if (l->start == l->end)
		unwatch(p, l);
	reap(p);
}

/* ---- the output's callbacks -------------------------------------------------------- */

static void reopen(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;
	struct sink fresh;
	int err = sink_open(&fresh, s->file);

	if (err) {
		fail(p, err);
		return;
	}
	unwatch(p, &s->lines);
	sink_close(&s->sink);
	s->sink = fresh;
	s->lines.torn = false;
}

/* A file may have been rotated, once a second at most. */
static void check_rotation(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;
	uint64_t now = weir_now(p);

	if (!s->sink.is_file || now - s->lines.checked_ns < RETRY_NS)
		return;
	s->lines.checked_ns = now;
	if (sink_is_stale(&s->sink, s->file))
		reopen(p);
}

int lines_deliver(struct weir_plugin *p, const struct weir_batch *b)
{
	struct lines *l = &((struct stdout_state *)p->state)->lines;
	int err;

	if (l->error && weir_now(p) < l->retry_ns) {
		l->rejected += b->header->count;
		return l->error;
	}
	err = hold(p, b);
	if (err) {
		l->rejected += b->header->count;
		return err;
	}
	if (!l->watch)
		format_held(p);
	return WEIR_PENDING;
}

static void on_timer(struct weir_plugin *p, void *arg)
{
	struct lines *l = &((struct stdout_state *)p->state)->lines;

	(void)arg;
	p->host->timer_stop(l->timer);
	l->timer = NULL;
	push(p);
	reap(p);
}

void lines_flush(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;
	struct lines *l = &s->lines;

	check_rotation(p);
	if (s->flush_interval_ns && !l->timer && l->start < l->end)
		l->timer = p->host->timer_start(p, s->flush_interval_ns, 0, on_timer, NULL);
	if (!l->watch && !l->timer)
		push(p);
	reap(p);
}

int lines_start(struct weir_plugin *p)
{
	struct lines *l = &((struct stdout_state *)p->state)->lines;

	*l = (struct lines){ .checked_ns = weir_now(p), .written = l->written, .bytes = l->bytes,
	                     .rejected = l->rejected, .errors = l->errors };
	l->buffer = weir_alloc(p, BUFFER_SIZE);
	return l->buffer ? 0 : -ENOMEM;
}

/* What a slow reader may still cost at the end; the daemon's own deadline is 5 s. */
#define STOP_MS 1000

void lines_stop(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;
	struct lines *l = &s->lines;
	struct pollfd wait = { .fd = s->sink.fd, .events = POLLOUT };
	uint64_t until = weir_now(p) + STOP_MS * 1000000ull;
	size_t i;

	if (!l->buffer)
		return;
	for (;;) {
		format_held(p);
		if (push(p) != -EAGAIN || weir_now(p) >= until || poll(&wait, 1, STOP_MS) <= 0)
			break;
	}
	if (l->start < l->end)
		fail(p, -ETIMEDOUT);
	for (i = 0; i < l->count; i++)
		reject_rest(l, held_at(l, i));
	reap(p);
	unwatch(p, l);
	p->host->timer_stop(l->timer);
	l->timer = NULL;
	weir_free(p, l->held);
	weir_free(p, l->buffer);
	l->held = NULL;
	l->buffer = NULL;
	l->room = l->count = 0;
}
