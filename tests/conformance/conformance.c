/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance test: what every plugin must survive, whatever it does.
 *
 *     weir-conformance [--layout FILE] [-o NAME=VALUE] PLUGIN.so
 *
 * Loads the .so with the daemon's own loader and runs it in the test host: its
 * life in every legal order, wrong options, every service failing at its n-th
 * call; afterwards the same descriptors, threads and children as before and
 * nothing on its memory account. A source may refuse to start (there is no BPF
 * here), but then it says why. Prints one line a step; exit 0, 1 (a step failed),
 * or 2 (usage).
 */
#include "conformance.h"

#include <dirent.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A fault loop over a plugin that makes thousands of calls would take minutes:
 * every n up to here, then in steps that grow, and no longer than this. */
#define EVERY_N 100
#define LOOP_SECONDS 10

static FILE *report; /* the real stdout: an output plugin may write to fd 1 */

int problem(const char *fmt, ...)
{
	va_list ap;

	fprintf(report, "#   ");
	va_start(ap, fmt);
	vfprintf(report, fmt, ap);
	va_end(ap);
	fprintf(report, "\n");
	return -1;
}

void remark(const char *fmt, ...)
{
	va_list ap;

	fprintf(report, "#   (");
	va_start(ap, fmt);
	vfprintf(report, fmt, ap);
	va_end(ap);
	fprintf(report, ")\n");
}

/* ---- what the process holds ------------------------------------------------------ */

struct holdings {
	int fds, threads;
};

static int count_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct holdings holdings(void)
{
	return (struct holdings){ count_entries("/proc/self/fd"), count_entries("/proc/self/task") };
}

/* A joined thread's directory may outlive the join by a moment, hence the wait. */
static int same_holdings(struct holdings before, const char *when)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	struct holdings now = holdings();

	for (int i = 0; i < 5000 && now.threads != before.threads; i++) {
		nanosleep(&pause, NULL);
		now = holdings();
	}
	if (now.fds != before.fds)
		return problem("%s: %d file descriptors, %d before", when, now.fds, before.fds);
	if (now.threads != before.threads)
		return problem("%s: %d threads, %d before", when, now.threads, before.threads);
	if (waitpid(-1, NULL, WNOHANG) >= 0)
		return problem("%s: a child process is left", when);
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

/* The first thread may bring one of a sanitizer's along, that stays. */
static void first_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, nothing, NULL) == 0)
		pthread_join(thread, NULL);
}

/* ---- one plugin ---------------------------------------------------------------------- */

struct weir_test *subject_new(struct subject *s)
{
	struct weir_test *t = weir_test_new_with(s->desc, s->options);

	weir_test_real_files(t, true);
	return t;
}

static int end(struct weir_test *t, const char *when)
{
	long left = weir_test_free(t);

	return left ? problem("%s: %ld blocks are left on the plugin's memory account", when, left) : 0;
}

static int check_answer(const struct weir_query *q, int r, const char *text)
{
	json_error_t error;
	json_t *json;

	if (r < 0)
		return 0; /* it may; the text says why */
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 && !strchr("\n\t\r", *c))
			return problem("query %s: control byte 0x%02x in the answer", q->name, *c);
	if (strncmp(q->content_type, "application/json", 16) != 0)
		return 0;
	json = json_loads(text, JSON_DECODE_ANY, &error);
	if (!json)
		return problem("query %s: not JSON: %s at %d:%d", q->name, error.text, error.line, error.column);
	json_decref(json);
	return 0;
}

static int ask_all(struct subject *s, struct weir_test *t)
{
	static char buf[4 << 20];
	const struct weir_query *q;
	int r = 0;

	for (uint32_t i = 0; r == 0 && (q = weir_table_row(&s->desc->queries, i)); i++)
		r = check_answer(q, weir_test_query_with(t, q->name, NULL, buf, sizeof(buf)), buf);
	return r;
}

int exercise(struct subject *s, struct weir_test *t)
{
	int r;

	for (int i = 0; i < 3; i++) {
		weir_test_poll(t, 0);
		weir_test_advance(t, WEIR_TEST_SECOND / 2);
		if (s->running && s->running->tick) /* whatever its interval */
			weir_test_tick(t);
		weir_test_collect(t);
		weir_test_check(t);
	}
	r = ask_all(s, t);
	return r < 0 ? r : exercise_output(s, t);
}

/* ---- steps ------------------------------------------------------------------------------ */

static int loads(struct subject *s)
{
	struct weir__loaded *again = NULL;
	const char *file = strrchr(s->path, '/');
	char why[1024], name[64];
	int refusal;

	if (weir__load_check(s->path, &refusal, why, sizeof(why)) < 0 ||
	    weir__load(s->path, NULL, &s->loaded, &refusal, why, sizeof(why)) < 0)
		return problem("%s", why);
	s->desc = &s->loaded->desc;
	snprintf(name, sizeof(name), "%s.so", s->desc->name);
	if (strcmp(file ? file + 1 : s->path, name) != 0)
		return problem("the plugin is called \"%s\", its file %s: weir looks for %s",
		               s->desc->name, s->path, name);
	if (weir__load(s->path, s->desc->name, &again, &refusal, why, sizeof(why)) < 0)
		return problem("a second time: %s", why);
	return again == s->loaded ? 0 : problem("a second load gave another result");
}

static int init_and_fini(struct subject *s)
{
	struct weir_test *t = subject_new(s);
	int r = weir_test_init(t);

	if (r < 0) {
		problem("init: %s: %s", strerror(-r), weir_test_reason(t));
		weir_test_free(t);
		return -1;
	}
	weir_test_stop(t); /* legal in any state */
	weir_test_stop(t);
	return end(t, "init, stop, fini");
}

/* Start, work, stop twice, and all of it once more. A source that refuses has to
 * say why, and must still take a stop. */
static int live(struct subject *s, const struct weir_source *row)
{
	const char *source = row ? row->name : NULL;
	struct weir_test *t = subject_new(s);
	int r = weir_test_init(t), bad = 0;

	s->running = row;
	for (int round = 0; round < 2 && r >= 0 && !bad; round++) {
		r = weir_test_start(t, source);
		if (r < 0 && source && !weir_test_reason(t)[0])
			bad = problem("source %s: start fails with %s and no reason: use weir_fail()",
			              source, strerror(-r));
		else if (r < 0)
			remark("source %s does not start here: %s", source ? source : "none", weir_test_reason(t));
		else
			bad = exercise(s, t);
		weir_test_stop(t);
		weir_test_stop(t);
	}
	if (r < 0 && !source)
		bad = problem("start: %s: %s", strerror(-r), weir_test_reason(t));
	return end(t, source ? source : "start") < 0 ? -1 : bad;
}

static int lives_with_each_source(struct subject *s)
{
	const struct weir_source *source;
	int r = s->desc->kind == WEIR_COLLECTOR ? 0 : live(s, NULL);

	for (uint32_t i = 0; r == 0 && (source = weir_table_row(&s->desc->sources, i)); i++)
		r = live(s, source);
	return r;
}

/* fini straight after a running start: what stop did not get to do. */
static int is_freed_while_running(struct subject *s)
{
	const struct weir_source *source = weir_table_row(&s->desc->sources, 0);
	struct weir_test *t = subject_new(s);

	if (weir_test_init(t) >= 0)
		weir_test_start(t, source ? source->name : NULL);
	return end(t, "freed without a word");
}

static const char *wrong_value(const struct weir_option *o)
{
	switch (o->type) {
	case WEIR_OPT_STRING:
	case WEIR_OPT_LIST:
		return NULL; /* anything may be right */
	default:
		return "certainly not";
	}
}

static int refuses_wrong_options(struct subject *s)
{
	const struct weir_option *o;
	const char *wrong, *unknown[] = { "no.such.option=1", NULL };
	struct weir_test *t = NULL;
	char word[256], err[512];

	if (weir_test_try_new(s->desc, unknown, &t, err, sizeof(err)) == 0)
		return problem("an unknown option was taken");
	for (uint32_t i = 0; (o = weir_table_row(&s->desc->options, i)); i++) {
		const char *words[] = { word, NULL };

		if (!(wrong = wrong_value(o)))
			continue;
		snprintf(word, sizeof(word), "%s=%s", o->name, wrong);
		if (weir_test_try_new(s->desc, words, &t, err, sizeof(err)) == 0)
			return problem("%s was taken", word);
		if (!strstr(err, o->name))
			return problem("the error about %s does not name it: %s", word, err);
	}
	return 0;
}

/* One life in which the n-th call of a service fails. 1: it was never called so
 * often. */
static int fault_once(struct subject *s, const struct weir_source *source, enum weir_test_service service, long n)
{
	struct weir_test *t = subject_new(s);
	long calls;
	int bad = 0;

	s->running = source;
	weir_test_fail(t, service, n);
	if (weir_test_init(t) >= 0 && weir_test_start(t, source ? source->name : NULL) >= 0)
		bad = exercise(s, t);
	calls = weir_test_fail(t, service, -1);
	if (end(t, "after a failure") < 0 || bad < 0)
		return -1;
	return calls <= n;
}

static int fault_loop(struct subject *s, const struct weir_source *source, enum weir_test_service service,
                      const char *name)
{
	struct holdings before = holdings();
	time_t until = time(NULL) + LOOP_SECONDS;
	int r = 0;
	long n;

	for (n = 0; r == 0; n += n < EVERY_N ? 1 : n / 8) {
		r = fault_once(s, source, service, n);
		if (r >= 0)
			r = same_holdings(before, name) < 0 ? -1 : r;
		if (r < 0)
			return problem("when call %ld of %s fails (source %s)", n, name,
			               source ? source->name : "none");
		if (r == 0 && time(NULL) > until) {
			remark("%s: stopped at call %ld after %d s", name, n, LOOP_SECONDS);
			break;
		}
	}
	return 0;
}

static int survives_failing_services(struct subject *s)
{
	static const char *const names[WEIR_TEST_SERVICES] = {
		[WEIR_TEST_REALLOC] = "realloc", [WEIR_TEST_READ_FILE] = "read_file",
		[WEIR_TEST_MAP] = "map", [WEIR_TEST_TIMER] = "timer_start", [WEIR_TEST_FD] = "fd_start",
		[WEIR_TEST_WORK] = "work", [WEIR_TEST_SERIES] = "series", [WEIR_TEST_EMIT] = "emit",
	};
	uint32_t sources = s->desc->sources.count;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < (sources ? sources : 1); i++) {
		const struct weir_source *source = weir_table_row(&s->desc->sources, i);

		for (int service = 0; r == 0 && service < WEIR_TEST_SERVICES; service++)
			r = fault_loop(s, source, (enum weir_test_service)service,
			               names[service]);
	}
	return r;
}

static const struct {
	const char *sentence;
	step_fn run;
} steps[] = {
	{ "the loader accepts it, and a second load gives the same", loads },
	{ "its events have the layout the BPF compiler sees", layouts_agree },
	{ "its BPF object has this SDK's shared structs", kernel_structs_agree },
	{ "init, stop, stop, fini", init_and_fini },
	{ "wrong options are refused by name", refuses_wrong_options },
	{ "each source starts, works, stops twice, and starts again", lives_with_each_source },
	{ "its events are well-formed text", events_are_well_formed },
	{ "it can be freed while it runs", is_freed_while_running },
	{ "any service may fail at any call", survives_failing_services },
};

/* A plugin that crashes is a finding like any other: say at which step. */
static volatile sig_atomic_t step_now;

static void crashed(int sig)
{
	static const char text[] = "not ok 00 - the plugin crashes the process\n";
	char line[sizeof(text)];

	memcpy(line, text, sizeof(text));
	line[7] = (char)('0' + step_now / 10);
	line[8] = (char)('0' + step_now % 10);
	(void)sig;
	if (write(fileno(report), line, sizeof(line) - 1) < 0)
		_exit(3);
	_exit(1);
}

static void catch_crashes(void)
{
	signal(SIGABRT, crashed);
#ifndef __SANITIZE_ADDRESS__ /* which says more than we could */
	signal(SIGSEGV, crashed);
	signal(SIGBUS, crashed);
	signal(SIGFPE, crashed);
	signal(SIGILL, crashed);
#endif
}

static int run_steps(struct subject *s)
{
	size_t count = sizeof(steps) / sizeof(steps[0]);
	int failed = 0;

	fprintf(report, "1..%zu\n", count);
	fflush(report);
	catch_crashes();
	for (size_t i = 0; i < count; i++) {
		struct holdings before = holdings();
		int r;

		step_now = (sig_atomic_t)i + 1;
		r = steps[i].run(s);

		/* what loading maps and opens stays */
		if (r == 0 && i > 0)
			r = same_holdings(before, steps[i].sentence);
		fprintf(report, "%s %zu - %s\n", r < 0 ? "not ok" : "ok", i + 1, steps[i].sentence);
		fflush(report);
		failed += r < 0;
		if (i == 0 && r < 0)
			return 1; /* nothing to go on with */
	}
	return failed != 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: weir-conformance [--layout FILE] [-o NAME=VALUE] PLUGIN.so\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct subject s = { 0 };
	int i = 1;

	for (; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--layout") == 0)
			s.layout = argv[i + 1];
		else if (strcmp(argv[i], "-o") == 0 && s.option_count < 63)
			s.options[s.option_count++] = argv[i + 1];
		else
			return usage();
	}
	if (i + 1 != argc || argv[i][0] == '-')
		return usage();
	s.path = argv[i];
	report = fdopen(dup(STDOUT_FILENO), "w");
	if (!report || !freopen("/dev/null", "w", stdout))
		return usage();
	first_thread();
	i = run_steps(&s);
	fclose(report);
	return i;
}
