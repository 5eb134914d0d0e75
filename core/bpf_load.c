/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading and attaching by trying. libbpf loads an object whole, so a refused
 * program means: note why, take its next variant (or leave it out), open the
 * object anew and try again. Bounded by the number of variants.
 */
#include "bpf_priv.h"
#include "kernel_guard.h"
#include "mem.h"
#include "meter.h"
#include "privilege.h"

#include <weir/weir.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct program_state *weir__bpf_find(struct weir__bpf *b, const char *name)
{
	for (size_t i = 0; i < b->program_count; i++)
		if (!strcmp(b->programs[i].pub.row->name, name))
			return &b->programs[i];
	return NULL;
}

/* Name of the current variant into pub.variant; false: there is none left. */
static bool pick_variant(struct program_state *s)
{
	const char *v = s->pub.row->variants ? s->pub.row->variants : s->pub.row->name;
	size_t n;

	s->pub.variant[0] = 0;
	if (s->variant < 0 || s->pub.off)
		return false;
	for (int i = 0; i < s->variant && v; i++) {
		v = strchr(v, ' ');
		v = v ? v + 1 : NULL;
	}
	if (!v) {
		s->variant = -1;
		return false;
	}
	n = strcspn(v, " ");
	if (n >= sizeof s->pub.variant)
		n = sizeof s->pub.variant - 1;
	memcpy(s->pub.variant, v, n);
	s->pub.variant[n] = 0;
	return true;
}

/* Hook of "tp_btf/x" in the kernel? Others are found out by trying; but what is known
 * to bring this kernel down is not tried. */
static bool hook_exists(struct program_state *s, const char *section)
{
	char type[160], why[WEIR__ERROR_TEXT];

	if (weir__guarded(section, why, sizeof why)) {
		weir__bpf_say(s->pub.error, "%s", why);
		return false;
	}
	if (strncmp(section, "tp_btf/", 7))
		return true;
	snprintf(type, sizeof type, "btf_trace_%s", section + 7);
	if (weir__kernel_has(type, NULL))
		return true;
	weir__bpf_say(s->pub.error, weir__kernel_btf()
	         ? "this kernel has no tracepoint %.100s"
	         : "no kernel BTF (/sys/kernel/btf/vmlinux), needed for %.100s", section + 7);
	return false;
}

/* Point every row at its current variant; programs without a row or a choice are
 * not loaded. -ENOENT: a required program has no variant left. */
static int choose(struct weir__bpf *b)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, b->obj)
		bpf_program__set_autoload(prog, false);
	for (size_t i = 0; i < b->program_count; i++) {
		struct program_state *s = &b->programs[i];

		s->prog = NULL;
		while (pick_variant(s)) {
			s->prog = bpf_object__find_program_by_name(b->obj, s->pub.variant);
			if (s->prog && hook_exists(s, bpf_program__section_name(s->prog)))
				break;
			if (!s->prog)
				weir__bpf_say(s->pub.error,
				         "the BPF object has no program %s", s->pub.variant);
			s->prog = NULL;
			s->variant++;
		}
		if (s->prog) {
			bpf_program__set_autoload(s->prog, true);
			continue;
		}
		if ((s->pub.row->flags & WEIR_PROGRAM_REQUIRED) && !s->pub.off) {
			weir__bpf_say(b->error, "program %.40s: %.260s",
			         s->pub.row->name, s->pub.error);
			return -ENOENT;
		}
	}
	return 0;
}

/* s: of which program, or NULL. */
static const char *hint(const struct program_state *s, int err)
{
	const char *section = s && s->prog ? bpf_program__section_name(s->prog) : "";

	switch (-err) {
	case EPERM:
	case EACCES:
		if (!weir__privilege_lacks(WEIR_CAP_BPF | WEIR_CAP_PERFMON | WEIR_CAP_NET_ADMIN))
			return weir__bpf_said()->text[0] ? " (says this kernel's verifier: a fault of the plugin)" : "";
		return weir__bpf_is_cgroup(section) || weir__bpf_is_tc(section)
		       ? " (needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: run as root)"
		       : " (needs CAP_BPF and CAP_PERFMON: run as root)";
	case EMFILE:
		return " (too many open files: raise the limit, ulimit -n or LimitNOFILE, to 1024)";
	case ENOMEM:
		return " (memory limit of the cgroup, or RLIMIT_MEMLOCK on kernels before 5.11)";
	default:
		return "";
	}
}

/* libbpf said which program failed: note why and move it to its next variant. */
static bool blame(struct weir__bpf *b, int err)
{
	struct weir__bpf_said *said = weir__bpf_said();

	for (size_t i = 0; i < b->program_count; i++) {
		struct program_state *s = &b->programs[i];

		if (!s->prog || strcmp(s->pub.variant, said->program))
			continue;
		weir__bpf_say(s->pub.error, "%.60s refused: %s%.180s%s",
		         s->pub.variant, strerror(-err), said->text[0] ? ": " : "", hint(s, err));
		if (said->text[0])
			weir__bpf_say(s->pub.error, "%.60s refused: %.200s%s",
			         s->pub.variant, said->text, hint(s, err));
		s->variant++;
		return true;
	}
	return false;
}

/* ---- attach -------------------------------------------------------------------- */

static int tracepoint_id(const char *category_name)
{
	char path[160], text[32] = "";
	int dir = weir__tracefs_events(), fd, n;

	if (dir < 0)
		return dir;
	snprintf(path, sizeof path, "%s/id", category_name);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -errno : (int)read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	close(dir);
	return n < 0 ? n : atoi(text);
}

int weir__bpf_perf_tracepoint(struct program_state *s, const char *category_name)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof attr,
		.sample_period = 1, .wakeup_events = 1 };
	int id = tracepoint_id(category_name);

	if (id < 0) {
		weir__bpf_say(s->pub.error, "tracepoint %.80s: %s%s", category_name,
		         strerror(-id), id == -ENOENT ? " in this kernel"
		         : "; mount tracefs: mount -t tracefs tracefs /sys/kernel/tracing");
		return id;
	}
	attr.config = (__u64)id;
	id = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return id < 0 ? -errno : id;
}

/* Classic tracepoint: through perf, with tracefs mounted or not. */
static int attach_tracepoint(struct program_state *s, const char *category_name)
{
	s->perf_fd = weir__bpf_perf_tracepoint(s, category_name);
	if (s->perf_fd < 0)
		return s->perf_fd;
	s->link = bpf_program__attach_perf_event(s->prog, s->perf_fd);
	if (!s->link)
		return -errno;
	s->link_perf_fd = s->perf_fd;
	s->perf_fd = -1; /* the link's: it closes it */
	return 0;
}

int weir__bpf_attach_state(struct weir__bpf *b, struct program_state *s)
{
	const char *section = bpf_program__section_name(s->prog);
	int rc = 0;

	if (s->link)
		return 0;
	if (s->adopted_fd >= 0 && strncmp(section, "iter", 4) && !weir__bpf_is_tc(section)) {
		rc = weir__bpf_attach_adopted(s);
		s->pub.attached = !rc;
		return rc;
	}
	if (s->pub.shed) {
		s->back = true; /* when the pressure is over */
		return 0;
	}
	if (!strncmp(section, "iter", 4)) {
		s->pub.attached = true; /* runs when it is read */
		return 0;
	}
	s->pub.error[0] = 0;
	memset(weir__bpf_said(), 0, sizeof(struct weir__bpf_said));
	if (weir__bpf_is_cgroup(section)) {
		rc = weir__bpf_attach_cgroup(s);
	} else if (weir__bpf_is_tc(section)) {
		return weir__bpf_targets_attach(b, s); /* what does attach stays */
	} else if (!strncmp(section, "tracepoint/", 11)) {
		rc = attach_tracepoint(s, section + 11);
	} else if (!strncmp(section, "tp/", 3)) {
		rc = attach_tracepoint(s, section + 3);
	} else {
		s->link = bpf_program__attach(s->prog);
		rc = s->link ? 0 : -errno;
	}
	if (rc && !s->pub.error[0])
		weir__bpf_say(s->pub.error, "%.60s does not attach: %s%s",
		         s->pub.variant, strerror(-rc), hint(s, rc));
	if (rc)
		weir__bpf_detach_state(b, s);
	s->pub.attached = !rc;
	return rc;
}

void weir__bpf_detach_state(struct weir__bpf *b, struct program_state *s)
{
	weir__bpf_targets_detach(b, s);
	bpf_link__destroy(s->link);
	s->link = NULL;
	s->link_perf_fd = -1;
	if (s->link_fd >= 0)
		close(s->link_fd);
	s->link_fd = -1;
	if (s->perf_fd >= 0)
		close(s->perf_fd);
	s->perf_fd = -1;
	s->pub.attached = false;
}

void weir__bpf_detach(struct weir__bpf *b)
{
	for (size_t i = 0; i < b->program_count; i++) {
		weir__bpf_detach_state(b, &b->programs[i]);
		weir__bpf_targets_free(&b->programs[i]);
	}
	weir__tc_disown(&b->tc);
}

/* Attach all chosen programs. A refusal moves the row on to its next variant and
 * returns -EAGAIN: load again with that. */
static int attach_all(struct weir__bpf *b)
{
	int rc = 0;

	for (size_t i = 0; i < b->program_count; i++) {
		struct program_state *s = &b->programs[i];

		if (!s->prog || (s->pub.row->flags & WEIR_PROGRAM_MANUAL))
			continue;
		if (weir__bpf_attach_state(b, s)) {
			s->variant++;
			rc = -EAGAIN;
		}
	}
	return rc;
}

/* One round: open, choose, load, attach. -EAGAIN: something moved, try again. */
static int load_round(struct weir__bpf *b)
{
	int rc = weir__bpf_open_object(b);

	if (rc)
		return rc;
	rc = choose(b);
	if (rc)
		return rc;
	rc = bpf_object__load(b->obj);
	if (rc) {
		if (blame(b, rc))
			return -EAGAIN;
		weir__bpf_say(b->error, "the kernel refused the BPF object: %s%s%.160s%s",
		         strerror(-rc), weir__bpf_said()->text[0] ? ": " : "",
		         weir__bpf_said()->text, hint(NULL, rc));
		return rc;
	}
	b->loaded = true;
	rc = weir__bpf_setup_maps(b);
	return rc ? rc : attach_all(b);
}

int weir__bpf_load(struct weir__bpf *b)
{
	int rc = -EAGAIN;

	weir__meter_cal(); /* now: later the process may have no right to it */
	/* Each round uses up one variant at least; 4 are the most a row has. */
	for (size_t round = 0; rc == -EAGAIN && round < 1 + 4 * WEIR_MAX_PROGRAMS; round++) {
		weir__bpf_detach(b);
		weir__bpf_close_object(b);
		rc = load_round(b);
	}
	if (rc) {
		weir__bpf_detach(b);
		weir__bpf_close_object(b);
	}
	return rc;
}

int weir__bpf_attach(struct weir__bpf *b, const char *program, bool on)
{
	struct program_state *s = weir__bpf_find(b, program);

	if (!s || !s->prog)
		return -ENOENT;
	if (on)
		return weir__bpf_attach_state(b, s);
	s->back = false;
	weir__bpf_detach_state(b, s);
	weir__bpf_targets_free(s);
	return 0;
}

int weir__bpf_shed(struct weir__bpf *b, uint32_t below)
{
	int err = 0;

	b->shed_below = below;
	for (size_t i = 0; i < b->program_count; i++) {
		struct program_state *s = &b->programs[i];
		const struct weir_program *row = s->pub.row;
		bool shed = row->priority < below && !(row->flags & WEIR_PROGRAM_REQUIRED);
		int rc;

		if (shed == s->pub.shed)
			continue;
		s->pub.shed = shed;
		if (!s->prog)
			continue; /* not loaded yet: attach_all() leaves it out */
		if (shed) {
			s->back = weir__bpf_link_fd(s) >= 0 || s->target_count;
			weir__bpf_detach_state(b, s);
		} else if (s->back) {
			s->back = false;
			rc = weir__bpf_attach_state(b, s);
			err = err ? err : rc;
		}
	}
	return err;
}

int weir__bpf_iter(struct weir__bpf *b, const char *program)
{
	struct program_state *s = weir__bpf_find(b, program);
	int fd;

	if (!s || !s->prog)
		return -ENOENT;
	if (s->adopted_fd >= 0 && (fd = weir__bpf_attach_adopted(s)) < 0)
		return fd;
	if (s->adopted_fd < 0 && !s->link) {
		s->link = bpf_program__attach_iter(s->prog, NULL);
		if (!s->link)
			return -errno;
	}
	fd = bpf_iter_create(weir__bpf_link_fd(s));
	return fd < 0 ? -errno : fd;
}
