/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP listener. libmicrohttpd runs without threads; its epoll descriptor is
 * polled by the daemon's loop, and a timer serves its timeouts.
 *
 * Happy path: on_request calls the handler, which answers at once, or keeps the
 * request: then the connection is suspended until weir__http_reply resumes it, and
 * the library asks on_request again, which now has an answer to queue.
 *
 * A request has two owners, the connection and whoever owes the answer; it goes
 * with the last. So a late answer after weir__http_stop is harmless.
 *
 * Failures: no memory for a request closes its connection; a client that goes
 * away is noticed only when the answer is written. Main thread only.
 */
#include "http.h"
#include "http_priv.h"
#include "mem.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A scraper and a person need two. */
#define MAX_CONNECTIONS 64
/* Request line and headers; the library refuses more with 431. */
#define MAX_HEADER_BYTES (16 * 1024)
#define IDLE_TIMEOUT_S 5
/* Rounds to get the last answers out before the sockets are closed. */
#define STOP_ROUNDS 8

struct weir__http {
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	int handles; /* not closed yet */
	bool resumed; /* a connection, since the last round */
	int port;
	char *token, *cert, *key;
	struct weir__http_request *requests;
	uint64_t counts[6]; /* by class of status */
	weir__http_handler handler;
	void (*done)(void *arg);
	void *arg, *done_arg;
};

struct weir__http_request {
	struct weir__http *http; /* NULL: the connection is gone */
	struct MHD_Connection *connection;
	struct MHD_Response *response;
	struct weir__http_request *next, **prev;
	int status; /* 0: not answered */
	bool suspended;
	bool owed;  /* the handler has it and has not answered */
};

/* ---- requests -------------------------------------------------------------- */

static struct weir__http_request *request_new(struct weir__http *h, struct MHD_Connection *c)
{
	struct weir__http_request *r = weir__zalloc(sizeof *r);

	if (!r)
		return NULL;
	r->http = h;
	r->connection = c;
	r->next = h->requests;
	r->prev = &h->requests;
	if (r->next)
		r->next->prev = &r->next;
	h->requests = r;
	return r;
}

static void request_unref(struct weir__http_request *r)
{
	if (r->http || r->owed)
		return;
	if (r->response)
		MHD_destroy_response(r->response);
	weir__free(r);
}

static enum MHD_Result queue(struct weir__http_request *r)
{
	int class = r->status / 100;

	if (class >= 1 && class <= 5)
		r->http->counts[class]++;
	return MHD_queue_response(r->connection, (unsigned)r->status, r->response);
}

/* Without memory for the answer its connection is closed. */
static void set_answer(struct weir__http_request *r, int status, const char *type, const void *body, size_t len)
{
	r->status = status;
	r->response = MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	if (!r->response)
		return;
	MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(r->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(r->response, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"weir\"");
}

static enum MHD_Result refuse(struct weir__http_request *r, int status, const char *text)
{
	set_answer(r, status, "text/plain; charset=utf-8", text, strlen(text));
	return queue(r);
}

static bool needs_auth(const struct weir__http *h, const char *path)
{
	return h->token && strcmp(path, "/health") && strcmp(path, "/ready");
}

static enum MHD_Result begin(struct weir__http *h, struct weir__http_request *r, const char *path,
                             const char *method)
{
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (needs_auth(h, path) &&
	    !weir__http_authorized(h->token, MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND,
	                                                                 MHD_HTTP_HEADER_AUTHORIZATION)))
		return refuse(r, MHD_HTTP_UNAUTHORIZED, "user and password needed\n");
	r->owed = true;
	h->handler(h->arg, r, path);
	if (r->status)
		return queue(r);
	MHD_suspend_connection(r->connection);
	r->suspended = true;
	return MHD_YES;
}

/* Called once when the headers are complete, for a body in between, and again
 * when there is nothing more to come or the connection was resumed. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **request)
{
	struct weir__http_request *r = *request;
	struct weir__http *h = arg;

	(void)version;
	(void)body;
	if (!r) {
		r = *request = request_new(h, c);
		/* A body is not read, so a wrong method is refused before it comes. */
		if (r && strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
			return begin(h, r, path, method);
		return r ? MHD_YES : MHD_NO;
	}
	if (*body_len) {
		*body_len = 0;
		return MHD_YES;
	}
	return r->status ? queue(r) : begin(h, r, path, method);
}

static void on_completed(void *arg, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode why)
{
	struct weir__http_request *r = *request;

	(void)arg;
	(void)c;
	(void)why;
	if (!r)
		return;
	*request = NULL;
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	r->http = NULL;
	request_unref(r);
}

const char *weir__http_arg(struct weir__http_request *req, const char *name)
{
	if (!req->http)
		return NULL;
	return MHD_lookup_connection_value(req->connection, MHD_GET_ARGUMENT_KIND, name);
}

static void on_timer(uv_timer_t *t);

/* Without threads of its own the library does not wake its descriptor for this. */
static void resume(struct weir__http_request *r)
{
	if (!r->suspended)
		return;
	r->suspended = false;
	MHD_resume_connection(r->connection);
	r->http->resumed = true;
	uv_timer_start(&r->http->timer, on_timer, 0, 0);
}

void weir__http_reply(struct weir__http_request *req, int status, const char *content_type,
                      const void *body, size_t len)
{
	req->owed = false;
	if (!req->http) {
		request_unref(req);
		return;
	}
	if (req->status) /* answered for it, at stop */
		return;
	set_answer(req, status, content_type, body, len);
	resume(req);
}

/* ---- the loop ----------------------------------------------------------------- */

static void drive(struct weir__http *h);

static void on_timer(uv_timer_t *t)
{
	drive(t->data);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	(void)status;
	(void)events;
	drive(p->data);
}

static unsigned connections(struct weir__http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info ? info->num_connections : 0;
}

/* No connection, no timer: an idle listener costs nothing. At its limit the library
 * stops listening, and listens again only in the first round after a connection has
 * gone; that round nobody else would ask for. */
static void drive(struct weir__http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;
	unsigned before = connections(h);

	h->resumed = false;
	MHD_run(h->daemon);
	if (h->resumed || connections(h) < before)
		uv_timer_start(&h->timer, on_timer, 0, 0);
	else if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		uv_timer_start(&h->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&h->timer);
}

/* ---- start and stop --------------------------------------------------------------- */

static void http_free(struct weir__http *h)
{
	if (h->token)
		explicit_bzero(h->token, strlen(h->token));
	if (h->key)
		explicit_bzero(h->key, strlen(h->key));
	weir__free(h->token);
	weir__free(h->key);
	weir__free(h->cert);
	weir__free(h);
}

static bool given(const char *s)
{
	return s && s[0];
}

/* Keys, certificates and passwords into memory. */
static int read_secrets(struct weir__http *h, const struct weir__http_config *cfg, char *err, size_t err_size)
{
	int ret = 0;

	if (given(cfg->tls_cert) != given(cfg->tls_key)) {
		snprintf(err, err_size, "http.tls: needs both cert and key; set the other one or neither");
		return -EINVAL;
	}
	if (given(cfg->auth_user) != given(cfg->auth_password_file)) {
		snprintf(err, err_size, "http.auth: needs both user and password_file; set the other one or neither");
		return -EINVAL;
	}
	if (given(cfg->tls_cert)) {
		ret = weir__http_read_file("http.tls.cert", cfg->tls_cert, false, &h->cert, err, err_size);
		if (!ret)
			ret = weir__http_read_file("http.tls.key", cfg->tls_key, true, &h->key, err, err_size);
	}
	if (!ret && given(cfg->auth_user))
		ret = weir__http_credentials(cfg->auth_user, cfg->auth_password_file, &h->token, err, err_size);
	return ret;
}

/* Takes fd. TLS is set up only when there is a key. */
static int start_daemon(struct weir__http *h, int fd, const struct weir__http_config *cfg, char *err, size_t err_size)
{
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, h->key },
		{ MHD_OPTION_END, 0, NULL },
	};
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (h->key ? MHD_USE_TLS : 0);

	errno = 0;
	h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, h,
	                             MHD_OPTION_LISTEN_SOCKET, fd,
	                             MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
	                             MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
	                             MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MAX_HEADER_BYTES,
	                             MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
	                             MHD_OPTION_ARRAY, h->key ? tls : &tls[2],
	                             MHD_OPTION_END);
	if (h->daemon)
		return 0;
	if (h->key)
		snprintf(err, err_size, "http.tls: cannot use certificate %s with key %s: both must be PEM and "
		         "belong together", cfg->tls_cert, cfg->tls_key);
	else
		snprintf(err, err_size, "http.listen %s: cannot start the HTTP server%s%s", cfg->listen,
		         errno ? ": " : "", errno ? strerror(errno) : "");
	close(fd);
	return h->key ? -EINVAL : -EIO;
}

static int start_polling(struct weir__http *h, uv_loop_t *loop)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int ret = info ? uv_poll_init(loop, &h->poll, info->epoll_fd) : -EIO;

	if (ret)
		return ret;
	uv_timer_init(loop, &h->timer);
	h->poll.data = h->timer.data = h;
	h->handles = 2;
	uv_poll_start(&h->poll, UV_READABLE, on_poll);
	return 0;
}

int weir__http_start(uv_loop_t *loop, const struct weir__http_config *cfg, weir__http_handler handler,
                     void *arg, struct weir__http **ret_http, char *err, size_t err_size)
{
	struct weir__http *h = weir__zalloc(sizeof *h);
	int fd = -1, ret;

	if (!h) {
		snprintf(err, err_size, "http: out of memory");
		return -ENOMEM;
	}
	h->handler = handler;
	h->arg = arg;
	ret = read_secrets(h, cfg, err, err_size);
	if (!ret)
		ret = weir__http_listen(cfg->listen, &fd, &h->port, err, err_size);
	if (!ret)
		ret = start_daemon(h, fd, cfg, err, err_size);
	if (!ret) {
		ret = start_polling(h, loop);
		if (ret) {
			snprintf(err, err_size, "http: cannot poll: %s", strerror(-ret));
			MHD_stop_daemon(h->daemon);
		}
	}
	if (ret) {
		http_free(h);
		return ret;
	}
	*ret_http = h;
	return 0;
}

int weir__http_port(const struct weir__http *h)
{
	return h->port;
}

uint64_t weir__http_requests(const struct weir__http *h, int status_class)
{
	return status_class >= 1 && status_class <= 5 ? h->counts[status_class] : 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct weir__http *h = handle->data;
	void (*done)(void *arg) = h->done;
	void *arg = h->done_arg;

	if (--h->handles)
		return;
	http_free(h);
	if (done)
		done(arg);
}

void weir__http_stop(struct weir__http *h, void (*done)(void *arg), void *arg)
{
	struct weir__http_request *r;
	int fd, i;

	h->done = done;
	h->done_arg = arg;
	fd = MHD_quiesce_daemon(h->daemon);
	if (fd >= 0)
		close(fd);
	for (r = h->requests; r; r = r->next) {
		if (r->status || !r->suspended)
			continue;
		set_answer(r, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", "shutting down\n", 14);
		resume(r);
	}
	for (i = 0; i < STOP_ROUNDS; i++)
		MHD_run(h->daemon);
	uv_poll_stop(&h->poll);
	uv_timer_stop(&h->timer);
	MHD_stop_daemon(h->daemon);
	uv_close((uv_handle_t *)&h->poll, on_closed);
	uv_close((uv_handle_t *)&h->timer, on_closed);
}
