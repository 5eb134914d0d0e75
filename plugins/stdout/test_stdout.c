/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdout against files, pipes, sockets and a full device; the table is in test_table.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "test_stdout.h"
#include <weir/testhost.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a collector to get events from ------------------------------------------- */

struct note {
	uint32_t n;
	char text[20];
};
struct huge {
	char text[8000];
};
static const struct weir_field note_fields[] = {
	WEIR_FIELD(struct note, n, WEIR_U32, "", "d"),
	WEIR_FIELD(struct note, text, WEIR_CHARS, "", "d"),
};
static const struct weir_field huge_fields[] = { /* the same bytes, twice */
	WEIR_FIELD(struct huge, text, WEIR_CHARS, "", "d"),
	{ .name = "again", .type = WEIR_CHARS, .size = 8000 },
};
static const struct weir_schema schemas[] = {
	{ .name = "note", .topic = "notes", .size = sizeof(struct note), .fields = WEIR_TABLE(note_fields) },
	{ .name = "huge", .topic = "notes", .size = sizeof(struct huge), .fields = WEIR_TABLE(huge_fields) },
};
static const struct weir_source sources[] = { { .name = "test", .quality = "" } };
static const struct weir_plugin_desc collector = {
	.desc_size = sizeof collector, .kind = WEIR_COLLECTOR, .name = "noter", .topics = "notes",
	.schemas = WEIR_TABLE(schemas), .sources = WEIR_TABLE(sources),
};

static char dir[] = "/tmp/weir-test-stdout-XXXXXX";
static char path[128], option[160];

struct weir_test *start_on(const char *file, const char *format)
{
	struct weir_test *t;

	snprintf(option, sizeof option, "file=%s", file);
	t = weir_test_new(&weir_plugin, option, format);
	assert_int_equal(weir_test_init(t), 0);
	if (weir_test_start(t, NULL))
		fail_msg("%s", weir_test_reason(t));
	return t;
}

void end(struct weir_test *t)
{
	weir_test_stop(t);
	weir_test_stop(t);
	assert_int_equal(weir_test_watchers(t), 0);
	assert_int_equal(weir_test_timers(t), 0);
	assert_int_equal(weir_test_free(t), 0);
}

struct weir_test_batch *batch(uint32_t first, uint32_t count)
{
	struct weir_test_batch *b = weir_test_batch_new(&collector, "notes", "test");
	struct note n = { .text = "line\n\x1b[2J\xff" };

	for (n.n = first; n.n < first + count; n.n++)
		weir_test_batch_add(b, 0, &n, sizeof n, WEIR_TEST_NOW);
	return b;
}

/* Delivers events first .. first + count - 1 as one batch. */
static struct weir_test_batch *deliver(struct weir_test *t, uint32_t first, uint32_t count, int expected)
{
	struct weir_test_batch *b = batch(first, count);

	assert_int_equal(weir_test_deliver(t, b), expected);
	return b;
}

/* Lines in text are the events first.. in order; returns how many. */
static uint32_t check_lines(const char *text, uint32_t first)
{
	uint32_t n = 0;
	char part[64];

	for (const char *at = text, *nl; *at; at = nl + 1, n++) {
		nl = strchr(at, '\n');
		assert_non_null(nl);
		snprintf(part, sizeof part, ",\"n\":%u,\"text\":\"line\\n\\u001b[2J\\u00ff\"}", first + n);
		if ((size_t)(nl - at) < strlen(part) || strncmp(nl - strlen(part), part, strlen(part)))
			fail_msg("line %u is %.*s", n, (int)(nl - at), at);
	}
	return n;
}

static char *read_file(const char *name)
{
	static char text[1 << 20];
	int fd = open(name, O_RDONLY);
	ssize_t n, len = 0;

	assert_true(fd >= 0);
	while ((n = read(fd, text + len, sizeof text - 1 - (size_t)len)) > 0)
		len += n;
	close(fd);
	text[len] = 0;
	return text;
}

static const char *fresh(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", dir, name);
	unlink(path);
	return path;
}

static void expect_done(struct weir_test *t, size_t batches, uint64_t rejected)
{
	uint64_t r;

	assert_int_equal(weir_test_done(t, &r), batches);
	assert_int_equal(r, rejected);
}

/* ---- lines ------------------------------------------------------------------------ */

/* Every event is one line of JSON, appended, and acknowledged when it is written. */
static void test_json(void **state)
{
	struct weir_test *t = start_on(fresh("json"), "format=auto");
	struct weir_test_batch *a = deliver(t, 0, 3, WEIR_PENDING), *b = deliver(t, 3, 2000, WEIR_PENDING);

	(void)state;
	expect_done(t, 2, 0);
	assert_int_equal(check_lines(read_file(path), 0), 2003);
	assert_int_equal(weir_test_collect(t), 0);
	assert_true(weir_test_metric(t, "weir_stdout_lines_total") == 2003);
	assert_int_equal(weir_test_check(t), 0);
	end(t);
	weir_test_batch_free(a);
	weir_test_batch_free(b);
}

/* Text is one line per event for people. */
static void test_text(void **state)
{
	struct weir_test *t = start_on(fresh("text"), "format=text");
	struct weir_test_batch *b = deliver(t, 7, 1, WEIR_PENDING);

	(void)state;
	assert_non_null(strstr(read_file(path), "Z noter/note n=7 text=line\\x0a\\x1b[2J\\xff\n"));
	end(t);
	weir_test_batch_free(b);
}

/* A reader that does not read blocks nobody; when it reads, nothing is missing. */
static void test_slow_reader(void **state)
{
	static char text[1 << 22];
	struct weir_test_batch *b[30];
	struct weir_test *t;
	uint64_t rejected;
	size_t len = 0, i;
	int fds[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fds[1]);
	t = start_on(path, "format=json");
	for (i = 0; i < 30; i++)
		b[i] = deliver(t, (uint32_t)(i * 500), 500, WEIR_PENDING);
	assert_true(weir_test_done(t, &rejected) < 5);
	assert_int_equal(weir_test_watchers(t), 1);
	for (i = 0; weir_test_done(t, NULL) < 30 && i < 10000; i++) {
		while ((n = read(fds[0], text + len, sizeof text - len)) > 0)
			len += (size_t)n;
		weir_test_poll(t, 1000);
	}
	expect_done(t, 30, 0);
	while ((n = read(fds[0], text + len, sizeof text - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	assert_int_equal(check_lines(text, 0), 15000);
	assert_int_equal(weir_test_watchers(t), 0);
	end(t);
	for (i = 0; i < 30; i++)
		weir_test_batch_free(b[i]);
	close(fds[0]);
	close(fds[1]);
}

/* Stopping while nobody reads ends in bounded time, and what is left is rejected. */
static void test_stop_unread(void **state)
{
	struct weir_test_batch *b[4];
	struct weir_test *t;
	uint64_t rejected;
	int fds[2], i;

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fds[1]);
	t = start_on(path, "format=json");
	for (i = 0; i < 4; i++)
		b[i] = deliver(t, (uint32_t)i * 1000, 1000, WEIR_PENDING);
	weir_test_stop(t);
	assert_int_equal(weir_test_done(t, &rejected), 4);
	assert_in_range(rejected, 1, 3999);
	end(t);
	for (i = 0; i < 4; i++)
		weir_test_batch_free(b[i]);
	close(fds[0]);
	close(fds[1]);
}

/* A full disk rejects events, says so once, and is tried again each second. */
static void test_full_disk(void **state)
{
	struct weir_test *t = start_on("/dev/full", "format=json");
	struct weir_test_batch *b[5];
	int i;

	(void)state;
	b[0] = deliver(t, 0, 10, WEIR_PENDING);
	expect_done(t, 1, 10);
	b[1] = deliver(t, 10, 10, -ENOSPC); /* at once */
	b[2] = deliver(t, 20, 10, -ENOSPC);
	expect_done(t, 1, 10);
	weir_test_advance(t, 2 * WEIR_TEST_SECOND);
	b[3] = deliver(t, 30, 10, WEIR_PENDING);
	expect_done(t, 2, 20);
	b[4] = deliver(t, 40, 10, -ENOSPC);
	assert_true(weir_test_logged(t, "error: cannot write to /dev/full: No space left on device"));
	assert_null(weir_test_log(t, 1));
	assert_int_equal(weir_test_check(t), -ENOSPC);
	weir_test_collect(t);
	assert_true(weir_test_metric(t, "weir_stdout_rejected_total") == 50);
	assert_true(weir_test_metric(t, "weir_stdout_errors_total") == 2);
	assert_true(weir_test_metric(t, "weir_stdout_lines_total") == 0);
	end(t);
	for (i = 0; i < 5; i++)
		weir_test_batch_free(b[i]);
}

/* After a failure in the middle of a line, the next event begins a line of its own;
 * the events rejected and those in the file are all there are. */
static void test_recovers(void **state)
{
	struct weir_test *t = start_on(fresh("limited"), "format=json");
	struct rlimit was, limit;
	struct weir_test_batch *b[3];
	uint64_t rejected, whole = 0;
	char *text, *last;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	limit = was;
	limit.rlim_cur = 1000;
	b[0] = batch(0, 20);
	b[1] = b[2] = NULL;
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(weir_test_deliver(t, b[0]), WEIR_PENDING);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(weir_test_done(t, &rejected), 1);
	text = read_file(path);
	assert_int_equal(strlen(text), 1000);
	for (char *at = text; (at = strchr(at, '\n')); at++)
		whole++;
	assert_int_equal(rejected, 20 - whole);
	assert_true(whole > 0);
	weir_test_advance(t, 2 * WEIR_TEST_SECOND);
	b[1] = deliver(t, 100, 2, WEIR_PENDING);
	b[2] = deliver(t, 102, 1, WEIR_PENDING);
	expect_done(t, 3, 20 - whole);
	text = read_file(path);
	assert_int_equal(text[1000], '\n');
	last = text + 1001;
	assert_int_equal(check_lines(last, 100), 3);
	assert_true(weir_test_logged(t, "can be written again; "));
	assert_int_equal(weir_test_check(t), 0);
	end(t);
	for (int i = 0; i < 3; i++)
		weir_test_batch_free(b[i]);
}

/* A reader that goes away is an error, not a signal; one that comes is served. */
static void test_reader_gone(void **state)
{
	struct weir_test_batch *a, *b;
	struct weir_test *t;
	char text[4096];
	ssize_t n;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(fresh("fifo"), 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	t = start_on(path, "format=json");
	close(fd);
	a = deliver(t, 0, 5, WEIR_PENDING);
	expect_done(t, 1, 5);
	assert_true(weir_test_logged(t, "Broken pipe"));
	fd = open(path, O_RDONLY | O_NONBLOCK);
	weir_test_advance(t, 2 * WEIR_TEST_SECOND);
	b = deliver(t, 5, 5, WEIR_PENDING);
	expect_done(t, 2, 5);
	n = read(fd, text, sizeof text - 1);
	assert_true(n > 0);
	text[n] = 0;
	assert_int_equal(check_lines(text, 5), 5);
	close(fd);
	end(t);
	weir_test_batch_free(a);
	weir_test_batch_free(b);
}

/* An event that would make a line beyond all bounds is rejected, its neighbours are not. */
static void test_too_long(void **state)
{
	struct weir_test *t = start_on(fresh("long"), "format=json");
	struct weir_test_batch *b = weir_test_batch_new(&collector, "notes", "test");
	struct note n = { .text = "line\n\x1b[2J\xff" };
	struct huge h;

	(void)state;
	memset(&h, 1, sizeof h);
	weir_test_batch_add(b, 0, &n, sizeof n, WEIR_TEST_NOW);
	weir_test_batch_add(b, 1, &h, sizeof h, WEIR_TEST_NOW);
	n.n = 1;
	weir_test_batch_add(b, 0, &n, sizeof n, WEIR_TEST_NOW);
	assert_int_equal(weir_test_deliver(t, b), WEIR_PENDING);
	expect_done(t, 1, 1);
	assert_int_equal(check_lines(read_file(path), 0), 2);
	end(t);
	weir_test_batch_free(b);
}

/* After the file was renamed, events go to a new one of the old name. */
static void test_rotation(void **state)
{
	struct weir_test *t = start_on(fresh("rotated"), "format=json");
	struct weir_test_batch *a = deliver(t, 0, 2, WEIR_PENDING), *b;
	char old[160];

	(void)state;
	snprintf(old, sizeof old, "%s.1", path);
	assert_int_equal(rename(path, old), 0);
	weir_test_advance(t, 2 * WEIR_TEST_SECOND);
	b = deliver(t, 2, 2, WEIR_PENDING); /* the flush after it notices */
	weir_test_batch_free(b);
	b = deliver(t, 4, 2, WEIR_PENDING);
	assert_int_equal(check_lines(read_file(old), 0) + check_lines(read_file(path), 2), 6);
	expect_done(t, 3, 0);
	end(t);
	weir_test_batch_free(a);
	weir_test_batch_free(b);
}

/* With a flush interval lines wait for it, and stop does not lose them. */
static void test_flush_interval(void **state)
{
	struct weir_test_batch *a, *b;
	struct weir_test *t;

	(void)state;
	snprintf(option, sizeof option, "file=%s", fresh("interval"));
	t = weir_test_new(&weir_plugin, option, "format=json", "flush_interval=100ms");
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, NULL), 0);
	a = deliver(t, 0, 2, WEIR_PENDING);
	expect_done(t, 0, 0);
	weir_test_advance(t, 150 * WEIR_TEST_MS);
	expect_done(t, 1, 0);
	assert_int_equal(check_lines(read_file(path), 0), 2);
	b = deliver(t, 2, 2, WEIR_PENDING);
	weir_test_stop(t);
	expect_done(t, 2, 0);
	assert_int_equal(check_lines(read_file(path), 0), 4);
	end(t);
	weir_test_batch_free(a);
	weir_test_batch_free(b);
}

/* Delivers ten events with fd as standard output; returns what deliver() said. */
static int deliver_as_standard_output(int fd, size_t *ret_done)
{
	struct weir_test_batch *b = batch(0, 10);
	int saved, err;
	struct weir_test *t;

	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(fd, STDOUT_FILENO);
	t = weir_test_new(&weir_plugin, "file=-");
	err = weir_test_init(t) || weir_test_start(t, NULL);
	if (!err)
		err = weir_test_deliver(t, b);
	*ret_done = weir_test_done(t, NULL);
	weir_test_stop(t);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	assert_int_equal(weir_test_free(t), 0);
	weir_test_batch_free(b);
	return err;
}

/* Standard output may be a file, a pipe or a socket; its flags and, in a file, its
 * position are shared with others and stay as they were. */
static void test_standard_output(void **state)
{
	int fds[3][2], i;
	char text[8192];
	size_t done;
	ssize_t n;

	(void)state;
	fds[0][1] = open(fresh("shared"), O_WRONLY | O_CREAT, 0600);
	fds[0][0] = open(path, O_RDONLY);
	assert_int_equal(pipe(fds[1]), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[2]), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(deliver_as_standard_output(fds[i][1], &done), WEIR_PENDING);
		assert_int_equal(done, 1);
		assert_int_equal(fcntl(fds[i][1], F_GETFL) & O_NONBLOCK, 0);
		assert_int_equal(write(fds[i][1], "after", 5), 5);
		n = read(fds[i][0], text, sizeof text - 1);
		assert_true(n > 5);
		text[n] = 0;
		assert_string_equal(text + n - 5, "after");
		text[n - 5] = 0;
		assert_int_equal(check_lines(text, 0), 10);
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

/* A pipe that could not be opened again is filled to its end without blocking. */
static void test_shared_pipe(void **state)
{
	static char data[WRITE_SIZE];
	struct sink s = { .may_block = true };
	int fds[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	s.fd = fds[1];
	while ((n = sink_write(&s, data, sizeof data)) > 0)
		assert_true(n <= 4096);
	assert_int_equal(n, -EAGAIN);
	assert_true(read(fds[0], data, sizeof data) > 0);
	assert_true(sink_write(&s, data, sizeof data) > 0);
	close(fds[0]);
	assert_int_equal(sink_write(&s, data, sizeof data), -EPIPE);
	sink_close(&s);
	sink_close(&s);
	assert_int_equal(sink_write(&s, data, 1), -EBADF);
}

/* A file that cannot be opened, or a table on what is no terminal, says what to do. */
static void test_bad_start(void **state)
{
	struct weir_test *t;

	(void)state;
	t = weir_test_new(&weir_plugin, "file=/nonexistent/x");
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, NULL), -ENOENT);
	assert_non_null(strstr(weir_test_reason(t), "cannot open /nonexistent/x: No such file or directory; set"));
	assert_int_equal(weir_test_free(t), 0);
	snprintf(option, sizeof option, "file=%s", fresh("table"));
	t = weir_test_new(&weir_plugin, option, "format=table");
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, NULL), -ENOTTY);
	assert_non_null(strstr(weir_test_reason(t), "needs a terminal"));
	assert_int_equal(weir_test_free(t), 0);
}

/* Whichever allocation or service fails, the account is right and nothing is left. */
static void test_faults(void **state)
{
	static const enum weir_test_service services[] = { WEIR_TEST_REALLOC, WEIR_TEST_TIMER, WEIR_TEST_FD };
	size_t s;
	long n;

	(void)state;
	for (s = 0; s < sizeof services / sizeof services[0]; s++) {
		bool complete = false;

		for (n = 0; !complete; n++) {
			struct weir_test_batch *b[20];
			struct weir_test *t;
			uint64_t rejected;
			int i, err;

			assert_true(n < 100);
			snprintf(option, sizeof option, "file=%s", fresh("faults"));
			t = weir_test_new(&weir_plugin, option, "format=json", "flush_interval=10s");
			weir_test_fail(t, services[s], n);
			err = weir_test_init(t);
			if (!err)
				err = weir_test_start(t, NULL);
			complete = !err;
			for (i = 0; !err && i < 20; i++) {
				b[i] = batch((uint32_t)i, 1);
				if (weir_test_deliver(t, b[i]) < 0)
					complete = false;
			}
			complete = complete && weir_test_fail(t, services[s], -1) <= n;
			weir_test_stop(t);
			if (!err && services[s] != WEIR_TEST_REALLOC)
				assert_int_equal(weir_test_done(t, &rejected), 20);
			while (!err && i--)
				weir_test_batch_free(b[i]);
			assert_int_equal(weir_test_free(t), 0);
		}
	}
}

static int setup(void **state)
{
	(void)state;
	alarm(100);
	return !mkdtemp(dir);
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_stop_unread),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_recovers),
		cmocka_unit_test(test_reader_gone),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_flush_interval),
		cmocka_unit_test(test_standard_output),
		cmocka_unit_test(test_shared_pipe),
		cmocka_unit_test(test_bad_start),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_hostile),
		cmocka_unit_test(test_table_resize),
		cmocka_unit_test(test_table_stuck),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
