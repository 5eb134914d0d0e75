/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns, user side: the state, and what its files offer one another. All of it runs on the
 * host's loop; nothing here locks.
 *
 *   source_packet, source_replay ---> intake.c: packet -> fragments, streams -> message
 *   source_bpf (record of a packet) ------^                                       |
 *                  match.c: question and answer <--- filter.c: names, sampling <--+
 *                     | finish
 *                     v
 *   record.c: one record, into the queue ---> flush: emit;   top.c, publish.c: counted
 *
 * The table of open questions belongs to the plugin, not to a source: it outlives a change of
 * source. Records wait in the queue because a source's record() may not emit.
 */
#ifndef DNS_PLUGIN_H
#define DNS_PLUGIN_H

#include <weir/weir.h>

#include <capture.h>
#include <owner.h>

#include "defrag.h"
#include "dns_events.h"
#include "match.h"
#include "metrics.h"
#include "stream.h"
#include "text.h"
#include "top.h"

#define DNS_PORTS_MAX 16
/* Suffixes of one list; they are few, or belong into a resolver's policy. */
#define DNS_SUFFIXES_MAX 256
/* Records that wait for the end of a drain, which takes 1 MiB of ring at most: 5461 answers
 * of usual size, each 400 bytes here. */
#define DNS_QUEUE_BYTES (8u << 20)
/* Recent slow or failed transactions, for the query `queries`. */
#define DNS_RECENT 256

enum dns_redact { DNS_REDACT_OFF, DNS_REDACT_HASH };

struct dns_queued {
	uint64_t time_ns;
	uint32_t weight, len;  /* len: of the record, strings included */
	struct weir_dns_transaction r;
};
/* The longest: twice a subnet and a cookie, one of all others; see record.c. */
#define DNS_QUEUED_MAX (sizeof(struct dns_queued) + WEIR_DNS_NAME_MAX * 2 + WEIR_DNS_ANSWERS_MAX + 1024)

/* What `queries` shows. */
struct dns_recent {
	uint64_t time_ns, latency_ns, seq;
	uint8_t server[16], client[16];
	uint16_t server_port, client_port;
	uint32_t pid;
	uint16_t type, rcode, retries;
	uint8_t outcome, transport;
	char comm[16];
	char name[128];
};

/* Counted by type and by rcode, within a bound: 0 to 127, then those that are in use. */
#define DNS_TYPE_SLOTS 136
#define DNS_RCODE_SLOTS 25
#define DNS_BUCKETS 18

struct dns_counts {
	uint64_t queries[DNS_TYPE_SLOTS];     /* by type */
	uint64_t responses[DNS_RCODE_SLOTS];  /* by rcode */
	uint64_t outcomes[2][WEIR_DNS_OUTCOMES];
	uint64_t latency[2][DNS_BUCKETS], latency_ns[2]; /* by transport */
	uint64_t errors[DNS_ERRORS];
	uint64_t packet_errors[PKT_ERRORS];
	uint64_t not_dns, filtered, sampled, queue_full, approx, packets, lost;
};

/* Series of names or servers at a time. */
#define DNS_SERIES_MAX 32

/* What is known of a process beyond its pid. */
struct dns_process {
	uint32_t pid;
	uint64_t cgroup, read_ns;
	uint8_t executable_len, container_len, unit_len, pod_len;
	char comm[16];
	char executable[128], container[64], unit[64], pod[40];
};

struct dns_cid;

struct dns {
	/* options */
	struct weir_strings port_list, ignore_list, keep_list;
	uint64_t timeout_ns, max_pending, max_connections, stream_bytes, snaplen, ring_bytes, sample,
	         slow_ns, tick_ns, top_series;
	uint32_t redact;
	const char *redact_key, *interface, *replay_file;
	bool executable, community_id, containers, follow_sockets;

	/* of the plugin's life */
	uint16_t ports[DNS_PORTS_MAX];
	uint32_t port_count;
	struct dns_name *ignore, *keep;
	struct dns_match *match;
	struct dns_streams *streams;
	struct dns_defrag *defrag;
	struct owner_cache *owners;
	struct dns_process *processes;
	struct dns_cid *cids;
	struct dns_top *top_names, *top_servers, *top_processes;
	struct dns_recent *recent;
	uint64_t recent_count;
	char *queue;                /* struct dns_queued, one behind the other */
	size_t queue_len, queue_cap;
	uint64_t sample_key;
	uint8_t redact_bytes[32];
	struct dns_counts counts;
	uint64_t clock_offset;      /* realtime - monotonic */
	uint64_t nxdomain_last, responses_last;
	char shown_names[DNS_SERIES_MAX][DNS_TOP_KEY + 64], shown_servers[DNS_SERIES_MAX][DNS_TOP_KEY + 64];
	uint32_t shown_name_count, shown_server_count;

	/* of the source that runs */
	const char *source;
	struct capture *capture;
	/* Source packet at a hand-over, CLOCK_MONOTONIC; 0: no bound. What lies between the outer
	 * and the inner bound is the other source's too. */
	struct dns_edge { uint64_t from_ns, own_from_ns, own_until_ns, until_ns; } edge;
	uint64_t opened_ns;
	struct weir_fd *fd;
	struct weir_timer *timer;   /* flushes what record() has finished */
	const volatile struct weir_cpu *cpu; /* bpf: the account, for losses */
	uint32_t cpus;
	uint64_t ring_lost;
	uint32_t kernel_weight;     /* bpf: of the last packet */
	bool replay_done;
	uint64_t last_ns;           /* replay: time of the last packet */
};

extern const struct weir_metric dns_metrics[M_COUNT];
extern const struct weir_query dns_queries[];
extern const uint32_t dns_query_count;
extern const struct weir_schema dns_schemas[WEIR_DNS_KINDS];

/* memory on the plugin's account, for the libraries */
struct pkt_memory dns_memory(struct weir_plugin *p);

/* intake.c: everything that comes in. weight: messages each stands for. */
void dns_take_packet(struct weir_plugin *p, const struct capture_packet *c);
void dns_take_datagram(struct weir_plugin *p, const struct dns_seen *seen, const uint8_t *data,
                       uint32_t have, uint32_t len);
void dns_take_segment(struct weir_plugin *p, const struct dns_seen *seen, const struct dns_segment *g);
void dns_take_end(struct weir_plugin *p);   /* nothing of this source is still to come */
void dns_stream_message(void *plugin, const struct dns_seen *seen, const uint8_t *msg,
                        uint32_t have, uint32_t len);
bool dns_is_port(const struct dns *d, uint16_t port);

/* filter.c: options into lists, and what a message's question says to them. */
int dns_filters(struct weir_plugin *p);
enum dns_verdict { DNS_WANTED, DNS_IGNORED, DNS_SAMPLED };
enum dns_verdict dns_judge(const struct dns *d, const struct dns_seen *seen, const struct dns_msg *m);
void dns_redacted(struct dns_text *t, const struct dns_name *n, void *dns);

/* record.c */
void dns_finish(void *plugin, enum weir_dns_outcome outcome, const struct dns_query *q,
                const struct dns_seen *seen, const struct dns_msg *response);
void dns_flush(struct weir_plugin *p);      /* emit what is queued */

/* owner_of.c: what a pid and a cgroup say beyond themselves. */
int dns_owners_init(struct weir_plugin *p);
void dns_owners_fini(struct weir_plugin *p);
const struct dns_process *dns_owner_of(struct dns *d, const struct weir_dns_transaction *r);
const char *dns_community_of(struct dns *d, const struct weir_dns_transaction *r);

/* Keys of the heavy hitters; names are text. */
struct dns_server_key {
	uint8_t address[16];
	uint32_t port;
};
struct dns_process_key {
	uint32_t pid;
	char comm[16];
};

/* publish.c */
void dns_server_text(const struct dns_server_key *k, char *buf, size_t size); /* 192.0.2.1:53 */
void dns_publish(struct weir_plugin *p);
unsigned dns_type_slot(uint16_t type);
unsigned dns_rcode_slot(uint16_t rcode);
unsigned dns_bucket(uint64_t ns);
uint64_t dns_quantile_ns(const uint64_t *buckets, double q);

/* source_packet.c, source_replay.c, source_bpf.c */
int dns_live_probe(struct weir_plugin *p);
int dns_packet_start(struct weir_plugin *p);
void dns_packet_stop(struct weir_plugin *p);
void dns_packet_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns);
void dns_plain_turn(struct weir_plugin *p, enum weir_turn turn, uint64_t at_ns, uint64_t unsure_ns);
int dns_replay_probe(struct weir_plugin *p);
int dns_replay_start(struct weir_plugin *p);
void dns_replay_stop(struct weir_plugin *p);
int dns_tick(struct weir_plugin *p);        /* timeouts; packet */
int dns_replay_tick(struct weir_plugin *p);

#endif
