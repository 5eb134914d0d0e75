/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places the daemon needs: its port, its socket, its directory. The listener is
 * really opened and closed again; where a weir answers already, its own port and
 * socket being taken is as it should be. Main thread.
 */
#include "check.h"
#include "control.h"
#include "http.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIND(weight, state, name, todo, ...)                                   \
	weir__finding_add(f, "weir", WEIR__CHECK_##weight, name, WEIR__CHECK_##state, todo, __VA_ARGS__)

/* The directory itself, or the first above it that exists. */
static void existing(const char *path, char *buf, size_t size)
{
	struct stat st;
	char *slash;

	snprintf(buf, size, "%s", path);
	while (stat(buf, &st) != 0 && (slash = strrchr(buf, '/'))) {
		if (slash == buf) {
			buf[1] = 0;
			break;
		}
		*slash = 0;
	}
	if (!buf[0])
		snprintf(buf, size, ".");
}

static int may_write(const char *path, char *where, size_t size)
{
	struct stat st;

	existing(path, where, size);
	if (stat(where, &st) == 0 && !S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return access(where, W_OK | X_OK) == 0 ? 0 : -errno;
}

static void check_state_dir(struct weir__findings *f, const char *path)
{
	char where[4096];
	int r = may_write(path, where, sizeof where);

	if (r)
		FIND(COUNTS, DEGRADED, "state directory", "make it writable, or set state_dir",
		     "%s: %s is not writable: %s; nothing is kept over a restart", path, where, strerror(-r));
	else if (strcmp(path, where))
		FIND(COUNTS, OK, "state directory", NULL, "%s will be created", path);
	else
		FIND(COUNTS, OK, "state directory", NULL, "%s is writable", path);
}

/* Does a weir answer at the socket? Its pid, or 0. */
static long running(const char *path, char *err, size_t size, int *ret_errno)
{
	json_t *request = json_pack("{s:s}", "cmd", "status"), *answer = NULL;
	long pid = 0;

	*ret_errno = weir__control_call(path, request, 500, &answer, err, size);
	if (!*ret_errno)
		pid = (long)json_integer_value(json_object_get(answer, "pid"));
	json_decref(request);
	json_decref(answer);
	return pid;
}

static long check_socket(struct weir__findings *f, const char *path)
{
	char err[512], where[4096];
	struct stat st;
	int r;
	long pid;

	if (!*path) {
		FIND(COUNTS, OK, "control socket", NULL, "switched off: no weir status");
		return 0;
	}
	pid = running(path, err, sizeof err, &r);
	if (!r) {
		FIND(COUNTS, OK, "control socket", NULL, "a weir answers at %s, process %ld", path, pid);
		return pid;
	}
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		FIND(COUNTS, DEGRADED, "control socket", "remove it, or set control.socket",
		     "%s is not a socket; no weir status", path);
		return 0;
	}
	if (r == -ENOENT || r == -ECONNREFUSED) {
		snprintf(where, sizeof where, "%s", path);
		if (strrchr(where, '/'))
			*strrchr(where, '/') = 0;
		r = may_write(where, err, sizeof err);
		if (!r)
			FIND(COUNTS, OK, "control socket", NULL, "%s is free", path);
		else
			FIND(COUNTS, DEGRADED, "control socket", "run as root, or set control.socket to a "
			     "place you may write", "%s cannot be created: %s: %s; no weir status", path, err, strerror(-r));
		return 0;
	}
	FIND(COUNTS, DEGRADED, "control socket", "stop it, or set control.socket", "%s", err);
	return 0;
}

static void on_request(void *arg, struct weir__http_request *req, const char *path)
{
	(void)arg;
	(void)path;
	weir__http_reply(req, 503, "text/plain", "weir check\n", 11);
}

static void check_listener(struct weir__findings *f, const struct weir__daemon_config *cfg, long pid)
{
	struct weir__http_config http = { cfg->http_listen, cfg->http_tls_cert, cfg->http_tls_key,
		                          cfg->http_auth_user, cfg->http_auth_password_file };
	struct weir__http *h = NULL;
	char err[512] = "";
	uv_loop_t loop;
	int r;

	if (!*cfg->http_listen) {
		FIND(COUNTS, OK, "HTTP listener", NULL, "switched off");
		return;
	}
	if (uv_loop_init(&loop) != 0)
		return;
	r = weir__http_start(&loop, &http, on_request, NULL, &h, err, sizeof err);
	if (!r)
		weir__http_stop(h, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	if (!r)
		FIND(COUNTS, OK, "HTTP listener", NULL, "%s is free", cfg->http_listen);
	else if (r == -EADDRINUSE && pid)
		FIND(COUNTS, OK, "HTTP listener", NULL, "%s is in use while weir runs as process %ld",
		     cfg->http_listen, pid);
	else
		FIND(COUNTS, DEGRADED, "HTTP listener", "correct http.listen and what belongs to it", "%s; no scrape, no /health", err);
}

void weir__check_places(struct weir__findings *f, const struct weir__daemon_config *cfg)
{
	long pid = check_socket(f, cfg->control_socket);

	check_listener(f, cfg, pid);
	check_state_dir(f, cfg->state_dir);
}
