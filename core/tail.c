/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output behind `weir tail`: writes each event as a line to a client's socket.
 * An output like any other, so its queue is bounded and its drops are counted; it
 * ends when the client does.
 *
 * The socket is non-blocking. What does not fit waits in a buffer; while that is
 * full, events are rejected, and the client is told how many it missed.
 */
#include "daemon.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A second of output at the rate a terminal shows. */
#define TAIL_BUFFER (256u * 1024)
#define TAIL_LINE   16384u

struct tail {
	int64_t fd;       /* an option: set by the daemon, not by a user */
	bool json;
	char *buf;
	size_t len;
	uint64_t missed;
	struct weir_fd *watch;
	struct weir_timer *gone;
	int err;
};

static const struct weir_option tail_options[] = {
	WEIR_OPTION_INT(struct tail, fd, "fd", "-1", "Socket of the client"),
	WEIR_OPTION_BOOL(struct tail, json, "json", "true", "JSON lines"),
};

static void push(struct weir_plugin *p)
{
	struct tail *t = weir_state(p);
	size_t done = 0;
	ssize_t n;

	while (done < t->len) {
		n = send((int)t->fd, t->buf + done, t->len - done, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			t->err = -errno;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	memmove(t->buf, t->buf + done, t->len - done);
	t->len -= done;
}

/* Asks the supervisor to take this output away: the client has gone. */
static void check_gone(struct weir_plugin *p, void *arg)
{
	struct tail *t = weir_state(p);
	char byte;
	ssize_t n = recv((int)t->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	(void)arg;
	push(p);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		t->err = -EPIPE;
	if (t->err)
		weir__host_failed(p, t->err);
}

static int tail_start(struct weir_plugin *p)
{
	struct tail *t = weir_state(p);

	t->buf = weir_alloc(p, TAIL_BUFFER);
	if (!t->buf)
		return -ENOMEM;
	/* Twice a second is soon enough to flush a slow client and to miss a dead one. */
	t->gone = p->host->timer_start(p, 0, 500000000u, check_gone, NULL);
	return t->gone ? 0 : -ENOMEM;
}

static void say_missed(struct tail *t)
{
	int n;

	if (!t->missed || TAIL_BUFFER - t->len < 128)
		return;
	n = snprintf(t->buf + t->len, 128, t->json ? "{\"dropped\":%llu}\n" : "# %llu events left out\n",
	             (unsigned long long)t->missed);
	t->len += (size_t)n;
	t->missed = 0;
}

static int tail_deliver(struct weir_plugin *p, const struct weir_batch *b)
{
	struct tail *t = weir_state(p);
	const struct weir_record *r = NULL;
	uint32_t missed = 0;

	while ((r = weir_batch_next(b, r))) {
		size_t room, n;

		if (TAIL_BUFFER - t->len < TAIL_LINE)
			push(p);
		say_missed(t);
		room = TAIL_BUFFER - t->len;
		n = p->host->format(p, b, r, t->json ? WEIR_FORMAT_JSON : WEIR_FORMAT_TEXT,
		                    t->buf + t->len, room);
		if (t->err || n + 1 >= room) {
			missed++;
			continue;
		}
		t->len += n;
		t->buf[t->len++] = '\n';
	}
	t->missed += missed;
	/* Some were shown, some not: the ledger has each. */
	p->host->batch_done(p, b, missed);
	return WEIR_PENDING;
}

static void tail_flush(struct weir_plugin *p)
{
	push(p);
}

static void tail_stop(struct weir_plugin *p)
{
	struct tail *t = weir_state(p);

	if (t->buf)
		push(p);
	weir_free(p, t->buf);
	t->buf = NULL;
	if (t->fd >= 0)
		close((int)t->fd);
	t->fd = -1;
}

static const struct weir_plugin_desc tail_desc = {
	.desc_size = sizeof(struct weir_plugin_desc),
	.abi_major = WEIR_ABI_MAJOR,
	.abi_minor = WEIR_ABI_MINOR,
	.kind = WEIR_OUTPUT,
	.state_size = sizeof(struct tail),
	.name = "tail",
	.version = WEIR_VERSION,
	.doc = "Events to a client of the control socket",
	.topics = "*",
	.options = WEIR_TABLE(tail_options),
	.start = tail_start,
	.stop = tail_stop,
	.deliver = tail_deliver,
	.flush = tail_flush,
};

static int set_topics(struct weir__settings *s, const json_t *topics)
{
	static const struct weir_option option =
		WEIR_OPTION_LIST(struct weir__common_config, topics, "topics", "", "");
	const char *names[32]; /* more than there are topics */
	char err[200];
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(topics) && n < 32; i++)
		if (json_is_string(json_array_get(topics, i)))
			names[n++] = json_string_value(json_array_get(topics, i));
	return n ? weir__option_set_list(&option, &s->common, names, n, err, sizeof err) : 0;
}

int weir__tail_add(struct weir__supervisor *sup, int fd, const json_t *topics, bool json)
{
	static unsigned number;
	struct weir__settings *s = weir__zalloc(sizeof *s);
	char err[200];

	if (!s)
		return -ENOMEM;
	s->desc = &tail_desc;
	s->name = weir__sprintf("tail-%u", ++number);
	s->values = weir__zalloc(sizeof(struct tail));
	if (!s->name || !s->values ||
	    weir__options_defaults(&weir__common_options, &s->common, err, sizeof err) ||
	    set_topics(s, topics)) {
		weir__settings_free(s);
		return -ENOMEM;
	}
	s->common.enabled = true;
	*(struct tail *)s->values = (struct tail){ .fd = fd, .json = json };
	if (weir__sup_add_transient(sup, &tail_desc, s)) {
		weir__settings_free(s);
		return -ENOMEM;
	}
	return 0;
}
