/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources of flows are switched while a TCP connection transfers: what the records say of it,
 * added up over all sources, is never more than was sent, and all of it but for what passed
 * while no source was there. Payload, that is: bytes less the headers of each packet, which on
 * loopback have time stamps.
 */
#include "live.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#define HEADERS 52
#define CHUNK 10000

static const char yaml[] =
	"control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\nplugin_dirs: ['@P']\n"
	"plugins:\n"
	"  network: {isolation: thread, sources: [diag], flow_producer: {flow_store_poll_interval: 200ms}}\n"
	"  procfs-fallback: {isolation: thread, interval: 1s, flow: {interval: 200ms}}\n"
	"  stdout: {isolation: thread, format: json, file: '@D/flows', topics: flow}\n";

static struct {
	int fd[2];               /* sender, receiver */
	uint16_t port[2];
	uint64_t sent;
	uint64_t while_switching; /* no source may have been there */
	uint64_t overlap;         /* two may have been */
} c;

static void open_connection(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } }, b;
	socklen_t len = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	c.fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c.fd[0], (struct sockaddr *)&a, sizeof a), 0);
	c.fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(c.fd[1] >= 0);
	assert_int_equal(getsockname(c.fd[0], (struct sockaddr *)&b, &len), 0);
	c.port[0] = ntohs(b.sin_port);
	c.port[1] = ntohs(a.sin_port);
	close(listener);
}

static void transfer(void)
{
	static char buf[CHUNK];

	assert_int_equal(send(c.fd[0], buf, CHUNK, 0), CHUNK);
	assert_int_equal(recv(c.fd[1], buf, CHUNK, MSG_WAITALL), CHUNK);
	c.sent += CHUNK;
}

/* For about ms; it is the traffic that takes the time, not what is waited for. */
static void transfer_for(unsigned ms)
{
	for (unsigned i = 0; i < ms; i += 10) {
		transfer();
		poll(NULL, 0, 10);
	}
}

/* A command of `weir`, and traffic until it has been carried out. */
static void switch_by(const char *command)
{
	uint64_t before = c.sent;
	pid_t pid = fork();
	int status;

	if (!pid) {
		char line[512];

		snprintf(line, sizeof line, "WEIR_CONTROL_SOCKET=%s timeout 30 %s %s >/dev/null 2>&1", d.socket,
		         WEIR_BINARY, command);
		_exit(system(line) ? 1 : 0);
	}
	while (!waitpid(pid, &status, WNOHANG))
		transfer_for(10);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	c.while_switching += c.sent - before;
}

static bool uses(const json_t *s, void *arg)
{
	const json_t *p = plugin_of(s, "network");

	return !strcmp(text(p, "state"), "running") && !strcmp(text(p, "source"), arg);
}

static bool stands_in(const json_t *s, void *arg)
{
	return !strcmp(text(plugin_of(s, "procfs-fallback"), "state"), arg);
}

/* Ports of a record, in either order. */
static bool is_ours(const json_t *r, bool *ret_from_sender)
{
	long long from = num(r, "source_port"), to = num(r, "destination_port");

	*ret_from_sender = from == c.port[0];
	return (from == c.port[0] && to == c.port[1]) || (from == c.port[1] && to == c.port[0]);
}

/* Payload from sender to receiver, as the sender's socket has it (scope host: one record of each
 * end, so only those with the sender's as the local one) or the wire. */
static uint64_t recorded(unsigned *ret_records)
{
	char path[300], line[8192];
	uint64_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/flows", d.dir);
	f = fopen(path, "r");
	assert_non_null(f);
	*ret_records = 0;
	while (fgets(line, sizeof line, f)) {
		json_t *r = json_loads(line, 0, NULL);
		bool ahead, wire;

		assert_non_null(r);
		wire = !strcmp(text(r, "scope"), "wire");
		if (json_object_get(r, "bytes_delta") && is_ours(r, &ahead) &&
		    (wire || !strcmp(text(r, "direction"), "client"))) {
			bytes += (uint64_t)num(r, ahead ? "bytes_delta" : "reverse_bytes_delta") -
			         HEADERS * (uint64_t)num(r, ahead ? "packets_delta" : "reverse_packets_delta");
			++*ret_records;
		}
		json_decref(r);
	}
	fclose(f);
	return bytes;
}

static void finish(const char *what)
{
	json_t *s = daemon_ask(&d, json_pack("{s:s}", "cmd", "status"));
	unsigned records;
	uint64_t bytes;

	assert_all_balanced(s);
	json_decref(s);
	close(c.fd[0]);
	close(c.fd[1]);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	bytes = recorded(&records);
	printf("%s: sent %llu, recorded %llu in %u records, %llu of them while switching\n", what,
	       (unsigned long long)c.sent, (unsigned long long)bytes, records,
	       (unsigned long long)c.while_switching);
	assert_true(records > 0);
	/* the SYN has 8 bytes of options more than other segments, and is in some of the sums */
	assert_true(bytes <= c.sent + c.overlap + 8);
	assert_true(bytes + c.while_switching >= c.sent);
	daemon_clean(&d);
}

static void begin(void)
{
	memset(&c, 0, sizeof c);
	daemon_start(&d, yaml);
	json_decref(wait_for(&d, uses, "diag", "network to use diag"));
}

/* Without a switch it is exact to the byte. */
static void no_switch(void **state)
{
	(void)state;
	begin();
	open_connection();
	transfer_for(1000);
	finish("no switch");
}

struct turn {
	const char *sources, *uses;
	bool counts;
};

static void take_turns(const struct turn *turn, unsigned n, const char *what)
{
	begin();
	open_connection();
	transfer_for(500);
	for (unsigned i = 0; i < n; i++) {
		char line[80];
		uint64_t before;

		snprintf(line, sizeof line, "set network.sources %s", turn[i].sources);
		switch_by(line);
		json_decref(wait_for(&d, uses, (void *)turn[i].uses, turn[i].sources));
		before = c.sent;
		transfer_for(500);
		if (!turn[i].counts)
			c.while_switching += c.sent - before;
	}
	finish(what);
}

/* Each source hands over to the next: what both were there for is in one of them only. */
static void switched(void **state)
{
	static const struct turn turns[] = {
		{ "packet", "packet", true }, { "diag", "diag", true }, { "proc", "proc", false },
		{ "packet", "packet", true }, { "diag", "diag", true }, { "diag,proc", "diag", true },
		{ "proc", "proc", false }, { "diag", "diag", true },
	};

	(void)state;
	take_turns(turns, sizeof turns / sizeof turns[0], "diag, packet and proc by turns");
}

/* The same with the programs, which count other things of the same packets. */
static void switched_bpf(void **state)
{
	static const struct turn turns[] = {
		{ "bpf", "bpf", true }, { "diag", "diag", true }, { "packet", "packet", true },
		{ "bpf", "bpf", true },
		{ "proc", "proc", false }, { "bpf,diag", "bpf", true },
	};

	(void)state;
	if (no_bpf()) {
		printf("SKIP: switched_bpf: %s\n", no_bpf());
		skip();
	}
	take_turns(turns, sizeof turns / sizeof turns[0], "bpf, diag and proc by turns");
}

/* network is disabled, procfs-fallback steps in, and out again. Both may be there for the moment
 * in which it hands over. */
static void fallback(void **state)
{
	(void)state;
	begin();
	open_connection();
	transfer_for(500);
	for (int i = 0; i < 2; i++) {
		uint64_t before;

		switch_by("disable network");
		before = c.sent;
		transfer_for(1500); /* it looks each second whether it is wanted */
		json_decref(wait_for(&d, stands_in, "running", "procfs-fallback to run"));
		c.while_switching += c.sent - before;
		transfer_for(500);
		before = c.sent;
		switch_by("enable network");
		json_decref(wait_for(&d, uses, "diag", "network to use diag"));
		transfer_for(200); /* it looks ten times a second whether it still is */
		c.overlap += c.sent - before;
		transfer_for(300);
	}
	finish("network and procfs-fallback by turns");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(no_switch, clean),
		cmocka_unit_test_teardown(switched, clean),
		cmocka_unit_test_teardown(switched_bpf, clean),
		cmocka_unit_test_teardown(fallback, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
