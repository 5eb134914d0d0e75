/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples to the Prometheus text format, version 0.0.4.
 */
#ifndef WEIR_PROMETHEUS_EXPOSITION_H
#define WEIR_PROMETHEUS_EXPOSITION_H

#include <weir/weir.h>

/* Why a sample was left out; X(id, label). */
#define EXPOSITION_DROPS(X)                                                    \
	X(NAME, "bad_name")        /* no valid metric or label name */         \
	X(CONFLICT, "conflict")    /* another plugin declares another type */  \
	X(DUPLICATE, "duplicate")  /* another plugin has the same series */
enum exposition_drop {
#define X(id, label) DROP_##id,
	EXPOSITION_DROPS(X)
#undef X
	DROP_COUNT
};

/* Series already written of one family, by hash. Kept between scrapes. */
struct seen {
	struct { uint64_t hash, round; } *slots;
	size_t room, count;
	uint64_t round;
};

struct exposition {
	struct weir_plugin *plugin;
	struct weir_out *out;
	struct seen *seen;
	const struct weir_metric *family; /* whose HELP and TYPE were written */
	bool usable;                      /* the family's name is valid */
	uint64_t samples, bytes, dropped[DROP_COUNT];
	size_t len;
	char text[8192];                  /* written to out when it is full */
};

/* A weir_sample_cb; arg is the struct exposition. Samples of one name must come
 * together. */
int exposition_sample(void *arg, const struct weir_sample *s);
/* Write out the rest. */
void exposition_end(struct exposition *e);
void seen_fini(struct weir_plugin *p, struct seen *s);

#endif
