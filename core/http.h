/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one HTTP listener: libmicrohttpd without threads of its own, driven by the
 * daemon's loop through its epoll descriptor. Main thread only.
 */
#ifndef WEIR_CORE_HTTP_H
#define WEIR_CORE_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct weir__http;
struct weir__http_request;

struct weir__http_config {
	const char *listen;        /* "127.0.0.1:9347", "[::1]:0", ":9347" is all */
	const char *tls_cert, *tls_key; /* PEM files, or "" */
	const char *auth_user, *auth_password_file; /* or "" */
};

/* Called for every complete GET or HEAD request that passed authentication
 * (path "/health" and "/ready" need none). Answer now or later, once. */
typedef void (*weir__http_handler)(void *arg, struct weir__http_request *req,
                                   const char *path);
/* 0, or -errno with one sentence and what to do in err. Bounds: 64 connections
 * (a scraper and a person need 2), 16 KiB of headers, 5 s idle. */
int weir__http_start(uv_loop_t *loop, const struct weir__http_config *cfg,
                     weir__http_handler handler, void *arg, struct weir__http **ret,
                     char *err, size_t err_size);
/* The value of ?name= or NULL; valid until the answer. */
const char *weir__http_arg(struct weir__http_request *req, const char *name);
/* Answer. body is copied. The request is gone afterwards. */
void weir__http_reply(struct weir__http_request *req, int status, const char *content_type,
                      const void *body, size_t len);
/* Port really bound (for ":0"). */
int weir__http_port(const struct weir__http *h);
uint64_t weir__http_requests(const struct weir__http *h, int status_class /* 2, 4, 5 */);
/* Closes the listener; open requests are answered 503. done is called once the
 * loop has let go of it all. */
void weir__http_stop(struct weir__http *h, void (*done)(void *arg), void *arg);

#endif
