/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a library declares, asked of a process that is started for it, so that none of
 * its code runs in the daemon: not its constructors either. Blocks the main thread
 * for some milliseconds, and at most for the time below. A list remembers files that
 * were asked before, by all that tells whether one has changed.
 */
#include "host_remote.h"
#include "confine.h"
#include "desc_wire.h"
#include "host_link.h"
#include "host_wire.h"
#include "loader.h"
#include "mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIBE_MS 5000

struct known {
	struct known *next;
	struct stat st;
	struct weir__desc_copy *copy;
	struct weir__loaded loaded;
};

struct inquiry {
	uv_loop_t loop;
	uv_timer_t timer;
	struct weir__link *link;
	struct weir__desc_copy *copy;
	int rc;
	bool done;
	char *reason;
	size_t size;
};

static struct known *known;

static void on_frame(void *arg, const struct weir__link_head *head, const char *body, int *fds)
{
	struct inquiry *q = arg;
	json_t *j;

	(void)fds;
	if (head->type != WEIR__WIRE_LOAD)
		return;
	q->done = true;
	q->rc = head->rc;
	if (head->rc < 0) {
		snprintf(q->reason, q->size, "%s", body);
		return;
	}
	j = json_loadb(body, head->len, 0, NULL);
	q->rc = j ? weir__desc_decode(j, &q->copy, q->reason, q->size) : -EINVAL;
	json_decref(j);
}

static void on_end(void *arg, int err)
{
	struct inquiry *q = arg;

	(void)err;
	if (!q->done)
		q->rc = -EPIPE;
	q->done = true;
}

static void on_time(uv_timer_t *timer)
{
	struct inquiry *q = timer->data;

	snprintf(q->reason, q->size, "dlopen: loading it took more than %d ms", DESCRIBE_MS);
	q->rc = -ETIMEDOUT;
	q->done = true;
}

static int ask(struct inquiry *q, const char *path, int fd, const char *name)
{
	json_t *j = json_pack("{s:s, s:s}", "path", path, "name", name ? name : "");
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	struct weir__link_head head = { .type = WEIR__WIRE_LOAD, .id = 1, .fds = 1,
		.len = text ? (uint32_t)strlen(text) : 0 };
	int rc = text ? weir__link_send(q->link, &head, text, &fd) : -ENOMEM;

	weir__free(text);
	json_decref(j);
	return rc;
}

/* How a process that said nothing has ended. */
static void explain(struct inquiry *q, int status)
{
	if (WIFSIGNALED(status))
		snprintf(q->reason, q->size, "dlopen: loading it killed its process by signal %d (%s)",
		         WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(q->reason, q->size, "dlopen: its process ended with status %d before it was loaded",
		         WEXITSTATUS(status));
}

static int inquire(struct inquiry *q, const char *path, int library, const char *name)
{
	struct weir__confine confine = { 0 };
	int pidfd, fd, status = 0, rc;
	pid_t pid;

	rc = weir__remote_spawn(&confine, NULL, "describe", &pid, &pidfd, &fd);
	if (rc) {
		snprintf(q->reason, q->size, "cannot start a process to load it in: %s", strerror(-rc));
		return rc;
	}
	close(pidfd);
	uv_loop_init(&q->loop);
	uv_timer_init(&q->loop, &q->timer);
	q->timer.data = q;
	uv_timer_start(&q->timer, on_time, DESCRIBE_MS, 0);
	rc = weir__link_open(&q->loop, fd, on_frame, on_end, q, &q->link);
	if (!rc)
		rc = ask(q, path, library, name);
	while (!rc && !q->done)
		uv_run(&q->loop, UV_RUN_ONCE);
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (q->rc == -EPIPE)
		explain(q, status);
	weir__link_close(q->link);
	uv_close((uv_handle_t *)&q->timer, NULL);
	uv_run(&q->loop, UV_RUN_DEFAULT);
	uv_loop_close(&q->loop);
	return rc ? rc : q->rc;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       !memcmp(&a->st_mtim, &b->st_mtim, sizeof a->st_mtim) &&
	       !memcmp(&a->st_ctim, &b->st_ctim, sizeof a->st_ctim);
}

/* Known, or asked and known from now on. */
static int describe(const char *path, int fd, const char *name, struct known **ret, char *reason, size_t size)
{
	struct inquiry q = { .reason = reason, .size = size };
	struct known *k;
	struct stat st;
	int rc;

	if (fstat(fd, &st))
		return -errno;
	for (k = known; k; k = k->next)
		if (same_file(&k->st, &st)) {
			*ret = k;
			return 0;
		}
	rc = inquire(&q, path, fd, name);
	k = rc ? NULL : weir__zalloc(sizeof *k);
	if (!k) {
		weir__desc_copy_free(q.copy);
		return rc ? rc : -ENOMEM;
	}
	*k = (struct known){ .next = known, .st = st, .copy = q.copy, .loaded = { .desc = *weir__desc_of(q.copy) } };
	snprintf(k->loaded.path, sizeof k->loaded.path, "%s", path);
	known = k;
	*ret = k;
	return 0;
}

int weir__remote_describe(const char *path, const char *name, struct weir__loaded **ret, int *ret_fd,
                          char *reason, size_t size)
{
	struct known *k;
	int refusal, fd, rc;

	reason[0] = 0;
	fd = weir__open_plugin(path, &refusal, reason, size);
	if (fd < 0)
		return fd;
	rc = describe(path, fd, name, &k, reason, size);
	if (!rc && name && strcmp(k->loaded.desc.name, name)) {
		rc = -EINVAL;
		snprintf(reason, size, "name: %s holds the plugin \"%s\", \"%s\" was asked for", path,
		         k->loaded.desc.name, name);
	}
	if (rc) {
		if (!reason[0])
			snprintf(reason, size, "%s", strerror(-rc));
		close(fd);
		return rc;
	}
	*ret = &k->loaded;
	*ret_fd = fd;
	return 0;
}
