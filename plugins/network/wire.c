/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope wire: attaches the tc programs to the interfaces that discovery.interfaces names, as
 * they come, and forgets them as they go. iface.c knows the interfaces and the rules.
 *
 * An interface that cannot be attached to is said once, and tried again when anything changes
 * or at a tick. What has gone is detached by the kernel; here its slot is given back.
 * Thread: the host's loop.
 */
#include "iface.h"
#include "source_bpf.h"

#include <regex.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

struct net_wire {
	struct net_ifaces ifaces;
	struct weir_fd *watch;
	regex_t *regexes;           /* as many as items; compiled where the item is /.../ */
	bool *compiled;
	int watched;                /* map */
	uint64_t attached, gone;
};

static uint32_t flags_of(const struct network *n, uint32_t direction)
{
	return direction | (n->tcx_order == NET_TCX_LAST ? WEIR_ATTACH_LAST : 0) |
	       WEIR_ATTACH_PRIORITY(n->tc_priority);
}

/* ---- names --------------------------------------------------------------------------------- */

static int compile_regex(struct weir_plugin *p, const char *item, regex_t *ret)
{
	char pattern[256], why[128];
	size_t len = strlen(item);
	int rc;

	if (len - 2 >= sizeof pattern)
		return weir_fail(p, -EINVAL, "discovery.interfaces: a pattern is longer than 255");
	memcpy(pattern, item + 1, len - 2);
	pattern[len - 2] = 0;
	rc = regcomp(ret, pattern, REG_EXTENDED | REG_NOSUB);
	if (!rc)
		return 0;
	regerror(rc, ret, why, sizeof why);
	return weir_fail(p, -EINVAL, "discovery.interfaces: %s: %s", item, why);
}

static int compile(struct weir_plugin *p, struct net_wire *w)
{
	struct network *n = weir_state(p);
	size_t count = n->interfaces.count;
	int rc = 0;

	if (!count)
		return 0;
	w->regexes = weir_alloc(p, count * sizeof *w->regexes);
	w->compiled = weir_alloc(p, count * sizeof *w->compiled);
	if (!w->regexes || !w->compiled)
		return weir_fail(p, -ENOMEM, "no memory for the patterns of interfaces");
	memset(w->compiled, 0, count * sizeof *w->compiled);
	for (size_t i = 0; i < count && !rc; i++) {
		const char *item = n->interfaces.items[i];
		size_t len = strlen(item);

		if (len < 3 || item[0] != '/' || item[len - 1] != '/')
			continue;
		rc = compile_regex(p, item, &w->regexes[i]);
		w->compiled[i] = !rc;
	}
	return rc;
}

static bool name_fits(struct weir_plugin *p, const struct net_wire *w, const char *name)
{
	struct network *n = weir_state(p);

	for (size_t i = 0; i < n->interfaces.count; i++)
		if (w->compiled[i] ? !regexec(&w->regexes[i], name, 0, NULL, 0) :
		    net_filter_text(n->interfaces.items[i], name, 16))
			return true;
	return false;
}

/* ---- attached, detached ----------------------------------------------------------------------- */

static int attach_way(struct weir_plugin *p, const struct net_iface *f, bool in, bool on)
{
	static const char *const names[2][2] = { { "net_eth_out", "net_eth_in" },
		                                 { "net_raw_out", "net_raw_in" } };
	struct network *n = weir_state(p);

	return p->host->bpf_attach_at(p, names[f->class == NET_IFACE_RAW][in], f->ifindex,
	                              flags_of(n, in ? WEIR_ATTACH_INGRESS : WEIR_ATTACH_EGRESS), on);
}

static void detach(struct weir_plugin *p, struct net_iface *f)
{
	struct network *n = weir_state(p);
	uint32_t key = (uint32_t)f->ifindex;

	if (!f->attached)
		return;
	p->host->map_delete(n->bpf->wire->watched, &key);
	attach_way(p, f, true, false);
	attach_way(p, f, false, false);
	f->attached = false;
	n->bpf->wire->attached--;
}

/* lo: what goes out there comes in there, so out only. The map first: else a packet that is
 * forwarded in between would count twice. */
static int attach(struct weir_plugin *p, struct net_iface *f)
{
	struct network *n = weir_state(p);
	struct net_wire *w = n->bpf->wire;
	uint32_t key = (uint32_t)f->ifindex;
	bool in = f->class != NET_IFACE_LOOPBACK;
	int rc = in ? p->host->map_update(w->watched, &key, &key, 0) : 0;

	rc = rc || !in ? rc : attach_way(p, f, true, true);
	rc = rc ? rc : attach_way(p, f, false, true);
	f->attached = true;
	w->attached++;
	if (rc)
		detach(p, f);
	return rc;
}

static void gone(struct weir_plugin *p, struct net_iface *f)
{
	struct network *n = weir_state(p);

	if (!f->attached)
		return;
	weir_log(p, WEIR_INFO, "interface %s is gone: %s", f->name,
	         "its flows end by their timeouts; watched again when it comes back");
	n->bpf->wire->gone++;
	detach(p, f);
}

static void attach_one(struct weir_plugin *p, struct net_iface *f)
{
	int rc = attach(p, f);

	if (!rc) {
		if (f->late || f->failed)
			weir_log(p, WEIR_INFO, "interface %s is watched", f->name);
		f->failed = false;
		return;
	}
	if (!f->failed && rc != -ENODEV) /* gone in between: its message is under way */
		weir_log(p, WEIR_WARN, "interface %s cannot be watched: %s; tried again", f->name,
		         strerror(-rc));
	f->failed = true;
}

static void apply(struct weir_plugin *p)
{
	struct network *n = weir_state(p);
	struct net_wire *w = n->bpf->wire;

	for (uint32_t i = 0; i < w->ifaces.count; i++) {
		struct net_iface *f = &w->ifaces.all[i];

		f->fits = (n->auto_discover || !f->late || f->attached) && name_fits(p, w, f->name);
	}
	net_ifaces_choose(&w->ifaces);
	for (uint32_t i = 0; i < w->ifaces.count; i++)
		if (!w->ifaces.all[i].chosen)
			detach(p, &w->ifaces.all[i]);
	for (uint32_t i = 0; i < w->ifaces.count; i++)
		if (w->ifaces.all[i].chosen && !w->ifaces.all[i].attached)
			attach_one(p, &w->ifaces.all[i]);
}

static void on_links(struct weir_plugin *p, int fd, int events, void *arg)
{
	struct network *n = weir_state(p);
	struct net_wire *w = arg;
	bool settled = false;

	(void)fd;
	(void)events;
	if (!n->bpf)
		return;
	if (net_ifaces_read(p, &w->ifaces, gone, &settled) && settled)
		apply(p);
}

void net_wire_tick(struct weir_plugin *p, struct net_bpf *b)
{
	bool again = false;

	if (!b->wire)
		return;
	for (uint32_t i = 0; i < b->wire->ifaces.count; i++)
		again |= b->wire->ifaces.all[i].failed;
	if (again)
		apply(p);
}

/* ---- start, stop -------------------------------------------------------------------------------- */

/* Whose interfaces these are. */
static uint64_t netns_cookie(const struct net_wire *w)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof cookie;

	return getsockopt(w->ifaces.fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) ? 0 : cookie;
}

int net_wire_start(struct weir_plugin *p, struct net_bpf *b)
{
	struct net_wire *w = weir_alloc(p, sizeof *w);
	uint32_t zero = 0;
	int rc;

	if (!w)
		return weir_fail(p, -ENOMEM, "no memory for interfaces");
	memset(w, 0, sizeof *w);
	w->ifaces.fd = -1;
	b->wire = w;
	w->watched = p->host->bpf_map(p, "net_watched");
	rc = w->watched < 0 ? weir_fail(p, -ENOENT, "the BPF object lacks its map of interfaces") : 0;
	rc = rc ? rc : compile(p, w);
	rc = rc ? rc : net_ifaces_open(p, &w->ifaces);
	if (rc) {
		net_wire_stop(p, b);
		return rc;
	}
	b->drain.word.wire_netns = netns_cookie(w);
	rc = p->host->map_update(b->drain.control, &zero, &b->drain.word, 0);
	if (!rc) {
		w->watch = p->host->fd_start(p, w->ifaces.fd, WEIR_READABLE, on_links, w);
		rc = w->watch ? 0 : -ENOMEM;
	}
	if (!rc)
		return 0;
	net_wire_stop(p, b);
	return weir_fail(p, rc, "interfaces cannot be watched: %s", strerror(-rc));
}

void net_wire_stop(struct weir_plugin *p, struct net_bpf *b)
{
	struct network *n = weir_state(p);
	struct net_wire *w = b->wire;

	if (!w)
		return;
	p->host->fd_stop(w->watch);
	for (uint32_t i = 0; i < w->ifaces.count; i++)
		detach(p, &w->ifaces.all[i]);
	net_ifaces_close(p, &w->ifaces);
	for (size_t i = 0; w->compiled && i < n->interfaces.count; i++)
		if (w->compiled[i])
			regfree(&w->regexes[i]);
	weir_free(p, w->regexes);
	weir_free(p, w->compiled);
	weir_free(p, w);
	b->wire = NULL;
}
