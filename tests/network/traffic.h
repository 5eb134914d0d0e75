/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic of known size: orders in memory shared with the actors (shared_new()), into which
 * they write what they did. Fill in the order, start the actors, wait for them, read it.
 *
 * TCP counts of an end are its socket's own (tcp_info(7), include/uapi/linux/tcp.h) after the
 * connection has ended: every segment it sent and received, the SYN included on the client's side.
 */
#ifndef WEIR_TESTS_TRAFFIC_H
#define WEIR_TESTS_TRAFFIC_H

#include "actor.h"

/* ---- one TCP connection with much in it (bulk.c) --------------------------------------- */

struct tcp_end {
	uint64_t bytes_sent, bytes_received;   /* payload; sent: retransmitted bytes again */
	uint32_t segs_out, segs_in, retransmits;
	uint32_t pid;
	uint16_t port;
};

struct bulk {
	struct sockaddr_storage to;
	socklen_t len;
	uint64_t bytes;                        /* from client to server */
	bool in_order;                         /* both on one CPU: no reordering, so no SACK blocks */
	_Atomic uint32_t listening;
	struct tcp_end client, server;
};

void bulk_client(void *bulk);
void bulk_server(void *bulk);
/* Both, and wait. */
void bulk_run(struct bulk *b, const struct ns *client, const struct ns *server);

/* ---- many UDP datagrams (datagrams.c) -------------------------------------------------- */

enum udp_how { UDP_SEND, UDP_SENDTO, UDP_SENDMMSG, UDP_GSO };

struct datagrams {
	struct sockaddr_storage to;
	socklen_t len;
	uint32_t count, size;                  /* how many of how much payload */
	enum udp_how how;                      /* SENDTO: unconnected, the others connected */
	_Atomic uint32_t listening, sent_all;
	uint64_t sent, received;
	uint32_t client_pid, server_pid;
	uint16_t port;                         /* of the sender */
};

void datagrams_client(void *d);
void datagrams_server(void *d);
void datagrams_run(struct datagrams *d, const struct ns *client, const struct ns *server);

/* ---- many short TCP connections (short.c) ---------------------------------------------- */

enum short_end { SHORT_CLIENT_CLOSES, SHORT_SERVER_CLOSES, SHORT_CLIENT_RESETS, SHORT_ENDS };

#define SHORT_PORTS 8       /* server ports: a client port is good for one connection to each */
#define SHORT_WORKERS 4     /* at most, on each side */

struct short_conn {
	uint32_t client_pid;
	uint16_t port, server_port;            /* port: the client's */
	uint16_t sent, answered;               /* payload */
	uint8_t end;                           /* enum short_end */
};

struct shorts {
	struct sockaddr_storage to;            /* the first of SHORT_PORTS ports */
	socklen_t len;
	uint32_t count;
	uint32_t clients, servers;             /* processes */
	uint16_t request, answer;              /* payload; a bit more each, by the connection's number */
	uint32_t ends;                         /* bits: which ways to end take turns */
	uint32_t per_second;                   /* 0: as fast as it goes */
	_Atomic uint32_t listening, next, done;
	uint32_t client_pid[SHORT_WORKERS], server_pid[SHORT_WORKERS];
	/* Who served client port p at server port i. */
	_Atomic uint32_t served[SHORT_PORTS][65536];
	struct short_conn conn[];
};

struct shorts *shorts_new(uint32_t count);
void shorts_free(struct shorts *s);
void shorts_client(void *s);
/* Forks its workers after it has opened the sockets: they inherit them. */
void shorts_server(void *s);
/* All of it, and wait for the clients; the servers end with `done`. */
void shorts_run(struct shorts *s, const struct ns *client, const struct ns *server);

#endif
