/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices, processes in reclaim, and hints that have run out: the small
 * hashes of the object, read once per interval. Bounded by the maps themselves.
 */
#include "iomonitor.h"

#include <string.h>
#include <unistd.h>

int io_disks_init(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	m->disk_count = 0;
	return 0;
}

void io_disks_fini(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);

	weir_free(p, m->disks);
	m->disks = NULL;
	m->disk_count = 0;
}

/* Kernel name of a disk, or its number. */
static void disk_name(uint32_t dev, char *name, size_t size)
{
	char path[64], target[256];
	ssize_t n;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u", dev >> 20, dev & 0xfffff);
	n = readlink(path, target, sizeof target - 1);
	if (n > 0) {
		target[n] = 0;
		if (strrchr(target, '/')) {
			snprintf(name, size, "%s", strrchr(target, '/') + 1);
			return;
		}
	}
	snprintf(name, size, "%u:%u", dev >> 20, dev & 0xfffff);
}

static struct io_disk *disk_of(struct weir_plugin *p, uint32_t dev)
{
	struct iomonitor *m = weir_state(p);
	struct io_disk *d;

	for (size_t i = 0; i < m->disk_count; i++)
		if (m->disks[i].dev == dev)
			return &m->disks[i];
	if (m->disk_count == WEIR_IO_MAX_DEVICES)
		return NULL;
	d = p->host->realloc(p, m->disks, (m->disk_count + 1) * sizeof *d);
	if (!d)
		return NULL;
	m->disks = d;
	d = &m->disks[m->disk_count++];
	memset(d, 0, sizeof *d);
	d->dev = dev;
	disk_name(dev, d->name, sizeof d->name);
	return d;
}

void io_disks_read(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	struct weir_io_device now;
	uint32_t key, *prev = NULL;
	struct io_disk *d;

	/* Bound: as many as the map holds. */
	for (int i = 0; i < WEIR_IO_MAX_DEVICES; i++) {
		if (p->host->map_next(m->devices_fd, prev, &key))
			return;
		prev = &key;
		if (p->host->map_lookup(m->devices_fd, &key, &now))
			continue;
		d = disk_of(p, key);
		if (d)
			d->now = now;
	}
}

void io_disks_difference(struct iomonitor *m)
{
	for (size_t i = 0; i < m->disk_count; i++) {
		const uint64_t *now = (const uint64_t *)&m->disks[i].now;
		uint64_t *last = (uint64_t *)&m->disks[i].last;
		uint64_t *delta = (uint64_t *)&m->disks[i].delta;

		for (size_t w = 0; w < sizeof(struct weir_io_device) / sizeof *now; w++) {
			delta[w] = now[w] - last[w];
			last[w] = now[w];
		}
	}
}

/* Count processes that had to reclaim since then; forget those a minute old. */
void io_reclaimers_take(struct weir_plugin *p, uint64_t since_ns)
{
	struct iomonitor *m = weir_state(p);
	uint32_t key, next;
	uint64_t when, now = weir_now(p);
	int rc = p->host->map_next(m->reclaimers_fd, NULL, &key);

	m->reclaim_processes = 0;
	for (int i = 0; i < WEIR_IO_MAX_STALLS && !rc; i++) {
		rc = p->host->map_next(m->reclaimers_fd, &key, &next);
		if (!p->host->map_lookup(m->reclaimers_fd, &key, &when)) {
			if (when >= since_ns)
				m->reclaim_processes++;
			else if (when + WEIR_IO_HINT_NS < now)
				p->host->map_delete(m->reclaimers_fd, &key);
		}
		key = next;
	}
}

void io_hints_prune(struct weir_plugin *p)
{
	struct iomonitor *m = weir_state(p);
	struct weir_io_file key, next;
	struct weir_io_hint h;
	uint64_t now = weir_now(p);
	int rc;

	if (!m->total.fadvise_ok[WEIR_IO_ADVICE_WILLNEED])
		return; /* there never was one */
	rc = p->host->map_next(m->hints_fd, NULL, &key);
	for (int i = 0; i < WEIR_IO_MAX_HINTS && !rc; i++) {
		rc = p->host->map_next(m->hints_fd, &key, &next);
		if (!p->host->map_lookup(m->hints_fd, &key, &h) && h.until_ns < now)
			p->host->map_delete(m->hints_fd, &key);
		key = next;
	}
}
