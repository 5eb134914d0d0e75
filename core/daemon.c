/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's start and end.
 *
 * Happy path: make the loop, take the plugins in, open the control socket and the
 * HTTP listener, start; on SIGTERM stop collectors, drain, stop outputs, print the
 * ledger, go. Failure modes: a busy port or socket is said with what to do and the
 * rest runs on; only without a loop or memory does it give up.
 */
#include "daemon_live.h"
#include "daemon_privilege.h"
#include "bus.h"
#include "host_remote.h"
#include "hostgroup.h"
#include "fatal.h"
#include "kernel_guard.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How often to look whether all plugins have settled: for the log and a metric. */
#define READY_POLL_MS 5

/* A second signal after this long means: now. */
#define IMPATIENT_NS 1000000000u

double weir__daemon_uptime(const struct weir__daemon *d)
{
	return (double)(uv_hrtime() - d->started_ns) / 1e9;
}

/* While a live view has the terminal, only what needs attention is written over it,
 * unless another level was asked for. */
static void setup_log(const struct weir__daemon_config *c, bool live_view)
{
	struct weir__log_config log = { (int)c->log_level, (int)c->log_format, c->log_file, c->log_burst };

	if (live_view && isatty(1) && isatty(2) && !*c->log_file && log.level == WEIR_INFO)
		log.level = WEIR_WARN;
	if (weir__log_setup(&log))
		weir__log(WEIR_WARN, NULL, "log.file %s cannot be written: logging to stderr", c->log_file);
}

/* ---- the end ------------------------------------------------------------------------- */

static void closed(void *arg)
{
	struct weir__daemon *d = arg;

	d->closing--;
}

static void on_stopped(void *arg, bool clean)
{
	struct weir__daemon *d = arg;

	d->clean = clean;
	setup_log(weir__config_daemon(d->config), false);
	weir__sup_log_ledger(d->sup);
	d->balanced = weir__sup_balanced(d->sup);
	weir__log(WEIR_INFO, NULL, "stopped after %.1f s%s", weir__daemon_uptime(d),
	          d->balanced ? "; every record is accounted for" : "; the ledger does NOT balance");
	if (!clean) {
		/* A thread that does not end would be waited for for ever. */
		fflush(NULL);
		_exit(1);
	}
	if (d->http) {
		d->closing++;
		weir__http_stop(d->http, closed, d);
	}
	if (d->control) {
		d->closing++;
		weir__control_stop(d->control, closed, d);
	}
	uv_close((uv_handle_t *)&d->sigterm, NULL);
	uv_close((uv_handle_t *)&d->sigint, NULL);
	uv_close((uv_handle_t *)&d->sighup, NULL);
	uv_close((uv_handle_t *)&d->ready_timer, NULL);
	weir__notify_fini(&d->notify);
	weir__live_stop(d);
	weir__sup_free(d->sup);
	d->sup = NULL;
}

static void on_signal(uv_signal_t *sig, int signum)
{
	struct weir__daemon *d = sig->data;

	if (d->stopping) {
		/* Some senders signal the process and its group: that is one wish. */
		if (uv_hrtime() - d->stopping_ns < IMPATIENT_NS)
			return;
		weir__log(WEIR_WARN, NULL, "signalled again: going at once, records in flight are lost");
		_exit(1);
	}
	d->stopping = true;
	d->stopping_ns = uv_hrtime();
	weir__notify(&d->notify, "STOPPING=1\nSTATUS=stopping: outputs take what is queued");
	weir__log(WEIR_INFO, NULL, "%s: stopping", signum == SIGINT ? "interrupted" : "terminated");
	weir__sup_stop(d->sup, weir__config_daemon(d->config)->shutdown_timeout_ns, on_stopped, d);
}

/* As everywhere: a log file that was moved away is opened anew, and the configuration
 * is read again. */
static void on_hangup(uv_signal_t *sig, int signum)
{
	struct weir__daemon *d = sig->data;

	(void)signum;
	if (d->stopping)
		return;
	setup_log(weir__config_daemon(d->config), true);
	weir__live_reload(d, NULL, "SIGHUP", NULL);
}

static void on_file_changed(void *arg)
{
	struct weir__daemon *d = arg;

	if (!d->stopping)
		weir__live_reload(d, NULL, "the file has changed", NULL);
}

static void set_watch(struct weir__daemon *d)
{
	struct weir__live *l = d->live;

	if (weir__config_daemon(d->config)->watch == !!l->watch)
		return;
	if (l->watch) {
		weir__watch_free(l->watch);
		l->watch = NULL;
	} else if (!weir__config_has_file(l->boot)) {
		weir__log(WEIR_WARN, NULL, "watch: the built-in configuration has no file");
	} else if (weir__watch_new(&d->loop, weir__config_file(l->boot), on_file_changed, d, &l->watch)) {
		weir__log(WEIR_WARN, NULL, "watch: no memory; use `weir reload`");
	}
}

void weir__daemon_reconfigured(struct weir__daemon *d, const json_t *options)
{
	bool log = false;
	json_t *o;
	size_t i;

	json_array_foreach(options, i, o)
		log |= !strncmp(json_string_value(json_object_get(o, "option")), "log.", 4);
	if (log)
		setup_log(weir__config_daemon(d->config), true);
	set_watch(d);
}

/* ---- the start ------------------------------------------------------------------------- */

static void on_ready_poll(uv_timer_t *timer)
{
	struct weir__daemon *d = timer->data;
	char names[500] = "";
	double s;

	if (!weir__sup_settled(d->sup))
		return;
	uv_timer_stop(timer);
	s = weir__daemon_uptime(d);
	weir__series_set(weir__series(d->self, WEIR__SELF_START_DURATION, (const char *const[]){ NULL }), s);
	if (weir__sup_unready(d->sup, names, sizeof names))
		weir__log(WEIR_ERROR, NULL, "nothing runs: %s", names);
	else
		weir__log(WEIR_INFO, NULL, "ready after %.0f ms", s * 1e3);
	/* Ready even if nothing runs: what failed is tried again, and can be asked about. */
	weir__notify(&d->notify, "READY=1\nSTATUS=%s%.400s", names[0] ? "nothing runs: " : "ready", names);
	malloc_trim(0);
}

static void start_http(struct weir__daemon *d)
{
	const struct weir__daemon_config *c = weir__config_daemon(d->config);
	struct weir__http_config http = { c->http_listen, c->http_tls_cert, c->http_tls_key,
		c->http_auth_user, c->http_auth_password_file };
	char err[400];

	if (!*c->http_listen)
		return;
	if (weir__http_start(&d->loop, &http, weir__daemon_http, d, &d->http, err, sizeof err)) {
		weir__log(WEIR_ERROR, NULL, "no HTTP: %s", err);
		return;
	}
	weir__log(WEIR_INFO, NULL, "listening on %s (port %d)", c->http_listen, weir__http_port(d->http));
}

static void start_control(struct weir__daemon *d)
{
	const struct weir__daemon_config *c = weir__config_daemon(d->config);
	char err[400];

	if (!*c->control_socket)
		return;
	if (weir__control_start(&d->loop, c->control_socket, c->control_group, weir__daemon_control, d,
	                        &d->control, err, sizeof err))
		weir__log(WEIR_ERROR, NULL, "no control socket, so no `weir status`: %s", err);
}

/* Only said: without it Weir runs, and keeps nothing. */
static void check_state_dir(const char *dir)
{
	if (*dir && mkdir(dir, 0750) && errno != EEXIST)
		weir__log(WEIR_WARN, NULL, "state_dir %s: %s; nothing will be kept over a restart "
		          "(set state_dir to a directory that can be written)", dir, strerror(errno));
	else if (*dir && access(dir, W_OK))
		weir__log(WEIR_WARN, NULL, "state_dir %s cannot be written: %s; nothing will be kept "
		          "over a restart", dir, strerror(errno));
}

/* Where plugins' processes meet, and what holds them in. */
static void start_processes(struct weir__daemon *d, const struct weir__identity *id)
{
	char why[300] = "";
	int rc = weir__hostgroups_new(id->uid, id->gid, &d->groups, why, sizeof why);

	if (rc)
		weir__log(WEIR_INFO, NULL, "no cgroups for plugins' processes: %s; their other limits hold", why);
	else if (*why)
		weir__log(WEIR_INFO, NULL, "cgroups for plugins' processes: %s", why);
	weir__remote_set_groups(d->groups);
	weir__remote_set_budget(weir__config_daemon(d->config)->budget_cpu,
	                        weir__config_daemon(d->config)->budget_memory);
	weir__bus_setup(weir__config_daemon(d->config)->control_socket);
}

/* As early as this process has code of ours: its age in /proc would begin at the
 * fork, before whatever the shell that became us has done. */
static uint64_t started_ns;

__attribute__((constructor)) static void note_start(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	started_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int take_plugins(struct weir__daemon *d, struct weir__setup *setup)
{
	int rc;

	for (size_t i = 0; i < setup->count; i++) {
		struct weir__setup_plugin *p = &setup->plugins[i];

		rc = weir__sup_add(d->sup, p->settings, p->loaded ? &p->loaded->desc : NULL,
		                   p->refused);
		if (rc)
			return rc;
		p->settings = NULL;
	}
	return 0;
}

static int init(struct weir__daemon *d, struct weir__setup *setup, size_t warnings)
{
	int rc;

	d->started_ns = started_ns;
	d->config = setup->config;
	rc = weir__guard_setup(&weir__config_daemon(d->config)->kernel_guard);
	if (rc)
		return rc;
	d->warnings = warnings;
	snprintf(d->config_name, sizeof d->config_name, "%s", weir__config_file(setup->config));
	rc = uv_loop_init(&d->loop);
	if (rc)
		return rc;
	rc = weir__live_init(d, d->config);
	if (rc)
		return rc;
	rc = weir__sup_new(&d->loop, d->config, &d->sup);
	if (rc)
		return rc;
	setup->config = NULL;
	d->self = weir__metrics_set_new("weir", &weir__self_metrics);
	if (!d->self)
		return -ENOMEM;
	weir__sup_on_fresh(d->sup, weir__daemon_update_metrics, d);
	uv_signal_init(&d->loop, &d->sigterm);
	uv_signal_init(&d->loop, &d->sigint);
	uv_signal_init(&d->loop, &d->sighup);
	uv_timer_init(&d->loop, &d->ready_timer);
	d->sigterm.data = d->sigint.data = d->sighup.data = d->ready_timer.data = d;
	uv_signal_start(&d->sigterm, on_signal, SIGTERM);
	uv_signal_start(&d->sigint, on_signal, SIGINT);
	uv_signal_start(&d->sighup, on_hangup, SIGHUP);
	return take_plugins(d, setup);
}

/* Nothing runs yet; only the control socket's file must not stay. */
static int give_up(struct weir__daemon *d)
{
	if (d->control)
		weir__control_stop(d->control, NULL, NULL);
	return 1;
}

/* A guest that wakes does not interrupt the host's work: what is due waits until the scheduler's
 * next tick, and its wakes become fewer. The share of the CPU stays what it was, which `nice`
 * would not do. Threads and processes inherit it; a policy that somebody chose stays.
 * docs/decisions/0013-scheduling.md has what it gains. Where it is refused, all goes on as without. */
static void wake_politely(void)
{
	if (sched_getscheduler(0) == SCHED_OTHER)
		sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
}

int weir__daemon_run(struct weir__setup *setup, size_t warnings)
{
	struct weir__daemon *d = weir__zalloc(sizeof *d);
	struct weir__identity id;
	int rc = d ? 0 : -ENOMEM;

	wake_politely();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN); /* nothing is asked for by these; ending would be rude */
	signal(SIGUSR2, SIG_IGN);
	/* Few arenas and returned memory: a collector on every node is a guest. */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	mallopt(M_TRIM_THRESHOLD, 128 * 1024);
	setenv("UV_THREADPOOL_SIZE", "2", 0);
	if (!rc)
		rc = init(d, setup, warnings);
	if (rc) {
		fprintf(stderr, "weir: cannot start: %s\n", strerror(-rc));
		return 1; /* the process ends: what was made goes with it */
	}
	setup_log(weir__config_daemon(d->config), true);
	rc = weir__notify_init(&d->notify);
	if (rc)
		weir__log(WEIR_WARN, NULL, "NOTIFY_SOCKET: %s; the service manager is told nothing", strerror(-rc));
	if (weir__daemon_identity(d->config, &id))
		return 1;
	start_control(d);
	start_http(d);
	start_processes(d, &id);
	if (weir__config_has_file(d->config))
		weir__config_keep_file(weir__config_file(d->config));
	if (weir__daemon_drop(d, setup, &id))
		return give_up(d);
	check_state_dir(weir__config_daemon(d->config)->state_dir);
	weir__live_start(d);
	set_watch(d);
	weir__fatal_setup(weir__config_daemon(d->config)->state_dir);
	weir__sup_start(d->sup);
	weir__notify_feed(&d->notify, &d->loop);
	uv_timer_start(&d->ready_timer, on_ready_poll, 0, READY_POLL_MS);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	weir__bus_end();
	weir__hostgroups_free(d->groups);
	weir__metrics_set_free(d->self);
	weir__config_free(d->config);
	uv_loop_close(&d->loop);
	rc = d->clean && d->balanced ? 0 : 1;
	weir__free(d);
	return rc;
}
