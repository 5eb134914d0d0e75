/* SPDX-License-Identifier: Apache-2.0 */
/* The bpf(2) map calls a plugin may make by descriptor, as -errno. Any thread. */
#include "bpf.h"

#include <bpf/bpf.h>
#include <errno.h>

static int err(int rc)
{
	return rc < 0 ? -errno : 0;
}

int weir__map_lookup(int fd, const void *key, void *value)
{
	return err(bpf_map_lookup_elem(fd, key, value));
}

int weir__map_update(int fd, const void *key, const void *value, uint64_t flags)
{
	return err(bpf_map_update_elem(fd, key, value, flags));
}

int weir__map_delete(int fd, const void *key)
{
	return err(bpf_map_delete_elem(fd, key));
}

int weir__map_next(int fd, const void *key, void *next_key)
{
	return err(bpf_map_get_next_key(fd, key, next_key));
}

int weir__map_batch(int fd, void *token, bool first, void *keys, void *values, uint32_t *count)
{
	return err(bpf_map_lookup_batch(fd, first ? NULL : token, token, keys, values, count, NULL));
}

int weir__map_drain(int fd, void *token, bool first, void *keys, void *values, uint32_t *count)
{
	return err(bpf_map_lookup_and_delete_batch(fd, first ? NULL : token, token, keys, values, count, NULL));
}
