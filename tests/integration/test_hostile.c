/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a daemon in the wild: signals it does not know, standard
 * descriptors that are not there, readers that do not read, clients that hold on.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define COMMON                                                                 \
	"control: {socket: '@S'}\nstate_dir: '@D/state'\nplugin_dirs: ['@B', '@P']\n" \
	"shutdown_timeout: 1s\n"

static bool running(const json_t *s, void *arg)
{
	return !strcmp(json_string_value(json_object_get(plugin_of(s, arg), "state")), "running");
}

/* SIGHUP, SIGUSR1 and SIGPIPE end nothing; SIGTERM afterwards ends it cleanly. */
static void signals(void **state)
{
	static const int harmless[] = { SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGHUP };
	struct daemon d;
	char *log;

	(void)state;
	daemon_start(&d, COMMON "http: {listen: ''}\nplugins:\n  count:\n");
	for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
		assert_int_equal(kill(d.pid, harmless[i]), 0);
		json_decref(wait_for(&d, running, "count", "the daemon after a signal"));
	}
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	log = daemon_log(&d);
	assert_non_null(strstr(log, "SIGHUP"));
	free(log);
	daemon_clean(&d);
}

/* Started with 0, 1 and 2 closed it runs and ends as otherwise. */
static void no_standard_descriptors(void **state)
{
	struct daemon d;

	(void)state;
	fixture_close_standard = true;
	daemon_start(&d, COMMON "http: {listen: '127.0.0.1:0'}\nplugins:\n  count:\n  stdout: {format: json}\n");
	fixture_close_standard = false;
	json_decref(wait_for(&d, running, "stdout", "stdout to run"));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static bool queue_is_full(const json_t *s, void *arg)
{
	(void)arg;
	return dropped(route_of(s, "flood", "stdout"), "queue_full") > 0;
}

/* An output whose reader never reads: the deadline ends it, what is left is booked,
 * the last line is there and balanced. */
static void reader_that_does_not_read(void **state)
{
	struct daemon d;
	char path[64], yaml[800], *log;
	json_t *s;
	int fd;

	(void)state;
	if (no_bpf()) {
		print_message("SKIP: reader_that_does_not_read: %s\n", no_bpf());
		skip();
	}
	snprintf(path, sizeof path, "/tmp/weir-fifo-%d", (int)getpid());
	assert_int_equal(mkfifo(path, 0600), 0);
	give_to_daemon(path);
	fd = open(path, O_RDWR | O_NONBLOCK);
	assert_true(fd >= 0);
	snprintf(yaml, sizeof yaml, COMMON "http: {listen: ''}\nplugins:\n  count:\n"
	         "  stdout: {format: json, file: '%s', queue: 1MiB}\n  flood: {rate: 50000}\n", path);
	daemon_start(&d, yaml);
	s = wait_for(&d, queue_is_full, NULL, "a full queue");
	assert_all_balanced(s);
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	log = daemon_log(&d);
	assert_non_null(strstr(log, "every record is accounted for"));
	assert_non_null(strstr(log, "queued 0"));
	free(log);
	daemon_clean(&d);
	close(fd);
	unlink(path);
}

static int dial(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)!connect(fd, (void *)&at, sizeof at);
	return fd;
}

static bool healthy(int port)
{
	struct timeval patience = { 1, 0 };
	char text[256] = "";
	int fd = dial(port);
	ssize_t n;

	fcntl(fd, F_SETFL, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	n = send(fd, "GET /health HTTP/1.0\r\n\r\n", 24, MSG_NOSIGNAL);
	n = n == 24 ? recv(fd, text, sizeof text - 1, 0) : -1;
	close(fd);
	return n > 0 && strstr(text, " 200 ");
}

/* More clients than there is room for, which never finish their request: the listener
 * is there again when their time is over, although they hold on. */
static void clients_that_hold_on(void **state)
{
	struct daemon d;
	char *log, *at;
	int fds[140], port = 0, tries;

	(void)state;
	daemon_start(&d, COMMON "http: {listen: '127.0.0.1:0'}\nplugins:\n  count:\n");
	log = daemon_log(&d);
	at = strstr(log, "(port ");
	assert_non_null(at);
	port = atoi(at + 6);
	free(log);
	assert_true(healthy(port));
	for (size_t i = 0; i < 140; i++)
		fds[i] = dial(port);
	nanosleep(&(struct timespec){ 0, 200000000 }, NULL); /* let the connections be made */
	for (size_t i = 0; i < 140; i++)
		(void)!send(fds[i], "GET /metrics HT", 15, MSG_NOSIGNAL);
	for (tries = 0; tries < 30 && !healthy(port); tries++)
		;
	assert_true(tries < 30);
	for (size_t i = 0; i < 140; i++)
		close(fds[i]);
	assert_true(healthy(port) || healthy(port));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals), cmocka_unit_test(no_standard_descriptors),
		cmocka_unit_test(reader_that_does_not_read), cmocka_unit_test(clients_that_hold_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
