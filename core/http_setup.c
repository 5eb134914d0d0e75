/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the HTTP listener that are done once: address to socket, files of
 * keys and passwords, the credentials. Every error names the option to change.
 */
#include "http_priv.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A certificate chain has a few kB; this is only to refuse the wrong file. */
#define FILE_MAX (256 * 1024)
#define BACKLOG 64

/* ---- the socket ----------------------------------------------------------- */

/* "[host]:port" and "host:port" to its two parts. */
static int split(const char *listen, char host[64], const char **ret_port)
{
	const char *colon = strrchr(listen, ':'), *start = listen, *end = colon;

	if (!colon || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")] || strlen(colon + 1) > 5)
		return -EINVAL;
	if (*start == '[') {
		start++;
		if (*--end != ']')
			return -EINVAL;
	} else if (memchr(start, ':', (size_t)(end - start))) {
		return -EINVAL; /* an IPv6 address without brackets */
	}
	if (end < start || end - start >= 64)
		return -EINVAL;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = 0;
	if (!strcmp(host, "localhost"))
		strcpy(host, "127.0.0.1");
	*ret_port = colon + 1;
	return 0;
}

static int open_socket(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0, err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int port_of(int fd)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a;
	socklen_t len = sizeof a;

	if (getsockname(fd, &a.sa, &len))
		return 0;
	return ntohs(a.sa.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
}

static const char *advice(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "address already in use: is another Weir running? Set http.listen "
		       "(WEIR_HTTP_LISTEN) to another port, or to \"\" for none";
	case -EADDRNOTAVAIL:
		return "this machine has no such address: set http.listen to one it has, or to "
		       "\":9347\" for all";
	case -EACCES:
		return "not allowed: ports below 1024 need CAP_NET_BIND_SERVICE, set http.listen "
		       "to a higher one";
	default:
		return strerror(-err);
	}
}

/* Of the addresses found, the first that can be had; IPv6 first for "all", since
 * it takes IPv4 as well, and IPv4 where the kernel has no IPv6. */
static int listen_any(struct addrinfo *list)
{
	static const int families[] = { AF_INET6, AF_INET };
	int fd = -EADDRNOTAVAIL, err = 0;
	size_t i;

	for (i = 0; i < 2; i++) {
		struct addrinfo *ai;

		for (ai = list; ai; ai = ai->ai_next) {
			if (ai->ai_family != families[i])
				continue;
			fd = open_socket(ai);
			if (fd >= 0)
				return fd;
			if (!err)
				err = fd;
			if (fd == -EADDRINUSE) /* never listen on half of what was asked for */
				return fd;
		}
	}
	return err ? err : fd;
}

int weir__http_listen(const char *listen, int *ret_fd, int *ret_port, char *err, size_t err_size)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	                          .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	const char *port = NULL;
	char host[64];
	int fd;

	if (split(listen, host, &port) || strtol(port, NULL, 10) > 65535 ||
	    getaddrinfo(host[0] ? host : NULL, port, &hints, &list)) {
		snprintf(err, err_size, "http.listen \"%s\": expected ADDRESS:PORT such as 127.0.0.1:9347, "
		         "[::1]:9347, or :9347 for all addresses", listen);
		return -EINVAL;
	}
	fd = listen_any(list);
	freeaddrinfo(list);
	if (fd < 0) {
		snprintf(err, err_size, "http.listen %s: %s", listen, advice(fd));
		return fd;
	}
	*ret_fd = fd;
	*ret_port = port_of(fd);
	return 0;
}

/* ---- files ------------------------------------------------------------------ */

static int read_all(int fd, char **ret_text)
{
	char *text = weir__alloc(FILE_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;
	char *fit;

	if (!text)
		return -ENOMEM;
	while (len < FILE_MAX && n > 0) {
		n = read(fd, text + len, FILE_MAX - len);
		if (n > 0)
			len += (size_t)n;
	}
	if (n < 0 || len == FILE_MAX) {
		n = n < 0 ? -errno : -EFBIG;
		weir__free(text);
		return (int)n;
	}
	text[len] = 0;
	fit = weir__strndup(text, len);
	weir__free(text);
	if (!fit)
		return -ENOMEM;
	*ret_text = fit;
	return 0;
}

int weir__http_read_file(const char *what, const char *path, bool secret, char **ret_text,
                         char *err, size_t err_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), ret;
	struct stat st;

	if (fd < 0) {
		ret = -errno;
		snprintf(err, err_size, "%s: cannot open %s: %s", what, path, strerror(-ret));
		return ret;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		ret = -EINVAL;
		snprintf(err, err_size, "%s: %s is not a regular file", what, path);
	} else if (secret && (st.st_mode & 0007)) {
		ret = -EPERM;
		snprintf(err, err_size, "%s: everyone may read or change %s (mode %03o): run chmod o= on it",
		         what, path, st.st_mode & 0777u);
	} else {
		ret = read_all(fd, ret_text);
		if (ret)
			snprintf(err, err_size, "%s: cannot read %s: %s", what, path, strerror(-ret));
	}
	close(fd);
	return ret;
}

/* ---- credentials -------------------------------------------------------------- */

static char *base64(const char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = (const unsigned char *)text;
	size_t n = strlen(text), i;
	char *out = weir__alloc((n + 2) / 3 * 4 + 1), *at = out;

	if (!out)
		return NULL;
	for (i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)s[i] << 16;

		if (i + 1 < n)
			v |= (uint32_t)s[i + 1] << 8;
		if (i + 2 < n)
			v |= s[i + 2];
		*at++ = digits[v >> 18];
		*at++ = digits[v >> 12 & 63];
		*at++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
		*at++ = i + 2 < n ? digits[v & 63] : '=';
	}
	*at = 0;
	return out;
}

/* For what held a secret; the compiler may not leave it out. */
static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	weir__free(s);
}

int weir__http_credentials(const char *user, const char *password_file, char **ret_token,
                           char *err, size_t err_size)
{
	char *password = NULL, *both;
	int ret;

	if (strchr(user, ':')) {
		snprintf(err, err_size, "http.auth.user \"%s\": a user name may not contain a colon", user);
		return -EINVAL;
	}
	ret = weir__http_read_file("http.auth.password_file", password_file, true, &password, err, err_size);
	if (ret)
		return ret;
	password[strcspn(password, "\r\n")] = 0; /* the first line */
	if (!password[0]) {
		snprintf(err, err_size, "http.auth.password_file: the first line of %s is empty: write the "
		         "password there", password_file);
		wipe(password);
		return -EINVAL;
	}
	both = weir__sprintf("%s:%s", user, password);
	wipe(password);
	*ret_token = both ? base64(both) : NULL;
	wipe(both);
	if (!*ret_token) {
		snprintf(err, err_size, "http.auth: out of memory");
		return -ENOMEM;
	}
	return 0;
}

bool weir__http_authorized(const char *token, const char *header)
{
	size_t expected = strlen(token), given, i;
	unsigned char different;

	if (!header || strncasecmp(header, "Basic ", 6))
		return false;
	header += 6;
	header += strspn(header, " ");
	given = strlen(header);
	different = given != expected;
	for (i = 0; i < expected; i++)
		different |= (unsigned char)(token[i] ^ header[given ? i % given : 0]);
	return !different;
}
