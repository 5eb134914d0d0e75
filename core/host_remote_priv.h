/* SPDX-License-Identifier: Apache-2.0 */
/* A host in a process, from inside the daemon's side: shared by host_remote*.c only. */
#ifndef WEIR_CORE_HOST_REMOTE_PRIV_H
#define WEIR_CORE_HOST_REMOTE_PRIV_H

#include "host_link.h"
#include "host_priv.h"
#include "host_remote.h"
#include "host_request.h"
#include <jansson.h>

struct weir__remote {
	struct weir__host *h;
	pid_t pid;
	int pidfd;
	uv_poll_t death;
	uv_timer_t timer;          /* settling, or the time to go */
	unsigned handles;
	struct weir__link *link;
	struct pending *pending;
	uint32_t last_id;
	struct weir__account *shared;
	int shared_fd;
	size_t cpus_len;
	struct weir__hostgroup *group;
	bool dead, told, over;     /* reaped; all have been told; the host lets go of it */
	bool closing;
	unsigned settle_tries;
	uint64_t settled_seen;
	char why[256];
};

/* host_remote_wire.c. Takes j; NULL, and all else that needs memory: -ENOMEM. */
int weir__remote_send_json(struct weir__link *l, uint16_t type, uint32_t id, json_t *j,
                           const int *fds, size_t n);
int weir__remote_send(struct weir__remote *r, uint32_t id, const struct weir__request *rq);
/* An answer, whose rq->rc is set already, into its request. false: it is malformed. */
bool weir__remote_took(struct weir__remote *r, struct weir__request *rq, const char *body, size_t len,
                       int *fds, size_t fd_count);

#endif
