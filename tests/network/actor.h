/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actors: child processes of a test that make traffic in a namespace and note down, in memory
 * they share with the test, what they truly did.
 *
 * An actor that cannot do its part says why and exits 1; actor_wait() then ends the test
 * program, as does the deadline. Actors die with the test. Thread: one each.
 */
#ifndef WEIR_TESTS_ACTOR_H
#define WEIR_TESTS_ACTOR_H

#include "net.h"

#include <stdatomic.h>
#include <stddef.h>

typedef void (*actor_fn)(void *arg);

/* ns: NULL stays where the caller is. comm: its name, or NULL to keep the caller's. */
pid_t actor_start(const struct ns *ns, const char *comm, actor_fn fn, void *arg);
void actor_wait(pid_t pid, unsigned seconds);
void actor_kill(pid_t pid);

/* Zeroed; shared with actors started later. */
void *shared_new(size_t size);
void shared_free(void *memory, size_t size);
/* Until *flag >= value; dies after 30 s, for which nothing here comes near. */
void flag_wait(const _Atomic uint32_t *flag, uint32_t value);

/* This process stays on the first CPU it may use. */
void stay_on_one_cpu(void);
double now_seconds(void);
void nap_ms(unsigned ms);

/* Sockets, or the end of the actor. */
int open_listener(const struct sockaddr_storage *at, socklen_t len, bool reuse_port);
int open_udp(const struct sockaddr_storage *at, socklen_t len, bool reuse_port);
int open_client(const struct sockaddr_storage *to, socklen_t len);
void send_all(int fd, size_t bytes);
/* Exactly so many, or until the end (SIZE_MAX). Returns how many. */
uint64_t receive(int fd, size_t bytes);
uint16_t port_of(int fd);
uint16_t peer_port_of(int fd);
uint16_t address_port(const struct sockaddr_storage *a);

#endif
