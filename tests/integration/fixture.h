/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running daemon for a test: its own directory with configuration, socket and
 * log, gone at the end. Everything has a deadline and fails the test with the
 * daemon's log.
 */
#ifndef WEIR_TESTS_FIXTURE_H
#define WEIR_TESTS_FIXTURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct daemon {
	pid_t pid;
	char dir[256];
	char socket[300], config[300], log[300], out[300];
};

/* Is this machine able to run BPF collectors? Else a reason, for a skip. */
const char *no_bpf(void);
/* Print "SKIP: ..." and exit 77 unless it is. */
void need_bpf(void);

/* yaml: the configuration; @S in it becomes the socket, @D the test's directory, @P,
 * @B and @H the directories of plugins, bench plugins and hostile ones. Waits until it is settled. */
void daemon_start(struct daemon *d, const char *yaml);
/* The same without waiting; for those that shall fail. Returns nothing started. */
void daemon_spawn(struct daemon *d, const char *yaml);
/* The next daemons start without descriptors 0 to 2; then they have no log. */
extern bool fixture_close_standard;
/* The next daemons start without these capabilities. */
extern uint64_t fixture_without;
/* The next daemons keep the default budgets; else a flood is not limited. */
extern bool fixture_budgets;
/* A file or directory becomes the user's that a daemon started now will be. */
void give_to_daemon(const char *path);
/* Start it anew in the same directory, after it has ended. Waits until it is settled. */
void daemon_again(struct daemon *d);
/* As another user, who gets the directory. */
void daemon_spawn_as(struct daemon *d, uid_t uid, const char *yaml);
/* Another configuration: written beside the old one and renamed over it. */
void daemon_configure(struct daemon *d, const char *yaml);
/* The same daemon anew, after daemon_stop: same directory, waits until it is settled. */
void daemon_again(struct daemon *d);
/* One request: the answer, whatever it is; json_decref it. */
json_t *daemon_ask(struct daemon *d, json_t *request);
/* Asserts "ok". */
json_t *daemon_call(struct daemon *d, json_t *request);
/* Signal, wait; exit status, or -1 for a signal. Keeps the directory. */
int daemon_stop(struct daemon *d, int signal);
int daemon_wait(struct daemon *d);
/* Everything logged (or written to stdout) so far; free it. */
char *daemon_log(struct daemon *d);
char *daemon_out(struct daemon *d);
/* Kill if need be, remove the directory. */
void daemon_clean(struct daemon *d);

/* From a status: the route or plugin object, borrowed; fails the test if missing. */
json_t *route_of(const json_t *status, const char *from, const char *to);
json_t *plugin_of(const json_t *status, const char *name);
long long num(const json_t *o, const char *key);
long long dropped(const json_t *route, const char *reason); /* NULL: all */
/* Asserts seen = delivered + queued + aggregated + dropped, of every route. */
void assert_all_balanced(const json_t *status);
/* Poll status until cond(status, arg), 20 s at most. Returns that status. */
json_t *wait_for(struct daemon *d, bool (*cond)(const json_t *, void *), void *arg, const char *what);

#endif
