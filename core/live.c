/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of a live view: see live.h. Failures: a terminal that cannot be used is an exit
 * code; a daemon that does not answer is a line in the view. One thread.
 */
#include "live.h"
#include "cli.h"
#include "control_private.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT };
#define SIGNALS (sizeof signals / sizeof signals[0])

struct view {
	struct weir__live *live;
	char trouble[256];
	uv_loop_t loop;
	uv_timer_t tick, deadline;
	uv_poll_t input;
	uv_signal_t signals[SIGNALS];
	int input_fd, ended_by; /* signal */
	bool quitting;
	/* one request */
	uv_pipe_t pipe;
	uv_connect_t connect;
	bool asking, finished;
	char *answer;
	size_t len, room;
};

/* ---- painting ------------------------------------------------------------------------ */

static void quit(struct view *v);

static void paint(struct view *v)
{
	struct weir__top_text text = { .colour = v->live->colour };

	if (v->quitting)
		return;
	weir__top_term_size(&text.rows, &text.columns);
	v->live->paint(v->live->arg, &text, v->trouble);
	if (!text.oom && !weir__top_term_paint(&text))
		quit(v); /* nobody looks any more */
	weir__top_text_fini(&text);
}

/* ---- asking --------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h)
{
	struct view *v = h->data;

	v->asking = false;
	weir__free(v->answer);
	v->answer = NULL;
	v->len = v->room = 0;
}

/* The request is over, well or not; why: NULL for well. */
static void finish(struct view *v, const char *why)
{
	if (v->finished)
		return;
	v->finished = true;
	uv_timer_stop(&v->deadline);
	if (!uv_is_closing((uv_handle_t *)&v->pipe))
		uv_close((uv_handle_t *)&v->pipe, on_closed);
	snprintf(v->trouble, sizeof v->trouble, why ? "weir does not answer, trying again (%s)" : "%s",
	         why ? why : "");
	paint(v);
}

static void take_line(struct view *v, size_t len)
{
	json_t *answer = json_loadb(v->answer, len, 0, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));
	bool ok = json_is_true(json_object_get(answer, "ok"));
	char why[200];

	snprintf(why, sizeof why, "%s", error ? error : "no weir at this socket");
	if (ok)
		v->live->take(v->live->arg, answer);
	else
		json_decref(answer);
	finish(v, ok ? NULL : why);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct view *v = h->data;
	size_t room = v->room ? v->room : 65536;
	char *p;

	(void)suggested;
	*buf = uv_buf_init(NULL, 0);
	if (v->room - v->len < 4096)
		room *= 2;
	if (room > WEIR__CONTROL_ANSWER_MAX)
		return; /* read fails with ENOBUFS */
	p = weir__realloc(v->answer, room);
	if (!p)
		return;
	v->answer = p;
	v->room = room;
	*buf = uv_buf_init(p + v->len, (unsigned)(room - v->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct view *v = s->data;
	char *end;

	(void)buf;
	if (n < 0) {
		finish(v, n == UV_EOF ? "it closed the connection" : uv_strerror((int)n));
		return;
	}
	end = n ? memchr(v->answer + v->len, '\n', (size_t)n) : NULL;
	v->len += (size_t)n;
	if (end)
		take_line(v, (size_t)(end - v->answer));
}

static void on_connect(uv_connect_t *c, int status)
{
	struct view *v = c->data;
	const char *text = v->live->request(v->live->arg);
	uv_buf_t request = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));
	int r = status;

	if (v->finished)
		return;
	if (!r) {
		/* A new socket has room for a request of this size. */
		r = uv_try_write((uv_stream_t *)&v->pipe, &request, 1);
		r = r == (int)request.len ? 0 : r < 0 ? r : UV_EAGAIN;
	}
	if (!r)
		r = uv_read_start((uv_stream_t *)&v->pipe, on_alloc, on_read);
	if (r)
		finish(v, uv_strerror(r));
}

static void on_deadline(uv_timer_t *t)
{
	finish(t->data, "no answer yet");
}

static void ask(struct view *v)
{
	if (v->asking || v->quitting)
		return;
	if (uv_pipe_init(&v->loop, &v->pipe, 0) != 0)
		return;
	v->asking = true;
	v->finished = false;
	v->pipe.data = v->connect.data = v;
	uv_timer_start(&v->deadline, on_deadline, WEIR__LIVE_ANSWER_MS, 0);
	uv_pipe_connect(&v->connect, &v->pipe, v->live->socket, on_connect);
}

static void on_tick(uv_timer_t *t)
{
	struct view *v = t->data;

	if (!v->live->paused)
		ask(v);
}

static void set_tick(struct view *v)
{
	uint64_t ms = (uint64_t)(v->live->interval_s * 1000);

	uv_timer_start(&v->tick, on_tick, ms, ms);
}

/* ---- keys and signals ------------------------------------------------------------------ */

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void quit(struct view *v)
{
	if (v->quitting)
		return;
	v->quitting = true;
	if (v->asking)
		finish(v, NULL);
	uv_walk(&v->loop, close_handle, NULL);
}

static void on_input(uv_poll_t *p, int status, int events)
{
	struct view *v = p->data;
	double interval_s = v->live->interval_s;
	char typed[256];
	ssize_t n = status < 0 ? 0 : read(v->input_fd, typed, sizeof typed);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		quit(v); /* the terminal has gone */
		return;
	}
	for (size_t at = 0, used; at < (size_t)n; at += used)
		if (!v->live->press(v->live->arg, weir__top_key(typed + at, (size_t)n - at, &used))) {
			quit(v);
			return;
		}
	if (v->live->interval_s < interval_s || v->live->interval_s > interval_s)
		set_tick(v);
	if (v->live->ask_now) {
		v->live->ask_now = false;
		ask(v);
	}
	paint(v);
}

static void on_signal(uv_signal_t *s, int sig)
{
	struct view *v = s->data;

	switch (sig) {
	case SIGTSTP:
		weir__top_term_leave();
		raise(SIGSTOP);
		return; /* SIGCONT comes next */
	case SIGCONT:
		if (weir__top_term_enter() != 0)
			quit(v);
		paint(v);
		return;
	case SIGWINCH:
		paint(v);
		return;
	default:
		v->ended_by = sig;
		quit(v);
	}
}

/* A descriptor of our own: the loop makes it non-blocking, and descriptor 0 is shared
 * with the shell. */
static int open_input(void)
{
	char name[PATH_MAX];
	int fd = open("/dev/tty", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 && ttyname_r(STDIN_FILENO, name, sizeof name) == 0)
		fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static int start_loop(struct view *v)
{
	int r;

	uv_timer_init(&v->loop, &v->tick);
	uv_timer_init(&v->loop, &v->deadline);
	v->tick.data = v->deadline.data = v->input.data = v;
	r = uv_poll_init(&v->loop, &v->input, v->input_fd);
	if (!r)
		r = uv_poll_start(&v->input, UV_READABLE, on_input);
	for (size_t i = 0; i < SIGNALS && !r; i++) {
		r = uv_signal_init(&v->loop, &v->signals[i]);
		v->signals[i].data = v;
		if (!r)
			r = uv_signal_start(&v->signals[i], on_signal, signals[i]);
	}
	return r;
}

int weir__live_run(struct weir__live *live)
{
	struct view view = { .live = live }, *v = &view;
	int r;

	v->input_fd = open_input();
	if (v->input_fd < 0)
		return weir__cli_error(live->name, "cannot read the terminal: %s", strerror(-v->input_fd));
	r = uv_loop_init(&v->loop);
	if (r) {
		close(v->input_fd);
		return weir__cli_error(live->name, "cannot make a loop: %s", uv_strerror(r));
	}
	r = start_loop(v);
	if (!r)
		r = weir__top_term_enter();
	if (!r) {
		paint(v);
		/* What the first frame cannot know are rates; they come soon. */
		uv_timer_start(&v->tick, on_tick, 300, (uint64_t)(live->interval_s * 1000));
	} else {
		quit(v);
	}
	uv_run(&v->loop, UV_RUN_DEFAULT);
	uv_loop_close(&v->loop);
	close(v->input_fd);
	weir__top_term_leave();
	if (r)
		return weir__cli_error(live->name, "cannot use the terminal: %s", strerror(-r));
	if (v->ended_by && v->ended_by != SIGINT) {
		signal(v->ended_by, SIG_DFL);
		raise(v->ended_by);
	}
	return 0;
}

void weir__live_nap(double s)
{
	struct timespec ts = { (time_t)s, (long)((s - (double)(time_t)s) * 1e9) };

	nanosleep(&ts, NULL);
}
