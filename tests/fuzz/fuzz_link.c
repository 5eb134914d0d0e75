/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz what a plugin's process may send the daemon: frames of every kind while one
 * request of each type is open, a descriptor, samples. What must hold: no crash, every
 * request ends, nothing is left in memory. The first byte says which of the three.
 */
#include "host_remote.c" /* the daemon's side has no other door than the socket */
#include "desc_wire.h"
#include "log.h"
#include "metrics.h"
#include "protocol.h"

#include <stdio.h>
#include <stdlib.h>

static const struct weir_program programs[] = { { .name = "one" }, { .name = "two" } };
static const struct weir_source sources[] = { { .name = "bpf", .programs = WEIR_TABLE(programs) } };
static const struct weir_metric metrics[] = {
	{ .name = "weir_a_total", .help = "A", .type = WEIR_COUNTER, .labels = "x" },
	{ .name = "weir_b", .help = "B", .type = WEIR_GAUGE },
};
static const struct weir_plugin_desc desc = { .name = "in", .kind = WEIR_COLLECTOR,
	.sources = WEIR_TABLE(sources), .metrics = WEIR_TABLE(metrics) };

static struct weir__request requests[WEIR__HOST_REQUEST_COUNT];
static struct weir__snapshot snap;
static unsigned open_requests;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

static void ended(struct weir__host *h, struct weir__request *rq)
{
	(void)h;
	open_requests--;
	if (rq->type == WEIR__HOST_QUERY)
		weir__free(rq->query.answer.text);
}

static void on_failed(void *arg, struct weir__host *h, int err)
{
	(void)arg, (void)h;
	must(err < 0, "a failure has an error");
}

static void on_ask(void *arg, struct weir__host *h, const char *query, uint64_t ticket)
{
	(void)arg, (void)h, (void)ticket;
	must(strlen(query) <= WEIR__LINK_BODY_MAX, "a question is a string");
}

static void quiet(int level, const char *plugin, const char *message)
{
	(void)level, (void)plugin;
	must(strlen(message) < 65536, "a line of the log is bounded");
}

/* Ids 1 to the number of types, in their order. */
static void open_all(struct weir__remote *r)
{
	uint32_t id;

	for (unsigned t = 0; t < WEIR__HOST_REQUEST_COUNT; t++) {
		requests[t] = (struct weir__request){ .type = (enum weir__request_type)t, .done = ended };
		if (t == WEIR__HOST_SNAPSHOT)
			requests[t].snapshot.snap = &snap;
		must(!push(r, &requests[t], &id) && id == t + 1, "memory");
		open_requests++;
	}
}

static void frames(const uint8_t *data, size_t size, struct weir__metrics_set *set)
{
	struct weir__host h = { .magic = HOST_MAGIC, .desc = &desc, .source = 0, .metrics = set,
		.plugin.name = "in", .events = { .failed = on_failed, .ask = on_ask } };
	struct weir__remote r = { .h = &h, .pidfd = -1, .dead = true };
	uv_loop_t loop;
	int pair[2];

	uv_loop_init(&loop);
	uv_timer_init(&loop, &r.timer);
	must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), "a socket");
	must(!weir__link_open(&loop, pair[0], on_frame, on_link_end, &r, &r.link), "a link");
	open_all(&r);
	if (write(pair[1], data, size) >= 0)
		shutdown(pair[1], SHUT_WR);
	weir__link_drain(r.link);
	close(pair[1]);
	end_requests(&r);
	must(!open_requests, "every request ends, once");
	weir__link_close(r.link);
	uv_close((uv_handle_t *)&r.timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}

static void descriptor(const char *data, size_t size)
{
	json_t *j = json_loadb(data, size, 0, NULL);
	struct weir__desc_copy *c = NULL;
	char why[256];

	if (!weir__desc_decode(j, &c, why, sizeof why))
		must(weir__desc_of(c)->name[0], "what is taken has a name");
	weir__desc_copy_free(c);
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir__metrics_set *set;
	json_t *j;
	long live;

	if (!size)
		return 0;
	weir__json_setup();
	live = weir__mem_live();
	weir__log_setup(&(struct weir__log_config){ .level = WEIR_ERROR });
	weir__log_divert(quiet);
	set = weir__metrics_set_new("in", &desc.metrics);
	must(set, "memory");
	if (*data == 'd') {
		descriptor((const char *)data + 1, size - 1);
	} else if (*data == 's') {
		j = json_loadb((const char *)data + 1, size - 1, 0, NULL);
		weir__samples_apply(j, set, &desc.metrics);
		json_decref(j);
	} else {
		frames(data + 1, size - 1, set);
	}
	weir__metrics_set_free(set);
	must(weir__mem_live() == live, "nothing is left in memory");
	return 0;
}
