/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets from a file, by libpcap: pcap in µs and ns and both byte orders, pcapng.
 *
 * Happy path: open, read until the end. Failure: a file that is cut or broken gives what came
 * before, then an error with libpcap's sentence. A file is not followed while it grows.
 * Threads: one at a time. Bounds: libpcap refuses packets over 256 KiB.
 */
#include "capture_open.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct capture_file {
	struct capture base;
	pcap_t *pcap;
	uint32_t link;
	bool ended;
};

static void file_close(struct capture *c)
{
	struct capture_file *f = (struct capture_file *)c;
	struct pkt_memory m = c->m;

	if (f->pcap)
		pcap_close(f->pcap); /* the stream as well */
	m.realloc(m.arg, f, 0);
}

static int file_read(struct capture *c, unsigned max, capture_cb cb, void *arg, bool *ret_end,
                     char *why, size_t size)
{
	struct capture_file *f = (struct capture_file *)c;
	struct pcap_pkthdr *h;
	const u_char *data;
	int n = 0, err;

	while (!f->ended && (unsigned)n < max) {
		err = pcap_next_ex(f->pcap, &h, &data);
		if (err == 0)
			continue;
		if (err == PCAP_ERROR_BREAK) {
			f->ended = true;
			break;
		}
		if (err < 0) {
			snprintf(why, size, "%s", pcap_geterr(f->pcap));
			f->ended = true; /* there is no way on */
			return -EBADMSG;
		}
		struct capture_packet p = { .data = data, .caplen = h->caplen, .len = h->len,
		                            .link = f->link,
		                            .time_ns = (uint64_t)h->ts.tv_sec * 1000000000u +
		                                       (uint64_t)h->ts.tv_usec };
		n++;
		if (cb(arg, &p))
			break;
	}
	*ret_end = f->ended && !n;
	return n;
}

/* A regular file: a pipe would block the loop. */
static int open_regular(const char *path, FILE **ret, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		err = -errno;
		snprintf(why, size, "%s: %s", path, strerror(-err));
	} else if (!S_ISREG(st.st_mode)) {
		err = -EINVAL;
		snprintf(why, size, "%s is no regular file", path);
	} else if (!(*ret = fdopen(fd, "rb"))) {
		err = -errno;
		snprintf(why, size, "%s: %s", path, strerror(-err));
	}
	if (err && fd >= 0)
		close(fd);
	return err;
}

int capture_open_file(const struct pkt_memory *m, const char *path, struct capture **ret, char *why,
                      size_t size)
{
	struct capture_file *f = m->realloc(m->arg, NULL, sizeof *f);
	char text[PCAP_ERRBUF_SIZE] = "";
	FILE *stream;
	int err;

	if (!f) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	*f = (struct capture_file){ .base = { .close = file_close, .read = file_read, .fd = -1, .m = *m } };
	if ((err = open_regular(path, &stream, why, size)))
		goto fail;
	f->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, text);
	if (!f->pcap) {
		fclose(stream);
		snprintf(why, size, "%s: %s", path, text);
		err = -EBADMSG;
		goto fail;
	}
	f->link = (uint32_t)pcap_datalink(f->pcap);
	*ret = &f->base;
	return 0;
fail:
	file_close(&f->base);
	return err;
}
