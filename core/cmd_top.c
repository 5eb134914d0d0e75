/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir top: a live view of the plugins, from "status" asked again and again.
 *
 *   timer -> ask -> answer -> view -> frame -> one write
 *   keys, resizes ----------^
 *
 * The live view asks over a loop, so that a daemon that is slow or gone stops neither
 * keys nor resizes: it then says so and goes on asking; a daemon that has been started
 * anew is simply the next answer. Without a terminal, with --once, --count or --json,
 * frames are printed one after the other and a daemon that is gone is an error. One
 * thread.
 */
#include "cli.h"
#include "control_private.h"
#include "mem.h"
#include "options.h"
#include "top.h"

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

#define REQUEST "{\"cmd\":\"status\"}\n"

struct arguments { uint64_t interval_ns; };
static const struct weir_option interval_option =
	WEIR_OPTION_DURATION(struct arguments, interval_ns, "interval", "1s", "",
	                     .min = WEIR__TOP_INTERVAL_MIN_S * 1e9, .max = WEIR__TOP_INTERVAL_MAX_S * 1e9);

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT };
#define SIGNALS (sizeof signals / sizeof signals[0])

struct top {
	struct weir__top_view view;
	json_t *now, *before;
	bool colour;
	char trouble[256];

	/* the live view */
	uv_loop_t loop;
	uv_timer_t tick, deadline;
	uv_poll_t input;
	uv_signal_t signals[SIGNALS];
	int input_fd, ended_by; /* signal */
	bool quitting;
	const char *socket;
	/* one request */
	uv_pipe_t pipe;
	uv_connect_t connect;
	bool asking, finished;
	char *answer;
	size_t len, room;
};

/* Takes the reference. */
static void take_answer(struct top *top, json_t *answer)
{
	json_decref(top->before);
	top->before = top->now;
	top->now = answer;
	top->view.now = top->now;
	top->view.before = top->before;
}

/* ---- painting ------------------------------------------------------------------------ */

static void quit(struct top *top);

static void paint(struct top *top)
{
	struct weir__top_text text = { .colour = top->colour };

	if (top->quitting)
		return;
	top->view.trouble = top->trouble;
	weir__top_term_size(&text.rows, &text.columns);
	weir__top_frame(&top->view, &text);
	if (!text.oom && !weir__top_term_paint(&text))
		quit(top); /* nobody looks any more */
	weir__top_text_fini(&text);
}

/* ---- asking --------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h)
{
	struct top *top = h->data;

	top->asking = false;
	weir__free(top->answer);
	top->answer = NULL;
	top->len = top->room = 0;
}

/* The request is over, well or not; why: NULL for well. */
static void finish(struct top *top, const char *why)
{
	if (top->finished)
		return;
	top->finished = true;
	uv_timer_stop(&top->deadline);
	if (!uv_is_closing((uv_handle_t *)&top->pipe))
		uv_close((uv_handle_t *)&top->pipe, on_closed);
	snprintf(top->trouble, sizeof top->trouble, why ? "weir does not answer, trying again (%s)" : "%s",
	         why ? why : "");
	paint(top);
}

static void take_line(struct top *top, size_t len)
{
	json_t *answer = json_loadb(top->answer, len, 0, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));
	bool ok = json_is_true(json_object_get(answer, "ok"));
	char why[200];

	snprintf(why, sizeof why, "%s", error ? error : "no weir at this socket");
	if (ok)
		take_answer(top, answer);
	else
		json_decref(answer);
	finish(top, ok ? NULL : why);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct top *top = h->data;
	size_t room = top->room ? top->room : 65536;
	char *p;

	(void)suggested;
	*buf = uv_buf_init(NULL, 0);
	if (top->room - top->len < 4096)
		room *= 2;
	if (room > WEIR__CONTROL_ANSWER_MAX)
		return; /* read fails with ENOBUFS */
	p = weir__realloc(top->answer, room);
	if (!p)
		return;
	top->answer = p;
	top->room = room;
	*buf = uv_buf_init(p + top->len, (unsigned)(room - top->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct top *top = s->data;
	char *end;

	(void)buf;
	if (n < 0) {
		finish(top, n == UV_EOF ? "it closed the connection" : uv_strerror((int)n));
		return;
	}
	end = n ? memchr(top->answer + top->len, '\n', (size_t)n) : NULL;
	top->len += (size_t)n;
	if (end)
		take_line(top, (size_t)(end - top->answer));
}

static void on_connect(uv_connect_t *c, int status)
{
	struct top *top = c->data;
	uv_buf_t request = uv_buf_init((char[]){ REQUEST }, sizeof REQUEST - 1);
	int r = status;

	if (top->finished)
		return;
	if (!r) {
		/* A new socket has room for a request of this size. */
		r = uv_try_write((uv_stream_t *)&top->pipe, &request, 1);
		r = r == (int)request.len ? 0 : r < 0 ? r : UV_EAGAIN;
	}
	if (!r)
		r = uv_read_start((uv_stream_t *)&top->pipe, on_alloc, on_read);
	if (r)
		finish(top, uv_strerror(r));
}

static void on_deadline(uv_timer_t *t)
{
	finish(t->data, "no answer yet");
}

static void ask(struct top *top)
{
	if (top->asking || top->quitting)
		return;
	if (uv_pipe_init(&top->loop, &top->pipe, 0) != 0)
		return;
	top->asking = true;
	top->finished = false;
	top->pipe.data = top->connect.data = top;
	uv_timer_start(&top->deadline, on_deadline, ANSWER_MS, 0);
	uv_pipe_connect(&top->connect, &top->pipe, top->socket, on_connect);
}

static void on_tick(uv_timer_t *t)
{
	struct top *top = t->data;

	if (!top->view.paused)
		ask(top);
}

static void set_tick(struct top *top)
{
	uint64_t ms = (uint64_t)(top->view.interval_s * 1000);

	uv_timer_start(&top->tick, on_tick, ms, ms);
}

/* ---- keys and signals ------------------------------------------------------------------ */

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void quit(struct top *top)
{
	if (top->quitting)
		return;
	top->quitting = true;
	if (top->asking)
		finish(top, NULL);
	uv_walk(&top->loop, close_handle, NULL);
}

static void on_input(uv_poll_t *p, int status, int events)
{
	struct top *top = p->data;
	double interval_s = top->view.interval_s;
	char typed[256];
	ssize_t n = status < 0 ? 0 : read(top->input_fd, typed, sizeof typed);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		quit(top); /* the terminal has gone */
		return;
	}
	for (size_t at = 0, used; at < (size_t)n; at += used)
		if (!weir__top_press(&top->view, weir__top_key(typed + at, (size_t)n - at, &used))) {
			quit(top);
			return;
		}
	if (top->view.interval_s < interval_s || top->view.interval_s > interval_s)
		set_tick(top);
	paint(top);
}

static void on_signal(uv_signal_t *s, int sig)
{
	struct top *top = s->data;

	switch (sig) {
	case SIGTSTP:
		weir__top_term_leave();
		raise(SIGSTOP);
		return; /* SIGCONT comes next */
	case SIGCONT:
		if (weir__top_term_enter() != 0)
			quit(top);
		paint(top);
		return;
	case SIGWINCH:
		paint(top);
		return;
	default:
		top->ended_by = sig;
		quit(top);
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

static int start_loop(struct top *top)
{
	int r;

	uv_timer_init(&top->loop, &top->tick);
	uv_timer_init(&top->loop, &top->deadline);
	top->tick.data = top->deadline.data = top->input.data = top;
	r = uv_poll_init(&top->loop, &top->input, top->input_fd);
	if (!r)
		r = uv_poll_start(&top->input, UV_READABLE, on_input);
	for (size_t i = 0; i < SIGNALS && !r; i++) {
		r = uv_signal_init(&top->loop, &top->signals[i]);
		top->signals[i].data = top;
		if (!r)
			r = uv_signal_start(&top->signals[i], on_signal, signals[i]);
	}
	return r;
}

static int live(struct top *top, const char *name)
{
	int r;

	top->input_fd = open_input();
	if (top->input_fd < 0)
		return weir__cli_error(name, "cannot read the terminal: %s", strerror(-top->input_fd));
	r = uv_loop_init(&top->loop);
	if (r) {
		close(top->input_fd);
		return weir__cli_error(name, "cannot make a loop: %s", uv_strerror(r));
	}
	r = start_loop(top);
	if (!r)
		r = weir__top_term_enter();
	if (!r) {
		paint(top);
		/* What the first frame cannot know are rates; they come soon. */
		uv_timer_start(&top->tick, on_tick, 300, (uint64_t)(top->view.interval_s * 1000));
	} else {
		quit(top);
	}
	uv_run(&top->loop, UV_RUN_DEFAULT);
	uv_loop_close(&top->loop);
	close(top->input_fd);
	weir__top_term_leave();
	if (r)
		return weir__cli_error(name, "cannot use the terminal: %s", strerror(-r));
	if (top->ended_by && top->ended_by != SIGINT) {
		signal(top->ended_by, SIG_DFL);
		raise(top->ended_by);
	}
	return 0;
}

/* ---- frames one after the other ----------------------------------------------------------- */

static void nap(double s)
{
	struct timespec ts = { (time_t)s, (long)((s - (double)(time_t)s) * 1e9) };

	nanosleep(&ts, NULL);
}

static bool print_json(struct top *top)
{
	json_t *frame = weir__top_json(top->now, top->before, top->view.sort, top->view.reverse);
	bool ok = frame && json_dumpf(frame, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12)) == 0;

	json_decref(frame);
	printf("\n");
	return ok;
}

static bool print_text(struct top *top)
{
	struct weir__top_text text = { .rows = UINT_MAX, .columns = PAPER_COLUMNS, .colour = top->colour };
	unsigned rows;
	bool ok;

	if (isatty(STDOUT_FILENO))
		weir__top_term_size(&rows, &text.columns);
	top->view.plain = true;
	weir__top_frame(&top->view, &text);
	ok = !text.oom && text.text;
	if (ok)
		fputs(text.text, stdout);
	weir__top_text_fini(&text);
	return ok;
}

/* count 0: no end. */
static int print_frames(struct top *top, const struct weir__cli *cli, unsigned long count)
{
	bool json = cli->option[WEIR__CLI_JSON], ok = true;

	for (unsigned long i = 0; (!count || i < count) && ok; i++) {
		json_t *answer;

		nap(top->view.interval_s);
		answer = weir__cli_ask(cli, json_pack("{s:s}", "cmd", "status"), ANSWER_MS);
		if (!answer)
			return 1;
		take_answer(top, answer);
		if (i && !json)
			printf("\n");
		ok = json ? print_json(top) : print_text(top);
		if (!ok)
			return weir__cli_error(cli->name, "out of memory");
		if (fflush(stdout) != 0)
			return 1; /* main says why */
	}
	return 0;
}

/* ---- words ----------------------------------------------------------------------------------- */

/* -1, or the exit code. */
static int read_words(const struct weir__cli *cli, struct top *top, unsigned long *ret_count)
{
	const char *count = cli->option[WEIR__CLI_COUNT], *sort = cli->option[WEIR__CLI_SORT];
	const char *interval = cli->option[WEIR__CLI_INTERVAL];
	struct arguments args = { .interval_ns = 1000000000ull };
	char err[256], text[320], *end = NULL;

	if (cli->argc)
		return weir__cmd_usage(cli->name, "takes no arguments");
	if (interval && weir__option_set(&interval_option, &args, interval, err, sizeof err) != 0) {
		snprintf(text, sizeof text, "--interval: expected %s", err);
		return weir__cmd_usage(cli->name, text);
	}
	top->view.interval_s = (double)args.interval_ns / 1e9;
	if (sort && weir__top_sort_find(sort) < 0)
		return weir__cmd_usage(cli->name, "--sort takes one of " WEIR__CLI_SORTS);
	top->view.sort = sort ? (enum weir__top_sort)weir__top_sort_find(sort) : WEIR__TOP_CPU;
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

int weir__cmd_top(int argc, char **argv)
{
	struct top top = { .view = { .trouble = "" } };
	unsigned long count = 0;
	struct weir__cli cli;
	json_t *answer;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	r = read_words(&cli, &top, &count);
	if (r >= 0)
		return r;
	/* The first one waits as any other command does, and says what is wrong. */
	answer = weir__cli_ask(&cli, json_pack("{s:s}", "cmd", "status"), WEIR__CONTROL_TIMEOUT_MS);
	if (!answer)
		return 1;
	take_answer(&top, answer);
	top.colour = weir__cli_colour(stdout);
	top.socket = weir__cli_socket(&cli);
	if (count || cli.option[WEIR__CLI_JSON])
		r = print_frames(&top, &cli, count);
	else if (!weir__top_term_able())
		r = print_frames(&top, &cli, 1);
	else
		r = live(&top, cli.name);
	json_decref(top.now);
	json_decref(top.before);
	return r;
}
