/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns with a real resolver: unbound on a loopback address of its own, asked by dig,
 * getaddrinfo() and dnsperf. Every question is recorded once, with the right outcome and the
 * process that asked; the ledger balances, also when the source changes meanwhile.
 */
#include "fixture.h"
#include "procs.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVER "127.0.0.61"
#define PORT "5361"
#define RUN_QUERIES 100000

static struct daemon d;
static pid_t resolver;
static char dir[] = "/tmp/weir-dns-XXXXXX";

static const char conf[] =
	"server:\n  interface: " SERVER "@" PORT "\n  interface: ::1@" PORT "\n  interface: " SERVER "@53\n"
	"  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  directory: \"%s\"\n  pidfile: \"\"\n"
	"  use-syslog: no\n  num-threads: 1\n  module-config: \"iterator\"\n  so-reuseport: no\n"
	"  access-control: 127.0.0.0/8 allow\n  access-control: ::1 allow\n"
	"  local-zone: \"test.\" static\n  local-data: \"a.test. 60 IN A 192.0.2.1\"\n"
	"  local-data: \"a.test. 60 IN AAAA 2001:db8::1\"\n  local-zone: \"silent.\" deny\n"
	"  local-zone: \"no.\" refuse\n%s"
	"auth-zone:\n  name: \"broken.\"\n  for-downstream: no\n  for-upstream: yes\n"
	"  fallback-enabled: no\n  primary: 127.0.0.1@1\n"
	"remote-control:\n  control-enable: no\n";

static int run(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	return system(line);
}

static void start_resolver(void)
{
	char path[300], big[4096] = "";
	size_t at = 0;
	FILE *f;

	for (int i = 0; i < 20; i++)
		at += (size_t)snprintf(big + at, sizeof big - at, "  local-data: 'big.test. 60 IN TXT "
			"\"%02d 0123456789012345678901234567890123456789012345678901234567890123456789\"'\n", i);
	snprintf(path, sizeof path, "%s/unbound.conf", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, conf, dir, big);
	fclose(f);
	resolver = fork();
	if (!resolver) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execlp("unbound", "unbound", "-d", "-c", path, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 100; i++) {
		if (!run("dig @" SERVER " -p " PORT " a.test +tries=1 +time=1 >/dev/null 2>&1"))
			return;
		assert_int_equal(waitpid(resolver, NULL, WNOHANG), 0);
		nap_ms(100);
	}
	fail_msg("unbound does not answer");
}

static const char *missing(void)
{
	static const char *const tools[] = { "unbound", "dig", "dnsperf", "unshare", "getent" };

	for (size_t i = 0; i < 5; i++)
		if (run("command -v %s >/dev/null 2>&1", tools[i]))
			return tools[i];
	return NULL;
}

#define COMMON                                                                 \
	"control: {socket: '@S'}\nhttp: {listen: ''}\nstate_dir: '@D/state'\n"  \
	"plugin_dirs: ['@B', '@P']\nbudget: {cpu: 0, memory: 0}\n"

static void begin(const char *yaml)
{
	setenv("WEIR_PLUGINS_DNS_ISOLATION", "thread", 1);
	daemon_start(&d, yaml);
}

static void finish(void)
{
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static json_t *query(const char *name)
{
	json_t *a = daemon_call(&d, json_pack("{s:s, s:s, s:s, s:[]}", "cmd", "query", "plugin", "dns",
	                                      "query", name, "args"));
	json_t *body = json_loads(json_string_value(json_object_get(a, "body")), 0, NULL);

	json_decref(a);
	assert_non_null(body);
	return body;
}

static long long stat_of(const char *key)
{
	json_t *s = query("stats");
	long long n = num(s, key);

	json_decref(s);
	return n;
}

/* Until the plugin has seen so many queries and none is open. */
static void settle(long long queries)
{
	for (int i = 0; i < 200; i++) {
		if (stat_of("queries") >= queries && !stat_of("pending"))
			return;
		nap_ms(100);
	}
	json_t *s = query("stats"), *a = daemon_ask(&d, json_pack("{s:s}", "cmd", "status"));

	fail_msg("expected %lld queries: %s\n%s", queries, json_dumps(s, 0),
	         json_dumps(json_object_get(a, "routes"), 0));
}

/* The records so far, from the output's file. */
static json_t *records(void)
{
	json_t *list = json_array();
	char *line = NULL;
	size_t size = 0;
	FILE *f = fopen(d.out, "r");

	assert_non_null(f);
	while (getline(&line, &size, f) > 0) {
		json_t *r = json_loads(line, 0, NULL);

		if (r && !strcmp(json_string_value(json_object_get(r, "event")), "dns"))
			json_array_append_new(list, r);
		else
			json_decref(r);
	}
	free(line);
	fclose(f);
	return list;
}

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* Exactly `n` records of this name, type, transport and outcome; the last of them. */
static json_t *expect(json_t *list, size_t n, const char *name, const char *type, const char *transport,
                      const char *outcome, const char *rcode)
{
	json_t *r, *found = NULL;
	size_t i, have = 0;

	json_array_foreach(list, i, r)
		if (!strcmp(str(r, "name"), name) && !strcmp(str(r, "type_name"), type) &&
		    !strcmp(str(r, "transport"), transport)) {
			have++;
			found = r;
			if (strcmp(str(r, "outcome"), outcome) || strcmp(str(r, "rcode_name"), rcode))
				fail_msg("%s %s %s: %s %s, expected %s %s", name, type, transport, str(r, "outcome"),
				         str(r, "rcode_name"), outcome, rcode);
		}
	if (have != n)
		fail_msg("%s %s %s: %zu records, expected %zu", name, type, transport, have, n);
	return found;
}

/* The libc resolver's file is exchanged in a mount namespace; in a chroot there is none to be had. */
static bool libc_asks;

#define DIG "dig +tries=1 +time=3 -p " PORT " "
static void ask_all(void)
{
	assert_int_equal(run(DIG "@" SERVER " a.test A >/dev/null"), 0);
	assert_int_equal(run(DIG "@::1 a.test AAAA >/dev/null"), 0);
	assert_int_equal(run(DIG "@" SERVER " none.test A >/dev/null"), 0);
	assert_int_equal(run(DIG "@" SERVER " x.no A >/dev/null"), 0);
	assert_int_equal(run(DIG "@" SERVER " x.broken A >/dev/null"), 0);
	assert_int_equal(run(DIG "@" SERVER " big.test TXT +bufsize=512 >/dev/null"), 0);
	/* No answer: dig asks twice over one id, or twice anew; each attempt is one query. */
	run("dig +tries=1 +time=1 -p " PORT " @" SERVER " x.silent A >/dev/null");
	/* The libc resolver asks for both families; its server has no port to choose. */
	libc_asks = run("unshare -m true 2>/dev/null") == 0;
	if (!libc_asks) {
		print_message("SKIP: getaddrinfo: no mount namespace to give it a resolv.conf of its own\n");
		return;
	}
	assert_int_equal(run("unshare -m sh -c 'mount --bind %s/resolv.conf /etc/resolv.conf && "
	                     "getent ahosts a.test' >/dev/null", dir), 0);
}

/* A connected socket, older than the daemon: nothing but its being open says whose it is. */
static int old_socket(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(PORT)) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	inet_pton(AF_INET, SERVER, &a.sin_addr);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void ask_by(int fd)
{
	static const char q[] = "\0\0\1\0\0\1\0\0\0\0\0\0\3old\4test\0\0\1\0\1";
	char buf[512];

	assert_int_equal(send(fd, q, sizeof q - 1, 0), sizeof q - 1);
	assert_true(recv(fd, buf, sizeof buf, 0) > 12);
	close(fd);
}

static void owned(const json_t *r, const char *comm, const char *program)
{
	assert_true(num(r, "pid") > 0);
	if (comm)
		assert_string_equal(str(r, "comm"), comm);
	/* A process that has ended since has no program any more. */
	if (str(r, "executable")[0])
		assert_non_null(strstr(str(r, "executable"), program));
	assert_string_equal(str(r, "role"), "client");
}

static void outcomes(const char *source, bool owners)
{
	int old = old_socket();
	char yaml[1024];
	json_t *list, *r;

	snprintf(yaml, sizeof yaml, COMMON "plugins:\n  dns: {ports: [53, " PORT "], timeout: 1s, ignore: "
	         "[in-addr.arpa], sources: [%s], ring: 1MiB}\n  stdout: {format: json}\n", source);
	begin(yaml);
	ask_all();
	ask_by(old);
	settle(libc_asks ? 11 : 9);
	for (int i = 0; i < 100; i++) {
		list = records();
		if (json_array_size(list) >= (libc_asks ? 11 : 9))
			break;
		json_decref(list);
		nap_ms(100);
	}
	r = expect(list, 1, "x.silent", "A", "udp", "timeout", "");
	assert_int_equal(num(r, "latency_ns"), 0);
	if (owners)
		owned(r, NULL, "dig");
	r = expect(list, 1, "none.test", "A", "udp", "answered", "NXDOMAIN");
	assert_true(num(r, "latency_ns") > 0);
	expect(list, 1, "x.no", "A", "udp", "answered", "REFUSED");
	expect(list, 1, "x.broken", "A", "udp", "answered", "SERVFAIL");
	r = expect(list, 1, "big.test", "TXT", "udp", "answered", "NOERROR");
	assert_true(json_is_true(json_object_get(r, "response_truncated")));
	r = expect(list, 1, "big.test", "TXT", "tcp", "answered", "NOERROR");
	assert_true(json_is_true(json_object_get(r, "tcp_retry")));
	assert_true(num(r, "wait_ns") > num(r, "latency_ns"));
	assert_int_equal(num(r, "answer_count"), 20);
	if (owners)
		owned(r, NULL, "dig");
	expect(list, libc_asks ? 2 : 1, "a.test", "A", "udp", "answered", "NOERROR");
	r = expect(list, libc_asks ? 2 : 1, "a.test", "AAAA", "udp", "answered", "NOERROR");
	if (owners && libc_asks)
		owned(r, "getent", "getent");
	r = expect(list, 1, "old.test", "A", "udp", "answered", "NXDOMAIN");
	if (owners)
		assert_int_equal(num(r, "pid"), getpid());
	assert_int_equal(json_array_size(list), libc_asks ? 11 : 9);
	json_decref(list);
	r = daemon_ask(&d, json_pack("{s:s}", "cmd", "status"));
	assert_all_balanced(r);
	json_decref(r);
	finish();
}

static void outcomes_with_bpf(void **state)
{
	(void)state;
	if (no_bpf()) {
		print_message("SKIP: case: %s\n", no_bpf());
		skip();
	}
	outcomes("bpf", true);
}

static void outcomes_without_bpf(void **state)
{
	(void)state;
	outcomes("packet", false);
}

/* dnsperf with n queries of three kinds; what it says it has completed. */
static long long dnsperf(const char *server, long long n, int rate)
{
	char path[300], line[600];
	long long sent = -1;
	FILE *f;

	snprintf(path, sizeof path, "%s/queries", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 250; i++)
		fprintf(f, "a.test A\na.test AAAA\nnx%d.test A\nx.no A\n", i);
	fclose(f);
	snprintf(line, sizeof line, "dnsperf -s %s -p " PORT " -d %s -c 4 -n %lld -Q %d -t 10 2>&1", server,
	         path, n / 1000, rate);
	f = popen(line, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		sscanf(line, " Queries sent: %lld", &sent);
		if (strstr(line, "Queries lost"))
			assert_non_null(strstr(line, " 0 (0.00%)"));
	}
	assert_int_equal(pclose(f), 0);
	return sent;
}

/* All of a long run, of both address families: each question once, answered, of dnsperf. */
static void a_hundred_thousand(void **state)
{
	json_t *s, *list, *p;
	long long sent, of_dnsperf = 0;
	size_t i;

	(void)state;
	if (no_bpf()) {
		print_message("SKIP: case: %s\n", no_bpf());
		skip();
	}
	begin(COMMON "plugins:\n  dns: {ports: [" PORT "], timeout: 2s, sources: [bpf], ring: 32MiB, "
	      "budget: {events: 0}}\n  count: {queue: 256MiB}\n");
	sent = dnsperf(SERVER, RUN_QUERIES / 2, 15000) + dnsperf("::1", RUN_QUERIES / 2, 15000);
	assert_int_equal(sent, RUN_QUERIES);
	settle(sent);
	s = query("stats");
	assert_int_equal(num(s, "lost"), 0);
	assert_int_equal(num(s, "queries"), sent);
	assert_int_equal(num(s, "answered"), sent);
	assert_int_equal(num(s, "retries"), 0);
	assert_int_equal(num(s, "unsolicited") + num(s, "duplicate") + num(s, "timeout"), 0);
	json_decref(s);
	list = query("processes");
	json_array_foreach(list, i, p)
		if (!strcmp(str(p, "comm"), "dnsperf"))
			of_dnsperf += num(p, "queries");
	/* NXDOMAIN and REFUSED are half of what is asked. */
	assert_int_equal(of_dnsperf, sent);
	assert_int_equal(num(json_array_get(list, 0), "failed") + num(json_array_get(list, 1), "failed"), sent / 2);
	json_decref(list);
	s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
	assert_all_balanced(s);
	json_decref(s);
	finish();
}

/* One source after the other while questions are asked: no answer twice, the ledger balanced. */
static void the_source_changes(void **state)
{
	json_t *a, *list, *r;
	unsigned char *seen = calloc(1, 1 << 20);
	size_t i, answered = 0;
	pid_t load;

	(void)state;
	if (no_bpf()) {
		print_message("SKIP: case: %s\n", no_bpf());
		free(seen);
		skip();
	}
	begin(COMMON "plugins:\n  dns: {ports: [" PORT "], timeout: 1s, sources: [bpf], ring: 4MiB, executable: no}\n"
	      "  stdout: {format: json, queue: 64MiB}\n");
	load = fork();
	if (!load)
		_exit(dnsperf(SERVER, 6000, 1000) == 6000 ? 0 : 1);
	settle(500);
	for (int k = 0; k < 2; k++) {
		a = daemon_ask(&d, json_pack("{s:s, s:s, s:s, s:s}", "cmd", "set", "plugin", "dns", "option",
		                             "sources", "value", k ? "bpf" : "packet"));
		if (!json_is_true(json_object_get(a, "ok")))
			fail_msg("%s", json_dumps(a, 0));
		json_decref(a);
		nap_ms(1500);
	}
	int status = -1;

	assert_int_equal(waitpid(load, &status, 0), load);
	assert_int_equal(status, 0);
	settle(0);
	nap_ms(1500);
	a = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
	assert_all_balanced(a);
	json_decref(a);
	list = records();
	json_array_foreach(list, i, r) {
		uint32_t key = (uint32_t)(num(r, "client_port") << 16 ^ num(r, "id")) * 2654435761u >> 9;

		if (strcmp(str(r, "outcome"), "answered"))
			continue;
		answered++;
		/* One bit a question; a few of 6000 fall together in eight million by chance. */
		if (seen[key / 8] >> key % 8 & 1)
			answered--;
		seen[key / 8] |= (unsigned char)(1 << key % 8);
	}
	assert_in_range(answered, 3000, 6000);
	/* Nothing was doubled but for what chance explains: 6000^2 / 2^24, about two. */
	assert_in_range(json_array_size(list), 3000, 6000 + 200);
	json_decref(list);
	free(seen);
	finish();
}

static int clean(void **state)
{
	(void)state;
	if (d.pid)
		daemon_clean(&d);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(outcomes_with_bpf, clean),
		cmocka_unit_test_teardown(outcomes_without_bpf, clean),
		cmocka_unit_test_teardown(a_hundred_thousand, clean),
		cmocka_unit_test_teardown(the_source_changes, clean),
	};
	int rc;

	if (geteuid()) {
		printf("SKIP: needs root: a packet socket, and port 53\n");
		return 77;
	}
	if (missing()) {
		printf("SKIP: no %s (apt install unbound bind9-dnsutils dnsperf util-linux)\n", missing());
		return 77;
	}
	if (!mkdtemp(dir))
		return 1;
	chmod(dir, 0755);
	run("printf 'nameserver " SERVER "\\noptions single-request-reopen\\n' > %s/resolv.conf", dir);
	start_resolver();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	kill(resolver, SIGTERM);
	waitpid(resolver, NULL, 0);
	run("rm -rf %s", dir);
	return rc;
}
