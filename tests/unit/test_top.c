/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir top without a terminal: two answers in, lines out; keys in, the view out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli.h"
#include "mem.h"
#include "process.h"
#include "protocol.h"
#include "self_metrics.h"
#include "top.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A daemon of today: no budgets, no breakers, no processes. */
#define OLD                                                                    \
	"{'version':'1.0.0','pid':7,'uptime_s':%s,'ready':true,"               \
	"'daemon':{'cpu_percent':2.0,'rss_bytes':8388608,'threads':5,'fds':40},'plugins':[" \
	"{'name':'io','kind':'collector','state':'running','source':'bpf','quality':''," \
	" 'isolation':'thread','events_per_s':120.5,'cpu_percent':1.0,'bpf_percent':0.5,'since_s':9," \
	" 'memory':{'heap':1024,'maps':2048,'rings':1024},'programs':[{'name':'add','attached':true," \
	" 'runs':12,'ns_per_run':45.0,'missed':0},{'name':'gone','attached':false,'optional':true," \
	" 'error':'no such symbol'}],'sources':[{'name':'bpf','state':'active'}]},"\
	"{'name':'out','kind':'output','state':'running','cpu_percent':3.0,'memory':{'heap':512}}," \
	"{'name':'proc','kind':'collector','state':'failed','reason':'no /proc'}]," \
	"'routes':[{'from':'io','to':'out','policy':'block','queue_bytes':500,'queue_limit':1000," \
	" 'seen':1,'delivered':%s,'queued':0,'aggregated':0,'dropped':{'filtered':9,'ring_full':%s,'queue_full':%s}}]}"

static json_t *parse(const char *text)
{
	char copy[16384];
	json_error_t e;
	json_t *j;

	snprintf(copy, sizeof copy, "%s", text);
	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	j = json_loads(copy, 0, &e);
	if (!j)
		print_error("%s at %d in %s\n", e.text, e.position, copy);
	assert_non_null(j);
	return j;
}

static json_t *old(const char *uptime, const char *delivered, const char *ring, const char *queue)
{
	char text[4096];

	snprintf(text, sizeof text, OLD, uptime, delivered, ring, queue);
	return parse(text);
}

/* A frame of this size; the text is the caller's. */
static struct weir__top_text frame(struct weir__top_view *v, unsigned columns, unsigned rows)
{
	struct weir__top_text t = { .columns = columns, .rows = rows, .colour = false };

	if (!v->trouble)
		v->trouble = "";
	weir__top_frame(v, &t);
	assert_false(t.oom);
	return t;
}

static void shows(const struct weir__top_text *t, const char *what)
{
	if (!t->text || !strstr(t->text, what))
		print_error("not shown: %s\n%s\n", what, t->text ? t->text : "(nothing)");
	assert_true(t->text && strstr(t->text, what));
}

/* Lines are as many as allowed, none is wider, and nothing in them acts. */
static void fits(const struct weir__top_text *t, unsigned columns, unsigned rows)
{
	unsigned lines = 0, width = 0;

	for (size_t i = 0; i < t->len; i++) {
		unsigned char c = (unsigned char)t->text[i];

		if (c == '\n') {
			assert_true(width <= columns);
			lines++;
			width = 0;
			continue;
		}
		if (c == '\033' && t->colour) {
			while (t->text[i] != 'm')
				i++;
			continue;
		}
		assert_true(c >= 0x20 && c != 0x7f);
		width += (c & 0xc0) != 0x80;
	}
	assert_true(lines <= rows);
	assert_int_equal(width, 0);
}

/* ---- rows ---------------------------------------------------------------------------- */

/* Rates are what counters have grown by; what was asked to be filtered is no drop. */
static void rates_come_from_two_answers(void **state)
{
	struct weir__top_row rows[WEIR__TOP_ROWS];
	json_t *a = old("10.0", "100", "5", "0"), *b = old("12.0", "300", "7", "6");

	(void)state;
	assert_int_equal(weir__top_rows(b, a, WEIR__TOP_NAME, false, rows), 3);
	assert_string_equal(rows[0].name, "io");
	assert_true(rows[0].drops == 4); /* 2 and 6 in 2 s */
	assert_string_equal(rows[0].drop_reason, "queue_full");
	assert_true(rows[0].events == 120.5);
	assert_true(rows[0].memory == 4096);
	assert_true(rows[0].queue == 0.5 && rows[0].queue_bytes == 500);
	assert_true(rows[1].events == 100); /* an output's: delivered */
	assert_true(isnan(rows[1].kernel) && isnan(rows[1].p99));
	assert_true(isnan(rows[2].events) && isnan(rows[2].memory) && isnan(rows[2].drops));
	/* With one answer alone, or of two daemons, there are no rates. */
	weir__top_rows(b, NULL, WEIR__TOP_NAME, false, rows);
	assert_true(isnan(rows[0].drops));
	json_object_set_new(a, "pid", json_integer(8));
	weir__top_rows(b, a, WEIR__TOP_NAME, false, rows);
	assert_true(isnan(rows[0].drops) && isnan(rows[1].events));
	json_decref(a);
	json_decref(b);
}

/* Every word sorts, both ways; what is not known is last, and names decide ties. */
static void sorting(void **state)
{
	struct weir__top_row rows[WEIR__TOP_ROWS];
	json_t *b = old("12.0", "300", "7", "6");
	char words[128] = "";

	(void)state;
	weir__top_rows(b, NULL, WEIR__TOP_CPU, false, rows);
	assert_string_equal(rows[0].name, "out");
	weir__top_rows(b, NULL, WEIR__TOP_CPU, true, rows);
	assert_string_equal(rows[0].name, "proc");
	weir__top_rows(b, NULL, WEIR__TOP_NAME, true, rows);
	assert_string_equal(rows[0].name, "proc");
	weir__top_rows(b, NULL, WEIR__TOP_MEMORY, false, rows);
	assert_string_equal(rows[2].name, "proc");
	weir__top_rows(b, NULL, WEIR__TOP_LATENCY, false, rows);
	assert_string_equal(rows[0].name, "io");
	for (int i = 0; i < WEIR__TOP_SORT_COUNT; i++) {
		const char *name = weir__top_sort_name((enum weir__top_sort)i);

		assert_int_equal(weir__top_sort_find(name), i);
		snprintf(words + strlen(words), sizeof words - strlen(words), "%s%s",
		         !i ? "" : i + 1 == WEIR__TOP_SORT_COUNT ? " or " : ", ", name);
	}
	assert_string_equal(words, WEIR__CLI_SORTS);
	assert_int_equal(weir__top_sort_find(""), -1);
	json_decref(b);
}

/* ---- frames --------------------------------------------------------------------------- */

/* At every size from nothing on, and whatever is shown, a frame fits. */
static void every_size_fits(void **state)
{
	json_t *a = old("10.0", "100", "5", "0"), *b = old("12.0", "300", "7", "6");
	struct weir__top_view v = { .now = b, .before = a, .interval_s = 1, .selected = "io" };

	(void)state;
	for (int what = 0; what < 4; what++) {
		v.detail = what & 1;
		v.help = what & 2;
		for (unsigned columns = 0; columns < 210; columns += 7)
			for (unsigned rows = 0; rows < 40; rows += 3) {
				struct weir__top_text t = frame(&v, columns, rows);

				fits(&t, columns, rows);
				weir__top_text_fini(&t);
				t = (struct weir__top_text){ .columns = columns, .rows = rows, .colour = true };
				weir__top_frame(&v, &t);
				fits(&t, columns, rows);
				weir__top_text_fini(&t);
			}
	}
	json_decref(a);
	json_decref(b);
}

/* 80x24 has what matters, and a wide one all of it. */
static void columns_give_way(void **state)
{
	json_t *a = old("10.0", "100", "5", "0"), *b = old("12.0", "300", "7", "6");
	struct weir__top_view v = { .now = b, .before = a, .interval_s = 1 };
	struct weir__top_text t = frame(&v, 80, 24);

	(void)state;
	fits(&t, 80, 24);
	assert_int_equal(t.lines, 24);
	shows(&t, " PLUGIN   STATE    SOURCE EVENTS/S DROPS/S");
	shows(&t, ">out      running");
	shows(&t, "4.0 dropped/s: queue_full");
	shows(&t, "q quit  s sort: cpu");
	shows(&t, "3 plugins, 2 running, 1 bad");
	weir__top_text_fini(&t);
	t = frame(&v, 200, 24);
	shows(&t, "WHY");
	shows(&t, "queue_full");
	assert_null(strstr(t.text, "BREAKER")); /* nothing known: no column */
	weir__top_text_fini(&t);
	t = frame(&v, 40, 24);
	assert_null(strstr(t.text, "SOURCE"));
	shows(&t, "PLUGIN");
	weir__top_text_fini(&t);
	json_decref(a);
	json_decref(b);
}

#define NEW                                                                    \
	"{'version':'1.1.0','pid':7,'uptime_s':12,'ready':true,'daemon':{'cpu_percent':2.0," \
	"'rss_bytes':8388608,'budget':{'cpu':{'used':20.0,'limit':25.0,'pressure':0.8}," \
	"'memory':{'used':52428800,'limit':104857600,'pressure':0.5}},'psi':{'cpu_some':12.5,'io_full':0.5}}," \
	"'plugins':["                                                          \
	"{'name':'io','kind':'collector','version':'2.0','state':'suspended','isolation':'process','pid':4711," \
	"'memory':{'heap':1,'rss':5242880},'latency_s':{'p50':0.0005,'p99':0.02},'queue_bytes':77," \
	"'breaker':{'state':'open','failures':3,'opened':2,'cause':'crash','detail':'signal 11','retry_s':1.5}," \
	"'budget':{'cpu':{'used':26.0,'limit':20.0,'pressure':1.3},'pressure':1.3,'by':'cpu','weight':8," \
	"'sampling':0.125,'level':'sample','kinds_off':1,'detached':2," \
	"'last_action':{'what':'sample 1/8','why':'cpu 26%% of 20%%','age_s':2.0}}}]}"

/* What later daemons say is shown, in the table and in the detail. */
static void budgets_and_breakers(void **state)
{
	char text[4096];
	struct weir__top_view v = { .interval_s = 1, .selected = "io" };
	struct weir__top_text t;
	json_t *j;

	(void)state;
	snprintf(text, sizeof text, NEW);
	v.now = j = parse(text);
	t = frame(&v, 220, 24);
	shows(&t, "[################    ] 20.0% of 25.0%");
	shows(&t, "[##########          ] 50.0 MiB of 100 MiB");
	shows(&t, "4711");
	shows(&t, "; stalls: CPU 12.5%, I/O 0.50%");
	shows(&t, "130% cpu");
	shows(&t, "1/8");
	shows(&t, "open crash");
	shows(&t, "500us");
	shows(&t, "20ms");
	shows(&t, "sample 1/8, 2s ago");
	shows(&t, "io: breaker open: signal 11");
	weir__top_text_fini(&t);
	v.detail = true;
	t = frame(&v, 120, 40);
	shows(&t, "its own process, pid 4711");
	shows(&t, "open, 3 failures in the window, opened 2 times, next try in 1.5s");
	shows(&t, "crash: signal 11");
	shows(&t, "cpu 26.0% of 20.0%");
	shows(&t, "level sample: one event in 8 kept, 1 kinds off, 2 programs detached");
	shows(&t, "sample 1/8, 2s ago: cpu 26% of 20%");
	weir__top_text_fini(&t);
	json_decref(j);
}

/* The detail can be scrolled to its last line, no further. */
static void detail_scrolls(void **state)
{
	json_t *b = old("12.0", "300", "7", "6");
	struct weir__top_view v = { .now = b, .interval_s = 1, .sort = WEIR__TOP_NAME };
	struct weir__top_text t;
	unsigned lines;

	(void)state;
	assert_true(weir__top_press(&v, WEIR__KEY_ENTER));
	assert_string_equal(v.selected, "io");
	t = frame(&v, 80, 30);
	shows(&t, "plugin    io");
	shows(&t, "io -> out, block: queue 500 B of 1000 B");
	shows(&t, "dropped 22: filtered 9, ring_full 7, queue_full 6");
	shows(&t, "add              12 runs, 45ns each");
	shows(&t, "gone             not attached (optional): no such symbol");
	weir__top_text_fini(&t);
	lines = weir__top_detail_lines(&v);
	for (unsigned i = 0; i < 2 * lines; i++)
		weir__top_press(&v, WEIR__KEY_DOWN);
	assert_int_equal(v.scroll, lines - 1);
	t = frame(&v, 80, 30);
	assert_null(strstr(t.text, "plugin    io"));
	shows(&t, "not attached");
	weir__top_text_fini(&t);
	weir__top_press(&v, WEIR__KEY_BACK);
	assert_false(v.detail);
	snprintf(v.selected, sizeof v.selected, "left");
	v.detail = true;
	t = frame(&v, 80, 30);
	shows(&t, "left is not here any more");
	weir__top_text_fini(&t);
	json_decref(b);
}

/* What the daemon says is data: it neither acts nor breaks a line. */
static void hostile_answers(void **state)
{
	static const char *const answers[] = {
		"{}", "{'plugins':7,'routes':{},'daemon':[]}", "{'plugins':[7,null,[],{}],'routes':[1,{}]}",
		"{'plugins':[{'name':'\\u001b[2Jx\\u009b\\u202e','state':'a\\nb','reason':'\\u0007',"
		"'memory':[],'budget':3,'breaker':'closed','cpu_percent':1e308}]}",
		"{'uptime_s':-1,'pid':'x','plugins':[{'name':'\\u4e2d\\u6587\\u4e2d\\u6587\\u4e2d\\u6587\\u4e2d',"
		"'state':'\\ud83d\\ude00','events_per_s':-5}],'routes':[{'from':5,'dropped':[1]}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		for (unsigned columns = 1; columns < 100; columns += 3) {
			json_t *j = parse(answers[i]), *out;
			struct weir__top_view v = { .now = j, .before = j, .interval_s = 1 };
			struct weir__top_text t = frame(&v, columns, 24);

			fits(&t, columns, 24);
			weir__top_text_fini(&t);
			weir__top_press(&v, WEIR__KEY_ENTER);
			t = frame(&v, columns, 24);
			fits(&t, columns, 24);
			weir__top_text_fini(&t);
			out = weir__top_json(j, j, WEIR__TOP_CPU, false);
			assert_true(json_is_array(json_object_get(out, "plugins")));
			json_decref(out);
			json_decref(j);
		}
}

/* The frame for programs has every key, null where nothing is known. */
static void json_frames(void **state)
{
	json_t *a = old("10.0", "100", "5", "0"), *b = old("12.0", "300", "7", "6");
	json_t *out = weir__top_json(b, a, WEIR__TOP_NAME, false), *p;

	(void)state;
	p = json_array_get(json_object_get(out, "plugins"), 0);
	assert_string_equal(weir__top_string(p, "drop_reason"), "queue_full");
	assert_true(weir__top_number(p, "drops_per_s") == 4);
	assert_true(json_is_null(json_object_get(p, "pressure")));
	assert_true(json_is_null(json_object_get(p, "last_action")));
	assert_true(weir__top_number(out, "passed_s") == 2);
	json_decref(out);
	json_decref(a);
	json_decref(b);
}

/* Without memory a frame says so, and a JSON frame is none. */
static void out_of_memory(void **state)
{
	json_t *b = old("12.0", "300", "7", "6");
	struct weir__top_view v = { .now = b, .interval_s = 1, .trouble = "" };
	long live = weir__mem_live();
	bool done = false;

	(void)state;
	for (long n = 0; !done; n++) {
		struct weir__top_text t = { .columns = 200, .rows = 2000 };
		json_t *j;

		weir__mem_fail_at(n);
		weir__top_frame(&v, &t);
		weir__mem_fail_at(-1);
		weir__top_text_fini(&t);
		assert_int_equal(weir__mem_live(), live);
		weir__mem_fail_at(n);
		j = weir__top_json(b, NULL, WEIR__TOP_CPU, false);
		weir__mem_fail_at(-1);
		done = !t.oom && json_array_size(json_object_get(j, "plugins")) == 3;
		json_decref(j);
		assert_int_equal(weir__mem_live(), live);
		assert_true(n < 1000);
	}
	json_decref(b);
}

/* ---- keys -------------------------------------------------------------------------------- */

/* Bytes become keys, one by one; those of unknown keys do nothing, and are all eaten. */
static void keys(void **state)
{
	static const struct { const char *typed; enum weir__top_key key; size_t used; } table[] = {
		{ "q", WEIR__KEY_QUIT, 1 }, { "sr", WEIR__KEY_SORT, 1 }, { "\033[A", WEIR__KEY_UP, 3 },
		{ "\033OBq", WEIR__KEY_DOWN, 3 }, { "\033", WEIR__KEY_BACK, 1 }, { "\r", WEIR__KEY_ENTER, 1 },
		{ "\033[15~q", WEIR__KEY_NONE, 5 }, { "\033[", WEIR__KEY_NONE, 2 }, { "z", WEIR__KEY_NONE, 1 },
		{ "\033[1;5Cp", WEIR__KEY_NONE, 6 }, { "\033q", WEIR__KEY_BACK, 1 }, { "\xff", WEIR__KEY_NONE, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		size_t used = 0;

		assert_int_equal(weir__top_key(table[i].typed, strlen(table[i].typed), &used), table[i].key);
		assert_int_equal(used, table[i].used);
	}
}

/* What the keys do. */
static void pressing(void **state)
{
	json_t *b = old("12.0", "300", "7", "6");
	struct weir__top_view v = { .now = b, .interval_s = 1, .sort = WEIR__TOP_NAME };

	(void)state;
	assert_false(weir__top_press(&v, WEIR__KEY_QUIT));
	weir__top_press(&v, WEIR__KEY_DOWN);
	assert_string_equal(v.selected, "out");
	for (int i = 0; i < 5; i++)
		weir__top_press(&v, WEIR__KEY_DOWN);
	assert_string_equal(v.selected, "proc");
	for (int i = 0; i < 5; i++)
		weir__top_press(&v, WEIR__KEY_UP);
	assert_string_equal(v.selected, "io");
	for (int i = 0; i < WEIR__TOP_SORT_COUNT; i++)
		weir__top_press(&v, WEIR__KEY_SORT);
	assert_int_equal(v.sort, WEIR__TOP_NAME);
	weir__top_press(&v, WEIR__KEY_REVERSE);
	weir__top_press(&v, WEIR__KEY_PAUSE);
	weir__top_press(&v, WEIR__KEY_HELP);
	assert_true(v.reverse && v.paused && v.help);
	weir__top_press(&v, WEIR__KEY_BACK);
	assert_false(v.help);
	weir__top_press(&v, WEIR__KEY_SLOWER);
	assert_true(v.interval_s == 2);
	for (int i = 0; i < 20; i++)
		weir__top_press(&v, WEIR__KEY_FASTER);
	assert_true(v.interval_s == WEIR__TOP_INTERVAL_MIN_S);
	for (int i = 0; i < 40; i++)
		weir__top_press(&v, WEIR__KEY_SLOWER);
	assert_true(v.interval_s == WEIR__TOP_INTERVAL_MAX_S);
	assert_true(weir__top_press(&v, WEIR__KEY_NONE));
	json_decref(b);
}

/* ---- numbers ------------------------------------------------------------------------------ */

static void numbers(void **state)
{
	static const uint64_t counts[] = { 0, 50, 50, 0, 0, 0, 0, 0, 0, 0, 0 }, none[11] = { 0 };
	static const uint64_t late[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3 };
	char buf[24];

	(void)state;
	assert_string_equal(weir__top_rate(NAN, buf, sizeof buf), "-");
	assert_string_equal(weir__top_rate(0, buf, sizeof buf), "0");
	assert_string_equal(weir__top_rate(1.25, buf, sizeof buf), "1.2");
	assert_string_equal(weir__top_rate(99999, buf, sizeof buf), "99999");
	assert_string_equal(weir__top_rate(123456, buf, sizeof buf), "123.5k");
	assert_string_equal(weir__top_percent(0.314, buf, sizeof buf), "0.31%");
	assert_string_equal(weir__top_percent(31.4, buf, sizeof buf), "31.4%");
	assert_string_equal(weir__top_percent(314, buf, sizeof buf), "314%");
	assert_string_equal(weir__top_time(45e-9, buf, sizeof buf), "45ns");
	assert_string_equal(weir__top_time(0.0012, buf, sizeof buf), "1.2ms");
	assert_string_equal(weir__top_time(75, buf, sizeof buf), "1m 15s");
	assert_string_equal(weir__top_bytes(NAN, buf, sizeof buf), "-");
	assert_true(weir__process_resident(getpid()) > 65536);
	assert_true(weir__process_resident(-1) == 0);
	/* Half of it lies below the second bound. */
	assert_true(weir__quantile(counts, weir__delivery_buckets, WEIR__DELIVERY_BUCKETS, 0.5) == 2.5e-4);
	assert_true(weir__quantile(counts, weir__delivery_buckets, WEIR__DELIVERY_BUCKETS, 0.99) > 4e-4);
	assert_true(weir__quantile(late, weir__delivery_buckets, WEIR__DELIVERY_BUCKETS, 0.5) == 10);
	assert_true(isnan(weir__quantile(none, weir__delivery_buckets, WEIR__DELIVERY_BUCKETS, 0.5)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_come_from_two_answers), cmocka_unit_test(sorting),
		cmocka_unit_test(every_size_fits),             cmocka_unit_test(columns_give_way),
		cmocka_unit_test(budgets_and_breakers),        cmocka_unit_test(detail_scrolls),
		cmocka_unit_test(hostile_answers),             cmocka_unit_test(json_frames),
		cmocka_unit_test(out_of_memory),               cmocka_unit_test(keys),
		cmocka_unit_test(pressing),                    cmocka_unit_test(numbers),
	};

	weir__json_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
