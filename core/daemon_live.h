/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the configuration of the daemon while it runs: reload, set, enable and
 * disable. See daemon_live.c. Main thread.
 */
#ifndef WEIR_CORE_DAEMON_LIVE_H
#define WEIR_CORE_DAEMON_LIVE_H

#include "daemon.h"
#include "reload.h"

struct weir__watch;
struct live_job;

/* Who waits for the next reload: it begins when the one under way has settled. */
struct live_asker {
	struct live_asker *next;
	struct weir__control_request *req; /* NULL: SIGHUP or the file; the log is told */
	char *text;                        /* what root read from the file, or NULL */
};

struct weir__live {
	struct weir__daemon *d;
	struct weir__config *boot; /* the first one; some options hold until a restart */
	uv_timer_t expiry;         /* of overrides */
	bool reloading;
	const char *upgrade;       /* while a setup is built: whose library is looked for anew */
	struct live_asker *waiting;
	struct weir__watch *watch;
	uint64_t applied, unchanged, refused; /* reloads by result */
};

/* What was asked of a plugin's option. */
struct weir__live_ask {
	const char *plugin, *option;
	const char *value; /* NULL: --unset */
	double for_s;      /* 0: for good */
	bool persist;
	bool upgrade;      /* `value` is a library: it takes over from the running one */
};

int weir__live_init(struct weir__daemon *d, struct weir__config *boot);
/* What state_dir held is in force: say so, and wait for what has an end. */
void weir__live_start(struct weir__daemon *d);
/* Closes its handles; the rest when the loop has let go of them. */
void weir__live_stop(struct weir__daemon *d);

/* req NULL: `why` goes to the log, and so does what came of it. text: what is in the file,
 * should the daemon not be able to open it; or NULL. */
void weir__live_reload(struct weir__daemon *d, struct weir__control_request *req, const char *why,
                       const char *text);
void weir__live_set(struct weir__daemon *d, struct weir__control_request *req,
                    const struct weir__live_ask *ask);
/* The value and where it comes from. */
void weir__live_get(struct weir__daemon *d, struct weir__control_request *req, const char *plugin,
                    const char *option);
/* enable, disable: the override is in force, the plugin on its way. false: answered. */
bool weir__live_switch(struct weir__daemon *d, struct weir__control_request *req, const char *plugin,
                       bool on, double for_s, bool persist);
/* What is in force now: [{"key","value","persist","for_s"?}]. */
json_t *weir__live_overrides(struct weir__daemon *d);
/* The configuration in effect, as `weir config show` prints it; NULL: no memory. */
json_t *weir__live_text(struct weir__daemon *d);

/* daemon_upgrade.c: the library's own path is an option set at run time from then on. */
void weir__live_upgrade(struct weir__daemon *d, struct weir__control_request *req, const char *plugin,
                        const char *path);
void weir__upgrade_done(struct live_job *job);

/* ---- shared by daemon_live.c, daemon_reload.c, daemon_set.c, daemon_get.c ---- */

double weir__wall_s(void);
/* A setup with these overrides (taken), from the file or from the text that runs. 0, or
 * -errno with diags. */
int weir__live_build(struct weir__daemon *d, bool from_file, struct weir__overrides *o,
                     struct weir__diags *diags, struct weir__setup *ret);
/* Write down what shall outlive the daemon, if that changes. 0, or -errno: said to req,
 * or to the log. */
int weir__live_keep(struct weir__daemon *d, const struct weir__setup *setup,
                    struct weir__control_request *req);
/* weir__job_apply, and what else has to follow. */
void weir__live_apply(struct weir__daemon *d, struct live_job *job, struct weir__setup *setup);
/* The same with nobody waiting. Takes what is in setup. 0 or -ENOMEM. */
int weir__live_apply_silently(struct weir__daemon *d, struct weir__setup *setup);
/* When what was set for a time ends: the timer, and what status says. */
void weir__live_note_ends(struct weir__daemon *d);
/* Each as it is printed. */
json_t *weir__live_diags(const struct weir__diags *diags, bool errors_only);
/* {"ok":false,...}; takes diagnostics. */
void weir__live_refuse(struct weir__control_request *req, const char *error, const char *hint,
                       json_t *diagnostics);
json_t *weir__job_json(const struct live_job *job, const char *message);
/* The key of plugin.option, or of the daemon's option of that whole name; false: none. */
bool weir__live_key(struct weir__daemon *d, const char *plugin, const char *option, char *key,
                    size_t size);
void weir__live_no_such_key(struct weir__daemon *d, struct weir__control_request *req,
                            const char *plugin);
/* The row of a key and the struct its value is in; NULL: none. */
const struct weir_option *weir__live_row(struct weir__daemon *d, const char *key,
                                         const void **ret_base);

/* daemon_apply.c: a new setup on what runs, and the wait until it has settled. */

struct live_item {
	struct live_job *job;
	char name[32];
	enum weir__change change;
	bool settled, failed;
	char state[16];
	char message[400];
};

struct live_job {
	struct weir__daemon *d;
	struct live_asker *askers;
	void (*done)(struct live_job *job); /* all have settled, or the time is over */
	char subject[WEIR__OVERRIDE_KEY_MAX]; /* of a set: the key */
	char value[256];
	bool unset, upgrade;
	struct live_item *items;
	size_t count;
	json_t *daemon_options;
	unsigned waiting, refs;
	uv_timer_t timer;
};

/* Room for everything that may happen; NULL: no memory. The caller's until applied. */
struct live_job *weir__job_new(struct weir__daemon *d, const struct weir__setup *setup);
void weir__job_free(struct live_job *job);
/* Takes what is in setup and, in the end, the job. done is called later or at once. */
void weir__job_apply(struct live_job *job, struct weir__setup *setup);
/* How many plugins it happened to. */
size_t weir__job_count(const struct live_job *job, enum weir__change change, bool failed);

/* daemon_watch.c: the file and its directory; `changed` once it is quiet again. */
int weir__watch_new(uv_loop_t *loop, const char *path, void (*changed)(void *arg), void *arg,
                    struct weir__watch **ret);
void weir__watch_free(struct weir__watch *w); /* NULL is fine */

#endif
