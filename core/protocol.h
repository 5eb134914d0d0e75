/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said over the control socket. One line of JSON each way; every answer
 * has "ok". Everything marked ? may be missing or null; the command line shows what
 * is there, and passes over what it does not know, so both sides may grow.
 *
 * Failure, for every request:
 *   {"ok":false,"error":"one sentence","hint":?"what to do"}
 *
 * {"cmd":"status"}
 *   {"ok":true,
 *    "version":"1.0.0", "pid":4711, "uptime_s":12.5, "config":"/etc/weir/weir.yaml",
 *    "ready":true,                      everything enabled runs or has its fallback
 *    "plugins":[{
 *      "name":"iomonitor", "kind":"collector", "version":"1.0.0",
 *      "state":"running",               the lifecycle's words; WEIR__STATES_BAD are bad
 *      "isolation":?"thread", "pid":?4712,   of its own process
 *      "source":?"bpf", "quality":?"",  "approx" if the source cannot know exactly
 *      "interval_s":?5.0,               how often that source looks, if it does so by the clock
 *      "fallback":?"procfs-fallback",   who has its topics now
 *      "fallback_for":?["io"],          whose topics it has now
 *      "reason":?"why it is not running, or runs below its best",
 *      "breaker":?{"state":"closed",    closed | open | half-open
 *                  "failures":0,        within the window that ends now
 *                  "opened":0,          times
 *                  "cause":?"crash", "detail":?"...",      of the last failure
 *                  "retry_s":?1.5,      until it is tried again
 *                  "lost":?1},          threads of it that were given up and are not back
 *      "since_s":11.9, "restarts":0,
 *      "for_s":?290,                    left of `enable --for`, `disable --for`
 *      "events_per_s":120.0,
 *      "cpu_percent":0.3,               of one core, the host's thread or process
 *      "bpf_percent":0.1,               of one core, its programs inside the kernel
 *      "memory":{"heap":81920,"maps":262144,"rings":524288,    bytes
 *                "rss":?5242880},          resident in the process of its own
 *      "queue_bytes":0,                 wait in all its queues
 *      "latency_s":?{"p50":0.001,"p99":0.004},   outputs: age of what was taken of late
 *      "topics":["io"],
 *      "programs":[{"name":"add_folio","variant":"tp_btf","attached":true,
 *                   "optional":false,"runs":1234,"ns_per_run":95.0,"missed":0,
 *                   "error":?"..."}],
 *      "budget":{                       while it runs, or is suspended; used in the last second
 *        "cpu":{"used":3.1,"limit":25,"pressure":0.12},       percent of a core; limit 0: none
 *        "memory":{...}, "queue":{...}, bytes, "events":{...}, per second
 *        "pressure":0.8, "by":"cpu",    the largest, the whole's where it is the cause
 *        "weight":4, "sampling":0.25, "widened":false, "kinds_off":0, "detached":0,
 *        "level":"none|widen|sample|drop_kinds|detach|suspend", "priority":10,
 *        "last_action":?{"what":"...","why":"...","age_s":2.0}},
 *      "queries":?[{"name":"top",       while it runs
 *                   "args":[{"name":"by","choices":?["misses"],"max":?0}]}],
 *      "sources":[{"name":"bpf","state":"active","reason":?"..."}]
 *                                       state: active | available | failed | untried
 *    }],
 *    "routes":[{
 *      "from":"iomonitor", "to":"stdout", "topics":["io"],
 *      "policy":"drop_newest", "open":true,      false: the output takes nothing now
 *      "queue_bytes":0, "queue_limit":4194304,
 *      "seen":1000, "delivered":990, "queued":0, "aggregated":0,
 *      "dropped":{"ring_full":10},      only what is not 0
 *      "unexplained":0                  seen - everything; not 0 is a bug
 *    }],
 *    "overrides":[{"key":"plugins.iomonitor.interval","value":"250ms","persist":false,
 *                  "for_s":?290}],      what was set at run time and is in force
 *    "daemon":{"cpu_percent":0.1,"rss_bytes":8388608,"threads":5,"fds":40,
 *      "budget":{"cpu":{...},"memory":{...},"pressure":0.1,"by":"cpu","cause":?"flood"},
 *      "psi":{"cpu_some":?1.5,"memory_some":?0,"memory_full":?0,"io_full":?0,"throttled":?0,
 *        "cgroup_memory":?n,"cgroup_limit":?n,"pressure":0}}}     percent of 10 s; bytes
 *
 * {"cmd":"query","plugin":"iomonitor","query":"top","args":["n=10"]}
 *   {"ok":true,"content_type":"application/json","body":"[...]"}     body: always a string
 *
 * {"cmd":"enable"|"disable"|"restart","plugin":"iomonitor","for_s":?300,"persist":?true}
 *   {"ok":true,"state":"running","message":"iomonitor runs, for 5m"}
 *   Answered when the plugin has got there, or has failed to (ok false). for_s and
 *   persist only with enable and disable: afterwards it goes back to what it was; it
 *   holds over a restart of the daemon, the end too.
 *
 * {"cmd":"reload","text":?"plugins:\n..."}   text: what is in the file. Taken from root only,
 *                                     and only if the daemon's user cannot open the file
 *   {"ok":true,"message":"reloaded: 1 restarted (iomonitor), 3 unchanged",
 *    "plugins":[{"name":"iomonitor","action":"restarted","state":"running","message":?"..."}],
 *                                       action: the words of WEIR__CHANGES, or failed
 *    "daemon":[{"option":"log.level","action":"applied"|"needs restart"}]}
 *   Answered when every plugin has settled. Refused, and then nothing was changed:
 *   {"ok":false,"error":"...","hint":"...","diagnostics":["weir.yaml:6:5: error: ...",...]}
 *
 * {"cmd":"set","plugin":"iomonitor","option":"interval","value":"250ms"|"unset":true,
 *  "for_s":?300,"persist":?true}
 *   As reload, and "action":"restarted"; plugin "log", option "level" is the daemon's
 *   own log.level. Refused as reload is, with the complaint about this value.
 * {"cmd":"get","plugin":"iomonitor","option":"interval"}
 *   {"ok":true,"value":"1s","origin":"default"|"line 5"|"WEIR_..."|"weir set --persist","doc":"..."}
 *
 * {"cmd":"upgrade","plugin":"iomonitor","path":"/path/iomonitor.so"}
 *   {"ok":true,"message":"iomonitor: version 1.1.0 has taken over from 1.0.0 after ...","state":"running"}
 *   ok false: the old build goes on, and why.
 *
 * {"cmd":"tail","topics":["io"],"format":"json"|"text"}     topics []: all
 *   {"ok":true} and from then on one line per event, until either side closes.
 *   The client stops at COUNT lines itself. Lines left out because the reader was
 *   too slow are said in the stream: {"dropped":12} or "# 12 events left out".
 *
 * {"cmd":"config"}
 *   {"ok":true,"config":"/etc/weir/weir.yaml","file":?"/etc/weir/weir.yaml","text":"..."}
 *                                     file: absolute; text: in effect, secrets hidden
 */
#ifndef WEIR_CORE_PROTOCOL_H
#define WEIR_CORE_PROTOCOL_H

#include <jansson.h>

/* Requests: name, and whether they change the daemon. */
#define WEIR__REQUESTS(X)                                                      \
	X(status,  0)                                                          \
	X(query,   0)                                                          \
	X(tail,    0)                                                          \
	X(config,  0)                                                          \
	X(get,     0)                                                          \
	X(reload,  1)                                                          \
	X(set,     1)                                                          \
	X(upgrade, 1)                                                          \
	X(enable,  1)                                                          \
	X(disable, 1)                                                          \
	X(restart, 1)

/* States of a plugin that `weir status` shows as bad and exits 1 for. */
#define WEIR__STATES_BAD "failed", "open", "refused", "suspended", "crashed"

/* For when there is no memory to make an answer with. */
#define WEIR__PROTOCOL_NO_MEMORY "{\"ok\":false,\"error\":\"the daemon is out of memory\"}"

/* Let jansson allocate through core/mem.h. First thing in main(). */
void weir__json_setup(void);
/* Any bytes as a JSON string: broken UTF-8 becomes '?'. NULL: null. */
json_t *weir__json_text(const char *s);
/* A failure's answer; hint may be NULL. NULL without memory. */
json_t *weir__protocol_error(const char *error, const char *hint);

#endif
