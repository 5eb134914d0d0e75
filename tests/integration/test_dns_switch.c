/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources of dns are switched while questions are asked, over UDP and over one TCP connection: each
 * question is in one record, with its answer, whichever source saw the one and which the other.
 */
#include "live.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define SERVER "127.0.0.62"
#define PORT 5362
#define EVERY_NS 1000000u /* a question over each transport */
#define MOST 60000u

static const char yaml[] =
	"control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\nplugin_dirs: ['@P']\n"
	"plugins:\n"
	"  dns: {ports: [5362], sources: [packet], ring: 1MiB, timeout: 2s, budget: {events: 0}}\n"
	"  stdout: {format: json, file: '@D/dns', topics: dns, queue: 64MiB}\n";

static struct {
	int udp, tcp;
	pid_t server;
	uint32_t asked;
	uint8_t met[2][MOST]; /* records, by transport and question */
} c;

static int make(int type, bool server)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1, big = 1 << 20;

	assert_true(fd >= 0);
	inet_pton(AF_INET, SERVER, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
	if (server)
		assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	if (server && type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	if (!server)
		assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* Gives every question back as its answer, until it is killed. */
static void serve(int udp, int listener)
{
	int tcp = accept(listener, NULL, NULL);
	struct pollfd p[2] = { { udp, POLLIN, 0 }, { tcp, POLLIN, 0 } };
	uint8_t buf[600];

	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof from;
		ssize_t n;

		poll(p, 2, -1);
		if (p[0].revents && (n = recvfrom(udp, buf, sizeof buf, MSG_DONTWAIT, (void *)&from, &len)) > 12) {
			buf[2] |= 0x80;
			sendto(udp, buf, (size_t)n, 0, (void *)&from, len);
		}
		if (p[1].revents && recv(tcp, buf, 2, MSG_WAITALL) == 2) {
			n = recv(tcp, buf + 2, (size_t)(buf[0] << 8 | buf[1]), MSG_WAITALL);
			buf[4] |= 0x80;
			if (send(tcp, buf, (size_t)n + 2, 0) < 0)
				_exit(0);
		}
	}
}

/* One that does not count, until there is a record: then all of the way is there. */
static void warm_up(void)
{
	static const uint8_t q[] = "\0\0\1\0\0\1\0\0\0\0\0\0\4warm\4test\0\0\1\0\1";
	struct stat st = { 0 };
	char path[300];

	snprintf(path, sizeof path, "%s/dns", d.dir);
	for (int i = 0; i < 200 && (stat(path, &st) || !st.st_size); i++) {
		uint8_t away[512];

		assert_int_equal(send(c.udp, q, sizeof q - 1, 0), sizeof q - 1);
		poll(NULL, 0, 50);
		while (recv(c.udp, away, sizeof away, MSG_DONTWAIT) > 0)
			;
	}
	assert_true(st.st_size > 0);
}

static void begin(void)
{
	int udp = make(SOCK_DGRAM, true), listener = make(SOCK_STREAM, true);

	memset(&c, 0, sizeof c);
	c.server = fork();
	if (!c.server) {
		serve(udp, listener);
		_exit(0);
	}
	daemon_start(&d, yaml);
	c.udp = make(SOCK_DGRAM, false);
	c.tcp = make(SOCK_STREAM, false);
	close(udp);
	close(listener);
	warm_up();
}

/* One question over each transport: aNNNNN.test, bNNNNN.test. Answers are read away. */
static void ask_two(void)
{
	uint8_t q[2 + 12 + 13 + 4] = { 0, 29, 0, 0, 1, 0, 0, 1 }, away[4096];
	char name[16];

	assert_true(c.asked < MOST);
	q[2] = (uint8_t)(c.asked >> 8);
	q[3] = (uint8_t)c.asked;
	snprintf(name, sizeof name, "\006a%05u\004test", c.asked);
	memcpy(q + 14, name, 13);
	q[28] = q[30] = 1;
	assert_int_equal(send(c.udp, q + 2, sizeof q - 2, 0), sizeof q - 2);
	q[15] = 'b';
	assert_int_equal(send(c.tcp, q, sizeof q, 0), sizeof q);
	while (recv(c.udp, away, sizeof away, MSG_DONTWAIT) > 0 || recv(c.tcp, away, sizeof away, MSG_DONTWAIT) > 0)
		;
	c.asked++;
}

static void ask_for(unsigned ms)
{
	struct timespec ts;
	uint64_t next;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	next = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	for (unsigned i = 0; i < ms; i++) {
		ask_two();
		next += EVERY_NS;
		ts = (struct timespec){ (time_t)(next / 1000000000u), (long)(next % 1000000000u) };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
}

static bool uses(const json_t *s, void *arg)
{
	return !strcmp(text(plugin_of(s, "dns"), "source"), arg);
}

static void switch_to(const char *source)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		char line[512];

		snprintf(line, sizeof line, "WEIR_CONTROL_SOCKET=%s timeout 30 %s set dns.sources %s >/dev/null 2>&1",
		         d.socket, WEIR_BINARY, source);
		_exit(system(line) ? 1 : 0);
	}
	while (!waitpid(pid, &status, WNOHANG))
		ask_for(10);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	json_decref(wait_for(&d, uses, (void *)(uintptr_t)source, source));
	ask_for(300);
}

static long long stat_of(const char *key)
{
	json_t *a = daemon_call(&d, json_pack("{s:s, s:s, s:s, s:[]}", "cmd", "query", "plugin", "dns",
	                                      "query", "stats", "args"));
	json_t *body = json_loads(text(a, "body"), 0, NULL);
	long long n = num(body, key);

	json_decref(body);
	json_decref(a);
	return n;
}

static void read_records(unsigned *ret_others)
{
	char path[300], line[16384];
	FILE *f;

	snprintf(path, sizeof path, "%s/dns", d.dir);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		json_t *r = json_loads(line, 0, NULL);
		char transport;
		unsigned n;

		assert_non_null(r);
		if (!strcmp(text(r, "name"), "warm.test")) {
			json_decref(r);
			continue;
		}
		if (sscanf(text(r, "name"), "%c%5u.test", &transport, &n) != 2 || n >= c.asked ||
		    strcmp(text(r, "outcome"), "answered")) {
			if (++*ret_others < 10)
				print_error("%s %s by %s\n", text(r, "name"), text(r, "outcome"), text(r, "source_name"));
		} else {
			c.met[transport == 'b'][n]++;
		}
		json_decref(r);
	}
	fclose(f);
}

static void each_once(void)
{
	unsigned others = 0, wrong = 0;

	read_records(&others);
	for (unsigned t = 0; t < 2; t++)
		for (uint32_t i = 0; i < c.asked; i++)
			if (c.met[t][i] != 1 && wrong++ < 10)
				print_error("%s %u: %u records\n", t ? "tcp" : "udp", i, c.met[t][i]);
	printf("%u questions over each transport; %u not in one record, %u other records\n", c.asked, wrong, others);
	assert_int_equal(wrong, 0);
	assert_int_equal(others, 0);
}

static int end(void **state)
{
	if (c.server > 0) { /* 0 would be all of this process's group */
		kill(c.server, SIGKILL);
		waitpid(c.server, NULL, 0);
		close(c.udp);
		close(c.tcp);
	}
	return clean(state);
}

static void switched(void **state)
{
	json_t *s;

	(void)state;
	if (no_bpf()) {
		printf("SKIP: switched: %s\n", no_bpf());
		skip();
	}
	begin();
	ask_for(300);
	for (int i = 0; i < 3; i++) {
		switch_to("bpf");
		switch_to("packet");
	}
	for (int i = 0; i < 100 && stat_of("pending"); i++)
		poll(NULL, 0, 50);
	assert_int_equal(stat_of("lost"), 0);
	s = daemon_ask(&d, json_pack("{s:s}", "cmd", "status"));
	assert_all_balanced(s);
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	each_once();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(switched, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
