/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's own metrics: one list, from which come the enum of indices, the
 * table for the registry and the reference page.
 *
 * Label values come from bounded sets only (names of plugins, programs, maps,
 * reasons), never from a message. `plugin` is the collector or processor that
 * made the events, `output` the one they were for. A value that cannot be known
 * is absent, not 0.
 */
#ifndef WEIR_CORE_SELF_METRICS_H
#define WEIR_CORE_SELF_METRICS_H

#include <weir/metric.h>

/* V(index, type, name, unit, labels, help): one value.
 * H(index, buckets, name, unit, labels, help): a histogram. */
#define WEIR__SELF_METRICS(V, H)                                                                                       \
	/* the daemon */                                                                                               \
	V(BUILD_INFO, GAUGE, "weir_build_info", "", "version abi",                                                     \
	  "Version of the daemon and of its plugin ABI; always 1")                                                     \
	V(UPTIME, GAUGE, "weir_uptime_seconds", "seconds", "",                                                         \
	  "Time since the daemon started")                                                                             \
	V(READY, GAUGE, "weir_ready", "", "",                                                                          \
	  "1 once every enabled plugin has started or has been given up, what /ready answers")                         \
	V(START_DURATION, GAUGE, "weir_start_duration_seconds", "seconds", "",                                         \
	  "Time from the start of the process until it was ready")                                                     \
	V(CONFIG_WARNINGS, GAUGE, "weir_config_warnings", "", "",                                                      \
	  "Warnings about the configuration in use")                                                                   \
	V(RELOADS, COUNTER, "weir_reloads_total", "", "result",                                                        \
	  "Reloads of the configuration, by result: applied, unchanged, refused")                                      \
	V(OVERRIDES, GAUGE, "weir_config_overrides", "", "",                                                           \
	  "Options that were set at run time and are in force")                                                        \
	V(CPUS, GAUGE, "weir_cpus", "", "",                                                                            \
	  "Possible CPUs of this machine, by which per-CPU maps are sized")                                            \
	/* the process */                                                                                              \
	V(PROCESS_CPU, COUNTER, "weir_process_cpu_seconds_total", "seconds", "mode",                                   \
	  "CPU time of the daemon's process, in mode user or system, without its BPF programs")                        \
	V(PROCESS_RESIDENT, GAUGE, "weir_process_resident_memory_bytes", "bytes", "",                                  \
	  "Resident memory of the daemon's process")                                                                   \
	V(PROCESS_FDS, GAUGE, "weir_process_open_fds", "", "",                                                         \
	  "Open file descriptors of the daemon's process")                                                             \
	V(PROCESS_MAX_FDS, GAUGE, "weir_process_max_fds", "", "",                                                      \
	  "Limit on open file descriptors of the daemon's process")                                                    \
	V(PROCESS_THREADS, GAUGE, "weir_process_threads", "", "",                                                      \
	  "Threads of the daemon's process")                                                                           \
	V(PROCESS_START, GAUGE, "weir_process_start_time_seconds", "seconds", "",                                      \
	  "Start of the daemon's process, seconds since 1970")                                                         \
	V(HEAP_BLOCKS, GAUGE, "weir_heap_blocks", "", "",                                                              \
	  "Blocks the daemon has allocated and not freed")                                                             \
	/* plugins */                                                                                                  \
	V(PLUGIN_INFO, GAUGE, "weir_plugin_info", "", "plugin version kind",                                           \
	  "Plugins that are loaded, with version and kind; always 1")                                                  \
	V(PLUGIN_STATE, GAUGE, "weir_plugin_state", "", "plugin state",                                                \
	  "1 for the state the plugin is in, 0 for the others")                                                        \
	V(PLUGIN_CPU, COUNTER, "weir_plugin_cpu_seconds_total", "seconds", "plugin",                                   \
	  "CPU time of the plugin's host thread, without its BPF programs")                                            \
	V(PLUGIN_MEMORY, GAUGE, "weir_plugin_memory_bytes", "bytes", "plugin kind",                                    \
	  "Memory on the plugin's account: heap, maps, rings")                                                  \
	V(PLUGIN_STARTS, COUNTER, "weir_plugin_starts_total", "", "plugin",                                            \
	  "Times the plugin was started")                                                                              \
	V(PLUGIN_UPGRADES, COUNTER, "weir_plugin_upgrades_total", "", "plugin result",                                 \
	  "Times another build was to take over, by result: done, refused")                                            \
	V(PLUGIN_RESTARTS, COUNTER, "weir_plugin_restarts_total", "", "plugin",                                        \
	  "Times the plugin was started again after a failure or on request")                                          \
	V(PLUGIN_FAILURES, COUNTER, "weir_plugin_failures_total", "", "plugin cause",                                  \
	  "Failures of the plugin that its breaker has counted, by cause")                                             \
	V(BREAKER_STATE, GAUGE, "weir_breaker_state", "", "plugin state",                                              \
	  "1 for the state the plugin's breaker is in, 0 for the others")                                              \
	V(BREAKER_TRANSITIONS, COUNTER, "weir_breaker_transitions_total", "", "plugin to cause",                       \
	  "Times the plugin's breaker moved to a state, by cause of its last failure")                                 \
	V(LOST_THREADS, GAUGE, "weir_plugin_lost_threads", "", "plugin",                                               \
	  "Threads of the plugin that were given up in a callback and have not come back")                             \
	V(PLUGIN_RUNNING, GAUGE, "weir_plugin_running_seconds", "seconds", "plugin",                                   \
	  "Time since the plugin's last start; absent while it does not run")                                          \
	V(SOURCE_INFO, GAUGE, "weir_source_info", "", "plugin source quality",                                         \
	  "Source the collector reads from now, quality exact or approx; always 1")                                    \
	V(SOURCE_CHANGES, COUNTER, "weir_source_changes_total", "", "plugin",                                          \
	  "Times the collector changed from one source to another")                                                    \
	V(FALLBACK, GAUGE, "weir_fallback_active", "", "plugin topic",                                                 \
	  "1 while this plugin stands in for the topic's better collector")                                            \
	V(TICKS, COUNTER, "weir_ticks_total", "", "plugin",                                                            \
	  "Periodic rounds the collector's source has done")                                                           \
	H(CALLBACK, weir__callback_buckets, "weir_callback_seconds", "seconds", "plugin",                              \
	  "Time a callback of the plugin kept its loop")                                                               \
	V(CALLBACK_SLOW, COUNTER, "weir_callback_overruns_total", "", "plugin",                                        \
	  "Callbacks that kept the loop longer than their contract allows")                                            \
	/* BPF */                                                                                                      \
	V(PROGRAM_ATTACHED, GAUGE, "weir_bpf_program_attached", "", "plugin program",                                  \
	  "1 while the program is attached, 0 while it is not")                                                        \
	V(PROGRAM_RUNS, COUNTER, "weir_bpf_program_runs_total", "", "plugin program",                                  \
	  "Runs of the program, counted by the program itself")                                                        \
	V(PROGRAM_SECONDS, COUNTER, "weir_bpf_program_run_seconds_total", "seconds", "plugin program",                 \
	  "Time spent in the program, by its own meter: one run in 64 is timed")                                             \
	V(HOOK_SECONDS, COUNTER, "weir_bpf_program_hook_seconds_total", "seconds", "plugin program",                    \
	  "Time beside it that the hook takes outside the program, by a constant calibrated at start")                  \
	V(PROGRAM_MISSED, COUNTER, "weir_bpf_program_missed_total", "", "plugin program",                              \
	  "Runs the kernel skipped because the program was already running on that CPU")                               \
	V(MAP_MEMORY, GAUGE, "weir_bpf_map_memory_bytes", "bytes", "plugin map",                                       \
	  "Kernel memory of the map, as the kernel reports it")                                                        \
	/* rings */                                                                                                    \
	V(RING_BYTES, GAUGE, "weir_ring_bytes", "bytes", "plugin",                                                     \
	  "Size of the plugin's ring buffers, all together")                                                           \
	V(RING_FILL, GAUGE, "weir_ring_fill_ratio", "ratio", "plugin",                                                 \
	  "Part of the fullest ring buffer that waits to be read, highest since the last scrape")                      \
	V(RING_WAKES, COUNTER, "weir_ring_wakes_total", "", "plugin",                                                  \
	  "Times the kernel woke the host because of its rings")                                                       \
	V(RING_DRAINS, COUNTER, "weir_ring_drains_total", "", "plugin",                                                \
	  "Rounds in which the host read its rings")                                                                   \
	V(SAMPLE_PROBABILITY, GAUGE, "weir_sample_probability_ratio", "ratio", "plugin",                               \
	  "Part of the events the kernel keeps; the records' weights make up for the rest")                            \
	/* budgets; plugin weir is the whole of Weir */                                                                  \
	V(BUDGET_USED, GAUGE, "weir_budget_used", "", "plugin resource",                                                \
	  "What was used of the budget in the last second: cpu in percent of a core, memory and queue in bytes, events per second") \
	V(BUDGET_LIMIT, GAUGE, "weir_budget_limit", "", "plugin resource",                                              \
	  "The budget, in the same units; absent where there is none")                                                  \
	V(BUDGET_PRESSURE, GAUGE, "weir_budget_pressure_ratio", "ratio", "plugin",                                      \
	  "The largest share used of any of its budgets, the whole one where it is the cause")                          \
	V(SAMPLING_WEIGHT, GAUGE, "weir_sampling_weight", "", "plugin",                                                 \
	  "Events that a record made now stands for: one in so many is kept")                                           \
	V(BUDGET_ACTIONS, COUNTER, "weir_budget_actions_total", "", "plugin action",                                    \
	  "What was done because of a budget; recover is a step back")                                                  \
	/* the ledger */                                                                                               \
	V(EVENTS, COUNTER, "weir_events_total", "", "plugin output",                                                   \
	  "Events seen for this output, whatever became of them")                                                      \
	V(EVENTS_DELIVERED, COUNTER, "weir_events_delivered_total", "", "plugin output",                               \
	  "Events the output has taken")                                                                               \
	V(EVENTS_AGGREGATED, COUNTER, "weir_events_aggregated_total", "", "plugin output",                             \
	  "Events taken up into a counter by the collector")                                                           \
	V(EVENTS_QUEUED, GAUGE, "weir_events_queued", "", "plugin output",                                             \
	  "Events on their way to the output")                                                                         \
	V(EVENTS_DROPPED, COUNTER, "weir_events_dropped_total", "", "plugin output reason",                            \
	  "Events that were dropped, by reason")                                                                       \
	V(IMBALANCE, GAUGE, "weir_ledger_imbalance", "", "plugin output",                                              \
	  "Events seen minus those accounted for; anything but 0 is a bug in Weir")                                    \
	/* routes */                                                                                                   \
	V(BATCHES, COUNTER, "weir_batches_total", "", "plugin output",                                                 \
	  "Batches handed to the output's queue")                                                                      \
	V(BATCH_BYTES, COUNTER, "weir_batch_bytes_total", "bytes", "plugin output",                                    \
	  "Bytes of the batches handed to the output's queue")                                                         \
	V(QUEUE_BYTES, GAUGE, "weir_queue_bytes", "bytes", "plugin output",                                            \
	  "Bytes that wait in the queue to the output")                                                                \
	V(QUEUE_LIMIT, GAUGE, "weir_queue_limit_bytes", "bytes", "plugin output",                                      \
	  "Size of the queue to the output")                                                                           \
	V(QUEUE_FILL, GAUGE, "weir_queue_fill_ratio", "ratio", "plugin output",                                        \
	  "Part of the queue that is filled")                                                                          \
	H(DELIVERY, weir__delivery_buckets, "weir_delivery_seconds", "seconds", "output",                              \
	  "Age of a batch's first record when the output has taken the batch")                                         \
	/* metrics, requests, logs */                                                                                  \
	V(SERIES, GAUGE, "weir_metric_series", "", "plugin",                                                           \
	  "Series the plugin has made")                                                                                \
	V(SERIES_DROPPED, COUNTER, "weir_metric_series_dropped_total", "", "plugin",                                   \
	  "Series the plugin could not make because it has too many")                                                  \
	V(QUERIES, COUNTER, "weir_queries_total", "", "plugin result",                                                 \
	  "Queries asked of the plugin, by result ok or error")                                                        \
	V(HTTP_REQUESTS, COUNTER, "weir_http_requests_total", "", "code",                                              \
	  "HTTP requests answered, by class of status: 2xx, 4xx, 5xx")                                                 \
	V(CONTROL_REQUESTS, COUNTER, "weir_control_requests_total", "", "result",                                      \
	  "Requests on the control socket, by result ok or error")                                                     \
	V(LOG_SUPPRESSED, COUNTER, "weir_log_lines_suppressed_total", "", "",                                          \
	  "Log lines left out by the rate limit")

enum weir__self_metric {
#define WEIR__SELF_V(index, ...) WEIR__SELF_##index,
	WEIR__SELF_METRICS(WEIR__SELF_V, WEIR__SELF_V)
#undef WEIR__SELF_V
	WEIR__SELF_COUNT
};

/* Upper bounds in seconds; their numbers size the arrays for series_histogram
 * (one more for +Inf). */
#define WEIR__CALLBACK_BUCKETS 9
#define WEIR__DELIVERY_BUCKETS 10
extern const double weir__callback_buckets[WEIR__CALLBACK_BUCKETS];
extern const double weir__delivery_buckets[WEIR__DELIVERY_BUCKETS];
/* The q-quantile of n + 1 counts with these n bounds, straight lines between them;
 * beyond the last bound: that bound. NAN if nothing was counted. */
double weir__quantile(const uint64_t *counts, const double *bounds, size_t n, double q);

/* Rows of struct weir_metric, by enum weir__self_metric. */
extern const struct weir_table weir__self_metrics;

#endif
