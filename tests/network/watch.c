/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon whose records are read. See flows.h. */
#include "flows.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

bool full_size(void)
{
	const char *full = getenv("WEIR_NETWORK_FULL");

	return full && !strcmp(full, "1");
}

void need_network(void)
{
	const char *why;

	need_bpf();
	why = no_net();
	if (!why && access(WEIR_PLUGINS "/network.so", R_OK))
		why = "no network plugin in this build";
	if (!why)
		return;
	printf("SKIP: %s\n", why);
	exit(77);
}

void watch_start_plain(struct watch *w, const struct ns *ns, const char *plugins, size_t most)
{
	static char yaml[16384];
	const struct ns *before;
	char path[320];

	snprintf(yaml, sizeof yaml,
	         "control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D'\nisolation: thread\n"
	         "plugin_dirs: ['@P']\nshutdown_timeout: 60s\nplugins:\n%s"
	         "  stdout: {format: json, file: '@D/flows', queue: 64MiB, on_full: block, collectors: [network]}\n",
	         plugins);
	before = ns_enter(ns);
	daemon_start(&w->d, yaml);
	ns_enter(before);
	snprintf(path, sizeof path, "%s/flows", w->d.dir);
	flows_init(&w->flows, path, most);
}

void watch_start(struct watch *w, const struct ns *ns, const char *options, size_t most)
{
	static char plugins[8192];

	snprintf(plugins, sizeof plugins,
	         "  network:\n    budget: {events: 0}\n    stats_interval: 0s\n"
	         "    store_capacity: 1048576\n    flow_producer: {flow_store_poll_interval: 200ms}\n"
	         "    span: {max_record_interval: 60s, tcp_timeout: 60s, tcp_fin_timeout: 1s,"
	         " tcp_rst_timeout: 1s, udp_timeout: 2s, generic_timeout: 2s, icmp_timeout: 2s}\n%s", options);
	watch_start_plain(w, ns, plugins, most);
}

bool watch_until(struct watch *w, bool (*cond)(struct watch *, void *), void *arg, unsigned seconds)
{
	double until = now_seconds() + seconds;

	for (;;) {
		flows_read(&w->flows);
		if (cond(w, arg))
			return true;
		if (now_seconds() > until)
			return false;
		nap_ms(50);
	}
}

void watch_nothing_lost(struct watch *w)
{
	json_t *status = daemon_call(&w->d, json_pack("{s:s}", "cmd", "status")), *route;

	assert_all_balanced(status);
	route = route_of(status, "network", "stdout");
	/* What a filter left out is not lost. */
	if (dropped(route, NULL) != dropped(route, "filtered"))
		print_error("%s\n", json_dumps(route, 0));
	assert_int_equal(dropped(route, NULL), dropped(route, "filtered"));
	json_decref(status);
}

void watch_stop(struct watch *w)
{
	char *log;

	assert_int_equal(daemon_stop(&w->d, SIGTERM), 0);
	flows_read(&w->flows);
	log = daemon_log(&w->d);
	if (!strstr(log, "every record is accounted for"))
		print_error("%s\n", log);
	assert_non_null(strstr(log, "every record is accounted for"));
	free(log);
}

void watch_clean(struct watch *w)
{
	if (w->d.dir[0])
		daemon_clean(&w->d);
	flows_fini(&w->flows);
	memset(w, 0, sizeof *w);
}
