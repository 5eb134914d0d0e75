/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's handle of a host in a process: see host_remote.h.
 *
 * Happy path: fork and exec ourselves, send LOAD and what the supervisor asks, match
 * answers to requests by id; how both are written is in host_remote_wire.c. Failure: the
 * process ends, or sends what it must not (then it is killed); its last words are read,
 * the kernel's account is given a moment to settle, `died` is called, and every request
 * still open ends with -EPIPE. Main thread only.
 */
#include "host_remote_priv.h"
#include "confine.h"
#include "host_wire.h"
#include "hostgroup.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A process that was told to go and has not after this long is killed. */
#define GO_MS 2000
/* Programs of a dead process may run once more on another CPU while their links go:
 * the account is taken when it stood still for this long, after ten tries at the latest. */
#define SETTLE_MS 2
#define SETTLE_TRIES 10
/* Whose channel has ended is ending, as a rule: how it did says more than that it was
 * killed for it. After this long it is killed. */
#define HANG_UP_MS 100

struct pending {
	struct pending *next;
	uint32_t id;
	uint64_t since_ns;        /* uv_hrtime() */
	struct weir__request *rq; /* NULL: LOAD */
};

static struct weir__hostgroups *groups;
static double all_cpu_percent;
static uint64_t all_memory_bytes;

void weir__remote_set_groups(struct weir__hostgroups *g)
{
	groups = g;
}

void weir__remote_set_budget(double cpu_percent, uint64_t memory_bytes)
{
	all_cpu_percent = cpu_percent;
	all_memory_bytes = memory_bytes;
}

/* Threads a plugin's process has: nng's, two or so a CPU, and a handful of its own. */
#define TASKS_MAX 512

static struct weir__hostgroup_limits limits_of(const struct weir__common_config *c)
{
	return (struct weir__hostgroup_limits){
		.cpu_percent = c->budget_cpu > 0 ? c->budget_cpu : all_cpu_percent,
		.memory_bytes = c->budget_memory ? c->budget_memory : all_memory_bytes,
		.pids = TASKS_MAX };
}

void weir__remote_limit(struct weir__remote *r, const struct weir__common_config *c)
{
	struct weir__hostgroup_limits limits = limits_of(c);

	if (r->group)
		weir__hostgroup_limit(r->group, &limits);
}

/* ---- requests ------------------------------------------------------------------- */

static int push(struct weir__remote *r, struct weir__request *rq, uint32_t *ret_id)
{
	struct pending *p = weir__zalloc(sizeof *p);

	if (!p)
		return -ENOMEM;
	p->id = *ret_id = ++r->last_id;
	p->since_ns = uv_hrtime();
	p->rq = rq;
	p->next = r->pending;
	r->pending = p;
	return 0;
}

static struct pending *pull(struct weir__remote *r, uint32_t id)
{
	for (struct pending **at = &r->pending; *at; at = &(*at)->next)
		if ((*at)->id == id) {
			struct pending *p = *at;

			*at = p->next;
			return p;
		}
	return NULL;
}

int weir__remote_request(struct weir__remote *r, struct weir__request *rq)
{
	uint32_t id;
	int rc = r->told ? -EPIPE : push(r, rq, &id);

	if (rc)
		return rc;
	rq->rc = -EPIPE;
	rc = weir__remote_send(r, id, rq);
	/* Of one that is dying the end is told to all who wait. */
	if (rc && rc != -EPIPE && rc != -ECONNRESET) {
		weir__free(pull(r, id));
		return -ENOMEM;
	}
	return 0;
}

void weir__remote_answer(struct weir__remote *r, uint64_t ticket, int err, const char *text, size_t len)
{
	struct weir__link_head head = { .type = WEIR__WIRE_ANSWER, .id = (uint32_t)ticket, .rc = err,
		.len = text && len < WEIR__LINK_BODY_MAX ? (uint32_t)len : 0 };

	weir__link_send(r->link, &head, text, NULL);
}

void weir__remote_kill(struct weir__remote *r, const char *why)
{
	if (!r->why[0])
		snprintf(r->why, sizeof r->why, "%s", why);
	if (!r->dead)
		syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
}

static void on_answer(struct weir__remote *r, const struct weir__link_head *head, const char *body,
                      int *fds)
{
	struct pending *p = pull(r, head->id);
	struct weir__request *rq = p ? p->rq : NULL;

	if (p && !rq && head->type == WEIR__WIRE_LOAD) {
		weir__free(p);
		if (head->rc) /* it goes by itself; that is what was wrong */
			snprintf(r->why, sizeof r->why, "%.200s", body);
		return;
	}
	if (!rq || head->type != WEIR__WIRE_REQUEST + rq->type) {
		weir__free(p);
		if (rq)
			rq->done(r->h, rq);
		weir__remote_kill(r, "its process answered what nobody had asked");
		return;
	}
	weir__free(p);
	rq->rc = head->rc < 0 ? head->rc : 0;
	if (!weir__remote_took(r, rq, body, head->len, fds, head->fds)) {
		rq->rc = -EPROTO;
		weir__remote_kill(r, "its process sent a malformed answer");
	}
	rq->done(r->h, rq);
}

static void on_frame(void *arg, const struct weir__link_head *head, const char *body, int *fds)
{
	struct weir__remote *r = arg;

	switch (head->type) {
	case WEIR__WIRE_LOG:
		weir__log(head->rc, r->h->plugin.name, "%s", body);
		return;
	case WEIR__WIRE_FAILED:
		weir__host_set_reason(r->h, "%.400s", body);
		r->h->events.failed(r->h->events.arg, r->h, head->rc < 0 ? head->rc : -EIO);
		return;
	case WEIR__WIRE_ASK:
		r->h->events.ask(r->h->events.arg, r->h, body, head->id);
		return;
	case WEIR__WIRE_METRICS:
		weir__remote_send_json(r->link, WEIR__WIRE_METRICS_ARE, head->id, weir__samples_encode(),
		                       NULL, 0);
		return;
	default:
		on_answer(r, head, body, fds);
	}
}

/* ---- the end ------------------------------------------------------------------------- */

static void free_remote(uv_handle_t *handle)
{
	struct weir__remote *r = handle->data;
	struct weir__host *h = r->h;

	if (--r->handles)
		return;
	close(r->pidfd);
	if (r->shared_fd >= 0)
		close(r->shared_fd);
	munmap(r->shared, sizeof *r->shared);
	weir__meter_close(h->far_meter);
	h->far_meter = NULL;
	if (h->far_cpus)
		munmap((void *)(uintptr_t)h->far_cpus, r->cpus_len);
	weir__hostgroup_free(r->group);
	weir__free(r);
	h->account = NULL;
	weir__host_free_handle(h);
}

/* Gone, and nobody wants it any more. */
static void finish(struct weir__remote *r)
{
	if (!r->told || !r->over || r->closing)
		return;
	r->closing = true;
	weir__link_close(r->link);
	r->link = NULL;
	uv_close((uv_handle_t *)&r->death, free_remote);
	uv_close((uv_handle_t *)&r->timer, free_remote);
}

static void end_requests(struct weir__remote *r)
{
	struct pending *p;

	while ((p = r->pending)) {
		r->pending = p->next;
		if (p->rq) {
			p->rq->rc = -EPIPE;
			p->rq->done(r->h, p->rq);
		}
		weir__free(p);
	}
}

static uint64_t kernel_seen(const struct weir__host *h)
{
	struct weir_kind_counts c;
	uint64_t seen = 0;

	for (uint32_t k = 0; h->far_cpus && k < WEIR_MAX_KINDS; k++) {
		weir__cpus_kind_counts(h->far_cpus, h->far_cpu_count, k, &c);
		seen += c.seen;
	}
	return seen;
}

static void on_settle(uv_timer_t *timer)
{
	struct weir__remote *r = timer->data;
	uint64_t seen = kernel_seen(r->h);

	if (seen != r->settled_seen && r->settle_tries++ < SETTLE_TRIES) {
		r->settled_seen = seen;
		uv_timer_start(timer, on_settle, SETTLE_MS, 0);
		return;
	}
	if (!r->over)
		r->h->events.died(r->h->events.arg, r->h, r->why);
	end_requests(r);
	r->told = true;
	finish(r);
}

static void describe_death(struct weir__remote *r, const siginfo_t *info)
{
	if (r->why[0])
		return; /* known better */
	if (info->si_code == CLD_EXITED)
		snprintf(r->why, sizeof r->why, "its process %d ended with status %d", (int)r->pid, info->si_status);
	else
		snprintf(r->why, sizeof r->why, "its process %d was killed by signal %d (%s)%s", (int)r->pid,
		         info->si_status, strsignal(info->si_status),
		         info->si_status == SIGSYS ? ": it made a system call that plugins may not" : "");
}

static void on_death(uv_poll_t *poll, int status, int events)
{
	struct weir__remote *r = poll->data;
	siginfo_t info = { 0 };

	(void)status, (void)events;
	if (waitid(P_PIDFD, (id_t)r->pidfd, &info, WEXITED | WNOHANG) || !info.si_pid)
		return;
	uv_poll_stop(poll);
	r->dead = true;
	describe_death(r, &info);
	if (r->link) /* else the host let go of it before it had gone */
		weir__link_drain(r->link);
	r->settled_seen = kernel_seen(r->h);
	uv_timer_start(&r->timer, on_settle, r->h->far_cpus ? SETTLE_MS : 0, 0);
}

static void on_hung_up(uv_timer_t *timer)
{
	weir__remote_kill(timer->data, "its process hung up on the daemon");
}

/* The link's end comes just before the process's, or it has closed it: then it goes. */
static void on_link_end(void *arg, int err)
{
	struct weir__remote *r = arg;

	if (!r->dead && err != -EPIPE && err != -ECONNRESET)
		weir__remote_kill(r, "its process sent a malformed message");
	else if (!r->dead && !uv_is_active((uv_handle_t *)&r->timer))
		uv_timer_start(&r->timer, on_hung_up, HANG_UP_MS, 0); /* it cannot be asked any more */
}

static void on_time_to_go(uv_timer_t *timer)
{
	weir__remote_kill(timer->data, "it did not go when it was told to");
}

void weir__remote_free(struct weir__remote *r)
{
	r->over = true;
	if (!r->dead) {
		uv_timer_start(&r->timer, on_time_to_go, GO_MS, 0);
		weir__link_close(r->link); /* that is the word */
		r->link = NULL;
	}
	finish(r);
}

uint64_t weir__remote_cpu_ns(struct weir__remote *r)
{
	struct timespec ts;
	clockid_t clock;

	if (r->dead || clock_getcpuclockid(r->pid, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t weir__remote_unanswered_ns(const struct weir__remote *r)
{
	uint64_t since = 0;

	for (const struct pending *p = r->pending; p; p = p->next)
		since = p->since_ns; /* the oldest is the last */
	return since;
}

pid_t weir__remote_pid(const struct weir__remote *r)
{
	return r->pid;
}

/* ---- the start ------------------------------------------------------------------------ */

/* A process of ours with `link` as its descriptor 3. */
static pid_t spawn(const struct weir__confine *confine, struct weir__hostgroup *group, int link,
                   const char *name)
{
	char *argv[] = { (char[]){ "weir" }, (char[]){ "host" }, (char *)(uintptr_t)name, NULL };
	struct weir__confine c = *confine;
	int fd = WEIR__CHILD_LINK_FD;
	pid_t pid;

	c.parent = getpid();
	c.keep = &fd;
	c.keep_count = 1;
	pid = fork();
	if (pid)
		return pid < 0 ? -errno : pid;
	if (link == fd ? fcntl(link, F_SETFD, 0) < 0 : dup2(link, fd) < 0)
		_exit(126);
	if (group)
		weir__hostgroup_enter(group, 0);
	if (weir__confine_exec(&c))
		_exit(126);
	execv("/proc/self/exe", argv);
	_exit(127);
}

/* Both ends of the control channel, and the process at the other. */
int weir__remote_spawn(const struct weir__confine *confine, struct weir__hostgroup *group, const char *name,
                       pid_t *ret_pid, int *ret_pidfd, int *ret_link)
{
	int pair[2], rc;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -errno;
	pid = spawn(confine, group, pair[1], name);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return pid;
	}
	*ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (*ret_pidfd < 0) {
		rc = -errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(pair[0]);
		return rc;
	}
	fcntl(*ret_pidfd, F_SETFD, FD_CLOEXEC);
	*ret_pid = pid;
	*ret_link = pair[0];
	return 0;
}

/* The account both sides see; sealed, so that the process cannot take it away. */
static int make_shared(struct weir__remote *r)
{
	int fd = memfd_create("weir-account", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof *r->shared) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		close(fd);
		return -errno;
	}
	r->shared = mmap(NULL, sizeof *r->shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r->shared == MAP_FAILED) {
		close(fd);
		return -errno;
	}
	r->shared_fd = fd;
	return 0;
}

static int load(struct weir__remote *r)
{
	uint32_t id;
	int rc = push(r, NULL, &id);

	return rc ? rc : weir__remote_send_json(r->link, WEIR__WIRE_LOAD, id,
	    json_pack("{s:s, s:s, s:I, s:b}", "path", r->h->settings->library, "name", r->h->desc->name,
	              "needs", (json_int_t)r->h->desc->needs,
	              "forks", (int)(r->h->desc->flags & WEIR_PLUGIN_FORKS)),
	    &r->h->settings->library_fd, 1);
}

static void make_group(struct weir__remote *r)
{
	struct weir__hostgroup_limits limits = limits_of(&r->h->settings->common);
	static unsigned number; /* the one before may still be on its way out */
	char name[64];

	snprintf(name, sizeof name, "%s.%u", r->h->plugin.name, number++);

	/* Without one the other limits hold: that is said once, where groups are made. */
	if (groups && weir__hostgroup_new(groups, name, &limits, &r->group))
		r->group = NULL;
}

int weir__remote_new(struct weir__host *h)
{
	struct weir__remote *r = weir__zalloc(sizeof *r);
	struct weir__confine confine = { .needs = h->desc->needs,
		.memory_bytes = limits_of(&h->settings->common).memory_bytes,
		.mapped_bytes = 2 * h->settings->common.ring_bytes };
	int link, rc = r ? 0 : -ENOMEM;

	if (rc)
		return rc;
	r->h = h;
	rc = make_shared(r);
	if (rc) {
		weir__free(r);
		return rc;
	}
	make_group(r);
	rc = weir__remote_spawn(&confine, r->group, h->plugin.name, &r->pid, &r->pidfd, &link);
	if (rc) {
		weir__hostgroup_free(r->group);
		munmap(r->shared, sizeof *r->shared);
		close(r->shared_fd);
		weir__free(r);
		return rc;
	}
	r->handles = 2;
	uv_timer_init(h->main_loop, &r->timer);
	uv_poll_init(h->main_loop, &r->death, r->pidfd);
	r->timer.data = r->death.data = r;
	uv_poll_start(&r->death, UV_READABLE, on_death);
	h->remote = r;
	h->account = r->shared;
	rc = weir__link_open(h->main_loop, link, on_frame, on_link_end, r, &r->link);
	if (!rc)
		rc = load(r);
	return rc; /* from here on weir__remote_free ends it */
}
