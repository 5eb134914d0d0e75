/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live view: what every plugin and the daemon answer to the query "summary",
 * painted over again in place, so that what was on the terminal before stays and the
 * last view is left there at the end.
 *
 *   timer -> ask("*.summary") -> on_summaries -> one frame, one write
 *
 * A frame hides the cursor and switches wrapping off at its start and undoes both
 * at its end, so the terminal is whole whenever we are not writing. Nothing wider or
 * higher than the terminal is written; nothing at all while it belongs to another
 * job. Summaries are data: no control byte of theirs gets through.
 *
 * Failures: a terminal that is slow or gone costs frames, never events.
 */
#include "stdout.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* A view of 100 lines of 300 characters, generously; more is cut. */
#define FRAME_SIZE 65536
/* The first view comes soon after the start, when there is something to see. */
#define FIRST_NS 300000000ull

struct table {
	char *frame;
	size_t len;
	unsigned painted;      /* lines of the last frame on the terminal */
	unsigned rows, columns;
	bool colour, asking;
	uint64_t records, records_before, before_ns;
	struct weir_timer *timer;
};

/* ---- the frame ---------------------------------------------------------------- */

static void add(struct table *t, const char *s, size_t n)
{
	if (n > FRAME_SIZE - t->len)
		n = FRAME_SIZE - t->len;
	memcpy(t->frame + t->len, s, n);
	t->len += n;
}
#define ADD(t, literal) add((t), (literal), sizeof(literal) - 1)

/* Code points that reorder, hide or separate text instead of being shown. */
static bool acts(uint32_t c)
{
	return c < 0xa0 || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

/* Length of a harmless character at s, 0 if it is none: printable ASCII, or
 * well-formed UTF-8 that does not act. */
static size_t character(const unsigned char *s, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2, i;
	uint32_t c = s[0] & (0x7fu >> len);

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len > n)
		return 0;
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff || acts(c))
		return 0;
	return len;
}

/* One line of at most the terminal's width, if there is a row left for it. */
static void add_line(struct table *t, const char *text, size_t n, bool bold)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned column = 0;
	size_t len;

	if (t->painted + 1 >= t->rows)
		return;
	if (bold && t->colour)
		ADD(t, "\033[1m");
	while (n && column < t->columns) {
		len = character(s, n);
		if (len)
			add(t, (const char *)s, len);
		else
			add(t, *s == '\t' ? " " : "?", 1);
		s += len ? len : 1;
		n -= len ? len : 1;
		column++;
	}
	if (bold && t->colour)
		ADD(t, "\033[0m");
	ADD(t, "\033[K\r\n");
	t->painted++;
}

/* A line that does not begin with a space is a heading. */
static void add_text(struct table *t, const char *text, size_t n)
{
	const char *end;

	while (n) {
		end = memchr(text, '\n', n);
		if (!end)
			end = text + n;
		add_line(t, text, (size_t)(end - text), end > text && *text != ' ');
		n -= (size_t)(end - text);
		text = end;
		if (n) {
			text++;
			n--;
		}
	}
}

/* Time, and what has come since the last frame. */
static void add_head(struct weir_plugin *p, struct table *t)
{
	uint64_t now = weir_now(p), passed = now - t->before_ns;
	time_t utc = (time_t)(p->host->realtime(p) / 1000000000ull);
	char line[128], clock[16] = "";
	struct tm tm;
	int n;

	if (gmtime_r(&utc, &tm))
		strftime(clock, sizeof clock, "%H:%M:%S", &tm);
	n = snprintf(line, sizeof line, "weir  %s UTC  %.0f events/s", clock,
	             passed ? (double)(t->records - t->records_before) * 1e9 / (double)passed : 0.0);
	add_line(t, line, (size_t)n, true);
	t->records_before = t->records;
	t->before_ns = now;
}

/* ---- painting ------------------------------------------------------------------------ */

/* The size of the terminal; when it has changed, old lines may have been wrapped, so
 * begin anew. */
static void measure(struct table *t, int fd)
{
	unsigned rows = t->rows, columns = t->columns;
	struct winsize size;
	bool known = !ioctl(fd, TIOCGWINSZ, &size) && size.ws_row && size.ws_col;

	t->rows = known ? size.ws_row : 24;
	t->columns = known ? size.ws_col : 80;
	if (rows && (rows != t->rows || columns != t->columns)) {
		ADD(t, "\033[H\033[2J");
		t->painted = 0;
	}
}

/* Does the terminal listen to us, and not to another job? */
static bool in_foreground(int fd)
{
	pid_t group = tcgetpgrp(fd);

	return group < 0 || group == getpgrp(); /* not our controlling terminal: no jobs */
}

/* All of a frame or, when the terminal is slow, its beginning: the next one paints
 * over it. */
static void show(struct stdout_state *s)
{
	struct table *t = s->table;
	size_t done = 0;
	ssize_t n;

	while (done < t->len && (n = sink_write(&s->sink, t->frame + done, t->len - done)) > 0)
		done += (size_t)n;
}

static void on_summaries(struct weir_plugin *p, int err, const char *text, size_t len, void *arg)
{
	struct stdout_state *s = p->state;
	struct table *t = s->table;
	char up[32];
	int n;

	(void)arg;
	if (!t)
		return; /* stopped meanwhile */
	t->asking = false;
	if (!in_foreground(s->sink.fd))
		return;
	t->len = 0;
	ADD(t, "\033[?25l\033[?7l\r");
	measure(t, s->sink.fd);
	n = snprintf(up, sizeof up, "\033[%uA", t->painted);
	if (t->painted)
		add(t, up, (size_t)n);
	t->painted = 0;
	add_head(p, t);
	if (err == -ENOENT || (!err && !len))
		add_line(t, "  no running plugin has a summary", 33, false);
	else if (err)
		add_line(t, "  the summaries did not come in time", 36, false);
	else
		add_text(t, text, len);
	if (t->len > FRAME_SIZE - 32)
		t->len = FRAME_SIZE - 32;
	ADD(t, "\033[J\033[?7h\033[?25h");
	show(s);
}

static void on_timer(struct weir_plugin *p, void *arg)
{
	struct table *t = ((struct stdout_state *)p->state)->table;
	int err;

	(void)arg;
	if (t->asking)
		return;
	t->asking = true;
	err = p->host->ask(p, "*." WEIR_QUERY_SUMMARY, on_summaries, NULL);
	if (err)
		on_summaries(p, err, "", 0, NULL);
}

/* ---- life ------------------------------------------------------------------------------ */

int table_start(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;
	struct table *t = weir_alloc(p, sizeof *t);
	const char *no_color = getenv("NO_COLOR");

	if (!t)
		return -ENOMEM;
	*t = (struct table){ .colour = !no_color || !no_color[0], .before_ns = weir_now(p) };
	t->frame = weir_alloc(p, FRAME_SIZE);
	t->timer = t->frame ? p->host->timer_start(p, s->interval_ns < FIRST_NS ? s->interval_ns : FIRST_NS,
	                                           s->interval_ns, on_timer, NULL) : NULL;
	if (!t->timer) {
		weir_free(p, t->frame);
		weir_free(p, t);
		return -ENOMEM;
	}
	s->table = t;
	return 0;
}

void table_stop(struct weir_plugin *p)
{
	struct stdout_state *s = p->state;

	if (!s->table)
		return;
	p->host->timer_stop(s->table->timer);
	weir_free(p, s->table->frame);
	weir_free(p, s->table);
	s->table = NULL;
}

void table_count(struct weir_plugin *p, uint64_t records)
{
	struct table *t = ((struct stdout_state *)p->state)->table;

	if (t)
		t->records += records;
}
