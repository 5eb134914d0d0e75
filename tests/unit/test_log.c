/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: what a line looks like, what never gets through, what is left out.
 * Lines go to a temporary file, which is read back.
 */
#include "log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static char text[1 << 20];

static void begin(int level, int format, uint64_t burst)
{
	struct weir__log_config cfg = { level, format, path, burst };
	int fd;

	strcpy(path, "/tmp/weir-log-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(weir__log_setup(&cfg), 0);
}

static const char *end(void)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);

	assert_true(n >= 0);
	text[n] = 0;
	close(fd);
	unlink(path);
	return text;
}

static size_t count(const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* A logfmt line has time, level, plugin and message in this order. */
static void line_is_logfmt(void **state)
{
	(void)state;
	begin(WEIR_INFO, WEIR__LOG_LOGFMT, 0);
	weir__log(WEIR_WARN, "iomonitor", "ring %s at %d%%", "full", 97);
	weir__log(WEIR_INFO, NULL, "started");
	end();
	assert_memory_equal(text, "time=20", 7);
	assert_non_null(strstr(text, "Z level=warn plugin=iomonitor msg=\"ring full at 97%\"\n"));
	assert_non_null(strstr(text, "Z level=info msg=\"started\"\n"));
}

/* A JSON line is one object. */
static void line_is_json(void **state)
{
	(void)state;
	begin(WEIR_DEBUG, WEIR__LOG_JSON, 0);
	weir__log(WEIR_DEBUG, "dns", "said \"%s\"", "a\\b");
	end();
	assert_memory_equal(text, "{\"time\":\"20", 11);
	assert_non_null(strstr(text, "\"level\":\"debug\",\"plugin\":\"dns\",\"msg\":\"said \\\"a\\\\b\\\"\"}\n"));
}

/* A less severe line than the level is not written. */
static void level_hides(void **state)
{
	(void)state;
	begin(WEIR_WARN, WEIR__LOG_LOGFMT, 0);
	weir__log(WEIR_INFO, NULL, "hidden");
	weir__log(WEIR_ERROR, NULL, "shown");
	end();
	assert_int_equal(count("hidden"), 0);
	assert_int_equal(count("shown"), 1);
}

/* No control byte and no broken UTF-8 gets through; good UTF-8 does. */
static void bytes_are_escaped(void **state)
{
	(void)state;
	begin(WEIR_INFO, WEIR__LOG_LOGFMT, 0);
	weir__log(WEIR_INFO, "evil\nname", "%s", "a\nb\033[31m\x7f\xc2\x9b\xff\xc0\xaf\xed\xa0\x80 \xc3\xa4 \xe2\x82\xac");
	end();
	for (const char *p = text; *p; p++)
		assert_true((unsigned char)*p >= 0x20 || *p == '\n');
	assert_int_equal(count("\n"), 1);
	assert_non_null(strstr(text, "plugin=\"evil\\nname\""));
	assert_non_null(strstr(text, "a\\nb\\u001b[31m\\u007f\\u009b\\u00ff\\u00c0\\u00af"
	                             "\\u00ed\\u00a0\\u0080 \xc3\xa4 \xe2\x82\xac\"\n"));
}

/* However long the message, the line is whole and fits a pipe's atomic write. */
static void long_line_is_cut(void **state)
{
	static char huge[100000];

	(void)state;
	memset(huge, 1, sizeof huge - 1);
	for (int format = WEIR__LOG_LOGFMT; format <= WEIR__LOG_JSON; format++) {
		begin(WEIR_INFO, format, 0);
		weir__log(WEIR_INFO, huge, "%s", huge);
		weir__log(WEIR_INFO, "p", "%s", huge);
		end();
		assert_int_equal(count("\n"), 2);
		assert_true(strlen(text) <= 2 * 4096);
		assert_non_null(strstr(text, format == WEIR__LOG_JSON ? "\"}\n" : "\"\n"));
	}
}

/* What one call site writes beyond the burst is left out, counted, and said. */
static void burst_is_limited(void **state)
{
	uint64_t before = weir__log_suppressed(), left_out;

	(void)state;
	begin(WEIR_INFO, WEIR__LOG_LOGFMT, 5);
	for (int i = 0; i < 100; i++)
		weir__log(WEIR_INFO, "noisy", "noise %d", i);
	weir__log(WEIR_INFO, "noisy", "another site");
	left_out = weir__log_suppressed() - before;
	weir__log_flush();
	weir__log_flush();
	end();
	/* A second may have passed within the loop; nothing is uncounted then either. */
	assert_true(left_out > 0);
	assert_int_equal(count("\"noise "), 100 - left_out);
	assert_int_equal(count("another site"), 1);
	assert_int_equal(count("left out, too many of: noise %d"), 1);
	assert_true(count("suppressed=") >= 1);
}

/* One plugin's flood does not mute another's line from the same place. */
static void burst_is_per_plugin(void **state)
{
	(void)state;
	begin(WEIR_INFO, WEIR__LOG_LOGFMT, 1);
	for (int i = 0; i < 10; i++)
		weir__log(WEIR_INFO, i == 9 ? "quiet" : "loud", "same %d", i);
	weir__log_flush();
	end();
	assert_int_equal(count("plugin=quiet msg=\"same 9\""), 1);
}

/* More call sites than the table holds lose no count: it is said at the eviction. */
static void sites_are_bounded(void **state)
{
	static char formats[2000][16];
	uint64_t before = weir__log_suppressed();
	size_t said = 0;

	(void)state;
	begin(WEIR_INFO, WEIR__LOG_JSON, 1);
	for (int i = 0; i < 2000; i++) {
		snprintf(formats[i], sizeof formats[i], "site %d", i);
		for (int j = 0; j < 3; j++)
			weir__log(WEIR_INFO, NULL, formats[i], 0);
	}
	weir__log_flush();
	end();
	for (const char *p = text; (p = strstr(p, "\"suppressed\":")); p++)
		said += strtoul(p + 13, NULL, 10);
	assert_int_equal(said, weir__log_suppressed() - before);
	assert_true(said > 3000);
}

static void *writer(void *arg)
{
	for (int i = 0; i < 500; i++)
		weir__log(WEIR_INFO, arg, "line %d of a thread, with some length to it .........", i);
	return NULL;
}

/* Lines of several threads do not mix. */
static void threads_do_not_mix(void **state)
{
	static const char *const names[] = { "one", "two", "three", "four" };
	pthread_t t[4];

	(void)state;
	begin(WEIR_INFO, WEIR__LOG_LOGFMT, 1000000);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, writer, (void *)(uintptr_t)names[i]), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	end();
	assert_int_equal(count(".........\"\n"), 2000);
	assert_int_equal(count("time="), 2000);
	assert_int_equal(count("\n"), 2000);
}

/* A file that cannot be opened is an error, and the log goes on as before. */
static void bad_file_is_refused(void **state)
{
	struct weir__log_config cfg = { WEIR_INFO, WEIR__LOG_JSON, "/nonexistent/weir.log", 0 };

	(void)state;
	begin(WEIR_INFO, WEIR__LOG_LOGFMT, 0);
	assert_int_equal(weir__log_setup(&cfg), -ENOENT);
	weir__log(WEIR_INFO, NULL, "still here");
	end();
	assert_non_null(strstr(text, "level=info msg=\"still here\""));
}

/* errno survives a call, and %m shows it. */
static void errno_survives(void **state)
{
	(void)state;
	begin(WEIR_INFO, WEIR__LOG_LOGFMT, 10);
	errno = ENOSPC;
	weir__log(WEIR_INFO, NULL, "disk: %m");
	assert_int_equal(errno, ENOSPC);
	end();
	assert_non_null(strstr(text, "disk: No space left on device"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_is_logfmt),
		cmocka_unit_test(line_is_json),
		cmocka_unit_test(level_hides),
		cmocka_unit_test(bytes_are_escaped),
		cmocka_unit_test(long_line_is_cut),
		cmocka_unit_test(burst_is_limited),
		cmocka_unit_test(burst_is_per_plugin),
		cmocka_unit_test(sites_are_bounded),
		cmocka_unit_test(threads_do_not_mix),
		cmocka_unit_test(bad_file_is_refused),
		cmocka_unit_test(errno_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
