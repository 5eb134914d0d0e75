/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of the network plugin's metrics: X(id, name, type, unit, labels, help).
 * Labels have few values each: no address, no port; processes only the first few.
 */
#ifndef NETWORK_METRICS_H
#define NETWORK_METRICS_H

#define NETWORK_METRICS(X)                                                                         \
	X(M_FLOWS, "weir_network_flows", WEIR_GAUGE, "flows", "", "Flows in the store")            \
	X(M_CREATED, "weir_network_flows_created_total", WEIR_COUNTER, "flows", "", "Flows that began") \
	X(M_ENDED, "weir_network_flows_ended_total", WEIR_COUNTER, "flows", "reason", "Flows that ended, by reason")

#define X(id, ...) id,
enum { NETWORK_METRICS(X) M_COUNT };
#undef X

#endif
