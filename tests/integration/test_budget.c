/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets with a real flood: the daemon stays within them, the weights make up for
 * what was left out, it recovers, and every event is accounted for. Waits for what
 * must come; how long it takes depends on the machine.
 */
#include "fixture.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* CPU and events are looked at: memory has no budget, since a sanitizer takes all of it. */
#define HEAD "control: { socket: '@S' }\nhttp: { listen: '' }\nstate_dir: '@D'\nplugin_dirs: ['@P', '@B']\n"

/* A query's answer as JSON; decref it. */
static json_t *query(struct daemon *d, const char *plugin, const char *name, const char *arg)
{
	json_t *a = daemon_call(d, json_pack("{s:s, s:s, s:s, s:[s*]}", "cmd", "query", "plugin", plugin,
	                                     "query", name, "args", arg));
	json_t *body = json_loads(json_string_value(json_object_get(a, "body")), 0, NULL);

	json_decref(a);
	assert_non_null(body);
	return body;
}

static json_t *budget_of(const json_t *status)
{
	return json_object_get(plugin_of(status, "flood"), "budget");
}

static const char *state_of(const json_t *status)
{
	return json_string_value(json_object_get(plugin_of(status, "flood"), "state"));
}

static double used(const json_t *o, const char *resource)
{
	return json_number_value(json_object_get(json_object_get(o, resource), "used"));
}

static bool sampled(const json_t *status, void *arg)
{
	(void)arg;
	return num(budget_of(status), "weight") > 1;
}

static bool within(const json_t *status, void *arg)
{
	const json_t *b = budget_of(status);

	return num(b, "weight") > 1 && used(b, "cpu") > 0 && used(b, "cpu") <= *(const double *)arg;
}

/* Events enough for a sample of them to say something. */
static bool many(const json_t *status, void *arg)
{
	return num(route_of(status, "flood", "count"), "seen") >= *(const long long *)arg;
}

static bool weight_is(const json_t *status, void *arg)
{
	return !strcmp(state_of(status), "running") && num(budget_of(status), "weight") <= *(const int *)arg;
}

static bool suspended(const json_t *status, void *arg)
{
	(void)arg;
	return !strcmp(state_of(status), "suspended");
}

static bool drained(const json_t *status, void *arg)
{
	(void)arg;
	return num(route_of(status, "flood", "count"), "queued") == 0;
}

/* What arrived, by its weights, against what was there: within 2 %, or five standard
 * deviations of the sample where that is more. */
static void assert_unbiased(struct daemon *d, const json_t *status, double weight)
{
	json_t *stats = query(d, "count", "stats", NULL), *route = route_of(status, "flood", "count");
	/* Dropped for want of room or tokens is no sample: it was seen, and is not made up for. */
	double expected = (double)(num(route, "seen") - dropped(route, NULL) + dropped(route, "sampled"));
	double got = (double)num(stats, "weighted"), off = 5 * sqrt(weight / expected);

	print_message("seen %lld, sampled %lld, weighted %.0f\n", num(route, "seen"), dropped(route, "sampled"), got);
	off = off > 0.02 ? off : 0.02;
	assert_true(got > expected * (1 - off) && got < expected * (1 + off));
	json_decref(stats);
}

/* More events than may pass are sampled at once and by no more than is needed; their
 * weights add up; when it is over every event is kept again. */
static void events(void **state)
{
	long long enough = 300000;
	struct daemon d;
	json_t *status;
	int half, weight;

	(void)state;
	daemon_start(&d, HEAD "budget: { cpu: 0, memory: 0 }\nplugins:\n  flood: { isolation: thread, wait: true, budget: { events: 10000 } }\n  count: { isolation: thread }\n");
	json_decref(query(&d, "flood", "go", "rate=60000"));
	status = wait_for(&d, sampled, NULL, "sampling");
	weight = (int)num(budget_of(status), "weight");
	assert_true(weight >= 3);
	json_decref(status);
	json_decref(wait_for(&d, many, &enough, "events"));
	json_decref(query(&d, "flood", "halt", NULL));
	status = wait_for(&d, drained, NULL, "the last event");
	assert_all_balanced(status);
	assert_unbiased(&d, status, weight);
	json_decref(status);
	half = weight / 2 + 1;
	json_decref(wait_for(&d, weight_is, &half, "a step up"));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* A flood is brought below the CPU limit, without losing the count. */
static void cpu(void **state)
{
	double limit = 8, weight;
	struct daemon d;
	json_t *status;
	char *log;

	(void)state;
	daemon_start(&d, HEAD "budget: { cpu: 0, memory: 0 }\nplugins:\n  flood: { isolation: thread, wait: true, "
	             "on_pressure: [widen, sample], budget: { cpu: 8, events: 0 } }\n  count: { isolation: thread }\n");
	json_decref(query(&d, "flood", "go", "rate=300000"));
	status = wait_for(&d, within, &limit, "the flood within the limit");
	assert_string_equal(state_of(status), "running");
	weight = (double)num(budget_of(status), "weight");
	json_decref(status);
	json_decref(query(&d, "flood", "halt", NULL));
	status = wait_for(&d, drained, NULL, "the last event");
	assert_all_balanced(status);
	assert_unbiased(&d, status, weight);
	json_decref(status);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	log = daemon_log(&d);
	assert_non_null(strstr(log, "plugin=flood msg=\"budget: "));
	assert_non_null(strstr(log, "of 8.0 % of a core (flood)"));
	free(log);
	daemon_clean(&d);
}

/* A limit that the programs alone are above: suspended, nothing of it runs, the ledger is
 * closed; a probe finds it quiet and it runs again. */
static void suspension(void **state)
{
	struct daemon d;
	json_t *status;
	int any = 1024;

	(void)state;
	daemon_start(&d, HEAD "budget: { cpu: 0, memory: 0 }\nplugins:\n"
	             "  flood: { isolation: thread, wait: true, budget: { cpu: 4 } }\n  count: { isolation: thread }\n");
	json_decref(query(&d, "flood", "go", NULL));
	status = wait_for(&d, suspended, NULL, "suspension");
	assert_string_equal(json_string_value(json_object_get(budget_of(status), "level")), "suspend");
	assert_non_null(strstr(json_string_value(json_object_get(plugin_of(status, "flood"), "reason")), "budget"));
	assert_all_balanced(status);
	json_decref(status);
	/* Its helper ended with it: the next look is a quiet one. */
	json_decref(wait_for(&d, weight_is, &any, "the plugin to run again"));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* on_pressure forbids: a plugin that may not be suspended is not. */
static void forbidden(void **state)
{
	struct daemon d;
	json_t *status;
	double any = 1e9;

	(void)state;
	daemon_start(&d, HEAD "budget: { cpu: 1, memory: 0 }\nplugins:\n"
	             "  flood: { isolation: thread, wait: true, on_pressure: [widen, sample] }\n  count: { isolation: thread }\n");
	json_decref(query(&d, "flood", "go", NULL));
	status = wait_for(&d, within, &any, "sampling");
	json_decref(status);
	for (int i = 0; i < 5; i++) { /* ticks above 100 %, more than the three that suspend */
		struct timespec ts = { 1, 0 };

		nanosleep(&ts, NULL);
	}
	status = wait_for(&d, sampled, NULL, "sampling");
	assert_string_equal(state_of(status), "running");
	json_decref(status);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static int setup(void **state)
{
	(void)state;
	fixture_budgets = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events),
		cmocka_unit_test(cpu),
		cmocka_unit_test(suspension),
		cmocka_unit_test(forbidden),
	};

	need_bpf();
	return cmocka_run_group_tests_name("budget", tests, setup, NULL);
}
