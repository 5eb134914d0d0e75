/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the control socket: address, file, bounds.
 */
#ifndef WEIR_CORE_CONTROL_PRIVATE_H
#define WEIR_CORE_CONTROL_PRIVATE_H

#include "control.h"
#include <sys/stat.h>
#include <sys/un.h>

/* People and scripts: a handful at a time. */
#define WEIR__CONTROL_CLIENTS 32
/* To send a request, and to take the answer: a local peer needs milliseconds. */
#define WEIR__CONTROL_TIMEOUT_MS 5000
/* A query's 4 MiB, at worst each byte escaped as \u00XX, and the frame around. */
#define WEIR__CONTROL_ANSWER_MAX (32 * 1024 * 1024)

int weir__control_address(const char *path, struct sockaddr_un *ret, char *err, size_t size);
/* A bound, listening, non-blocking socket; what stat says of its file. */
int weir__control_listen(const char *path, const char *group, int *ret_fd, struct stat *ret_st,
                         char *err, size_t size);
void weir__control_unlink(const char *path, const struct stat *made);

#endif
