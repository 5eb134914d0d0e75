/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log. A line is put together on the caller's stack and goes out with
 * one write(2), so lines of several threads never mix; only the rate limit's small
 * table has a lock.
 *
 * Happy path: level check (one atomic load), rate limit, format, write.
 * Failure modes: a file that cannot be written (full disk) sends the line to stderr;
 * what cannot be written at all counts as suppressed. Never fails its caller.
 */
#include "log.h"
#include "format_text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A pipe takes up to PIPE_BUF (4096) bytes in one piece: longer lines could mix. */
#define LINE_MAX_BYTES 4096
/* One message, before escaping; what is longer is cut. */
#define MESSAGE_MAX_BYTES 1536
/* Call sites under the rate limit at once. Weir has fewer than this; a plugin with
 * more only makes the limit forget the oldest. */
#define SITES 256
#define SITE_PROBES 8
#define SITE_TEXT 64
#define WINDOW_NS 1000000000ull

struct site {
	const char *fmt;     /* the key: never read through, it may be gone */
	uint32_t plugin;     /* hash of the plugin's name: one must not mute another */
	int level;
	uint64_t window_ns;  /* start of the current second */
	uint64_t lines;      /* in it */
	uint64_t suppressed; /* in it and not said yet */
	char name[32];       /* of the plugin, for the summary line */
	char text[SITE_TEXT];/* start of the format, likewise */
};

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *const level_colours[] = { "\033[31m", "\033[33m", "\033[32m", "\033[2m" };

static _Atomic int log_level = WEIR_INFO;
static _Atomic int log_format = WEIR__LOG_LOGFMT;
static _Atomic int log_fd = STDERR_FILENO;
static _Atomic uint64_t log_burst;
static _Atomic uint64_t log_suppressed;

static pthread_mutex_t sites_lock = PTHREAD_MUTEX_INITIALIZER;
static struct site sites[SITES];
static uint64_t swept_ns;

/* ---- putting a line together --------------------------------------------- */

static void put(struct weir__writer *w, const char *s)
{
	weir__put(w, s, strlen(s));
}

/* A JSON string, which is a logfmt value too. An escape is never cut: what does not
 * fit is tried again with half of it. */
static void put_string(struct weir__writer *w, const char *s)
{
	struct weir__writer start = *w;
	size_t n = strlen(s);

	for (;; n /= 2) {
		weir__put_lit(w, "\"");
		weir__put_escaped(w, s, n, WEIR__ESCAPE_JSON);
		weir__put_lit(w, "\"");
		if (!w->over || n == 0)
			return;
		*w = start;
	}
}

/* Bare where it needs no quotes. */
static void put_name(struct weir__writer *w, const char *s)
{
	if (!s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.")])
		put(w, s);
	else
		put_string(w, s);
}

static void put_time(struct weir__writer *w)
{
	struct timespec ts;
	struct tm tm;
	char buf[40];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(buf, sizeof buf, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, sizeof buf - n, ".%03ldZ", ts.tv_nsec / 1000000);
	put(w, buf);
}

static bool colour(int fd)
{
	const char *no = getenv("NO_COLOR");

	return fd == STDERR_FILENO && !(no && *no) && isatty(fd);
}

static void put_logfmt(struct weir__writer *w, bool paint, int level, const char *plugin,
                       const char *message, uint64_t suppressed)
{
	weir__put_lit(w, "time=");
	put_time(w);
	weir__put_lit(w, " level=");
	put(w, paint ? level_colours[level] : "");
	put(w, level_names[level]);
	put(w, paint ? "\033[0m" : "");
	if (plugin) {
		weir__put_lit(w, " plugin=");
		put_name(w, plugin);
	}
	if (suppressed) {
		weir__put_lit(w, " suppressed=");
		weir__put_u64(w, suppressed);
	}
	weir__put_lit(w, " msg=");
	put_string(w, message);
}

static void put_json(struct weir__writer *w, int level, const char *plugin, const char *message,
                     uint64_t suppressed)
{
	weir__put_lit(w, "{\"time\":\"");
	put_time(w);
	weir__put_lit(w, "\",\"level\":\"");
	put(w, level_names[level]);
	weir__put_lit(w, "\"");
	if (plugin) {
		weir__put_lit(w, ",\"plugin\":");
		put_string(w, plugin);
	}
	if (suppressed) {
		weir__put_lit(w, ",\"suppressed\":");
		weir__put_u64(w, suppressed);
	}
	weir__put_lit(w, ",\"msg\":");
	put_string(w, message);
}

static bool write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

/* suppressed: lines of the same call site left out before this one. */
static void write_line(int level, const char *plugin, const char *message, uint64_t suppressed)
{
	int fd = atomic_load(&log_fd);
	char buf[LINE_MAX_BYTES], name[32];
	struct weir__writer w;

	if (plugin)
		snprintf(name, sizeof name, "%s", plugin);
	plugin = plugin && *plugin ? name : NULL;
	/* Room is kept back for the end: brace and newline. */
	weir__writer_init(&w, buf, sizeof buf - 2);
	if (atomic_load(&log_format) == WEIR__LOG_JSON) {
		put_json(&w, level, plugin, message, suppressed);
		*w.at++ = '}';
	} else {
		put_logfmt(&w, colour(fd), level, plugin, message, suppressed);
	}
	*w.at++ = '\n';
	if (write_all(fd, buf, (size_t)(w.at - buf)))
		return;
	if (fd == STDERR_FILENO || !write_all(STDERR_FILENO, buf, (size_t)(w.at - buf)))
		atomic_fetch_add(&log_suppressed, 1);
}

/* ---- rate limit ------------------------------------------------------------ */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t name_hash(const char *s)
{
	uint32_t h = 2166136261u;

	while (s && *s)
		h = (h ^ (unsigned char)*s++) * 16777619u;
	return h;
}

static void site_name(struct site *s, const char *fmt, int level, const char *plugin)
{
	s->level = level;
	snprintf(s->name, sizeof s->name, "%s", plugin ? plugin : "");
	snprintf(s->text, sizeof s->text, "%s", fmt);
}

/* The site's slot; if all its places are taken, that of the longest quiet. What
 * was suppressed there is said through *said. */
static struct site *site_find(const char *fmt, int level, const char *plugin, struct site *said)
{
	uint32_t hash = name_hash(plugin);
	size_t first = (((uintptr_t)fmt >> 3) * 31 + hash) % SITES;
	struct site *old = NULL;

	for (size_t i = 0; i < SITE_PROBES; i++) {
		struct site *s = &sites[(first + i) % SITES];

		if (s->fmt == fmt && s->plugin == hash)
			return s;
		if (!old || !s->fmt || s->window_ns < old->window_ns)
			old = s;
		if (!s->fmt)
			break;
	}
	*said = *old;
	memset(old, 0, sizeof *old);
	old->fmt = fmt;
	old->plugin = hash;
	site_name(old, fmt, level, plugin);
	return old;
}

static void say_suppressed(const struct site *s)
{
	char message[SITE_TEXT + 64];

	if (!s->fmt || !s->suppressed)
		return;
	snprintf(message, sizeof message, "left out, too many of: %s", s->text);
	write_line(s->level, s->name[0] ? s->name : NULL, message, s->suppressed);
}

/* Sites that fell silent while lines were suppressed: say so now. */
static void sweep(uint64_t now, uint64_t older_ns)
{
	for (size_t i = 0; i < SITES; i++) {
		struct site said;

		pthread_mutex_lock(&sites_lock);
		said = sites[i];
		if (said.suppressed && now - said.window_ns >= older_ns)
			sites[i].suppressed = 0;
		else
			said.suppressed = 0;
		pthread_mutex_unlock(&sites_lock);
		say_suppressed(&said);
	}
}

/* May this line go out? *ret_suppressed: how many were left out before it. */
static bool admit(int level, const char *plugin, const char *fmt, uint64_t burst,
                  uint64_t *ret_suppressed)
{
	struct site said = { 0 }, *s;
	uint64_t now = now_ns();
	bool ok, due;

	pthread_mutex_lock(&sites_lock);
	due = now - swept_ns >= WINDOW_NS;
	if (due)
		swept_ns = now;
	s = site_find(fmt, level, plugin, &said);
	if (now - s->window_ns >= WINDOW_NS) {
		s->window_ns = now;
		s->lines = 0;
	}
	ok = s->lines++ < burst;
	*ret_suppressed = ok ? s->suppressed : 0;
	s->suppressed = ok ? 0 : s->suppressed + 1;
	pthread_mutex_unlock(&sites_lock);

	say_suppressed(&said);
	if (due)
		sweep(now, WINDOW_NS);
	if (!ok)
		atomic_fetch_add(&log_suppressed, 1);
	return ok;
}

/* ---- interface --------------------------------------------------------------- */

int weir__log_setup(const struct weir__log_config *cfg)
{
	/* Our own descriptor, kept for good: a thread may be writing to it. */
	static int own = -1;

	if (cfg->file && cfg->file[0]) {
		int fd = open(cfg->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);

		if (fd < 0)
			return -errno;
		if (own >= 0) {
			dup3(fd, own, O_CLOEXEC);
			close(fd);
		} else {
			own = fd;
		}
		atomic_store(&log_fd, own);
	} else {
		atomic_store(&log_fd, STDERR_FILENO);
	}
	atomic_store(&log_level, cfg->level);
	atomic_store(&log_format, cfg->format);
	atomic_store(&log_burst, cfg->burst);
	return 0;
}

static void (*log_sink)(int level, const char *plugin, const char *message);

void weir__log_divert(void (*sink)(int level, const char *plugin, const char *message))
{
	log_sink = sink;
}

void weir__vlog(int level, const char *plugin, const char *fmt, va_list ap)
{
	char message[MESSAGE_MAX_BYTES];
	uint64_t burst = atomic_load(&log_burst), suppressed = 0;
	int saved = errno, n;

	if (level < WEIR_ERROR)
		level = WEIR_ERROR;
	if (level > WEIR_DEBUG)
		level = WEIR_DEBUG;
	if (level > atomic_load(&log_level))
		return;
	if (burst && !admit(level, plugin, fmt, burst, &suppressed)) {
		errno = saved;
		return;
	}
	errno = saved; /* for %m */
	n = vsnprintf(message, sizeof message, fmt, ap);
	if (n >= (int)sizeof message)
		memcpy(message + sizeof message - 4, "...", 4);
	if (log_sink)
		log_sink(level, plugin, n < 0 ? fmt : message);
	else
		write_line(level, plugin, n < 0 ? fmt : message, suppressed);
	errno = saved;
}

void weir__log(int level, const char *plugin, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	weir__vlog(level, plugin, fmt, ap);
	va_end(ap);
}

void weir__log_flush(void)
{
	sweep(now_ns(), 0);
}

int weir__log_fd(void)
{
	return atomic_load(&log_fd);
}

int weir__log_format(void)
{
	return atomic_load(&log_format);
}

uint64_t weir__log_suppressed(void)
{
	return atomic_load(&log_suppressed);
}
