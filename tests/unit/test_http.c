/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP listener, talked to over real sockets by a client on a thread of its
 * own, while this thread runs the loop.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "http.h"
#include "http_priv.h"
#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEADLINE_S 20
#define BIG (3 << 20)

static uv_loop_t loop;
static struct weir__http *http;
static struct weir__http_request *kept;
static uv_timer_t later;
static int handled;
static char dir[] = "/tmp/weir-test-http-XXXXXX";

/* ---- the client ------------------------------------------------------------- */

struct client {
	int port;
	const char *request; /* or */
	const char *command; /* its output is the answer */
	char *answer;
	size_t len;
	uv_async_t over;
};

static void read_answer(struct client *c, int fd)
{
	ssize_t n;

	while (c->len < BIG + 4096 && (n = read(fd, c->answer + c->len, BIG + 4096 - c->len)) > 0)
		c->len += (size_t)n;
	c->answer[c->len] = 0;
}

static int dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = DEADLINE_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	FILE *f;
	int fd;

	if (c->command) {
		f = popen(c->command, "r");
		if (f) {
			read_answer(c, fileno(f));
			pclose(f);
		}
	} else if ((fd = dial(c->port)) >= 0) {
		if (write(fd, c->request, strlen(c->request)) > 0)
			read_answer(c, fd);
		close(fd);
	}
	uv_async_send(&c->over);
	return NULL;
}

static void on_over(uv_async_t *a)
{
	uv_close((uv_handle_t *)a, NULL);
	uv_stop(&loop);
}

/* One exchange; the answer, whole, to be freed. */
static char *talk(const char *request, const char *command)
{
	struct client c = { .port = weir__http_port(http), .request = request, .command = command };
	pthread_t thread;

	c.answer = malloc(BIG + 4097);
	assert_non_null(c.answer);
	c.answer[0] = 0;
	uv_async_init(&loop, &c.over, on_over);
	assert_int_equal(pthread_create(&thread, NULL, client_main, &c), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	return c.answer;
}

static void expect(const char *request, const char *status, const char *part)
{
	char *answer = talk(request, NULL);

	if (strncmp(answer, "HTTP/1.1 ", 9) || strncmp(answer + 9, status, strlen(status)))
		fail_msg("%.60s: wanted %s, got %.200s", request, status, answer);
	if (part && !strstr(answer, part))
		fail_msg("%.60s: wanted %s in %.600s", request, part, answer);
	free(answer);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

/* ---- the server ------------------------------------------------------------- */

static void reply_later(uv_timer_t *t)
{
	uv_close((uv_handle_t *)t, NULL);
	weir__http_reply(kept, 200, "text/plain", "late", 4);
	kept = NULL;
}

static void handler(void *arg, struct weir__http_request *req, const char *path)
{
	static char big[BIG];
	const char *x;

	handled++;
	assert_ptr_equal(arg, &loop);
	if (!strcmp(path, "/now")) {
		weir__http_reply(req, 200, "text/plain", "here", 4);
	} else if (!strcmp(path, "/later")) {
		kept = req;
		uv_timer_init(&loop, &later);
		uv_timer_start(&later, reply_later, 20, 0);
	} else if (!strcmp(path, "/keep")) {
		kept = req;
		uv_stop(&loop);
	} else if (!strcmp(path, "/big")) {
		memset(big, 'b', sizeof big);
		weir__http_reply(req, 200, "text/plain", big, sizeof big);
	} else if (!strcmp(path, "/arg")) {
		x = weir__http_arg(req, "x");
		weir__http_reply(req, 200, "text/plain", x ? x : "none", x ? strlen(x) : 4);
	} else if (!strcmp(path, "/health") || !strcmp(path, "/ready")) {
		weir__http_reply(req, 200, "text/plain", "ok", 2);
	} else {
		weir__http_reply(req, 404, "text/plain", "no such page", 12);
	}
}

static void start(const struct weir__http_config *cfg)
{
	char err[512] = "";

	handled = 0;
	if (weir__http_start(&loop, cfg, handler, &loop, &http, err, sizeof err))
		fail_msg("%s", err);
	assert_true(weir__http_port(http) > 0);
}

static void start_plain(void)
{
	struct weir__http_config cfg = { .listen = "127.0.0.1:0" };

	start(&cfg);
}

static void on_stopped(void *arg)
{
	*(bool *)arg = true;
}

static void stop(void)
{
	bool stopped = false;

	weir__http_stop(http, on_stopped, &stopped);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(stopped);
	http = NULL;
}

static const char *file(const char *name, const char *text, mode_t mode)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

/* ---- the tests ---------------------------------------------------------------- */

/* Answers come at once or later, with or without an argument, for GET and HEAD. */
static void test_answers(void **state)
{
	char *big;

	(void)state;
	start_plain();
	expect(GET("/now") "\r\n", "200", "\r\n\r\nhere");
	expect(GET("/now") "\r\n", "200", "Content-Type: text/plain\r\n");
	expect(GET("/later") "\r\n", "200", "\r\n\r\nlate");
	expect(GET("/arg?x=a%20b&y=1") "\r\n", "200", "\r\n\r\na b");
	expect(GET("/arg") "\r\n", "200", "\r\n\r\nnone");
	expect("HEAD /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200", "Content-Length: 4\r\n");
	expect(GET("/nowhere") "\r\n", "404", "no such page");
	expect(GET("/..%2f..%00etc") "\r\n", "404", NULL);
	expect("GET /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "200", "here");
	/* two on one connection, the second asynchronous */
	expect("GET /now HTTP/1.1\r\nHost: x\r\n\r\n" GET("/later") "\r\n", "200", "\r\n\r\nlate");
	big = talk(GET("/big") "\r\n", NULL);
	assert_int_equal(strlen(strstr(big, "\r\n\r\n") + 4), BIG);
	free(big);
	assert_int_equal(weir__http_requests(http, 2), 10);
	assert_int_equal(weir__http_requests(http, 4), 2);
	assert_int_equal(weir__http_requests(http, 5), 0);
	assert_int_equal(weir__http_requests(http, 9), 0);
	stop();
}

/* Other methods are refused without asking the handler, and nonsense harms nobody. */
static void test_refused(void **state)
{
	static char huge[40000];
	int n;

	(void)state;
	start_plain();
	expect("POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405", "Allow: GET, HEAD\r\n");
	expect("DELETE /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405", NULL);
	assert_int_equal(handled, 0);
	free(talk("\x16\x03\x01 not http at all\r\n\r\n", NULL));
	n = snprintf(huge, sizeof huge, "GET /now HTTP/1.1\r\nHost: x\r\nX-Huge: ");
	memset(huge + n, 'x', 30000);
	strcpy(huge + n + 30000, "\r\n\r\n");
	expect(huge, "4", NULL); /* 413, 414 or 431 */
	assert_int_equal(handled, 0);
	expect(GET("/now") "\r\n", "200", "here");
	stop();
}

/* With credentials everything but /health and /ready wants exactly them. */
static void test_auth(void **state)
{
	struct weir__http_config cfg = { .listen = "127.0.0.1:0", .auth_user = "ann" };

	(void)state;
	cfg.auth_password_file = file("password", "secret\nsecond line\n", 0600);
	start(&cfg);
	expect(GET("/now") "\r\n", "401", "WWW-Authenticate: Basic realm=\"weir\"\r\n");
	expect(GET("/now") "Authorization: Basic YW5uOndyb25n\r\n\r\n", "401", NULL);
	expect(GET("/now") "Authorization: Basic \r\n\r\n", "401", NULL);
	expect(GET("/now") "Authorization: Bearer YW5uOnNlY3JldA==\r\n\r\n", "401", NULL);
	expect(GET("/now") "Authorization: Basic YW5uOnNlY3JldA==YW5u\r\n\r\n", "401", NULL);
	assert_int_equal(handled, 0);
	expect(GET("/now") "Authorization: basic YW5uOnNlY3JldA==\r\n\r\n", "200", "here");
	expect(GET("/health") "\r\n", "200", "ok");
	expect(GET("/ready?x") "\r\n", "200", "ok");
	expect(GET("/health/") "\r\n", "401", NULL);
	stop();
}

static void refuses(const struct weir__http_config *cfg, int expected, const char *part)
{
	long live = weir__mem_live();
	struct weir__http *h = NULL;
	char err[512] = "";

	assert_int_equal(weir__http_start(&loop, cfg, handler, &loop, &h, err, sizeof err), expected);
	assert_null(h);
	if (!strstr(err, part))
		fail_msg("wanted \"%s\" in \"%s\"", part, err);
	assert_int_equal(weir__mem_live(), live);
}

/* A start that cannot work says what to do. */
static void test_bad_start(void **state)
{
	static const char *const wrong[] = { "", "9347", "1.2.3.4", "127.0.0.1:", "127.0.0.1:x", "::1:80", "[::1:80",
	                                     "127.0.0.1:65536", "127.0.0.1:-1", "a.example:80", "[]:80:" };
	struct weir__http_config cfg = { .listen = "" };
	char busy[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		cfg.listen = wrong[i];
		refuses(&cfg, -EINVAL, "expected ADDRESS:PORT");
	}
	cfg.listen = "192.0.2.1:0"; /* documentation range */
	refuses(&cfg, -EADDRNOTAVAIL, "no such address");
	start_plain();
	snprintf(busy, sizeof busy, "127.0.0.1:%d", weir__http_port(http));
	cfg.listen = busy;
	refuses(&cfg, -EADDRINUSE, "another Weir running? Set http.listen");
	stop();
	cfg.listen = "127.0.0.1:0";
	cfg.auth_user = "ann";
	refuses(&cfg, -EINVAL, "needs both user and password_file");
	cfg.auth_password_file = "/nonexistent/password";
	refuses(&cfg, -ENOENT, "cannot open /nonexistent/password");
	cfg.auth_password_file = file("open", "secret\n", 0604);
	refuses(&cfg, -EPERM, "run chmod o= on it");
	cfg.auth_password_file = file("empty", "\nsecret\n", 0600);
	refuses(&cfg, -EINVAL, "is empty");
	cfg.auth_password_file = dir;
	refuses(&cfg, -EINVAL, "not a regular file");
	cfg.auth_user = "a:b";
	refuses(&cfg, -EINVAL, "may not contain a colon");
	cfg = (struct weir__http_config){ .listen = "127.0.0.1:0", .tls_cert = "cert.pem" };
	refuses(&cfg, -EINVAL, "needs both cert and key");
	cfg.tls_cert = cfg.tls_key = file("junk.pem", "junk", 0600);
	refuses(&cfg, -EINVAL, "must be PEM and belong together");
}

/* The first n allocations fail one by one: always -ENOMEM, nothing left. */
static void test_out_of_memory(void **state)
{
	struct weir__http_config cfg = { .listen = "127.0.0.1:0", .auth_user = "ann" };
	long live = weir__mem_live(), n;
	char err[512];
	int ret = -1;

	(void)state;
	cfg.auth_password_file = file("password", "secret", 0600);
	for (n = 0; ret; n++) {
		weir__mem_fail_at(n);
		ret = weir__http_start(&loop, &cfg, handler, &loop, &http, err, sizeof err);
		weir__mem_fail_at(-1);
		if (!ret)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(weir__mem_live(), live);
	}
	assert_true(n >= 5);
	stop();
	assert_int_equal(weir__mem_live(), live);
}

/* Stop answers open requests with 503; an answer that comes after that is dropped. */
static void test_stop_with_open_request(void **state)
{
	long live = weir__mem_live();
	char answer[512] = "";
	ssize_t n;
	int fd;

	(void)state;
	start_plain();
	fd = dial(weir__http_port(http));
	assert_true(fd >= 0);
	assert_true(write(fd, GET("/keep") "\r\n", strlen(GET("/keep") "\r\n")) > 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_non_null(kept);
	stop();
	n = read(fd, answer, sizeof answer - 1);
	assert_true(n > 0);
	assert_memory_equal(answer, "HTTP/1.1 503", 12);
	close(fd);
	assert_null(weir__http_arg(kept, "x"));
	weir__http_reply(kept, 200, "text/plain", "too late", 8);
	kept = NULL;
	assert_int_equal(weir__mem_live(), live);
}

/* A client that has gone before the answer harms nobody. */
static void test_client_goes(void **state)
{
	int fd;

	(void)state;
	start_plain();
	fd = dial(weir__http_port(http));
	assert_true(write(fd, GET("/keep") "\r\n", strlen(GET("/keep") "\r\n")) > 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	close(fd);
	weir__http_reply(kept, 200, "text/plain", "gone", 4);
	kept = NULL;
	expect(GET("/now") "\r\n", "200", "here");
	stop();
}

/* An idle listener has no timer running, so it costs no CPU. */
static void test_idle(void **state)
{
	(void)state;
	start_plain();
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(uv_backend_timeout(&loop), -1);
	stop();
}

/* With certificate and key it speaks TLS. */
static void test_tls(void **state)
{
	struct weir__http_config cfg = { .listen = "127.0.0.1:0" };
	char cert[128], key[128], command[512], *answer;

	(void)state;
	if (system("command -v openssl >/dev/null && command -v curl >/dev/null")) {
		print_message("SKIP: needs the openssl and curl programs\n");
		skip();
	}
	snprintf(cert, sizeof cert, "%s/cert.pem", dir);
	snprintf(key, sizeof key, "%s/key.pem", dir);
	snprintf(command, sizeof command, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
	         "-subj /CN=localhost -days 2 -keyout %s -out %s 2>/dev/null", key, cert);
	assert_int_equal(system(command), 0);
	assert_int_equal(chmod(key, 0600), 0);
	cfg.tls_cert = cert;
	cfg.tls_key = key;
	start(&cfg);
	snprintf(command, sizeof command, "curl --noproxy '*' -sS -m %d --cacert %s https://localhost:%d/later 2>&1",
	         DEADLINE_S, cert, weir__http_port(http));
	answer = talk(NULL, command);
	assert_string_equal(answer, "late");
	free(answer);
	stop();
	assert_int_equal(chmod(key, 0644), 0);
	refuses(&cfg, -EPERM, "http.tls.key: everyone may read");
}

static int setup(void **state)
{
	(void)state;
	alarm(10 * DEADLINE_S);
	return uv_loop_init(&loop) || !mkdtemp(dir);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command) || uv_loop_close(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_bad_start),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_stop_with_open_request),
		cmocka_unit_test(test_client_goes),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_tls),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
