/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir flows and weir dns without a terminal or a daemon: answers in, requests, rows and
 * lines out; keys in, the view out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"
#include "protocol.h"
#include "watch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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

#define ARGS "'args':[{'name':'limit','max':50},{'name':'sort','choices':['bytes','packets']},{'name':'port'}]"
#define PLUGIN(name, topics, state, more)                                      \
	"{'name':'" name "','topics':" topics ",'state':'" state "'" more "}"
#define QUERIES ",'queries':[{'name':'flows'," ARGS "},{'name':'talkers'," ARGS "},{'name':'queries'," ARGS "}]"
#define NET PLUGIN("net", "['flow']", "running", ",'source':'bpf','quality':''" QUERIES)

static json_t *status(const char *uptime, const char *plugins)
{
	char text[8192];

	snprintf(text, sizeof text, "{'ok':true,'pid':7,'uptime_s':%s,'plugins':[%s]}", uptime, plugins);
	return parse(text);
}

/* One flow as the plugin tells it; counts in bytes. */
#define FLOW(id, comm, direction, forth, back)                                 \
	"{'id':" id ",'comm':'" comm "','pid':42,'direction':'" direction "','source':'10.0.0.1'," \
	"'source_port':5000,'destination':'fe80::1','destination_port':443,'transport':'tcp'," \
	"'state':'established','bytes':" forth ",'reverse_bytes':" back ",'packets':10," \
	"'reverse_packets':5,'srtt_ns':1500000,'retransmits':0,'start_age_s':100}"

static struct weir__watch view(const struct weir__watch_kind *k)
{
	return (struct weir__watch){ .kind = k, .table = k->tables, .sort = k->tables->sorts,
		.trouble = "", .interval_s = 1 };
}

/* One round: this status, this answer. */
static int feed(struct weir__watch *w, const char *uptime, const char *plugins, const char *rows, char *why)
{
	json_t *request, *body;
	char text[16384] = "";
	int r = weir__watch_take(w, 0, status(uptime, plugins), why, 512);

	if (r != 1)
		return r;
	request = weir__watch_request(w, 1);
	assert_non_null(request);
	json_decref(request);
	body = parse(rows);
	json_dumpb(body, text, sizeof text, JSON_COMPACT);
	json_decref(body);
	return weir__watch_take(w, 1, json_pack("{s:b, s:s}", "ok", 1, "body", text), why, 512);
}

/* The words a view would ask with, one after the other. */
static const char *asks(struct weir__watch *w)
{
	static char text[512];
	json_t *request = weir__watch_request(w, 1), *v;
	size_t i;

	assert_non_null(request);
	snprintf(text, sizeof text, "%s.%s", weir__top_string(request, "plugin"), weir__top_string(request, "query"));
	json_array_foreach(json_object_get(request, "args"), i, v)
		snprintf(text + strlen(text), sizeof text - strlen(text), " %s", json_string_value(v));
	json_decref(request);
	return text;
}

static struct weir__top_text frame(struct weir__watch *w, unsigned columns, unsigned rows)
{
	struct weir__top_text t = { .columns = columns, .rows = rows };

	weir__watch_frame(w, &t);
	assert_false(t.oom);
	return t;
}

static void shows(struct weir__watch *w, const char *what, bool so)
{
	struct weir__top_text t = frame(w, 240, 30);

	if (!strstr(t.text, what) == so)
		print_error("%sshown: %s\n%s\n", so ? "not " : "", what, t.text);
	assert_true(!strstr(t.text, what) != so);
	weir__top_text_fini(&t);
}

static enum weir__live_pressed press(struct weir__watch *w, const char *keys)
{
	enum weir__live_pressed r = WEIR__LIVE_STAY;
	size_t used;

	for (size_t at = 0; keys[at]; at += used)
		r = weir__watch_press(w, keys + at, strlen(keys + at), &used);
	return r;
}

/* ---- who is asked -------------------------------------------------------------------- */

/* A collector is asked rather than its stand-in, a stand-in only for what it stands in. */
static void finds_the_plugin(void **state)
{
	static const char *const idle = "," PLUGIN("aid", "['io','flow']", "running", ",'fallback_for':['io']" QUERIES);
	static const char *const aid = "," PLUGIN("aid", "['io','flow']", "running", ",'fallback_for':['flow']" QUERIES);
	static const struct { const char *net; const char *const *rest; const char *want; } table[] = {
		{ NET, &aid, "net" },
		{ PLUGIN("net", "['flow']", "failed", ""), &aid, "aid" },
		{ PLUGIN("net", "['flow']", "running", ",'queries':[]"), &aid, "aid" },
		{ PLUGIN("net", "['flow']", "disabled", ""), &idle, NULL },
		{ PLUGIN("net", "['dns']", "running", QUERIES), &idle, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct weir__watch w = view(&weir__watch_flows);
		char plugins[4096], why[512] = "";
		int r;

		snprintf(plugins, sizeof plugins, "%s%s", table[i].net, *table[i].rest);
		r = weir__watch_take(&w, 0, status("1", plugins), why, sizeof why);
		assert_int_equal(r, table[i].want ? 1 : -1);
		if (table[i].want)
			assert_string_equal(w.plugin, table[i].want);
		else
			assert_non_null(strstr(why, "topic flow"));
		weir__watch_fini(&w);
	}
}

static void found(const char *topic, char *buf, size_t size)
{
	snprintf(buf, size, "shelved-%s", topic);
}

/* Who could give it, why it does not, and what to do, is in the complaint. */
static void says_what_to_do(void **state)
{
	struct weir__watch w = view(&weir__watch_flows);
	char why[512];

	(void)state;
	assert_int_equal(feed(&w, "1", PLUGIN("net", "['flow']", "disabled", ""), "[]", why), -1);
	assert_non_null(strstr(why, "net is disabled (weir enable net)"));
	assert_int_equal(feed(&w, "1", PLUGIN("net", "['flow']", "failed", ",'reason':'no BTF'"), "[]", why), -1);
	assert_non_null(strstr(why, "net is failed: no BTF (weir check"));
	assert_int_equal(feed(&w, "1", PLUGIN("io", "['io']", "running", ""), "[]", why), -1);
	assert_non_null(strstr(why, "weir plugins"));
	w.look = found;
	assert_int_equal(feed(&w, "1", PLUGIN("io", "['io']", "running", ""), "[]", why), -1);
	assert_non_null(strstr(why, "shelved-flow could"));
	assert_int_equal(feed(&w, "1", NET, "{}", why), -1);
	assert_non_null(strstr(why, "something else than a list"));
	weir__watch_fini(&w);
}

/* No argument is sent that the query does not have, and no more is asked for than it gives. */
static void asks_what_there_is(void **state)
{
	struct weir__watch w = view(&weir__watch_flows);
	char why[512];

	(void)state;
	assert_int_equal(feed(&w, "1", NET, "[]", why), 0);
	weir__watch_take(&w, 0, status("1", NET), why, sizeof why);
	assert_string_equal(asks(&w), "net.flows sort=bytes limit=50");
	w.limit = 3;
	w.sort = weir__watch_sort_of(w.table, "packets");
	assert_string_equal(asks(&w), "net.flows sort=packets limit=3");
	w.reverse = true; /* the least: of all there are */
	assert_string_equal(asks(&w), "net.flows sort=packets limit=50");
	w.sort = weir__watch_sort_of(w.table, "process");
	snprintf(w.filter, sizeof w.filter, "process=Web Content  port=443");
	assert_string_equal(asks(&w), "net.flows limit=50 process=Web Content port=443");
	w.table = weir__watch_by(w.kind, "peer");
	w.sort = w.table->sorts;
	*w.filter = 0;
	assert_string_equal(asks(&w), "net.talkers by=peer sort=bytes limit=50");
	snprintf(w.filter, sizeof w.filter, "process=\xff");
	assert_null(weir__watch_request(&w, 1));
	assert_false(weir__watch_filter("443", NULL));
	assert_false(weir__watch_filter("=443", NULL));
	assert_true(weir__watch_filter("", NULL));
	weir__watch_fini(&w);
}

/* ---- rows ------------------------------------------------------------------------------- */

/* Rates are what counters have grown by between two answers, seen from this machine. */
static void rates_come_from_two_answers(void **state)
{
	struct weir__watch w = view(&weir__watch_flows);
	struct weir__watch_row rows[WEIR__WATCH_ROWS];
	char why[512];

	(void)state;
	assert_int_equal(feed(&w, "10", NET, "[" FLOW("1", "curl", "client", "1000", "10") ","
	                      FLOW("2", "sshd", "server", "5000", "50") "]", why), 0);
	assert_int_equal(weir__watch_rows(&w, rows), 2);
	assert_true(isnan(rows[0].tx) && isnan(rows[0].bytes));
	assert_string_equal(weir__top_string(rows[0].o, "comm"), "sshd"); /* without rates: by bytes */
	assert_int_equal(feed(&w, "12", NET, "[" FLOW("2", "sshd", "server", "5400", "50") ","
	                      FLOW("1", "curl", "client", "3000", "16") "]", why), 0);
	assert_int_equal(weir__watch_rows(&w, rows), 2);
	assert_string_equal(weir__top_string(rows[0].o, "comm"), "curl");
	assert_true(rows[0].tx == 1000 && rows[0].rx == 3 && rows[0].bytes == 1003);
	assert_true(rows[1].rx == 200 && rows[1].tx == 0); /* the server receives what its client sends */
	w.limit = 1;
	assert_int_equal(weir__watch_rows(&w, rows), 1);
	w.limit = 0;
	w.sort = weir__watch_sort_of(w.table, "process");
	w.reverse = true;
	weir__watch_rows(&w, rows);
	assert_string_equal(weir__top_string(rows[0].o, "comm"), "sshd");
	/* A counter that began anew counts from zero; another daemon's are not compared. */
	assert_int_equal(feed(&w, "13", NET, "[" FLOW("1", "curl", "client", "100", "16") "]", why), 0);
	weir__watch_rows(&w, rows);
	assert_true(rows[0].tx == 100);
	assert_int_equal(feed(&w, "1", NET, "[" FLOW("1", "curl", "client", "200", "16") "]", why), 0);
	weir__watch_rows(&w, rows);
	assert_true(isnan(rows[0].tx));
	weir__watch_fini(&w);
}

/* What was not there before began since, or it is not known how much of it is new. */
static void newcomers(void **state)
{
	static const char *const young = "[{'id':9,'bytes':500,'reverse_bytes':0,'start_age_s':0.5}]";
	static const char *const old = "[{'id':9,'bytes':500,'reverse_bytes':0,'start_age_s':99}]";
	struct weir__watch w = view(&weir__watch_flows);
	struct weir__watch_row rows[WEIR__WATCH_ROWS];
	char why[512];

	(void)state;
	feed(&w, "10", NET, "[]", why);
	feed(&w, "12", NET, young, why);
	weir__watch_rows(&w, rows);
	assert_true(rows[0].tx == 250);
	weir__watch_fini(&w);
	w = view(&weir__watch_flows);
	feed(&w, "10", NET, "[]", why);
	feed(&w, "12", NET, old, why);
	weir__watch_rows(&w, rows);
	assert_true(isnan(rows[0].tx));
	weir__watch_fini(&w);
}

/* Rates are over no less than the source needs to look again, however often it is asked. */
static void slow_sources(void **state)
{
	static const char *const slow = PLUGIN("net", "['flow']", "running", ",'interval_s':5" QUERIES);
	struct weir__watch w = view(&weir__watch_flows);
	struct weir__watch_row rows[WEIR__WATCH_ROWS];
	char why[512];

	(void)state;
	feed(&w, "10", slow, "[{'id':1,'bytes':1000}]", why);
	assert_true(w.interval_s == 5);
	feed(&w, "11", slow, "[{'id':1,'bytes':1000}]", why);
	weir__watch_rows(&w, rows);
	assert_true(isnan(rows[0].bytes));
	feed(&w, "16", slow, "[{'id':1,'bytes':2000}]", why);
	feed(&w, "17", slow, "[{'id':1,'bytes':2200}]", why);
	weir__watch_rows(&w, rows);
	assert_true(rows[0].bytes == 200); /* since 11, not since 16 */
	feed(&w, "22", slow, "[{'id':1,'bytes':2200}]", why);
	weir__watch_rows(&w, rows);
	assert_true(rows[0].bytes == 0);
	weir__watch_fini(&w);
}

/* Fields by the names they have in records; protocols by number; talkers by what they are. */
static void other_names(void **state)
{
	static const char *const row = "[{'scope':'host','source_address':'10.0.0.1','source_port':5,"
		"'destination_address':'10.0.0.2','destination_port':53,'transport':17,'bytes_total':%d,"
		"'reverse_bytes_total':%d,'packets_total':1,'reverse_packets_total':1,'start_ns':1e18}]";
	struct weir__watch w = view(&weir__watch_flows);
	struct weir__watch_row rows[WEIR__WATCH_ROWS];
	char why[512], text[512];

	(void)state;
	snprintf(text, sizeof text, row, 100, 200);
	feed(&w, "10", NET, text, why);
	snprintf(text, sizeof text, row, 300, 200);
	feed(&w, "12", NET, text, why);
	weir__watch_rows(&w, rows);
	assert_true(rows[0].tx == 100 && rows[0].rx == 0);
	shows(&w, "10.0.0.2:53", true);
	shows(&w, "udp", true);
	shows(&w, "500 B", true);
	press(&w, "b");
	feed(&w, "13", NET, "[{'pid':7,'comm':'dig','bytes':9},{'other':true,'bytes':5}]", why);
	shows(&w, "7 dig", true);
	shows(&w, "(others)", true);
	feed(&w, "14", NET, "[{'pid':7,'comm':'dig','bytes':4},{'other':true,'bytes':6}]", why);
	weir__watch_rows(&w, rows);
	assert_true(rows[0].bytes == 1 && isnan(rows[1].bytes)); /* a flow of it has ended */
	press(&w, "b");
	feed(&w, "14", NET, "[{'address':'192.0.2.1','bytes':9}]", why);
	shows(&w, "192.0.2.1", true);
	press(&w, "b");
	feed(&w, "15", NET, "[{'port':53,'transport':'udp','bytes':9}]", why);
	shows(&w, "53/udp", true);
	weir__watch_fini(&w);
}

/* The frame for programs: the plugin's own row with rates, null where nothing is known. */
static void json_frames(void **state)
{
	struct weir__watch w = view(&weir__watch_flows);
	char why[512];
	json_t *out, *row;

	(void)state;
	feed(&w, "10", NET, "[" FLOW("1", "curl", "client", "1000", "10") "]", why);
	out = weir__watch_json(&w);
	row = json_array_get(json_object_get(out, "flows"), 0);
	assert_true(json_is_null(json_object_get(row, "tx_bytes_per_s")));
	json_decref(out);
	feed(&w, "12", NET, "[" FLOW("1", "curl", "client", "3000", "10") "]", why);
	out = weir__watch_json(&w);
	row = json_array_get(json_object_get(out, "flows"), 0);
	assert_string_equal(weir__top_string(out, "plugin"), "net");
	assert_string_equal(weir__top_string(out, "source"), "bpf");
	assert_true(weir__top_number(out, "passed_s") == 2);
	assert_true(weir__top_number(row, "tx_bytes_per_s") == 1000);
	json_decref(out);
	weir__watch_fini(&w);
}

/* ---- frames ------------------------------------------------------------------------------- */

static void columns(void **state)
{
	struct weir__watch w = view(&weir__watch_flows);
	struct weir__top_text t;
	char why[512];

	(void)state;
	feed(&w, "10", NET, "[" FLOW("1", "curl", "client", "1000", "24") "]", why);
	feed(&w, "11", NET, "[" FLOW("1", "curl", "client", "3048", "24") "]", why);
	shows(&w, "42 curl", true);
	shows(&w, "10.0.0.1:5000", true);
	shows(&w, "[fe80::1]:443", true);
	shows(&w, "2.0 KiB", true);
	shows(&w, "1.5ms", true);
	shows(&w, "1m 40s", true);
	shows(&w, "UNIT", false); /* nothing is known of any */
	shows(&w, "from net bpf", true);
	t = frame(&w, 60, 8); /* what it is about stays */
	assert_non_null(strstr(t.text, "DESTINATION"));
	assert_non_null(strstr(t.text, "TX/S"));
	assert_null(strstr(t.text, "AGE"));
	weir__top_text_fini(&t);
	weir__watch_fini(&w);
}

/* Lines are as many as allowed, none is wider, and nothing in them acts. */
static void fits(const struct weir__top_text *t, unsigned columns, unsigned rows)
{
	unsigned lines = 0, width = 0;

	for (size_t i = 0; i < t->len; i++) {
		unsigned char c = (unsigned char)t->text[i];

		width = c == '\n' ? 0 : width + ((c & 0xc0) != 0x80);
		lines += c == '\n';
		assert_true(width <= columns);
		assert_true(c == '\n' || (c >= 0x20 && c != 0x7f));
	}
	assert_true(lines <= rows);
	assert_null(t->text ? strstr(t->text, "\xe2\x80\xae") : NULL); /* U+202E */
}

/* Whatever a plugin answers, at every size and in every table, the frame is harmless. */
static void hostile_answers(void **state)
{
	static const char *const answers[] = {
		"[]", "[1,null,'x',[],{}]", "[{'id':{},'comm':7,'pid':'x','bytes':'many','source':[]}]",
		"[{'name':'a\\u001b[2J\\u202eb\\n','key':'\\u0007\\u009b','comm':'\\r','bytes':-1e308,"
		"'server':'\\u2028','source':'::\\u001b','outcome':'\\n','rcode':'\\t','time':'\\u0001',"
		"'latency_ns':1e300,'age_ns':-5,'queries':1e308,'start_age_s':1e300,'srtt_ns':-1}]",
		"[{'id':1,'bytes':5},{'id':1,'bytes':6},{'id':1}]",
	};
	static const struct weir__watch_kind *const kinds[] = { &weir__watch_flows, &weir__watch_dns };
	static const unsigned sizes[] = { 0, 1, 7, 40, 80, 200 };
	char why[512];

	(void)state;
	for (size_t k = 0; k < 2; k++)
		for (size_t a = 0; a < 25; a++) {
			struct weir__watch w = view(kinds[k]);
			json_t *out;

			w.now = parse(answers[a % 5]);
			w.before = parse(answers[a / 5]);
			w.status = status("3", NET);
			w.status_before = status("1", NET);
			for (size_t t = 0; t < kinds[k]->count; t++)
				for (size_t s = 0; s < 6; s++) {
					struct weir__top_text text;

					w.table = &kinds[k]->tables[t];
					w.sort = &w.table->sorts[s % w.table->sort_count];
					w.detail = s == 4;
					w.help = s == 5;
					text = frame(&w, sizes[s], sizes[(s + t) % 6]);
					fits(&text, sizes[s], sizes[(s + t) % 6]);
					weir__top_text_fini(&text);
				}
			out = weir__watch_json(&w);
			assert_non_null(out);
			json_decref(out);
			press(&w, "j\rj\033k");
			weir__watch_fini(&w);
			w = view(kinds[k]);
			weir__watch_take(&w, 0, parse(answers[a % 5]), why, sizeof why);
			weir__watch_fini(&w);
		}
}

/* DNS: the latest first, whether its age or its time is told; an answer by its code. */
static void dns(void **state)
{
	static const char *const plugin = PLUGIN("res", "['dns']", "running", QUERIES);
	struct weir__watch w = view(&weir__watch_dns);
	struct weir__watch_row rows[WEIR__WATCH_ROWS];
	char why[512];

	(void)state;
	assert_int_equal(feed(&w, "1", plugin, "[{'age_ns':9e9,'name':'old','outcome':'answered','rcode':'NXDOMAIN'},"
	                      "{'age_ns':2e9,'name':'new','outcome':'timeout','latency_ns':5e9}]", why), 0);
	weir__watch_rows(&w, rows);
	assert_string_equal(weir__top_string(rows[0].o, "name"), "new");
	shows(&w, "NXDOMAIN", true);
	shows(&w, "timeout", true);
	shows(&w, "answered", false);
	feed(&w, "2", plugin, "[{'time':'2026-01-31T09:00:00.5Z','name':'old'},"
	     "{'time':'2026-02-01T08:00:00Z','name':'new'}]", why);
	weir__watch_rows(&w, rows);
	assert_string_equal(weir__top_string(rows[0].o, "name"), "new");
	weir__watch_fini(&w);
}

/* Without memory a frame says so, and a JSON frame or a request is none. */
static void out_of_memory(void **state)
{
	struct weir__watch w = view(&weir__watch_flows);
	char why[512];
	long live;
	bool done = false;

	(void)state;
	feed(&w, "10", NET, "[" FLOW("1", "curl", "client", "1000", "10") "]", why);
	feed(&w, "12", NET, "[" FLOW("1", "curl", "client", "3000", "10") "]", why);
	weir__watch_take(&w, 0, status("13", NET), why, sizeof why);
	live = weir__mem_live();
	for (long n = 0; !done; n++) {
		struct weir__top_text t = { .columns = 200, .rows = 2000 };
		json_t *out, *request;

		weir__mem_fail_at(n);
		weir__watch_frame(&w, &t);
		weir__mem_fail_at(n);
		out = weir__watch_json(&w);
		weir__mem_fail_at(n);
		request = weir__watch_request(&w, 1);
		weir__mem_fail_at(-1);
		if (request)
			assert_int_equal(json_array_size(json_object_get(request, "args")), 2);
		done = !t.oom && out && request;
		weir__top_text_fini(&t);
		json_decref(out);
		json_decref(request);
		assert_int_equal(weir__mem_live(), live);
		assert_true(n < 1000);
	}
	weir__watch_fini(&w);
}

/* ---- keys and words ------------------------------------------------------------------------- */

static void pressing(void **state)
{
	struct weir__watch w = view(&weir__watch_flows);
	char why[512];

	(void)state;
	feed(&w, "10", NET, "[" FLOW("1", "curl", "client", "1000", "10") "," FLOW("2", "sshd", "server", "9", "1") "]", why);
	assert_int_equal(press(&w, "s"), WEIR__LIVE_ASK);
	assert_string_equal(w.sort->word, "tx");
	press(&w, "j\r");
	shows(&w, "srtt_ns", true);
	assert_true(strstr(w.selected, "2") == w.selected);
	press(&w, "\033");
	shows(&w, "srtt_ns", false);
	press(&w, "h");
	shows(&w, "Sorted by: " WEIR__CLI_FLOW_SORTS, true);
	press(&w, "h");
	/* While a filter is typed, q is a letter; what is no filter is not taken. */
	press(&w, "fqort");
	shows(&w, "filter: qort_", true);
	assert_int_equal(press(&w, "\r"), WEIR__LIVE_STAY);
	assert_true(w.typing);
	press(&w, "\177\177\177\177port=22\303\251\177");
	assert_int_equal(press(&w, "\r"), WEIR__LIVE_ASK);
	assert_string_equal(w.filter, "port=22");
	assert_null(w.now); /* it was of other rows */
	press(&w, "/x\033");
	assert_string_equal(w.filter, "port=22");
	assert_int_equal(press(&w, "b"), WEIR__LIVE_ASK);
	assert_string_equal(w.table->by, "process");
	assert_string_equal(w.sort->word, "rate"); /* talkers have no tx */
	press(&w, "bbb");
	assert_string_equal(w.table->by, "flow");
	press(&w, "p");
	assert_true(w.paused);
	assert_int_equal(press(&w, "q"), WEIR__LIVE_QUIT);
	weir__watch_fini(&w);
}

/* An answer about what is not wanted any more is not shown. */
static void late_answers(void **state)
{
	struct weir__watch w = view(&weir__watch_flows);
	char why[512];

	(void)state;
	weir__watch_take(&w, 0, status("1", NET), why, sizeof why);
	json_decref(weir__watch_request(&w, 1));
	press(&w, "b");
	assert_int_equal(weir__watch_take(&w, 1, json_pack("{s:b, s:s}", "ok", 1, "body", "[]"), why, sizeof why), 0);
	assert_null(w.now);
	weir__watch_fini(&w);
}

/* The help names what there is. */
static void words(void **state)
{
	static const struct { const struct weir__watch_kind *kind; const char *by, *want; } table[] = {
		{ &weir__watch_flows, "flow", WEIR__CLI_FLOW_SORTS },
		{ &weir__watch_flows, "process", WEIR__CLI_TALKER_SORTS },
		{ &weir__watch_dns, "query", WEIR__CLI_DNS_SORTS },
		{ &weir__watch_dns, "name", WEIR__CLI_DNS_COUNT_SORTS },
		{ &weir__watch_dns, "server", WEIR__CLI_DNS_COUNT_SORTS },
		{ &weir__watch_dns, "process", WEIR__CLI_DNS_COUNT_SORTS },
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		assert_string_equal(weir__watch_sorts(weir__watch_by(table[i].kind, table[i].by), text, sizeof text),
		                    table[i].want);
	assert_null(weir__watch_by(&weir__watch_dns, "peer"));
	assert_null(weir__watch_sort_of(weir__watch_dns.tables, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_plugin), cmocka_unit_test(says_what_to_do),
		cmocka_unit_test(asks_what_there_is), cmocka_unit_test(rates_come_from_two_answers),
		cmocka_unit_test(newcomers),        cmocka_unit_test(other_names),      cmocka_unit_test(slow_sources),
		cmocka_unit_test(json_frames),
		cmocka_unit_test(columns),          cmocka_unit_test(hostile_answers),
		cmocka_unit_test(dns),              cmocka_unit_test(out_of_memory),
		cmocka_unit_test(pressing),         cmocka_unit_test(late_answers),
		cmocka_unit_test(words),
	};

	weir__json_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
