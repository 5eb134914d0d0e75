/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log: one line an event, logfmt or JSON, to stderr or a file. Any
 * thread; a line is written with one write(2).
 */
#ifndef WEIR_CORE_LOG_H
#define WEIR_CORE_LOG_H

#include <weir/host.h>

enum weir__log_format { WEIR__LOG_LOGFMT, WEIR__LOG_JSON };

struct weir__log_config {
	int level;       /* enum weir_log_level: this and more severe */
	int format;      /* enum weir__log_format */
	const char *file;/* NULL or "": stderr */
	uint64_t burst;  /* lines per second and call site (format string); then
	                  * suppressed lines are counted and said. 0: no limit */
};

/* 0 or -errno (the file); the log goes on as before then. */
int weir__log_setup(const struct weir__log_config *cfg);
/* plugin: name, or NULL for the daemon itself. Values are escaped. */
__attribute__((format(printf, 3, 4))) void
weir__log(int level, const char *plugin, const char *fmt, ...);
void weir__vlog(int level, const char *plugin, const char *fmt, va_list ap);
/* Lines go there instead of to a descriptor; for the process of a plugin. Set once. */
void weir__log_divert(void (*sink)(int level, const char *plugin, const char *message));
/* Where lines go and how they look, for the fatal handler. Async-signal-safe. */
int weir__log_fd(void);
int weir__log_format(void);
/* Say now what the rate limit has left out so far: at the end of the run. */
void weir__log_flush(void);
/* Lines suppressed by the rate limit (or that could not be written) since start. */
uint64_t weir__log_suppressed(void);

#endif
