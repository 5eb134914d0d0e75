/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of protocol.h: one function per request, in a table made of
 * the list there. Main thread; answers come later where a host is asked.
 */
#include "daemon_live.h"
#include "log.h"
#include "mem.h"
#include "process.h"
#include "protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A request on its way: who asked, and for what. */
struct asked {
	struct weir__daemon *d;
	struct weir__control_request *req;
	double wait_s;
};

static struct asked *ask_new(struct weir__daemon *d, struct weir__control_request *req)
{
	struct asked *a = weir__zalloc(sizeof *a);

	if (a)
		*a = (struct asked){ .d = d, .req = req };
	else
		weir__control_error(req, "try again", "the daemon is out of memory");
	return a;
}

static const char *text_of(const json_t *body, const char *key)
{
	const char *s = json_string_value(json_object_get(body, key));

	return s ? s : "";
}

/* ---- status ------------------------------------------------------------------------------ */

/* An array of strings, or nothing at all; else the complaint is made. */
static bool want_words(struct weir__control_request *req, const json_t *body, const char *key)
{
	const json_t *a = json_object_get(body, key);
	bool good = !a || json_is_array(a);

	for (size_t i = 0; good && i < json_array_size(a); i++)
		good = json_is_string(json_array_get(a, i));
	if (!good)
		weir__control_error(req, NULL, "\"%s\" must be an array of strings", key);
	return good;
}

static json_t *json_daemon(struct weir__daemon *d)
{
	struct weir__process_info info;
	uint64_t now = uv_hrtime(), cpu;
	json_t *o = json_object();
	double dt;

	if (weir__process_info(&info))
		return o;
	cpu = (uint64_t)((info.user_s + info.system_s) * 1e9);
	dt = d->last_cpu_at_ns ? (double)(now - d->last_cpu_at_ns) / 1e9 : weir__daemon_uptime(d);
	if (dt > 0.2) {
		d->cpu_percent = (double)(cpu - d->last_cpu_ns) / dt / 1e7;
		d->last_cpu_ns = cpu;
		d->last_cpu_at_ns = now;
	}
	json_object_set_new(o, "cpu_percent", json_real(d->cpu_percent));
	json_object_set_new(o, "cpu_seconds", json_real(info.user_s + info.system_s));
	json_object_set_new(o, "rss_bytes", json_integer((json_int_t)info.resident_bytes));
	json_object_set_new(o, "threads", json_integer((json_int_t)info.threads));
	json_object_set_new(o, "fds", json_integer((json_int_t)info.open_fds));
	json_object_set_new(o, "budget", weir__sup_budget_json_total(d->sup, "budget"));
	json_object_set_new(o, "psi", weir__sup_budget_json_total(d->sup, "psi"));
	return o;
}

static void status_refreshed(void *arg)
{
	struct asked *a = arg;
	struct weir__daemon *d = a->d;
	char names[500];
	json_t *o = json_object();

	json_object_set_new(o, "ok", json_true());
	json_object_set_new(o, "version", json_string(WEIR_VERSION));
	json_object_set_new(o, "pid", json_integer(getpid()));
	json_object_set_new(o, "uptime_s", json_real(weir__daemon_uptime(d)));
	json_object_set_new(o, "config", weir__json_text(d->config_name));
	json_object_set_new(o, "ready", json_boolean(!weir__sup_unready(d->sup, names, sizeof names)));
	json_object_set_new(o, "plugins", weir__sup_json_plugins(d->sup));
	json_object_set_new(o, "routes", weir__sup_json_routes(d->sup));
	json_object_set_new(o, "overrides", weir__live_overrides(d));
	json_object_set_new(o, "daemon", json_daemon(d));
	weir__control_reply(a->req, o);
	weir__free(a);
}

static void do_status(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	struct asked *a = ask_new(d, req);

	(void)body;
	if (a)
		weir__sup_refresh(d->sup, false, status_refreshed, a);
}

/* ---- query --------------------------------------------------------------------------------- */

static void query_answered(void *arg, int err, const char *type, const char *text, size_t len)
{
	struct asked *a = arg;
	json_t *o;

	if (err) {
		weir__control_error(a->req, NULL, "%.*s", (int)(len < 1000 ? len : 1000), text);
	} else {
		o = json_object();
		json_object_set_new(o, "ok", json_true());
		json_object_set_new(o, "content_type", weir__json_text(type));
		json_object_set_new(o, "body", weir__json_text(len ? text : ""));
		weir__control_reply(a->req, o);
	}
	weir__free(a);
}

static void do_query(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	const json_t *args = json_object_get(body, "args");
	const char *words[64]; /* more arguments than any query has */
	struct asked *a;
	size_t n = 0;

	if (!want_words(req, body, "args"))
		return;
	a = ask_new(d, req);
	if (!a)
		return;
	for (size_t i = 0; i < json_array_size(args) && n < 64; i++)
		if (json_is_string(json_array_get(args, i)))
			words[n++] = json_string_value(json_array_get(args, i));
	weir__sup_query(d->sup, text_of(body, "plugin"), text_of(body, "query"), words, n,
	                query_answered, a);
}

/* ---- changes -------------------------------------------------------------------------------- */

static void changed(void *arg, int err, const char *state, const char *message)
{
	struct asked *a = arg;
	json_t *o;

	if (err) {
		weir__control_error(a->req, err == -ENOENT ? "see `weir plugins`" : NULL, "%s", message);
	} else {
		o = json_object();
		json_object_set_new(o, "ok", json_true());
		json_object_set_new(o, "state", json_string(state));
		json_object_set_new(o, "message", weir__json_text(message));
		weir__control_reply(a->req, o);
	}
	weir__free(a);
}

/* A year and a bit is more than "for a while". 0: not given; -1: refused, said. */
static double for_seconds(struct weir__control_request *req, const json_t *body)
{
	const json_t *for_s = json_object_get(body, "for_s");
	double s = json_number_value(for_s);

	if (!for_s || json_is_null(for_s) || (json_is_number(for_s) && s > 0 && s <= 4e7))
		return s;
	weir__control_error(req, "leave it out for good, or give 1 to 40000000",
	                    "for_s is no number of seconds");
	return -1;
}

/* Who changes what goes to the log. */
static void note_change(struct weir__control_request *req, const char *plugin, const char *what)
{
	uid_t uid;
	gid_t gid;
	pid_t pid;

	weir__control_peer(req, &uid, &gid, &pid);
	weir__log(WEIR_INFO, *plugin ? plugin : NULL, "%s asked for by uid %u, pid %d", what,
	          (unsigned)uid, (int)pid);
}

static void change(struct weir__daemon *d, struct weir__control_request *req, const json_t *body,
                   enum weir__sup_verb verb)
{
	static const char *const words[] = { "enable", "disable", "restart" };
	bool persist = json_is_true(json_object_get(body, "persist"));
	const char *plugin = text_of(body, "plugin");
	double for_s = for_seconds(req, body);
	struct asked *a;

	if (for_s < 0)
		return;
	note_change(req, plugin, words[verb]);
	if (verb != WEIR__RESTART &&
	    !weir__live_switch(d, req, plugin, verb == WEIR__ENABLE, for_s, persist))
		return;
	a = ask_new(d, req);
	if (a)
		weir__sup_change(d->sup, verb, plugin, changed, a);
}

static void do_enable(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	change(d, req, body, WEIR__ENABLE);
}
static void do_disable(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	change(d, req, body, WEIR__DISABLE);
}
static void do_restart(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	change(d, req, body, WEIR__RESTART);
}

/* ---- the configuration ------------------------------------------------------------------------ */

static void do_reload(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	uid_t uid;
	gid_t gid;
	pid_t pid;

	weir__control_peer(req, &uid, &gid, &pid);
	note_change(req, "", "reload");
	/* Others may ask for the file to be read, not say what is in it. */
	weir__live_reload(d, req, "asked for", uid == 0 ? json_string_value(json_object_get(body, "text")) : NULL);
}

static void do_set(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	struct weir__live_ask ask = { .plugin = text_of(body, "plugin"), .option = text_of(body, "option"),
		.value = json_string_value(json_object_get(body, "value")),
		.persist = json_is_true(json_object_get(body, "persist")), .for_s = for_seconds(req, body) };
	char what[200];

	if (ask.for_s < 0)
		return;
	if (!ask.value && !json_is_true(json_object_get(body, "unset"))) {
		weir__control_error(req, "give \"value\", a string, or \"unset\": true",
		                    "no value for %.40s.%.60s", ask.plugin, ask.option);
		return;
	}
	snprintf(what, sizeof what, "%s of %.60s", ask.value ? "set" : "unset", ask.option);
	note_change(req, ask.plugin, what);
	weir__live_set(d, req, &ask);
}

static void do_upgrade(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	note_change(req, text_of(body, "plugin"), "upgrade");
	weir__live_upgrade(d, req, text_of(body, "plugin"), text_of(body, "path"));
}

static void do_get(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	weir__live_get(d, req, text_of(body, "plugin"), text_of(body, "option"));
}

/* ---- tail, config ----------------------------------------------------------------------------- */

static void do_tail(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	const json_t *topics = json_object_get(body, "topics");
	bool json = strcmp(text_of(body, "format"), "text") != 0;
	char all[300] = "";
	int fd;

	if (!want_words(req, body, "topics"))
		return;
	for (size_t i = 0; i < json_array_size(topics); i++) {
		const char *topic = json_string_value(json_array_get(topics, i));

		if (topic && !strcmp(topic, "*"))
			continue;
		if (topic && weir__sup_has_topic(d->sup, topic, all, sizeof all))
			continue;
		weir__control_error(req, *all ? all : NULL, "no collector has the topic \"%.40s\"%s",
		                    topic ? topic : "?", *all ? "; there are" : "");
		return;
	}
	fd = weir__control_take_fd(req);
	if (fd < 0)
		return;
	if (weir__tail_add(d->sup, fd, topics, json)) {
		weir__log(WEIR_WARN, NULL, "no memory for a tail");
		close(fd);
	}
}

static void do_config(struct weir__daemon *d, struct weir__control_request *req, const json_t *body)
{
	json_t *o = json_object();

	(void)body;
	json_object_set_new(o, "ok", json_true());
	json_object_set_new(o, "config", weir__json_text(d->config_name));
	if (weir__config_kept())
		json_object_set_new(o, "file", weir__json_text(weir__config_kept()));
	json_object_set_new(o, "text", weir__live_text(d));
	weir__control_reply(req, o);
}

void weir__daemon_control(void *arg, struct weir__control_request *req, const json_t *body)
{
	static const struct {
		const char *name;
		void (*run)(struct weir__daemon *, struct weir__control_request *, const json_t *);
	} requests[] = {
#define X(name, change) { #name, do_##name },
		WEIR__REQUESTS(X)
#undef X
	};
	struct weir__daemon *d = arg;
	const char *cmd = text_of(body, "cmd");

	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		if (strcmp(requests[i].name, cmd))
			continue;
		if (d->stopping) {
			weir__control_error(req, NULL, "weir is stopping");
			return;
		}
		d->control_ok++;
		requests[i].run(d, req, body);
		return;
	}
	d->control_error++;
	weir__control_error(req, "this daemon may be older than the command",
	                    "unknown request \"%.40s\"", cmd);
}
