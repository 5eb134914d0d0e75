/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What http.c needs before it can listen: the socket, the files, the credentials.
 * All return 0 or -errno with one sentence and what to do in err. Blocking; main
 * thread, at start only.
 */
#ifndef WEIR_CORE_HTTP_PRIV_H
#define WEIR_CORE_HTTP_PRIV_H

#include "http.h"

#include <stdbool.h>

/* A listening socket for "127.0.0.1:9347", "[::1]:0" or ":9347". */
int weir__http_listen(const char *listen, int *ret_fd, int *ret_port, char *err, size_t err_size);

/* The whole file, NUL-terminated. secret: refused when others may read it. what:
 * the option's name, for messages. */
int weir__http_read_file(const char *what, const char *path, bool secret, char **ret_text,
                         char *err, size_t err_size);

/* base64("user:password"), what a client sends after "Basic ". */
int weir__http_credentials(const char *user, const char *password_file, char **ret_token,
                           char *err, size_t err_size);

/* Is this Authorization header right? Takes as long for any wrong one. */
bool weir__http_authorized(const char *token, const char *header);

#endif
