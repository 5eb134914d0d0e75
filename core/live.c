/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live view's loop.
 *
 *   timer -> ask -> answer -> (next step ->) view -> frame -> one write
 *   keys, resizes ---------------------------^
 *
 * It asks over a loop, so that a daemon that is slow or gone stops neither keys nor
 * resizes: it then says so and goes on asking; a daemon that has been started anew is
 * simply the next answer. Without a terminal, with --once, --count or --json, frames
 * are printed one after the other and a daemon that is gone is an error. One thread.
 */
#include "live.h"
#include "control_private.h"
#include "mem.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* For a status on a busy machine; after that the view says that none came. */
#define ANSWER_MS 3000
/* On paper, not on a terminal: wide enough for all columns. */
#define PAPER_COLUMNS 400

struct arguments { uint64_t interval_ns; };
static const struct weir_option interval_option =
	WEIR_OPTION_DURATION(struct arguments, interval_ns, "interval", "1s", "",
	                     .min = WEIR__TOP_INTERVAL_MIN_S * 1e9, .max = WEIR__TOP_INTERVAL_MAX_S * 1e9);

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT };
#define SIGNALS (sizeof signals / sizeof signals[0])

struct loop {
	const struct weir__live *live;
	const char *socket;
	bool colour;
	char trouble[256];

	uv_loop_t loop;
	uv_timer_t tick, deadline;
	uv_poll_t input;
	uv_signal_t signals[SIGNALS];
	int input_fd, ended_by; /* signal */
	bool quitting;
	/* One round, of one connection per step. */
	uv_pipe_t pipe;
	uv_connect_t connect;
	unsigned step;
	bool asking, finished, next, again; /* next: another step; again: another round */
	char *request, *answer;
	size_t len, room;
};

/* ---- painting ------------------------------------------------------------------------ */

static void quit(struct loop *l);

static void paint(struct loop *l)
{
	struct weir__top_text text = { .colour = l->colour };

	if (l->quitting)
		return;
	weir__top_term_size(&text.rows, &text.columns);
	l->live->ops->frame(l->live->view, &text);
	if (!text.oom && !weir__top_term_paint(&text))
		quit(l); /* nobody looks any more */
	weir__top_text_fini(&text);
}

/* ---- asking --------------------------------------------------------------------------- */

static void ask(struct loop *l);
static void set_tick(struct loop *l);

static void on_closed(uv_handle_t *h)
{
	struct loop *l = h->data;

	l->asking = false;
	weir__free(l->answer);
	weir__free(l->request);
	l->answer = l->request = NULL;
	l->len = l->room = 0;
	if (l->next)
		l->step++;
	else
		l->step = 0;
	if (l->next || l->again)
		ask(l);
}

/* The request is over. */
static void finish(struct loop *l)
{
	l->finished = true;
	uv_timer_stop(&l->deadline);
	if (!uv_is_closing((uv_handle_t *)&l->pipe))
		uv_close((uv_handle_t *)&l->pipe, on_closed);
	if (!l->next)
		paint(l);
}

/* No answer came. */
static void fail(struct loop *l, const char *why)
{
	if (l->finished)
		return;
	snprintf(l->trouble, sizeof l->trouble, "weir does not answer, trying again (%s)", why);
	finish(l);
}

static void take_line(struct loop *l, size_t len)
{
	json_t *answer = json_loadb(l->answer, len, 0, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));
	double interval_s = *l->live->interval_s;
	int r = -1;

	if (json_is_true(json_object_get(answer, "ok"))) {
		r = l->live->ops->take(l->live->view, l->step, answer, l->trouble, sizeof l->trouble);
	} else if (error) {
		snprintf(l->trouble, sizeof l->trouble, "%s", error);
		json_decref(answer);
	} else {
		json_decref(answer);
		fail(l, "no weir at this socket");
		return;
	}
	if (r == 0)
		*l->trouble = 0;
	if (*l->live->interval_s > interval_s)
		set_tick(l);
	l->next = r > 0;
	finish(l);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct loop *l = h->data;
	size_t room = l->room ? l->room : 65536;
	char *p;

	(void)suggested;
	*buf = uv_buf_init(NULL, 0);
	if (l->room - l->len < 4096)
		room *= 2;
	if (room > WEIR__CONTROL_ANSWER_MAX)
		return; /* read fails with ENOBUFS */
	p = weir__realloc(l->answer, room);
	if (!p)
		return;
	l->answer = p;
	l->room = room;
	*buf = uv_buf_init(p + l->len, (unsigned)(room - l->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct loop *l = s->data;
	char *end;

	(void)buf;
	if (n < 0) {
		fail(l, n == UV_EOF ? "it closed the connection" : uv_strerror((int)n));
		return;
	}
	end = n ? memchr(l->answer + l->len, '\n', (size_t)n) : NULL;
	l->len += (size_t)n;
	if (end)
		take_line(l, (size_t)(end - l->answer));
}

static void on_connect(uv_connect_t *c, int status)
{
	struct loop *l = c->data;
	uv_buf_t request[] = { uv_buf_init(l->request, (unsigned)strlen(l->request)),
		               uv_buf_init((char[]){ "\n" }, 1) };
	int r = status;

	if (l->finished)
		return;
	if (!r) {
		/* A new socket has room for a request, which is a few names. */
		r = uv_try_write((uv_stream_t *)&l->pipe, request, 2);
		r = r == (int)request[0].len + 1 ? 0 : r < 0 ? r : UV_EAGAIN;
	}
	if (!r)
		r = uv_read_start((uv_stream_t *)&l->pipe, on_alloc, on_read);
	if (r)
		fail(l, uv_strerror(r));
}

static void on_deadline(uv_timer_t *t)
{
	fail(t->data, "no answer yet");
}

/* The step that is next: the first, unless a round is under way. */
static void ask(struct loop *l)
{
	json_t *request;

	if (l->asking || l->quitting)
		return;
	if (!l->next)
		l->again = false;
	l->next = false;
	request = l->live->ops->request(l->live->view, l->step);
	l->request = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (!l->request || uv_pipe_init(&l->loop, &l->pipe, 0) != 0) {
		weir__free(l->request);
		l->request = NULL;
		l->step = 0;
		snprintf(l->trouble, sizeof l->trouble, "out of memory, or words that are not UTF-8");
		paint(l);
		return;
	}
	l->asking = true;
	l->finished = false;
	l->pipe.data = l->connect.data = l;
	uv_timer_start(&l->deadline, on_deadline, ANSWER_MS, 0);
	uv_pipe_connect(&l->connect, &l->pipe, l->socket, on_connect);
}

static void on_tick(uv_timer_t *t)
{
	struct loop *l = t->data;

	if (!*l->live->paused)
		ask(l);
}

static void set_tick(struct loop *l)
{
	uint64_t ms = (uint64_t)(*l->live->interval_s * 1000);

	uv_timer_start(&l->tick, on_tick, ms, ms);
}

/* ---- keys and signals ------------------------------------------------------------------ */

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void quit(struct loop *l)
{
	if (l->quitting)
		return;
	l->quitting = true;
	if (l->asking && !l->finished)
		finish(l);
	uv_walk(&l->loop, close_handle, NULL);
}

static void on_input(uv_poll_t *p, int status, int events)
{
	struct loop *l = p->data;
	double interval_s = *l->live->interval_s;
	enum weir__live_pressed pressed;
	char typed[256];
	ssize_t n = status < 0 ? 0 : read(l->input_fd, typed, sizeof typed);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		quit(l); /* the terminal has gone */
		return;
	}
	for (size_t at = 0, used; at < (size_t)n; at += used) {
		pressed = l->live->ops->press(l->live->view, typed + at, (size_t)n - at, &used);
		if (pressed == WEIR__LIVE_QUIT) {
			quit(l);
			return;
		}
		l->again |= pressed == WEIR__LIVE_ASK;
	}
	if (*l->live->interval_s < interval_s || *l->live->interval_s > interval_s)
		set_tick(l);
	if (l->again)
		ask(l); /* unless it asks already: then afterwards */
	paint(l);
}

static void on_signal(uv_signal_t *s, int sig)
{
	struct loop *l = s->data;

	switch (sig) {
	case SIGTSTP:
		weir__top_term_leave();
		raise(SIGSTOP);
		return; /* SIGCONT comes next */
	case SIGCONT:
		if (weir__top_term_enter() != 0)
			quit(l);
		paint(l);
		return;
	case SIGWINCH:
		paint(l);
		return;
	default:
		l->ended_by = sig;
		quit(l);
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

static int start_loop(struct loop *l)
{
	int r;

	uv_timer_init(&l->loop, &l->tick);
	uv_timer_init(&l->loop, &l->deadline);
	l->tick.data = l->deadline.data = l->input.data = l;
	r = uv_poll_init(&l->loop, &l->input, l->input_fd);
	if (!r)
		r = uv_poll_start(&l->input, UV_READABLE, on_input);
	for (size_t i = 0; i < SIGNALS && !r; i++) {
		r = uv_signal_init(&l->loop, &l->signals[i]);
		l->signals[i].data = l;
		if (!r)
			r = uv_signal_start(&l->signals[i], on_signal, signals[i]);
	}
	return r;
}

static int run(struct loop *l, const char *name)
{
	int r;

	l->input_fd = open_input();
	if (l->input_fd < 0)
		return weir__cli_error(name, "cannot read the terminal: %s", strerror(-l->input_fd));
	r = uv_loop_init(&l->loop);
	if (r) {
		close(l->input_fd);
		return weir__cli_error(name, "cannot make a loop: %s", uv_strerror(r));
	}
	r = start_loop(l);
	if (!r)
		r = weir__top_term_enter();
	if (!r) {
		paint(l);
		/* What the first frame cannot know are rates; they come soon. */
		uv_timer_start(&l->tick, on_tick, 300, (uint64_t)(*l->live->interval_s * 1000));
	} else {
		quit(l);
	}
	uv_run(&l->loop, UV_RUN_DEFAULT);
	uv_loop_close(&l->loop);
	close(l->input_fd);
	weir__top_term_leave();
	if (r)
		return weir__cli_error(name, "cannot use the terminal: %s", strerror(-r));
	if (l->ended_by && l->ended_by != SIGINT) {
		signal(l->ended_by, SIG_DFL);
		raise(l->ended_by);
	}
	return 0;
}

/* ---- frames one after the other ----------------------------------------------------------- */

static void nap(double s)
{
	struct timespec ts = { (time_t)s, (long)((s - (double)(time_t)s) * 1e9) };

	nanosleep(&ts, NULL);
}

/* Waits as any other command does, and says what is wrong. */
static bool ask_round(const struct weir__live *live, const struct weir__cli *cli, int timeout_ms)
{
	char why[512] = "";
	int r = 1;

	for (unsigned step = 0; r > 0; step++) {
		json_t *answer = weir__cli_ask(cli, live->ops->request(live->view, step), timeout_ms);

		if (!answer)
			return false;
		r = live->ops->take(live->view, step, answer, why, sizeof why);
	}
	if (r < 0)
		weir__cli_error(cli->name, "%s", why);
	return r == 0;
}

static bool print_json(const struct weir__live *live)
{
	json_t *frame = live->ops->json(live->view);
	/* ASCII: it may be looked at on a terminal. */
	bool ok = frame && json_dumpf(frame, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12) |
	                                             JSON_ENSURE_ASCII) == 0;

	json_decref(frame);
	printf("\n");
	return ok;
}

static bool print_text(const struct weir__live *live)
{
	struct weir__top_text text = { .rows = UINT_MAX, .columns = PAPER_COLUMNS,
		.colour = weir__cli_colour(stdout) };
	unsigned rows;
	bool ok;

	if (isatty(STDOUT_FILENO))
		weir__top_term_size(&rows, &text.columns);
	*live->plain = true;
	live->ops->frame(live->view, &text);
	ok = !text.oom && text.text;
	if (ok)
		fputs(text.text, stdout);
	weir__top_text_fini(&text);
	return ok;
}

/* count 0: no end. */
static int print_frames(const struct weir__live *live, const struct weir__cli *cli,
                        unsigned long count)
{
	bool json = cli->option[WEIR__CLI_JSON], ok = true;

	for (unsigned long i = 0; (!count || i < count) && ok; i++) {
		nap(*live->interval_s);
		if (!ask_round(live, cli, ANSWER_MS))
			return 1;
		if (i && !json)
			printf("\n");
		ok = json ? print_json(live) : print_text(live);
		if (!ok)
			return weir__cli_error(cli->name, "out of memory");
		if (fflush(stdout) != 0)
			return 1; /* main says why */
	}
	return 0;
}

/* ---- from the command line ------------------------------------------------------------------ */

int weir__live_words(const struct weir__cli *cli, double *ret_interval_s, unsigned long *ret_count)
{
	const char *count = cli->option[WEIR__CLI_COUNT], *interval = cli->option[WEIR__CLI_INTERVAL];
	struct arguments args = { .interval_ns = 1000000000ull };
	char err[256], text[320], *end = NULL;

	if (interval && weir__option_set(&interval_option, &args, interval, err, sizeof err) != 0) {
		snprintf(text, sizeof text, "--interval: expected %s", err);
		return weir__cmd_usage(cli->name, text);
	}
	*ret_interval_s = (double)args.interval_ns / 1e9;
	*ret_count = 0;
	if (count) {
		*ret_count = strtoul(count, &end, 10);
		if (*count < '1' || *count > '9' || *end)
			return weir__cmd_usage(cli->name, "--count takes a number from 1");
	}
	if (cli->option[WEIR__CLI_ONCE])
		*ret_count = 1;
	return -1;
}

int weir__live_run(const struct weir__live *live, const struct weir__cli *cli, unsigned long count)
{
	struct loop l = { .live = live, .socket = weir__cli_socket(cli),
		.colour = weir__cli_colour(stdout) };

	*live->trouble = "";
	if (!ask_round(live, cli, WEIR__CONTROL_TIMEOUT_MS))
		return 1;
	if (count || cli->option[WEIR__CLI_JSON])
		return print_frames(live, cli, count);
	if (!weir__top_term_able())
		return print_frames(live, cli, 1);
	*live->trouble = l.trouble;
	return run(&l, cli->name);
}
