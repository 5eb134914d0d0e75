/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: one declared table gives parsing, validation with line numbers,
 * defaults, environment names, `weir plugins describe`, the JSON schema and the
 * reference page. A query's arguments are declared in the same way.
 */
#ifndef WEIR_OPTION_H
#define WEIR_OPTION_H

#include "table.h"
#include <stdbool.h>

enum weir_option_type {
	WEIR_OPT_BOOL,     /* bool: true, false, yes, no, on, off */
	WEIR_OPT_INT,      /* int64_t */
	WEIR_OPT_UINT,     /* uint64_t */
	WEIR_OPT_DOUBLE,   /* double */
	WEIR_OPT_STRING,   /* const char *; host owned, valid until fini */
	WEIR_OPT_ENUM,     /* uint32_t: index into `choices` */
	WEIR_OPT_BYTES,    /* uint64_t, bytes: 512KiB, 64MB, 4096 */
	WEIR_OPT_DURATION, /* uint64_t, ns: 250us, 10s, 5m, 1h30m */
	WEIR_OPT_LIST,     /* struct weir_strings: a YAML sequence, or a,b,c */
};

/* Value of a WEIR_OPT_LIST; the host owns all of it, valid until fini. */
struct weir_strings {
	size_t count;
	const char *const *items;
};

struct weir_option {
	const char *name;     /* key below the plugin's; dots nest: "tls.cert" */
	uint32_t type;        /* enum weir_option_type */
	uint32_t offset;      /* of the value in the state (or argument) struct */
	const char *def;      /* default as the user would write it; NULL: required */
	const char *doc;      /* one sentence, no full stop */
	const char *unit;     /* for numbers: "records", "percent"; else "" */
	const char *choices;  /* ENUM: names separated by one space */
	double min, max;      /* numbers, bytes, ns; LIST: number of items.
	                       * min == max == 0: no bound */
	uint32_t flags;       /* enum weir_option_flags */
	uint32_t reserved;
};

enum weir_option_flags {
	WEIR_OPTION_SECRET = 1,       /* never printed */
	WEIR_OPTION_POWER_OF_TWO = 2,
	WEIR_OPTION_PATH = 4,         /* a file name; relative ones are to the config file */
};

#define WEIR__OPT(s, m, ctype, n, t, d, dc, ...)                               \
	{ .name = (n), .type = (t), .def = (d), .doc = (dc),                   \
	  .offset = offsetof(s, m) +                                           \
	            0 * sizeof(char[__builtin_types_compatible_p(              \
	                                __typeof__(((s *)0)->m), ctype) ? 1 : -1]), \
	  __VA_ARGS__ }
/* struct, member, name, default, doc, then any further .fields */
#define WEIR_OPTION_BOOL(s, m, n, d, dc, ...)     WEIR__OPT(s, m, bool, n, WEIR_OPT_BOOL, d, dc, __VA_ARGS__)
#define WEIR_OPTION_INT(s, m, n, d, dc, ...)      WEIR__OPT(s, m, int64_t, n, WEIR_OPT_INT, d, dc, __VA_ARGS__)
#define WEIR_OPTION_UINT(s, m, n, d, dc, ...)     WEIR__OPT(s, m, uint64_t, n, WEIR_OPT_UINT, d, dc, __VA_ARGS__)
#define WEIR_OPTION_DOUBLE(s, m, n, d, dc, ...)   WEIR__OPT(s, m, double, n, WEIR_OPT_DOUBLE, d, dc, __VA_ARGS__)
#define WEIR_OPTION_STRING(s, m, n, d, dc, ...)   WEIR__OPT(s, m, const char *, n, WEIR_OPT_STRING, d, dc, __VA_ARGS__)
#define WEIR_OPTION_ENUM(s, m, n, ch, d, dc, ...) WEIR__OPT(s, m, uint32_t, n, WEIR_OPT_ENUM, d, dc, .choices = (ch), __VA_ARGS__)
#define WEIR_OPTION_BYTES(s, m, n, d, dc, ...)    WEIR__OPT(s, m, uint64_t, n, WEIR_OPT_BYTES, d, dc, .unit = "bytes", __VA_ARGS__)
#define WEIR_OPTION_DURATION(s, m, n, d, dc, ...) WEIR__OPT(s, m, uint64_t, n, WEIR_OPT_DURATION, d, dc, .unit = "ns", __VA_ARGS__)
#define WEIR_OPTION_LIST(s, m, n, d, dc, ...)     WEIR__OPT(s, m, struct weir_strings, n, WEIR_OPT_LIST, d, dc, __VA_ARGS__)

#endif
