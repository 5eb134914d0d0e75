/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a cell of a live table of answers. A cell of which nothing is known stays
 * as it was: "-".
 */
#include "watch.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define CELL WEIR__TOP_CELL_BYTES

double weir__watch_number(const json_t *o, const char *field)
{
	char name[64];

	while (*field) {
		size_t n = strcspn(field, " ");
		double v;

		snprintf(name, sizeof name, "%.*s", (int)n, field);
		v = weir__top_number(o, name);
		if (!isnan(v))
			return v;
		field += n + strspn(field + n, " ");
	}
	return NAN;
}

double weir__watch_age(const json_t *o)
{
	double s = weir__top_number(o, "start_age_s"), ns = weir__top_number(o, "start_ns");
	struct timespec now;

	if (isfinite(s) || !(ns > 0) || clock_gettime(CLOCK_REALTIME, &now) != 0)
		return s;
	s = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - ns / 1e9;
	return s > 0 ? s : 0; /* in the future: the clock was set */
}

const char *weir__watch_text(const json_t *o, const char *field)
{
	char name[64];

	while (*field) {
		size_t n = strcspn(field, " ");
		const char *s;

		snprintf(name, sizeof name, "%.*s", (int)n, field);
		s = weir__top_string(o, name);
		if (*s)
			return s;
		field += n + strspn(field + n, " ");
	}
	return "";
}

void weir__cell_text(const struct weir__watch_column *c, const struct weir__watch_row *r,
                     struct weir__top_shown *ret)
{
	const char *s = weir__watch_text(r->o, c->field);
	double v = weir__watch_number(r->o, c->field);

	if (*s)
		snprintf(ret->text, CELL, "%s", s);
	else if (!isnan(v))
		snprintf(ret->text, CELL, "%.0f", v);
}

void weir__cell_state(const struct weir__watch_column *c, const struct weir__watch_row *r,
                      struct weir__top_shown *ret)
{
	const char *s = weir__watch_text(r->o, c->field);

	if (!strcmp(s, "none"))
		return;
	weir__cell_text(c, r, ret);
	if (!strcmp(s, "syn_sent") || !strcmp(s, "syn_received"))
		ret->paint = WEIR__YELLOW;
	else if (*s && strcmp(s, "established"))
		ret->paint = WEIR__DIM;
}

void weir__cell_process(const struct weir__watch_column *c, const struct weir__watch_row *r,
                        struct weir__top_shown *ret)
{
	const char *comm = weir__watch_text(r->o, c->field);
	double pid = weir__watch_number(r->o, "pid");

	if (pid > 0 && *comm)
		snprintf(ret->text, CELL, "%.0f %s", pid, comm);
	else if (pid > 0)
		snprintf(ret->text, CELL, "%.0f", pid);
	else if (*comm)
		snprintf(ret->text, CELL, "%s", comm);
}

/* A protocol by its name, also if the plugin gives its number. */
static const char *transport_of(const json_t *o, char *buf, size_t size)
{
	static const struct { unsigned number; const char *name; } names[] = {
		{ 1, "icmp" }, { 2, "igmp" }, { 6, "tcp" }, { 17, "udp" }, { 33, "dccp" }, { 47, "gre" },
		{ 50, "esp" }, { 58, "icmpv6" }, { 132, "sctp" },
	};
	const char *s = weir__top_string(o, "transport");
	double v = weir__top_number(o, "transport");

	if (*s || !(v >= 0))
		return s;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (v == names[i].number)
			return names[i].name;
	snprintf(buf, size, "%.0f", v);
	return buf;
}

void weir__cell_transport(const struct weir__watch_column *c, const struct weir__watch_row *r,
                          struct weir__top_shown *ret)
{
	char buf[24];
	const char *s = transport_of(r->o, buf, sizeof buf);

	(void)c;
	if (*s)
		snprintf(ret->text, CELL, "%s", s);
}

/* What a talker is: its key, or the field that its plugin has for it. */
void weir__cell_talker(const struct weir__watch_column *c, const struct weir__watch_row *r,
                       struct weir__top_shown *ret)
{
	char buf[24];
	const char *transport = transport_of(r->o, buf, sizeof buf);

	if (json_is_true(json_object_get(r->o, "other")))
		snprintf(ret->text, CELL, "(others)");
	else if (*weir__top_string(r->o, "comm") || weir__top_number(r->o, "pid") > 0)
		weir__cell_process(&(struct weir__watch_column){ .field = "comm" }, r, ret);
	else
		weir__cell_text(c, r, ret);
	if (*transport && strcmp(ret->text, "-"))
		snprintf(ret->text + strlen(ret->text), CELL - strlen(ret->text), "/%s", transport);
}

static void put_end(const json_t *o, const char *address, const char *port,
                    struct weir__top_shown *ret)
{
	const char *a = weir__watch_text(o, address);
	double p = weir__watch_number(o, port);
	bool six = strchr(a, ':') != NULL;

	if (!*a)
		return;
	if (p > 0)
		snprintf(ret->text, CELL, "%s%s%s:%.0f", six ? "[" : "", a, six ? "]" : "", p);
	else
		snprintf(ret->text, CELL, "%s", a);
}

void weir__cell_source(const struct weir__watch_column *c, const struct weir__watch_row *r,
                       struct weir__top_shown *ret)
{
	put_end(r->o, c->field, "source_port", ret);
}

void weir__cell_destination(const struct weir__watch_column *c, const struct weir__watch_row *r,
                            struct weir__top_shown *ret)
{
	put_end(r->o, c->field, "destination_port", ret);
}

void weir__cell_number(const struct weir__watch_column *c, const struct weir__watch_row *r,
                       struct weir__top_shown *ret)
{
	double v = weir__watch_number(r->o, c->field);

	if (isfinite(v))
		snprintf(ret->text, CELL, "%.0f", v);
}

/* A number of what should not be. */
void weir__cell_bad(const struct weir__watch_column *c, const struct weir__watch_row *r,
                    struct weir__top_shown *ret)
{
	weir__cell_number(c, r, ret);
	if (weir__watch_number(r->o, c->field) > 0)
		ret->paint = WEIR__YELLOW;
}

void weir__cell_bytes(const struct weir__watch_column *c, const struct weir__watch_row *r,
                      struct weir__top_shown *ret)
{
	weir__top_bytes(weir__watch_number(r->o, c->field), ret->text, CELL);
}

/* 0: never measured. */
void weir__cell_ns(const struct weir__watch_column *c, const struct weir__watch_row *r,
                   struct weir__top_shown *ret)
{
	double ns = weir__watch_number(r->o, c->field);

	if (ns > 0)
		weir__top_time(ns / 1e9, ret->text, CELL);
}

void weir__cell_age(const struct weir__watch_column *c, const struct weir__watch_row *r,
                    struct weir__top_shown *ret)
{
	(void)c;
	weir__top_time(weir__watch_age(r->o), ret->text, CELL);
}

/* How long ago, or at which moment: as the plugin says. */
void weir__cell_when(const struct weir__watch_column *c, const struct weir__watch_row *r,
                     struct weir__top_shown *ret)
{
	double ns = weir__watch_number(r->o, "age_ns");

	if (isfinite(ns))
		weir__top_time(ns / 1e9, ret->text, CELL);
	else
		weir__cell_text(c, r, ret);
}

double weir__watch_both(const json_t *o, const char *forth, const char *back)
{
	double f = weir__watch_number(o, forth), b = weir__watch_number(o, back);

	return isnan(f) ? b : isnan(b) ? f : f + b;
}

void weir__cell_both(const struct weir__watch_column *c, const struct weir__watch_row *r,
                     struct weir__top_shown *ret)
{
	(void)c;
	weir__top_bytes(weir__watch_both(r->o, WEIR__WATCH_TOTAL("bytes")), ret->text, CELL);
}

void weir__cell_both_packets(const struct weir__watch_column *c, const struct weir__watch_row *r,
                             struct weir__top_shown *ret)
{
	double v = weir__watch_both(r->o, WEIR__WATCH_TOTAL("packets"));

	(void)c;
	if (v < 99999.5)
		snprintf(ret->text, CELL, "%.0f", v);
	else
		weir__top_rate(v, ret->text, CELL);
}

void weir__cell_tx(const struct weir__watch_column *c, const struct weir__watch_row *r,
                   struct weir__top_shown *ret)
{
	(void)c;
	weir__top_bytes(r->tx, ret->text, CELL);
}

void weir__cell_rx(const struct weir__watch_column *c, const struct weir__watch_row *r,
                   struct weir__top_shown *ret)
{
	(void)c;
	weir__top_bytes(r->rx, ret->text, CELL);
}

void weir__cell_rate(const struct weir__watch_column *c, const struct weir__watch_row *r,
                     struct weir__top_shown *ret)
{
	(void)c;
	weir__top_bytes(r->bytes, ret->text, CELL);
}

void weir__cell_packets(const struct weir__watch_column *c, const struct weir__watch_row *r,
                        struct weir__top_shown *ret)
{
	(void)c;
	weir__top_rate(r->packets, ret->text, CELL);
}

void weir__cell_queries(const struct weir__watch_column *c, const struct weir__watch_row *r,
                        struct weir__top_shown *ret)
{
	(void)c;
	weir__top_rate(r->queries, ret->text, CELL);
}

/* An answer by its code, anything else by what became of it. */
void weir__cell_outcome(const struct weir__watch_column *c, const struct weir__watch_row *r,
                        struct weir__top_shown *ret)
{
	const char *outcome = weir__watch_text(r->o, c->field), *rcode = weir__watch_text(r->o, "rcode");

	if (*rcode && (!*outcome || !strcmp(outcome, "answered"))) {
		snprintf(ret->text, CELL, "%s", rcode);
		ret->paint = strcmp(rcode, "NOERROR") ? WEIR__YELLOW : WEIR__PLAIN;
	} else if (*outcome) {
		snprintf(ret->text, CELL, "%s", outcome);
		ret->paint = !strcmp(outcome, "timeout") ? WEIR__RED : WEIR__PLAIN;
	}
}
