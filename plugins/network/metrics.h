/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of the network plugin's metrics: X(id, name, type, unit, labels, help).
 *
 * Labels have few values each: no address, no port; of processes the first 32 names, the rest
 * together. way: forward from the initiator, reverse back to it. The counts are those of
 * records, so they come at intervals, and wire and host are never to be added up.
 */
#ifndef NETWORK_METRICS_H
#define NETWORK_METRICS_H

#define NETWORK_METRICS(X)                                                                         \
	X(M_FLOWS, "weir_network_flows", WEIR_GAUGE, "flows", "", "Flows in the store")            \
	X(M_QUEUED, "weir_network_queued_updates", WEIR_GAUGE, "updates", "",                      \
	  "Updates that wait for the store")                                                       \
	X(M_MEMORY, "weir_network_store_bytes", WEIR_GAUGE, "bytes", "",                           \
	  "Memory of the store, its index and queues")                                             \
	X(M_CREATED, "weir_network_flows_created_total", WEIR_COUNTER, "flows", "",                \
	  "Flows that began")                                                                      \
	X(M_ENDED, "weir_network_flows_ended_total", WEIR_COUNTER, "flows",                        \
	  "reason transport direction", "Flows that ended")                                        \
	X(M_EVICTED, "weir_network_flows_evicted_total", WEIR_COUNTER, "flows", "",                \
	  "Flows that ended early because the store was full")                                     \
	X(M_RECORDS, "weir_network_records_total", WEIR_COUNTER, "records", "phase",               \
	  "Records made: at a flow's start, at intervals, at its end")                             \
	X(M_PACKETS, "weir_network_packets_total", WEIR_COUNTER, "packets", "scope transport way", \
	  "Wire packets of the records")                                                           \
	X(M_BYTES, "weir_network_bytes_total", WEIR_COUNTER, "bytes", "scope transport way",       \
	  "Bytes of those packets from the IP header on")                                          \
	X(M_PROCESS_BYTES, "weir_network_process_bytes_total", WEIR_COUNTER, "bytes", "process",   \
	  "Bytes both ways of flows in scope host, by name of the owner")                          \
	X(M_PROCESS_PACKETS, "weir_network_process_packets_total", WEIR_COUNTER, "packets",        \
	  "process", "Packets both ways of flows in scope host, by name of the owner")             \
	X(M_RETRANSMITS, "weir_network_retransmits_total", WEIR_COUNTER, "packets", "",            \
	  "Segments sent again, of the flows that ended")                                          \
	X(M_RESETS, "weir_network_resets_total", WEIR_COUNTER, "packets", "",                      \
	  "Resets sent or received, of the flows that ended")                                      \
	X(M_DROPS, "weir_network_drops_total", WEIR_COUNTER, "packets", "",                        \
	  "Packets the kernel dropped, of the flows that ended")                                   \
	X(M_FAILED, "weir_network_flows_failed_total", WEIR_COUNTER, "flows", "",                  \
	  "Flows that ended with an error of their socket")                                        \
	X(M_HANDSHAKE, "weir_network_handshake_seconds", WEIR_HISTOGRAM, "seconds", "",            \
	  "Time from SYN to SYN-ACK, of the TCP flows that ended")                                 \
	X(M_FILTERED_PACKETS, "weir_network_filtered_packets_total", WEIR_COUNTER, "packets", "",  \
	  "Packets of flows that the filters leave out, as far as they reach user space")          \
	X(M_FILTERED_BYTES, "weir_network_filtered_bytes_total", WEIR_COUNTER, "bytes", "",        \
	  "Bytes of those packets")                                                                \
	X(M_LOST, "weir_network_lost_packets_total", WEIR_COUNTER, "packets", "",                  \
	  "Packets the kernel dropped in front of source packet: its ring was full")                \
	X(M_UNSURE, "weir_network_switch_unsure_total", WEIR_COUNTER, "", "what",                  \
	  "packets and bytes that passed while one source took over from another: in the records of both, or of none") \
	X(M_REFUSED, "weir_network_updates_refused_total", WEIR_COUNTER, "updates", "",            \
	  "Times a queue was full, and the source had to wait")                                    \
	X(M_DETAILS, "weir_network_details_lost_total", WEIR_COUNTER, "details", "",               \
	  "Owners, tunnels and drops of flows not kept for want of memory; counts are")            \
	X(M_UNMATCHED, "weir_network_marks_unmatched_total", WEIR_COUNTER, "marks", "",            \
	  "Closes, retransmits and the like of flows that were not known (any more)")                 \
	X(M_KERNEL, "weir_network_kernel_total", WEIR_COUNTER, "", "what",                         \
	  "Source bpf: inserts, overflows (packets for which the map had no room), lost (packets with no record), filtered and sampled (packets left out), unparsed, fragments (without ports), time_wait (packets of such sockets), owners (changes), no_owner, behind (polls before the last was done), early (drains since a map filled), refused (packets)")

#define X(id, ...) id,
enum { NETWORK_METRICS(X) M_COUNT };
#undef X

#endif
