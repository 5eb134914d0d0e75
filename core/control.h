/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: a unix stream, mode 0660. A request is one line of JSON,
 * {"cmd": "status", ...}; the answer is one line of JSON, {"ok": true, ...} or
 * {"ok": false, "error": "...", "hint": "..."}. After {"cmd":"tail"} the socket
 * belongs to the tail output, which writes one line per event.
 */
#ifndef WEIR_CORE_CONTROL_H
#define WEIR_CORE_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

/* ---- server, main thread ---- */
struct weir__control;
struct weir__control_request;

/* A request is a command and a few names, or with `weir reload` a configuration: one that
 * is longer must be readable to the daemon's user. */
#define WEIR__CONTROL_REQUEST_MAX (64 * 1024)

/* Only peers whose uid is 0 or the daemon's, or whose group may open the socket,
 * get here; peer credentials (SO_PEERCRED) are checked again for change commands:
 * the daemon's user, root, or a member of the socket's group. */
typedef void (*weir__control_handler)(void *arg, struct weir__control_request *req,
                                      const json_t *body);
/* Bounds: 32 clients, 64 KiB a request, 5 s to send it. A stale socket file
 * (nobody answers) is replaced; a live one is -EADDRINUSE. */
int weir__control_start(uv_loop_t *loop, const char *path, const char *group,
                        weir__control_handler handler, void *arg, struct weir__control **ret,
                        char *err, size_t err_size);
void weir__control_peer(const struct weir__control_request *req, uid_t *uid, gid_t *gid, pid_t *pid);
/* Takes the reference of answer; ends the request. */
void weir__control_reply(struct weir__control_request *req, json_t *answer);
__attribute__((format(printf, 3, 4))) void
weir__control_error(struct weir__control_request *req, const char *hint, const char *fmt, ...);
/* Answer {"ok":true}, then give the (blocking) socket away: the caller closes it. */
int weir__control_take_fd(struct weir__control_request *req);
void weir__control_stop(struct weir__control *c, void (*done)(void *arg), void *arg);

/* ---- client, blocking ---- */
/* One request, one answer. 0 or -errno with err: daemon not running, no right. */
int weir__control_call(const char *path, const json_t *request, int timeout_ms,
                       json_t **ret_answer, char *err, size_t err_size);
/* Send the request, check for {"ok":true}, and hand out the connected socket. */
int weir__control_open(const char *path, const json_t *request, int *ret_fd,
                       char *err, size_t err_size);

#endif
