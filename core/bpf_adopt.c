/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing a loaded object over: the one host keeps its programs attached and its maps
 * filling, the other takes both by descriptors, so that in the kernel nothing changes
 * and no record is lost or seen twice. For that it must be the same object with the same
 * settings; else the other loads its own, and the two are exchanged by their knobs.
 *
 * An adopted program has descriptors where a loaded one has libbpf's objects. Only hooks
 * that can be attached by a descriptor alone are adopted (see hook_of()). One thread at
 * a time, as for the rest of struct weir__bpf.
 */
#include "bpf_priv.h"
#include "mem.h"
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t hash(uint64_t h, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
	return h;
}

uint64_t weir__bpf_identity(const struct weir__bpf *b)
{
	const char *object = b->source->object;
	uint64_t h = hash(14695981039346656037u, object, (size_t)((const char *)b->source->object_end - object));

	for (size_t i = 0; i < b->setting_count; i++) {
		const struct setting *s = b->settings[i];

		h = hash(h, &s->type, sizeof s->type);
		h = hash(h, s->name, strlen(s->name) + 1);
		h = hash(h, &s->entries, sizeof s->entries);
		h = hash(h, s->value, s->size);
	}
	for (size_t i = 0; i < b->program_count; i++) {
		h = hash(h, b->programs[i].pub.row->name, strlen(b->programs[i].pub.row->name) + 1);
		h = hash(h, &b->programs[i].pub.off, sizeof b->programs[i].pub.off);
	}
	return hash(h, &b->ring_bytes, sizeof b->ring_bytes);
}

/* ---- programs that are descriptors ------------------------------------------------- */

enum hook { HOOK_OTHER, HOOK_RAW, HOOK_BTF, HOOK_CLASSIC, HOOK_ITER, HOOK_CGROUP, HOOK_TC };

static enum hook hook_of(const char *section, const char **ret_name)
{
	static const struct { const char *prefix; enum hook hook; } hooks[] = {
		{ "raw_tp/", HOOK_RAW }, { "raw_tracepoint/", HOOK_RAW }, { "tp_btf/", HOOK_BTF },
		{ "tracepoint/", HOOK_CLASSIC }, { "tp/", HOOK_CLASSIC }, { "iter/", HOOK_ITER },
		{ "cgroup", HOOK_CGROUP }, { "sockops", HOOK_CGROUP },
		{ "tc", HOOK_TC }, { "classifier", HOOK_TC },
	};

	for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++)
		if (!strncmp(section, hooks[i].prefix, strlen(hooks[i].prefix))) {
			*ret_name = section + strlen(hooks[i].prefix);
			return hooks[i].hook;
		}
	return HOOK_OTHER;
}

int weir__bpf_program_fd(const struct program_state *s)
{
	return s->adopted_fd >= 0 ? s->adopted_fd : s->prog ? bpf_program__fd(s->prog) : -1;
}

int weir__bpf_link_fd(const struct program_state *s)
{
	return s->link_fd >= 0 ? s->link_fd : s->link ? bpf_link__fd(s->link) : -1;
}

int weir__bpf_attach_adopted(struct program_state *s)
{
	const char *name = "";
	int fd = -EOPNOTSUPP;

	if (s->link_fd >= 0)
		return 0;
	switch (hook_of(bpf_program__section_name(s->prog), &name)) {
	case HOOK_RAW:
		fd = bpf_raw_tracepoint_open(name, s->adopted_fd);
		break;
	case HOOK_BTF:
		fd = bpf_raw_tracepoint_open(NULL, s->adopted_fd);
		break;
	case HOOK_CLASSIC:
		fd = weir__bpf_perf_tracepoint(s, name);
		if (fd < 0)
			break;
		s->perf_fd = fd;
		fd = bpf_link_create(s->adopted_fd, fd, BPF_PERF_EVENT, NULL);
		break;
	case HOOK_ITER:
		fd = bpf_link_create(s->adopted_fd, 0, BPF_TRACE_ITER, NULL);
		break;
	case HOOK_CGROUP:
		return weir__bpf_attach_cgroup(s);
	case HOOK_TC: /* attached by the plugin, interface by interface */
		return 0;
	case HOOK_OTHER:
		break;
	}
	if (fd < 0)
		return fd == -1 ? -errno : fd;
	s->link_fd = fd;
	return 0;
}

/* ---- export --------------------------------------------------------------------------- */

static int duplicate(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

void weir__bpf_handles_close(struct weir__bpf_handles *h)
{
	for (uint32_t i = 0; i < h->map_count; i++)
		if (h->maps[i].fd >= 0)
			close(h->maps[i].fd);
	for (uint32_t i = 0; i < h->program_count; i++) {
		if (h->programs[i].fd >= 0)
			close(h->programs[i].fd);
		if (h->programs[i].link_fd >= 0)
			close(h->programs[i].link_fd);
	}
	for (uint32_t i = 0; i < h->ring_count; i++)
		if (h->ring_fds[i] >= 0)
			close(h->ring_fds[i]);
	h->map_count = h->program_count = h->ring_count = 0;
}

static bool may_export(const struct weir__bpf *b)
{
	const char *name;

	if (!b->loaded || b->ring_count > WEIR__HANDLES_RINGS)
		return false;
	for (size_t i = 0; i < b->program_count; i++) {
		/* Which interfaces there are is the plugin's to know, and one program cannot be
		 * at one twice: the other loads its own. */
		if (b->programs[i].target_count)
			return false;
		if (b->programs[i].prog &&
		    hook_of(bpf_program__section_name(b->programs[i].prog), &name) == HOOK_OTHER)
			return false;
	}
	return true;
}

int weir__bpf_export(struct weir__bpf *b, struct weir__bpf_handles *h)
{
	struct bpf_map *map;

	memset(h, 0, sizeof *h);
	h->identity = weir__bpf_identity(b);
	h->movable = may_export(b);
	if (!h->movable)
		return 0;
	bpf_object__for_each_map(map, b->obj) {
		if (h->map_count == WEIR__HANDLES_MAPS)
			goto fail;
		snprintf(h->maps[h->map_count].name, sizeof h->maps[0].name, "%s", bpf_map__name(map));
		h->maps[h->map_count++].fd = duplicate(bpf_map__fd(map));
		if (h->maps[h->map_count - 1].fd < 0)
			goto fail;
	}
	for (size_t i = 0; i < b->program_count; i++) {
		const struct program_state *s = &b->programs[i];

		snprintf(h->programs[i].variant, sizeof h->programs[i].variant, "%s", s->prog ? s->pub.variant : "");
		h->programs[i].fd = s->prog ? duplicate(weir__bpf_program_fd(s)) : -1;
		h->programs[i].link_fd = duplicate(weir__bpf_link_fd(s));
		h->programs[i].attached = s->pub.attached;
		h->program_count = (uint32_t)i + 1;
		if (s->prog && h->programs[i].fd < 0)
			goto fail;
	}
	h->ring_size = b->ring_size;
	for (; h->ring_count < b->ring_count && b->rings[0]; h->ring_count++) {
		h->ring_fds[h->ring_count] = duplicate(b->ring_fds[h->ring_count]);
		if (h->ring_fds[h->ring_count] < 0)
			goto fail;
	}
	return 0;
fail:
	weir__bpf_handles_close(h);
	h->movable = false;
	return -EMFILE;
}

/* ---- adopt ------------------------------------------------------------------------------- */

static int adopt_maps(struct weir__bpf *b, const struct weir__bpf_handles *h)
{
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_map(map, b->obj) {
		uint32_t i = 0;

		while (i < h->map_count && strcmp(h->maps[i].name, bpf_map__name(map)))
			i++;
		if (i == h->map_count)
			return -ENOENT;
		if (bpf_map__reuse_fd(map, h->maps[i].fd))
			return -errno;
	}
	bpf_object__for_each_program(prog, b->obj)
		bpf_program__set_autoload(prog, false);
	return bpf_object__load(b->obj);
}

static int adopt_rings(struct weir__bpf *b, struct weir__bpf_handles *h)
{
	int rc;

	b->ring_count = h->ring_count;
	b->ring_size = h->ring_size;
	for (uint32_t i = 0; i < h->ring_count; i++) {
		b->ring_fds[i] = h->ring_fds[i];
		h->ring_fds[i] = -1;
		rc = weir__ring_open(b->ring_fds[i], &b->rings[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static void adopt_programs(struct weir__bpf *b, struct weir__bpf_handles *h)
{
	for (size_t i = 0; i < b->program_count && i < h->program_count; i++) {
		struct program_state *s = &b->programs[i];

		s->prog = h->programs[i].fd < 0 ? NULL
			: bpf_object__find_program_by_name(b->obj, h->programs[i].variant);
		if (!s->prog)
			continue;
		snprintf(s->pub.variant, sizeof s->pub.variant, "%s", h->programs[i].variant);
		s->adopted_fd = h->programs[i].fd;
		s->link_fd = h->programs[i].link_fd;
		s->pub.attached = h->programs[i].attached;
		h->programs[i].fd = h->programs[i].link_fd = -1;
	}
}

int weir__bpf_adopt(struct weir__bpf *b, struct weir__bpf_handles *h)
{
	int rc;

	if (!h->movable || h->identity != weir__bpf_identity(b) || h->program_count != b->program_count)
		return -EXDEV;
	rc = weir__bpf_open_object(b);
	if (!rc)
		rc = adopt_maps(b, h);
	if (!rc)
		rc = adopt_rings(b, h);
	if (!rc) {
		b->loaded = true;
		rc = weir__bpf_map_accounts(b);
	}
	if (!rc)
		adopt_programs(b, h);
	else
		weir__bpf_close_object(b);
	return rc;
}

void weir__bpf_own(struct weir__bpf *b)
{
	b->knobs->own_tgid = (uint32_t)getpid();
}

/* Without detaching: who has taken it over has its links, too. Closing a tracing link's
 * descriptor is all that destroying it does; that of a perf event would disable the event,
 * so there the descriptors are closed by hand. */
void weir__bpf_part(struct weir__bpf *b)
{
	for (size_t i = 0; i < b->program_count; i++) {
		struct program_state *s = &b->programs[i];

		if (!s->link || s->link_perf_fd < 0)
			continue;
		bpf_link__disconnect(s->link);
		if (s->link_perf_fd != bpf_link__fd(s->link))
			close(s->link_perf_fd);
		close(bpf_link__fd(s->link));
	}
	weir__bpf_free(b);
}
