/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the HTTP listener answers: the core's own /health and /ready, and what
 * plugins have mounted. Main thread.
 */
#include "daemon_live.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SET(m, value, ...)                                                     \
	weir__series_set(weir__series(d->self, WEIR__SELF_##m,                 \
	                 (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL }), (double)(value))

void weir__daemon_update_metrics(void *arg)
{
	struct weir__daemon *d = arg;
	char abi[16];

	snprintf(abi, sizeof abi, "%d.%d", WEIR_ABI_MAJOR, WEIR_ABI_MINOR);
	SET(BUILD_INFO, 1, WEIR_VERSION, abi);
	SET(UPTIME, weir__daemon_uptime(d));
	SET(CONFIG_WARNINGS, d->warnings);
	SET(RELOADS, d->live->applied, "applied");
	SET(RELOADS, d->live->unchanged, "unchanged");
	SET(RELOADS, d->live->refused, "refused");
	SET(OVERRIDES, weir__config_overrides(d->config)->count);
	SET(CONTROL_REQUESTS, d->control_ok, "ok");
	SET(CONTROL_REQUESTS, d->control_error, "error");
	if (d->http) {
		SET(HTTP_REQUESTS, weir__http_requests(d->http, 2), "2xx");
		SET(HTTP_REQUESTS, weir__http_requests(d->http, 4), "4xx");
		SET(HTTP_REQUESTS, weir__http_requests(d->http, 5), "5xx");
	}
	weir__sup_update_metrics(d->sup, d->self);
}

static void reply_text(struct weir__http_request *req, int status, const char *text)
{
	weir__http_reply(req, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void on_answer(void *arg, int err, const char *type, const char *text, size_t len)
{
	if (!err) {
		weir__http_reply(arg, 200, type, text, len);
		return;
	}
	weir__http_reply(arg, err == -EINVAL ? 400 : err == -ETIMEDOUT ? 504 : 503,
	                 "text/plain; charset=utf-8", text, len);
}

static void ready(struct weir__daemon *d, struct weir__http_request *req)
{
	char names[500], text[600];

	if (d->stopping) {
		reply_text(req, 503, "stopping\n");
	} else if (weir__sup_unready(d->sup, names, sizeof names)) {
		snprintf(text, sizeof text, "not ready: %s\n", names);
		reply_text(req, 503, text);
	} else {
		reply_text(req, 200, "ready\n");
	}
}

void weir__daemon_http(void *arg, struct weir__http_request *req, const char *path)
{
	struct weir__daemon *d = arg;

	if (!strcmp(path, "/health")) {
		reply_text(req, 200, "ok\n");
		return;
	}
	if (!strcmp(path, "/ready")) {
		ready(d, req);
		return;
	}
	if (d->stopping) {
		reply_text(req, 503, "stopping\n");
		return;
	}
	if (!weir__sup_query_path(d->sup, path, on_answer, req))
		reply_text(req, 404, "nothing here; try /health, /ready or /metrics\n");
}
