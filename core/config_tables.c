/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that are Weir's own: the daemon's, and those that every plugin's
 * section may have. Everything else about them (parsing, messages, schema,
 * reference page) is derived from these rows.
 */
#include "config.h"

#define DAEMON struct weir__daemon_config
#define COMMON struct weir__common_config
#define FOR_COLLECTORS .reserved = COLLECTORS
#define FOR_CONSUMERS  .reserved = CONSUMERS
/* A new value takes effect without a restart: of the plugin, or of the daemon. */
#define LIVE                .reserved = WEIR__OPTION_LIVE
#define LIVE_FOR_COLLECTORS .reserved = WEIR__OPTION_LIVE | COLLECTORS
#define LIVE_FOR_CONSUMERS  .reserved = WEIR__OPTION_LIVE | CONSUMERS
#define COLLECTORS (1u << WEIR_COLLECTOR)
#define CONSUMERS  (1u << WEIR_OUTPUT | 1u << WEIR_PROCESSOR)

#define MS 1e6 /* in ns */
#define S  1e9
#define KIB 1024.0
#define MIB (1024 * KIB)

static const struct weir_option daemon_options[] = {
	WEIR_OPTION_ENUM(DAEMON, log_level, "log.level", "error warn info debug", "info",
	                 "Write log lines of this severity and above", LIVE),
	WEIR_OPTION_ENUM(DAEMON, log_format, "log.format", "logfmt json", "logfmt",
	                 "How a log line is written", LIVE),
	WEIR_OPTION_STRING(DAEMON, log_file, "log.file", "",
	                   "File the log goes to; empty is standard error",
	                   .flags = WEIR_OPTION_PATH, LIVE),
	WEIR_OPTION_UINT(DAEMON, log_burst, "log.burst", "20",
	                 "Lines per second from one place in the code; what is more is counted; 0 is no limit",
	                 .unit = "lines", LIVE),
	WEIR_OPTION_STRING(DAEMON, http_listen, "http.listen", "127.0.0.1:9347",
	                   "Address and port of the HTTP listener; empty is none"),
	WEIR_OPTION_STRING(DAEMON, http_tls_cert, "http.tls.cert", "",
	                   "Certificate for HTTPS, a PEM file; empty is plain HTTP",
	                   .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_STRING(DAEMON, http_tls_key, "http.tls.key", "",
	                   "Private key of the certificate, a PEM file",
	                   .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_STRING(DAEMON, http_auth_user, "http.auth.user", "",
	                   "User name that HTTP clients must give; empty asks for none"),
	WEIR_OPTION_STRING(DAEMON, http_auth_password_file, "http.auth.password_file", "",
	                   "File whose first line is the password of http.auth.user",
	                   .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_STRING(DAEMON, control_socket, "control.socket", "/run/weir/control.sock",
	                   "Unix socket for weir status, enable, query and the like",
	                   .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_STRING(DAEMON, control_group, "control.group", "",
	                   "Group that may use the control socket; empty is the daemon's own"),
	WEIR_OPTION_STRING(DAEMON, state_dir, "state_dir", "/var/lib/weir",
	                   "Directory for what outlives the daemon", .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_STRING(DAEMON, user, "user", "weir",
	                   "User the daemon becomes when root starts it, with what its plugins declare "
	                   "as its only capabilities; empty changes neither"),
	WEIR_OPTION_ENUM(DAEMON, isolation, "isolation", "auto thread process", "auto",
	                 "Where plugins run that do not say it themselves; auto is a thread for those that come with Weir, a process for others"),
	WEIR_OPTION_LIST(DAEMON, plugin_dirs, "plugin_dirs", "",
	                 "Directories with plugins, searched in order; none means where Weir is installed",
	                 .flags = WEIR_OPTION_PATH, LIVE),
	WEIR_OPTION_DURATION(DAEMON, shutdown_timeout_ns, "shutdown_timeout", "5s",
	                     "How long to wait for outputs to take what is queued when Weir stops",
	                     .min = 0, .max = 600 * S, LIVE),
	WEIR_OPTION_DURATION(DAEMON, probe_interval_ns, "probe_interval", "30s",
	                     "How often sources are tried again when none of them works on this machine",
	                     .min = 100 * MS, .max = 86400 * S, LIVE),
	WEIR_OPTION_BOOL(DAEMON, watch, "watch", "false",
	                 "Take over the configuration file's changes at once, as `weir reload` does", LIVE),
	WEIR_OPTION_LIST(DAEMON, kernel_guard, "kernel_guard", "",
	                 "Types of BPF programs not to load on certain kernels, as 6.1.0-9:kprobe, beside "
	                 "those known to panic; off leaves the known ones out",
	                 .min = 0, .max = 64),
	WEIR_OPTION_DOUBLE(DAEMON, budget_cpu, "budget.cpu", "25",
	                   "CPU all of Weir may use, its programs in the kernel included; 0 is no limit",
	                   .unit = "% of a core", .min = 0, .max = 1e6, LIVE),
	WEIR_OPTION_BYTES(DAEMON, budget_memory, "budget.memory", "100MiB",
	                  "Memory all of Weir may use, its BPF maps included; 0 is no limit",
	                  .min = 0, .max = 1024 * 1024 * MIB, LIVE),
};
const struct weir_table weir__daemon_options = WEIR_TABLE(daemon_options);

static const struct weir_option common_options[] = {
	WEIR_OPTION_BOOL(COMMON, enabled, "enabled", "true", "Whether the plugin is started"),
	WEIR_OPTION_STRING(COMMON, path, "path", "",
	                   "The plugin's library; empty is NAME.so in plugin_dirs",
	                   .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_ENUM(COMMON, isolation, "isolation", "auto thread process", "auto",
	                 "Where the plugin runs: on a thread of the daemon, or in a process of its own, which can crash alone; auto is what the daemon's isolation says"),
	/* Below 100 ms a machine under load would look like a hanging plugin. */
	WEIR_OPTION_DURATION(COMMON, deadline_ns, "deadline", "5s",
	                     "Longest a callback may keep the plugin's loop; then the plugin is given up",
	                     .min = 100 * MS, .max = 3600 * S, LIVE),
	WEIR_OPTION_UINT(COMMON, breaker_failures, "breaker.failures", "5",
	                 "Failures within breaker.window after which the plugin is left alone for a while",
	                 .unit = "failures", .min = 1, .max = 64, LIVE),
	WEIR_OPTION_DURATION(COMMON, breaker_window_ns, "breaker.window", "60s",
	                     "How long a failure counts", .min = 1 * S, .max = 3600 * S, LIVE),
	WEIR_OPTION_DURATION(COMMON, breaker_cooldown_ns, "breaker.cooldown", "1s",
	                     "Shortest time a failing plugin is left alone; doubles from one time to the next",
	                     .min = 100 * MS, .max = 3600 * S, LIVE),
	WEIR_OPTION_DURATION(COMMON, breaker_max_cooldown_ns, "breaker.max_cooldown", "5m",
	                     "Longest time a failing plugin is left alone",
	                     .min = 100 * MS, .max = 86400 * S, LIVE),
	WEIR_OPTION_LIST(COMMON, sources, "sources", "",
	                 "Which of the collector's sources to try, in this order; none means all, best first. Changed while it runs, the first that works takes over, without a restart where the plugin can",
	                 FOR_COLLECTORS),
	/* 64 KiB: the largest page, and a ring is at least one */
	WEIR_OPTION_BYTES(COMMON, ring_bytes, "ring", "512KiB",
	                  "Memory of the kernel's ring buffers, all together",
	                  .min = 64 * KIB, .max = 1024 * MIB,
	                  .flags = WEIR_OPTION_POWER_OF_TWO, FOR_COLLECTORS),
	WEIR_OPTION_ENUM(COMMON, latency, "latency_class", "low balanced economy", "balanced",
	                 "How soon events are picked up: sooner costs more CPU", LIVE_FOR_COLLECTORS),
	WEIR_OPTION_ENUM(COMMON, fallback, "fallback", "auto always", "auto",
	                 "When a stand-in collector runs: only if what it stands in for cannot, or always",
	                 FOR_COLLECTORS),
	WEIR_OPTION_UINT(COMMON, priority, "priority", "0",
	                 "What gives way last under pressure; 0 is by topic: process, file and alert 40, flow 30, dns 20, others 10",
	                 .min = 0, .max = 1000, LIVE),
	WEIR_OPTION_DOUBLE(COMMON, budget_cpu, "budget.cpu", "0",
	                   "CPU the plugin may use, its programs in the kernel included; 0 is no limit but Weir's",
	                   .unit = "% of a core", .min = 0, .max = 1e6, LIVE),
	WEIR_OPTION_BYTES(COMMON, budget_memory, "budget.memory", "0",
	                  "Memory the plugin may use: heap, BPF maps, rings, queues; 0 is no limit but Weir's",
	                  .min = 0, .max = 1024 * 1024 * MIB, LIVE),
	WEIR_OPTION_UINT(COMMON, budget_events, "budget.events", "25000",
	                 "Events per second the collector may pass on; above, they are sampled; 0 is no limit",
	                 .unit = "events/s", .min = 0, .max = 1e9, LIVE_FOR_COLLECTORS),
	WEIR_OPTION_UINT(COMMON, budget_burst, "budget.burst", "0",
	                 "Events that may pass at once; 0 is twenty seconds' worth",
	                 .unit = "events", .min = 0, .max = 1e9, LIVE_FOR_COLLECTORS),
	WEIR_OPTION_BYTES(COMMON, budget_queue, "budget.queue", "0",
	                  "Memory of all the plugin's queues together; 0 is no limit but each queue's",
	                  .min = 0, .max = 1024 * 1024 * MIB, LIVE),
	WEIR_OPTION_LIST(COMMON, on_pressure, "on_pressure", "",
	                 "What may be done when it is over a budget: widen sample drop_kinds detach suspend; none means all", LIVE),
	WEIR_OPTION_LIST(COMMON, topics, "topics", "",
	                 "Topics to take; none means the plugin's own choice", FOR_CONSUMERS),
	WEIR_OPTION_LIST(COMMON, collectors, "collectors", "",
	                 "Collectors to take events from; none means every one", FOR_CONSUMERS),
	WEIR_OPTION_BYTES(COMMON, queue_bytes, "queue", "4MiB",
	                  "Memory of the queue from each collector",
	                  .min = 64 * KIB, .max = 1024 * MIB, LIVE_FOR_CONSUMERS),
	WEIR_OPTION_ENUM(COMMON, on_full, "on_full", "drop_newest drop_oldest block", "drop_newest",
	                 "What happens to events when the queue is full", LIVE_FOR_CONSUMERS),
};
const struct weir_table weir__common_options = WEIR_TABLE(common_options);
