/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: the main loop with the supervisor, the control socket, the HTTP
 * listener and the signals on it.
 */
#ifndef WEIR_CORE_DAEMON_H
#define WEIR_CORE_DAEMON_H

#include "control.h"
#include "http.h"
#include "notify.h"
#include "setup.h"
#include "supervisor.h"

struct weir__live;

struct weir__daemon {
	uv_loop_t loop;
	struct weir__config *config; /* ours; changes with every reload or set */
	struct weir__live *live;
	struct weir__supervisor *sup;
	struct weir__http *http;
	struct weir__control *control;
	struct weir__metrics_set *self;
	struct weir__hostgroups *groups;
	uv_signal_t sigterm, sigint, sighup;
	uv_timer_t ready_timer;
	struct weir__notify notify;
	uint64_t stopping_ns;
	uint64_t started_ns;     /* CLOCK_MONOTONIC, before main() */
	size_t warnings;
	uint64_t control_ok, control_error;
	bool stopping, clean, balanced;
	unsigned closing;
	char config_name[4096];
	uint64_t last_cpu_ns, last_cpu_at_ns;
	double cpu_percent;
};

/* Takes setup's plugins and config. Runs until SIGTERM or SIGINT; exit status. */
int weir__daemon_run(struct weir__setup *setup, size_t warnings);

/* Take over what a new configuration says of the daemon itself: [{"option",...}]. */
void weir__daemon_reconfigured(struct weir__daemon *d, const json_t *options);

/* daemon_control.c */
void weir__daemon_control(void *arg, struct weir__control_request *req, const json_t *body);
/* daemon_http.c */
void weir__daemon_http(void *arg, struct weir__http_request *req, const char *path);
/* Weir's own metrics, brought up to date before a scrape. arg: the daemon. */
void weir__daemon_update_metrics(void *arg);
double weir__daemon_uptime(const struct weir__daemon *d);

/* tail.c: the output behind `weir tail`; `fd` becomes its own. */
int weir__tail_add(struct weir__supervisor *s, int fd, const json_t *topics, bool json);

#endif
