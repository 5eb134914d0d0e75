/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of dns's metrics: X(id, name, type, unit, labels, help).
 *
 * Names are never a label, but for the few that are asked most and only if the option
 * top_series says how many: a label per name has no bound.
 */
#ifndef DNS_METRICS_H
#define DNS_METRICS_H

#define DNS_METRICS(X)                                                                             \
	X(M_QUERIES, "weir_dns_queries_total", WEIR_COUNTER, "queries", "type",                    \
	  "Queries seen, repeated ones too, by type")                                              \
	X(M_RESPONSES, "weir_dns_responses_total", WEIR_COUNTER, "responses", "rcode",             \
	  "Responses seen, by result")                                                             \
	X(M_TRANSACTIONS, "weir_dns_transactions_total", WEIR_COUNTER, "transactions",             \
	  "transport outcome", "Questions and stray responses, by what became of them")            \
	X(M_LATENCY, "weir_dns_lookup_duration_seconds", WEIR_HISTOGRAM, "seconds", "transport",   \
	  "From the newest query to its response")                                                 \
	X(M_RETRIES, "weir_dns_retries_total", WEIR_COUNTER, "queries", "",                        \
	  "Queries that repeated one that was still open")                                         \
	X(M_TCP_RETRIES, "weir_dns_tcp_retries_total", WEIR_COUNTER, "queries", "",                \
	  "Questions asked over TCP after a truncated response over UDP")                          \
	X(M_NXDOMAIN, "weir_dns_nxdomain_ratio", WEIR_GAUGE, "ratio", "",                          \
	  "Share of NXDOMAIN in the responses since the last reading; absent without any")         \
	X(M_PENDING, "weir_dns_pending_queries", WEIR_GAUGE, "queries", "",                        \
	  "Questions without an answer so far")                                                    \
	X(M_TOP_NAME, "weir_dns_top_name_queries", WEIR_GAUGE, "queries", "name",                  \
	  "The names asked for most, at most option top_series of them; too high by the "          \
	  "algorithm's error, never too low")                                                      \
	X(M_TOP_SERVER, "weir_dns_top_server_queries", WEIR_GAUGE, "queries", "server",            \
	  "The servers asked most, at most 16 of them")                                            \
	X(M_ERRORS, "weir_dns_parse_errors_total", WEIR_COUNTER, "messages", "reason",             \
	  "Messages that could be read in part only (bad_record, bad_count, cut), or not at all")  \
	X(M_PACKETS, "weir_dns_packets_total", WEIR_COUNTER, "packets", "",                        \
	  "Packets that the source handed over")                                                   \
	X(M_LOST, "weir_dns_packets_lost_total", WEIR_COUNTER, "packets", "",                      \
	  "Packets that the kernel had no room for")                                               \
	X(M_DROPPED, "weir_dns_messages_dropped_total", WEIR_COUNTER, "messages", "reason",        \
	  "Messages without a record: ignored by name, sampled, copies on another interface, "     \
	  "no room in the queue")                                                                  \
	X(M_FRAGMENTS, "weir_dns_fragments_total", WEIR_COUNTER, "datagrams", "result",            \
	  "Fragmented datagrams: put together (whole), or not (incomplete, overlap)")              \
	X(M_STREAM_GAPS, "weir_dns_stream_gaps_total", WEIR_COUNTER, "gaps", "",                   \
	  "Gaps in TCP streams that were given up")                                                \
	X(M_STREAM_SKIPPED, "weir_dns_stream_skipped_bytes_total", WEIR_COUNTER, "bytes", "",      \
	  "Bytes of TCP streams that were given up")                                               \
	X(M_STREAMS, "weir_dns_streams", WEIR_GAUGE, "connections", "",                            \
	  "TCP connections that are followed")

#define X(id, ...) id,
enum { DNS_METRICS(X) M_COUNT };
#undef X

#endif
