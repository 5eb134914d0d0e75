/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * network's programs: every packet of every flow, added up in the kernel. In parts: net_flow
 * (the maps, and how a packet is added), net_parse, net_filter, net_owner (flows of sockets),
 * net_host (packets of local sockets), net_tcp (what happens to sockets and packets),
 * net_wire (packets at interfaces), net_fill (sockets older than Weir).
 */
#include "net_tcp.bpf.h"
#include "net_fill.bpf.h"
#include "net_wire.bpf.h"
