/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices, from /proc/diskstats. Whole disks by default: a partition's I/O is
 * its disk's too. Devices that never did any I/O (a dozen loop devices on most
 * machines) are passed over until they do.
 *
 * Failure modes: a device that goes and comes back, or another one under its name
 * (other numbers, or fewer requests than before), starts from zero; the totals that
 * are published go on. The millisecond figures wrap at 2^32 in every kernel.
 */
#include "procfs.h"
#include <string.h>

#define SECTOR 512 /* diskstats' unit, whatever the device's own */
#define DEVICE_SERIES 9

struct procfs_device {
	struct procfs_disk last;
	uint64_t read_ns;
	bool seen;
	/* totals: in 64 bits, over wraps and replacements */
	uint64_t reads, writes, read_sectors, write_sectors;
	uint64_t read_ms, write_ms, busy_ms, queue_ms;
	struct weir_series *series[DEVICE_SERIES];
};

static bool same_device(const struct procfs_disk *a, const struct procfs_disk *b)
{
	return a->major == b->major && a->minor == b->minor && !strcmp(a->name, b->name);
}

static struct procfs_device *find(struct procfs *s, const struct procfs_disk *d)
{
	for (uint32_t i = 0; i < s->device_count; i++)
		if (same_device(&s->devices[i].last, d))
			return &s->devices[i];
	return NULL;
}

static void publish(struct weir_plugin *p, struct procfs_device *d)
{
	const struct {
		enum procfs_metric metric;
		double value;
	} values[DEVICE_SERIES] = {
		{ M_DEV_READS, (double)d->reads },
		{ M_DEV_WRITES, (double)d->writes },
		{ M_DEV_READ_BYTES, (double)d->read_sectors * SECTOR },
		{ M_DEV_WRITE_BYTES, (double)d->write_sectors * SECTOR },
		{ M_DEV_READ_SECONDS, (double)d->read_ms / 1e3 },
		{ M_DEV_WRITE_SECONDS, (double)d->write_ms / 1e3 },
		{ M_DEV_BUSY_SECONDS, (double)d->busy_ms / 1e3 },
		{ M_DEV_QUEUE_SECONDS, (double)d->queue_ms / 1e3 },
		{ M_DEV_IN_FLIGHT, (double)d->last.in_flight },
	};

	for (int i = 0; i < DEVICE_SERIES; i++)
		procfs_put_at(p, &d->series[i], values[i].metric, values[i].value, d->last.name, NULL, NULL);
}

/* Growth since the last reading, as a record; totals grow by it. */
static void advance(struct procfs_device *d, const struct procfs_disk *now, uint64_t now_ns,
                    struct weir_procfs_device *r)
{
	struct procfs_disk before = d->last;

	if (now->reads < before.reads || now->writes < before.writes)
		memset(&before, 0, sizeof before);
	r->major = now->major;
	r->minor = now->minor;
	memcpy(r->name, now->name, sizeof r->name);
	r->interval_ns = now_ns - d->read_ns;
	r->in_flight = now->in_flight;
	r->reads = procfs_delta(now->reads, before.reads);
	r->writes = procfs_delta(now->writes, before.writes);
	r->read_bytes = procfs_delta(now->read_sectors, before.read_sectors) * SECTOR;
	r->write_bytes = procfs_delta(now->write_sectors, before.write_sectors) * SECTOR;
	r->read_ns = (uint32_t)(now->read_ms - before.read_ms) * 1000000ull;
	r->write_ns = (uint32_t)(now->write_ms - before.write_ms) * 1000000ull;
	r->busy_ns = (uint32_t)(now->busy_ms - before.busy_ms) * 1000000ull;
	r->queue_ns = (uint32_t)(now->queue_ms - before.queue_ms) * 1000000ull;
	d->reads += r->reads;
	d->writes += r->writes;
	d->read_sectors += r->read_bytes / SECTOR;
	d->write_sectors += r->write_bytes / SECTOR;
	d->read_ms += r->read_ns / 1000000;
	d->write_ms += r->write_ns / 1000000;
	d->busy_ms += r->busy_ns / 1000000;
	d->queue_ms += r->queue_ns / 1000000;
	d->last = *now;
	d->read_ns = now_ns;
}

/* One device. Returns false if there is no room for it. */
static bool take(struct weir_plugin *p, const struct procfs_disk *now, uint64_t now_ns)
{
	struct procfs *s = weir_state(p);
	struct procfs_device *d = find(s, now);
	struct weir_procfs_device r = { 0 };

	if (!d && !now->reads && !now->writes)
		return true;
	if (!d) {
		if (s->device_count == PROCFS_MAX_DEVICES)
			return false;
		/* the totals begin with what the kernel has counted since boot */
		d = &s->devices[s->device_count++];
		memset(d, 0, sizeof *d);
		advance(d, now, now_ns, &r);
	} else {
		advance(d, now, now_ns, &r);
		if (r.reads || r.writes || r.read_bytes || r.write_bytes)
			weir_emit(p, PROCFS_IO_DEVICE, &r, sizeof r);
	}
	d->seen = true;
	publish(p, d);
	return true;
}

static void sweep(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->device_count; i++) {
		if (!s->devices[i].seen) {
			procfs_free_series(p, s->devices[i].series, DEVICE_SERIES);
			continue;
		}
		if (kept != i)
			s->devices[kept] = s->devices[i];
		kept++;
	}
	s->device_count = kept;
}

int procfs_devices(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);
	ssize_t len = procfs_read(p, "diskstats");
	struct procfs_text t = procfs_text(s->text, len > 0 ? (size_t)len : 0);
	char disk[32] = ""; /* the last whole disk: its partitions follow it */
	uint64_t now_ns = weir_now(p);
	struct procfs_disk d;
	uint32_t untracked = 0;

	if (!s->devices)
		s->devices = weir_alloc(p, PROCFS_MAX_DEVICES * sizeof *s->devices);
	if (!s->devices)
		return weir_fail(p, -ENOMEM, "no memory for the table of devices");
	for (uint32_t i = 0; i < s->device_count; i++)
		s->devices[i].seen = false;
	while (procfs_next_disk(&t, &d)) {
		if (!procfs_is_partition(disk, d.name))
			memcpy(disk, d.name, sizeof disk);
		else if (!s->partitions)
			continue;
		untracked += !take(p, &d, now_ns);
	}
	sweep(p);
	procfs_put(p, M_DEV_UNTRACKED, len > 0, untracked, NULL, NULL, NULL);
	return 0;
}

void procfs_devices_off(struct weir_plugin *p)
{
	struct procfs *s = weir_state(p);

	for (uint32_t i = 0; i < s->device_count; i++)
		procfs_free_series(p, s->devices[i].series, DEVICE_SERIES);
	s->device_count = 0;
	weir_free(p, s->devices);
	s->devices = NULL;
	procfs_put(p, M_DEV_UNTRACKED, false, 0, NULL, NULL, NULL);
}
