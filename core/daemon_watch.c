/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration's file under watch. Its directory is watched, not the file: an
 * editor that writes a new file and renames it over the old one, and a mount that
 * exchanges a symlink, are seen there too. On any event, and every few seconds for what
 * no event tells (a network's file system, a link's target elsewhere), the file's stamp
 * is compared; when it has changed and then been quiet, `changed` is called once.
 *
 * Failure: no inotify (its limits are per user): the slow look alone. Main thread.
 */
#include "daemon_live.h"
#include "loader_stamp.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* An editor writes within some ms; a person does not notice this. */
#define QUIET_MS 200
/* One stat in this time is all that a quiet file costs. */
#define LOOK_MS 5000

struct weir__watch {
	uv_fs_event_t event;
	uv_timer_t quiet, look;
	unsigned handles;
	struct weir__stamp stamp; /* all zero: there is no file */
	char *path;
	void (*changed)(void *arg);
	void *arg;
};

static bool stamp(struct weir__watch *w)
{
	struct weir__stamp now = { 0 };
	struct stat st;
	bool same;

	if (!stat(w->path, &st))
		weir__stamp_of(&st, &now);
	same = weir__stamp_same(&w->stamp, &now);
	w->stamp = now;
	return same;
}

static void on_quiet(uv_timer_t *timer)
{
	struct weir__watch *w = timer->data;

	if (!stamp(w)) { /* still being written */
		uv_timer_start(&w->quiet, on_quiet, QUIET_MS, 0);
		return;
	}
	if (w->stamp.ino) /* else it has gone: an editor's, or a mistake; the old one holds */
		w->changed(w->arg);
}

static void look(struct weir__watch *w)
{
	if (!stamp(w))
		uv_timer_start(&w->quiet, on_quiet, QUIET_MS, 0);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	(void)name, (void)events, (void)status;
	look(event->data);
}

static void on_look(uv_timer_t *timer)
{
	look(timer->data);
}

static void on_closed(uv_handle_t *handle)
{
	struct weir__watch *w = handle->data;

	if (--w->handles)
		return;
	weir__free(w->path);
	weir__free(w);
}

int weir__watch_new(uv_loop_t *loop, const char *path, void (*changed)(void *arg), void *arg,
                    struct weir__watch **ret)
{
	struct weir__watch *w = weir__zalloc(sizeof *w);
	const char *slash = strrchr(path, '/');
	char *dir;

	if (!w)
		return -ENOMEM;
	w->path = weir__strdup(path);
	dir = !slash ? weir__strdup(".") : weir__strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!w->path || !dir) {
		weir__free(w->path);
		weir__free(dir);
		weir__free(w);
		return -ENOMEM;
	}
	w->changed = changed;
	w->arg = arg;
	w->handles = 3;
	uv_fs_event_init(loop, &w->event);
	uv_timer_init(loop, &w->quiet);
	uv_timer_init(loop, &w->look);
	w->event.data = w->quiet.data = w->look.data = w;
	stamp(w);
	uv_fs_event_start(&w->event, on_event, dir, 0);
	uv_timer_start(&w->look, on_look, LOOK_MS, LOOK_MS);
	weir__free(dir);
	*ret = w;
	return 0;
}

void weir__watch_free(struct weir__watch *w)
{
	if (!w)
		return;
	uv_close((uv_handle_t *)&w->event, on_closed);
	uv_close((uv_handle_t *)&w->quiet, on_closed);
	uv_close((uv_handle_t *)&w->look, on_closed);
}
