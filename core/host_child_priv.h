/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's process from inside: shared by host_child*.c only. */
#ifndef WEIR_CORE_HOST_CHILD_PRIV_H
#define WEIR_CORE_HOST_CHILD_PRIV_H

#include "desc_wire.h"
#include "host_link.h"
#include "host_priv.h"
#include "host_request.h"
#include "host_upgrade.h"
#include "host_wire.h"
#include <jansson.h>

struct child_upgrade {
	struct weir__bpf_handles handles;
	struct weir__yielded yielded;
};

/* A request being carried out. */
struct child_call {
	struct weir__request rq;
	uint32_t id;
	struct weir__snapshot snap;
	void *args;
	json_t *json;
	struct child_upgrade *upgrade; /* EXPORT, ADOPT, YIELD, TAKE */
};

/* One end of a route. */
struct child_end {
	uint32_t id;
	bool closed; /* an output's: but the daemon has not read its counts for good */
	bool forget; /* it has; gone when the plugin has no frames of it any more */
	struct weir__route *route;
	struct weir__desc_copy *from; /* RECEIVE */
	struct weir__end_account *account;
};

/* There is one in a process. */
struct weir__child {
	uv_loop_t loop;
	struct weir__link *link;
	struct weir__loaded *loaded;
	struct weir__settings *settings;
	struct weir__metrics_set *metrics;
	struct weir__host *host;
	struct weir__account *account;
	struct child_end ends[WEIR__MAX_ROUTES];

	/* from other threads: log lines, and a question for all metrics */
	uv_async_t async;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct line *lines, **lines_tail;
	size_t line_count;
	bool asking, asked;
	json_t *samples;
};
extern struct weir__child weir__child;

/* host_child.c. To the daemon; no memory ends the process. */
void weir__child_send(struct weir__link_head head, const void *body, size_t len, const int *fds);
void weir__child_reply(uint16_t type, uint32_t id, int rc, const void *body, size_t len);
/* Log lines that wait. */
void weir__child_send_lines(void);
/* The host, from START's or PREPARE's body and the account's descriptor. */
int weir__child_new_host(const json_t *j, int fd, char *why, size_t size);

/* host_child_request.c. A request of the daemon's. */
void weir__child_request(const struct weir__link_head *head, const char *body, int *fds);
void weir__child_free_call(struct child_call *c);

/* host_child_routes.c. ATTACH; 0: the request is to be passed on to the host. */
int weir__child_attach(struct child_call *c, const char *body, size_t len);
int weir__child_receive(const char *body, size_t len);
/* Answers. */
void weir__child_close(struct child_call *c, uint32_t id);

#endif
