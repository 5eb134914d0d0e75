/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's own privileges: what it opens as root is open, what it will write
 * later becomes its user's, then it drops to what its plugins declare.
 *
 * Failure modes: a directory that cannot be given away is said and does without; a
 * drop that fails ends the start, since going on as root is what nobody asked for.
 * Main thread, before there are others.
 */
#include "daemon.h"
#include "daemon_privilege.h"
#include "log.h"
#include "privilege.h"
#include "route.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t weir__setup_needs(const struct weir__setup *setup)
{
	uint64_t needs = 0;

	/* Disabled ones too: they may be enabled later, and what is given up is gone. */
	for (size_t i = 0; i < setup->count; i++)
		if (setup->plugins[i].loaded)
			needs |= setup->plugins[i].loaded->desc.needs;
	return needs;
}

/* Nothing but sockets in it: a directory of ours, whoever made it. */
static bool only_sockets(int fd)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again >= 0 ? fdopendir(again) : NULL;
	struct dirent *e;
	bool only = d;

	while (only && (e = readdir(d)))
		only = e->d_type == DT_SOCK || !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	if (d)
		closedir(d);
	else if (again >= 0)
		close(again);
	return only;
}

int weir__give_directory(const char *path, const struct weir__identity *id, bool any_content)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	/* Root's alone, so that nobody could have put it there; never what is shared,
	 * such as /tmp. Its content stays: a link in it may lead anywhere. */
	if (fstat(fd, &st) != 0)
		rc = -errno;
	else if (st.st_uid == id->uid)
		rc = 0;
	else if (st.st_uid != 0 || st.st_mode & (S_IWOTH | S_ISVTX) || (!any_content && !only_sockets(fd)))
		rc = -EPERM;
	else if (fchown(fd, id->uid, id->gid) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* For SIGHUP after a rotation that copies and truncates. */
static void give_log(const char *path, const struct weir__identity *id)
{
	int fd = *path ? open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 && st.st_nlink == 1 &&
	    fchown(fd, id->uid, id->gid) != 0)
		weir__log(WEIR_WARN, NULL, "log.file %s cannot be given to the daemon's user: %s; it cannot "
		          "be opened anew after a rotation", path, strerror(errno));
	close(fd);
}

static void give_places(const struct weir__daemon_config *c, const struct weir__identity *id)
{
	char dir[4096], *slash;
	int rc;

	if (*c->state_dir) {
		mkdir(c->state_dir, 0750); /* whether it can be written is said after the drop */
		weir__give_directory(c->state_dir, id, true);
	}
	give_log(c->log_file, id);
	snprintf(dir, sizeof dir, "%s", c->control_socket);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = 0;
	rc = weir__give_directory(dir, id, false);
	if (rc && rc != -ENOENT)
		weir__log(WEIR_INFO, NULL, "%s is not the daemon's user's, so the control socket stays there "
		          "when weir ends: the next start replaces it", dir);
}

static void say(const struct weir__identity *id, const struct weir__privilege *p)
{
	char names[600];

	if (id->untouched) {
		if (!geteuid())
			weir__log(WEIR_WARN, NULL, "running as root with every right, since user is \"\"; "
			          "set user: weir");
		return;
	}
	if (id->derived)
		weir__log(WEIR_INFO, NULL, "there is no user %s: its uid is %u, an unused one derived from "
		          "the name (useradd --system %s makes it one of yours)", id->name,
		          (unsigned)id->uid, id->name);
	if (!geteuid())
		weir__log(WEIR_WARN, NULL, "running as root, since user is \"%s\"; set user: weir", id->name);
	if (p->missing)
		weir__log(WEIR_WARN, NULL, "declared by plugins but not held: %s; what each loses is in "
		          "docs/capabilities.md",
		          weir__privilege_names(p->missing, names, sizeof names));
	weir__log(WEIR_INFO, NULL, "uid %u, capabilities: %s", (unsigned)geteuid(),
	          weir__privilege_names(p->kept, names, sizeof names));
}

int weir__daemon_identity(const struct weir__config *c, struct weir__identity *ret)
{
	const char *user = weir__config_daemon(c)->user;
	int rc = weir__privilege_identity(user, ret);

	if (rc)
		weir__log(WEIR_ERROR, NULL, "user %.64s: %s; set user to one that exists", user,
		          rc == -ENOENT ? "no such id" : "no unused id left");
	return rc;
}

int weir__daemon_drop(const struct weir__daemon *d, const struct weir__setup *setup,
                      const struct weir__identity *id)
{
	struct weir__privilege got;
	char err[400];

	if (!id->stay)
		give_places(weir__config_daemon(d->config), id);
	if (weir__privilege_drop(id, weir__setup_needs(setup), &got, err, sizeof err)) {
		weir__log(WEIR_ERROR, NULL, "%s", err);
		return -EPERM;
	}
	say(id, &got);
	/* nng's threads run our callbacks only, and need no right for that. */
	return weir__privilege_bare(weir__route_prepare, NULL);
}
