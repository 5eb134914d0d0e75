/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the daemon would be here, and what it may do then. The check becomes it, so
 * that what comes after is found out with the same rights. Main thread, before the
 * first plugin is tried.
 */
#include "check.h"
#include "daemon_privilege.h"

#include <unistd.h>

#define FIND(weight, state, todo, ...)                                         \
	weir__finding_add(f, "weir", WEIR__CHECK_##weight, "user", WEIR__CHECK_##state, todo, __VA_ARGS__)

void weir__check_user(struct weir__findings *f, const struct weir__setup *setup)
{
	const char *user = weir__config_daemon(setup->config)->user;
	struct weir__identity id;
	struct weir__privilege got;
	char err[400], names[600];

	if (weir__privilege_identity(user, &id)) {
		FIND(FATAL, MISSING, "set user to one that exists", "there is no user \"%.64s\"", user);
		return;
	}
	if (weir__privilege_drop(&id, weir__setup_needs(setup), &got, err, sizeof err)) {
		FIND(FATAL, MISSING, NULL, "%s", err);
		return;
	}
	weir__privilege_names(got.kept, names, sizeof names);
	if (id.untouched)
		FIND(COUNTS, OK, NULL, "uid %u, as started, with every right", (unsigned)geteuid());
	else if (!geteuid())
		FIND(COUNTS, OK, "set user: weir", "root, with %s", names);
	else if (id.derived)
		FIND(COUNTS, OK, NULL, "uid %u, since there is no user %s, with %s", (unsigned)geteuid(),
		     user, names);
	else
		FIND(COUNTS, OK, NULL, "uid %u, with %s", (unsigned)geteuid(), names);
}
