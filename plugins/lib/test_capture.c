/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures: files of either byte order and precision give the same packets with their times; a
 * live ring gives each packet over loopback once, and says what the kernel dropped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void *heap(void *arg, void *ptr, size_t size)
{
	(void)arg;
	if (size)
		return realloc(ptr, size);
	free(ptr);
	return NULL;
}
static const struct pkt_memory memory = { heap, NULL };

static char path[64];
static void write_file(const void *data, size_t size)
{
	int fd;

	snprintf(path, sizeof path, "/tmp/weir-test-capture-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

struct packets {
	unsigned n;
	struct capture_packet last;
	uint8_t data[64];
};

static int on_file_packet(void *arg, const struct capture_packet *c)
{
	struct packets *s = arg;

	s->n++;
	s->last = *c;
	memcpy(s->data, c->data, c->caplen < sizeof s->data ? c->caplen : sizeof s->data);
	return 0;
}

static uint32_t swap(uint32_t v, bool big)
{
	return big ? htonl(v) : v;
}

/* One packet of 4 bytes, of 60 on the wire, at 1.5 s. */
static void one_file(bool nano, bool big, uint32_t link)
{
	uint32_t file[] = {
		swap(nano ? 0xa1b23c4d : 0xa1b2c3d4, big), swap(big ? 2u << 16 | 4 : 4u << 16 | 2, big),
		0, 0, swap(65535, big), swap(link, big),
		swap(1, big), swap(nano ? 500000000 : 500000, big), swap(4, big), swap(60, big), 0x44332211,
	};
	struct packets s = { 0 };
	char why[256] = "";
	struct capture *c;
	bool end;

	write_file(file, sizeof file);
	if (capture_open_file(&memory, path, &c, why, sizeof why))
		fail_msg("%s", why);
	assert_int_equal(capture_fd(c), -1);
	assert_int_equal(capture_read(c, 10, on_file_packet, &s, &end, why, sizeof why), 1);
	assert_int_equal(capture_read(c, 10, on_file_packet, &s, &end, why, sizeof why), 0);
	assert_true(end);
	assert_int_equal(s.last.caplen, 4);
	assert_int_equal(s.last.len, 60);
	assert_int_equal(s.last.time_ns, 1500000000);
	assert_int_equal(s.data[3], 0x44);
	if (link != 101) /* libpcap has its own number for raw IP */
		assert_int_equal(s.last.link, link);
	else
		assert_int_equal(s.last.link, PKT_LINK_RAW_OLD);
	assert_int_equal(capture_drops(c), 0);
	capture_close(c);
	unlink(path);
}

static void files(void **state)
{
	static const uint32_t all[] = { 0, 1, 101, 108, 113, 228, 229, 276 };

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		for (unsigned k = 0; k < 4; k++)
			one_file(k & 1, k & 2, all[i]);
}

static void wrong_files(void **state)
{
	const uint32_t cut[] = { 0xa1b2c3d4, 4u << 16 | 2, 0, 0, 65535, 1, 1, 0, 100, 100, 0 };
	struct packets s = { 0 };
	char why[256] = "";
	struct capture *c = NULL;
	bool end;

	(void)state;
	assert_int_equal(capture_open_file(&memory, "/nonexistent", &c, why, sizeof why), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent"));
	assert_int_equal(capture_open_file(&memory, "/tmp", &c, why, sizeof why), -EINVAL);
	write_file("not a capture at all, is it", 27);
	assert_int_equal(capture_open_file(&memory, path, &c, why, sizeof why), -EBADMSG);
	unlink(path);
	assert_null(c);
	write_file(cut, sizeof cut);
	assert_int_equal(capture_open_file(&memory, path, &c, why, sizeof why), 0);
	why[0] = '\0';
	assert_int_equal(capture_read(c, 10, on_file_packet, &s, &end, why, sizeof why), -EBADMSG);
	assert_true(why[0] != '\0');
	assert_int_equal(capture_read(c, 10, on_file_packet, &s, &end, why, sizeof why), 0);
	assert_true(end);
	capture_close(c);
	capture_close(NULL);
	unlink(path);
}

/* ---- live ------------------------------------------------------------------------------------ */

#define PORT 47110
struct live {
	unsigned outgoing, segments, captured; /* of the test's own datagrams */
	uint64_t bytes;                        /* from the IP header on */
	unsigned first_time_bad;
};

static int on_live(void *arg, const struct capture_packet *c)
{
	struct live *s = arg;
	struct weir_flow_delta d;
	struct pkt p;
	struct timespec now;

	pkt_parse(&pkt_defaults, NULL, c->link, c->data, c->caplen, c->len, 0, &p);
	if (p.layers != 1 || p.layer[0].dport != PORT)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	s->first_time_bad += c->time_ns / 1000000000u > (uint64_t)now.tv_sec ||
	                     c->time_ns / 1000000000u + 60 < (uint64_t)now.tv_sec;
	s->captured++;
	s->outgoing += c->pkttype == PACKET_OUTGOING;
	pkt_delta(&p.layer[0], 0, 0, c->ifindex, &d);
	s->segments += pkt_segments(&p, 0, 0, c->gso_size, &d);
	s->bytes += d.bytes[0];
	return 0;
}

/* A network of its own, with nothing but loopback. */
static bool own_network(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd;

	if (unshare(CLONE_NEWNET))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
	return true;
}

static int sender(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT),
	                          .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static struct capture *open_live(uint32_t snaplen)
{
	const struct capture_live o = { .interface = "lo", .snaplen = snaplen, .ring_bytes = 1u << 19,
	                                .retire_ms = 20 };
	char why[256] = "";
	struct capture *c;

	if (capture_open_live(&memory, &o, &c, why, sizeof why))
		fail_msg("%s", why);
	return c;
}

/* Until so many packets are there, 20 s at most. */
static void read_until(struct capture *c, struct live *s, const unsigned *counter, unsigned want)
{
	struct pollfd p = { .fd = capture_fd(c), .events = POLLIN };
	time_t deadline = time(NULL) + 20;
	char why[256];
	bool end;

	while (*counter < want && time(NULL) < deadline) {
		poll(&p, 1, 100);
		while (capture_read(c, 3, on_live, s, &end, why, sizeof why) > 0)
			;
	}
}

/* The receiver is missing: each is answered with ICMP, which is not counted. */
static void drain_errors(int fd)
{
	int err;
	socklen_t size = sizeof err;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
}

static void live_exact(void **state)
{
	struct live s = { 0 };
	struct capture *c;
	char data[200] = "";
	int fd;

	(void)state;
	if (!own_network()) {
		printf("SKIP: live_exact: no network namespace of its own: %s\n", strerror(errno));
		skip();
	}
	c = open_live(96);
	fd = sender();
	for (int i = 0; i < 300; i++) {
		drain_errors(fd);
		assert_int_equal(send(fd, data, (size_t)i % 200, 0), i % 200);
	}
	read_until(c, &s, &s.captured, 300);
	assert_int_equal(s.captured, 300); /* once, though loopback shows each twice */
	assert_int_equal(s.outgoing, 0);
	assert_int_equal(s.bytes, 300 * 28 + 199 * 100 + 99 * 50);
	assert_int_equal(s.first_time_bad, 0);
	assert_int_equal(capture_drops(c), 0);
	capture_close(c);
	close(fd);
}

/* 40 datagrams in one call, with segmentation offload: still 40 packets. */
static void live_segments(void **state)
{
	struct live s = { 0 };
	struct capture *c;
	char data[40000] = "";
	int fd, size = 1000;

	(void)state;
	if (!own_network()) {
		printf("SKIP: live_segments: no network namespace of its own: %s\n", strerror(errno));
		skip();
	}
	c = open_live(96);
	fd = sender();
	if (capture_blind_to_gso(c) || setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof size)) {
		printf("SKIP: live_segments: a kernel before 6.2 does not say what it joined\n");
		capture_close(c);
		close(fd);
		skip();
	}
	assert_int_equal(send(fd, data, sizeof data, 0), sizeof data);
	read_until(c, &s, &s.segments, 40);
	assert_int_equal(s.segments, 40);
	assert_int_equal(s.bytes, 40 * 1028);
	assert_int_equal(capture_drops(c), 0);
	capture_close(c);
	close(fd);
}

/* Nobody reads: what does not fit is dropped, and seen + dropped is what was sent. */
static void live_drops(void **state)
{
	struct live s = { 0 };
	struct capture *c;
	char data[1000] = "";
	uint64_t drops;
	int fd;

	(void)state;
	if (!own_network()) {
		printf("SKIP: live_drops: no network namespace of its own: %s\n", strerror(errno));
		skip();
	}
	c = open_live(2000);
	fd = sender();
	for (int i = 0; i < 3000; i++) {
		drain_errors(fd);
		assert_int_equal(send(fd, data, sizeof data, 0), sizeof data);
	}
	read_until(c, &s, &s.captured, 100);
	drops = capture_drops(c);
	assert_true(drops > 0);
	assert_int_equal(capture_drops(c), 0); /* since the last call */
	/* the tap sees sent and received, and ICMP answers in the same way; so at least: */
	assert_true(s.captured + drops >= 3000);
	capture_close(c);
	close(fd);
}

static void live_filter(void **state)
{
	/* only UDP; and more than snaplen is not kept, whatever the filter says */
	struct sock_filter udp[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 262144), BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct capture_live o = { .filter = udp, .filter_len = 4, .snaplen = 64, .ring_bytes = 1u << 19,
	                          .retire_ms = 20 };
	struct packets s = { 0 };
	char why[256] = "", data[500] = "";
	struct capture *c = NULL;
	bool end;
	int fd;

	(void)state;
	if (!own_network()) {
		printf("SKIP: live_filter: no network namespace of its own: %s\n", strerror(errno));
		skip();
	}
	if (capture_open_live(&memory, &o, &c, why, sizeof why))
		fail_msg("%s", why);
	fd = sender();
	assert_int_equal(send(fd, data, sizeof data, 0), sizeof data);
	for (int i = 0; i < 200 && !s.n; i++) {
		struct pollfd p = { .fd = capture_fd(c), .events = POLLIN };

		poll(&p, 1, 100);
		assert_true(capture_read(c, 10, on_file_packet, &s, &end, why, sizeof why) >= 0);
	}
	assert_int_equal(s.n, 1); /* no ICMP */
	assert_int_equal(s.last.caplen, 64);
	assert_int_equal(s.last.len, 542);
	assert_int_equal(s.last.link, PKT_LINK_ETHERNET);
	capture_close(c);
	close(fd);
	o.interface = "nonexistent0";
	assert_int_equal(capture_open_live(&memory, &o, &c, why, sizeof why), -ENODEV);
	assert_non_null(strstr(why, "nonexistent0"));
	o.ring_bytes = 1;
	assert_int_equal(capture_open_live(&memory, &o, &c, why, sizeof why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files), cmocka_unit_test(wrong_files), cmocka_unit_test(live_exact),
		cmocka_unit_test(live_segments), cmocka_unit_test(live_drops), cmocka_unit_test(live_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
