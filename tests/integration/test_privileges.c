/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the running daemon may do: its user, the capabilities of the process and of
 * each thread, and what each collector gives without each of those it declares,
 * held against docs/capabilities.md.
 */
#include "fixture.h"
#include "loader.h"
#include "privilege.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define COMMON "control: {socket: '@S'}\nstate_dir: '@D/state'\nplugin_dirs: ['@P']\n"
#define SHIPPED "plugins:\n  iomonitor:\n  procfs-fallback:\n  stdout: {file: /dev/null}\n  prometheus:\n"

#if defined(__SANITIZE_THREAD__)
#define OTHERS_THREADS 1 /* the sanitizer's own */
#else
#define OTHERS_THREADS 0
#endif

static uint64_t needs_of(const char *plugin)
{
	struct weir__loaded *loaded;
	char path[4096], why[400];
	int refusal;

	snprintf(path, sizeof path, "%s/%s.so", WEIR_PLUGINS, plugin);
	if (access(path, F_OK))
		return 0; /* nng's and libuv's threads */
	assert_int_equal(weir__load(path, plugin, &loaded, &refusal, why, sizeof why), 0);
	return loaded->desc.needs;
}

static uint64_t hex_field(const char *path, const char *name, char *comm)
{
	char line[256];
	FILE *f = fopen(path, "r");
	uint64_t value = ~0ull;

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		if (comm && !strncmp(line, "Name:\t", 6))
			snprintf(comm, 32, "%.*s", (int)strcspn(line + 6, "\n"), line + 6);
		if (!strncmp(line, name, strlen(name)))
			value = strtoull(line + strlen(name), NULL, !strncmp(name, "Cap", 3) ? 16 : 10);
	}
	fclose(f);
	return value;
}

static uint64_t of_process(const struct daemon *d, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/status", (int)d->pid);
	return hex_field(path, name, NULL);
}

/* Each thread has what the plugin on it declares; all others have nothing; none interrupts the host's work.
 * Returns how many threads of plugins there were. */
static unsigned check_threads(const struct daemon *d)
{
	char path[300], comm[32];
	struct dirent *e;
	unsigned hosts = 0;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)d->pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		uint64_t want, effective;

		if (e->d_name[0] == '.' || strtol(e->d_name, NULL, 10) == (long)d->pid)
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)d->pid, e->d_name);
		assert_int_equal(sched_getscheduler((pid_t)strtol(e->d_name, NULL, 10)), SCHED_BATCH);
		effective = hex_field(path, "CapEff:", comm);
		if (OTHERS_THREADS && !strcmp(comm, "weir"))
			continue;
		want = needs_of(comm);
		if (effective != want || hex_field(path, "CapPrm:", NULL) != want)
			fail_msg("thread %s has %llx, declared %llx", comm, (unsigned long long)effective,
			         (unsigned long long)want);
		assert_int_equal(hex_field(path, "NoNewPrivs:", NULL), 1);
		hosts += !strcmp(comm, "stdout") || want;
	}
	closedir(dir);
	return hosts;
}

/* The daemon is nobody else's user than its own and has exactly what its plugins
 * declare, ready for children but not given to them; so has each thread. */
static void exactly(void **state)
{
	uint64_t want = needs_of("iomonitor") | needs_of("procfs-fallback") | needs_of("stdout") |
		needs_of("prometheus");
	struct weir__identity id;
	struct daemon d;

	(void)state;
	assert_int_equal(weir__privilege_identity("weir", &id), 0);
	assert_int_not_equal(id.uid, 0);
	daemon_start(&d, COMMON "http: {listen: '127.0.0.1:0'}\n"
	             "plugins:\n  iomonitor:\n  procfs-fallback: {fallback: always}\n"
	             "  stdout: {file: /dev/null}\n  prometheus: {enabled: false}\n");
	assert_int_equal(of_process(&d, "Uid:"), id.uid);
	assert_int_equal(of_process(&d, "Gid:"), id.gid);
	assert_int_equal(of_process(&d, "CapEff:"), want);
	assert_int_equal(of_process(&d, "CapPrm:"), want);
	assert_int_equal(of_process(&d, "CapInh:"), want);
	assert_int_equal(of_process(&d, "CapBnd:"), want);
	assert_int_equal(of_process(&d, "CapAmb:"), 0);
	assert_int_equal(of_process(&d, "NoNewPrivs:"), 1);
	assert_int_equal(check_threads(&d), 3);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	assert_int_not_equal(access(d.socket, F_OK), 0); /* it may still tidy up */
	daemon_clean(&d);
}

static bool both_run(const json_t *status, void *arg)
{
	(void)arg;
	return json_integer_value(json_object_get(plugin_of(status, "iomonitor"), "pid")) > 0 &&
	       json_integer_value(json_object_get(plugin_of(status, "stdout"), "pid")) > 0;
}

static void process_is_exact(const json_t *plugin, uid_t uid)
{
	const char *name = json_string_value(json_object_get(plugin, "name"));
	static const char *const sets[] = { "CapInh:", "CapPrm:", "CapEff:", "CapAmb:" };
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/status", (int)num(plugin, "pid"));
	assert_int_equal(hex_field(path, "Uid:", NULL), uid);
	for (size_t i = 0; i < 4; i++)
		if (hex_field(path, sets[i], NULL) != needs_of(name))
			fail_msg("%s of %s is not what it declares", sets[i], name);
	assert_int_equal(hex_field(path, "NoNewPrivs:", NULL), 1);
	assert_int_equal(hex_field(path, "Seccomp:", NULL), 2);
	assert_int_equal(sched_getscheduler((pid_t)num(plugin, "pid")), SCHED_BATCH);
}

/* The process of a plugin has exactly what that declares, and a filter; it ends with
 * the daemon, however that ends. */
static void processes(void **state)
{
	struct weir__identity id;
	struct daemon d;
	char path[64];
	json_t *s;
	pid_t pid;

	(void)state;
	assert_int_equal(weir__privilege_identity("weir", &id), 0);
	daemon_start(&d, COMMON "http: {listen: ''}\nplugins:\n  iomonitor: {isolation: process}\n"
	             "  stdout: {isolation: process, file: /dev/null}\n  procfs-fallback:\n");
	s = wait_for(&d, both_run, NULL, "both processes");
	process_is_exact(plugin_of(s, "iomonitor"), id.uid);
	process_is_exact(plugin_of(s, "stdout"), id.uid);
	assert_string_equal(json_string_value(json_object_get(plugin_of(s, "iomonitor"), "source")), "bpf");
	pid = (pid_t)num(plugin_of(s, "iomonitor"), "pid");
	json_decref(s);
	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(daemon_stop(&d, SIGKILL), -1);
	for (int i = 0; i < 2000 && !access(path, F_OK); i++)
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
	assert_int_not_equal(access(path, F_OK), 0);
	daemon_clean(&d);
}

/* `user: root` keeps the uid and nothing else, and is warned of; "" keeps all. */
static void root_when_asked(void **state)
{
	struct daemon d;
	char *log;

	(void)state;
	daemon_start(&d, COMMON "http: {listen: ''}\nuser: root\n" SHIPPED);
	assert_int_equal(of_process(&d, "Uid:"), 0);
	assert_int_equal(of_process(&d, "CapEff:"), needs_of("iomonitor") | needs_of("procfs-fallback"));
	check_threads(&d);
	log = daemon_log(&d);
	assert_non_null(strstr(log, "level=warn msg=\"running as root"));
	free(log);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
	daemon_start(&d, COMMON "http: {listen: ''}\nuser: ''\n" SHIPPED);
	assert_int_equal(of_process(&d, "Uid:"), 0);
	assert_int_equal(of_process(&d, "CapEff:"), hex_field("/proc/self/status", "CapEff:", NULL));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* A container that may not change users: it does not go on as root by accident. */
static void no_right_to_change(void **state)
{
	struct daemon d;
	char *log;

	(void)state;
	fixture_without = 1ull << 7; /* CAP_SETUID */
	daemon_spawn(&d, COMMON "http: {listen: ''}\n" SHIPPED);
	fixture_without = 0;
	assert_int_equal(daemon_wait(&d), 1);
	log = daemon_log(&d);
	assert_non_null(strstr(log, "cannot become user weir"));
	assert_non_null(strstr(log, "CAP_SETUID"));
	free(log);
	daemon_clean(&d);
}

/* A plugin that came after the start cannot get what was given up: it says so, and
 * what to do. */
static void too_late(void **state)
{
	struct daemon d;
	json_t *a;

	(void)state;
	daemon_start(&d, COMMON "http: {listen: ''}\nplugins:\n  stdout: {file: /dev/null}\n");
	assert_int_equal(of_process(&d, "CapEff:"), 0);
	a = daemon_ask(&d, json_pack("{s:s, s:s}", "cmd", "enable", "plugin", "iomonitor"));
	assert_true(json_is_false(json_object_get(a, "ok")));
	assert_non_null(strstr(json_string_value(json_object_get(a, "error")), "gave up"));
	assert_non_null(strstr(json_string_value(json_object_get(a, "error")), "CAP_BPF"));
	assert_non_null(strstr(json_string_value(json_object_get(a, "error")), "restart weir"));
	json_decref(a);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

static bool appears(const char *path)
{
	for (int i = 0; i < 2000 && access(path, F_OK); i++)
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
	return !access(path, F_OK);
}

/* A low port is open before the drop, and a rotated log is opened anew after it. */
static void before_and_after(void **state)
{
	char log[300], moved[310], *said;
	struct daemon d;

	(void)state;
	daemon_start(&d, COMMON "http: {listen: '127.0.0.1:943'}\nlog: {file: '@D/weir.log'}\n" SHIPPED);
	snprintf(log, sizeof log, "%s/weir.log", d.dir);
	snprintf(moved, sizeof moved, "%s.1", log);
	assert_int_equal(rename(log, moved), 0);
	assert_int_equal(kill(d.pid, SIGHUP), 0);
	assert_true(appears(log));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	snprintf(d.log, sizeof d.log, "%.290s", moved);
	said = daemon_log(&d);
	assert_non_null(strstr(said, "listening on 127.0.0.1:943"));
	free(said);
	daemon_clean(&d);
}

/* A plugin file that others may write is refused, and so is one in such a directory;
 * the rest runs. */
static void writable_plugin(void **state)
{
	char dir[300], file[320], command[1000];
	struct daemon d;
	json_t *s;

	(void)state;
	/* beside the plugins, since every directory above must be root's alone */
	snprintf(dir, sizeof dir, "%s-open-XXXXXX", WEIR_PLUGINS);
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof file, "%s/iomonitor.so", dir);
	snprintf(command, sizeof command, "cp '%s/iomonitor.so' '%s'", WEIR_PLUGINS, file);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof command, COMMON "http: {listen: ''}\nplugins:\n"
	         "  iomonitor: {path: '%s'}\n  stdout: {file: /dev/null}\n", file);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(chmod(file, i ? 0644 : 0666), 0);
		assert_int_equal(chmod(dir, i ? 0777 : 0755), 0);
		daemon_start(&d, command);
		s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
		assert_string_equal(json_string_value(json_object_get(plugin_of(s, "iomonitor"), "state")),
		                    "refused");
		assert_non_null(strstr(json_string_value(json_object_get(plugin_of(s, "iomonitor"), "reason")),
		                       i ? "directory:" : "mode:"));
		json_decref(s);
		assert_int_equal(daemon_stop(&d, SIGTERM), 0);
		daemon_clean(&d);
	}
	unlink(file);
	rmdir(dir);
}

/* ---- the table in the documentation ---------------------------------------------------- */

struct row {
	char collector[32], without[32], source[16], quality[16], others[8], reason[120];
};

static void trim(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	while (*from == ' ' || *from == '`')
		from++, n--;
	while (n && (from[n - 1] == ' ' || from[n - 1] == '`'))
		n--;
	snprintf(to, size, "%.*s", (int)n, from);
}

/* "| iomonitor | CAP_BPF | none | - | - | reason |" */
static bool parse_row(char *line, struct row *r)
{
	char *cells[6], *save = NULL;

	if (strncmp(line, "| ", 2) || !strncmp(line, "| collector", 11))
		return false;
	for (int i = 0; i < 6; i++)
		if (!(cells[i] = strtok_r(i ? NULL : line, "|", &save)))
			return false;
	trim(r->collector, sizeof r->collector, cells[0]);
	trim(r->without, sizeof r->without, cells[1]);
	trim(r->source, sizeof r->source, cells[2]);
	trim(r->quality, sizeof r->quality, cells[3]);
	trim(r->others, sizeof r->others, cells[4]);
	trim(r->reason, sizeof r->reason, cells[5]);
	return true;
}

static uint64_t capability(const char *name)
{
	char buf[64];

	for (unsigned i = 0; i < 41; i++)
		if (!strcmp(weir__privilege_names(1ull << i, buf, sizeof buf), name))
			return 1ull << i;
	return 0;
}

static bool passed_once(const json_t *status, void *arg)
{
	(void)status;
	return strstr(arg, "weir_procfs_passes_total 0\n") == NULL && strstr(arg, "weir_procfs_passes_total ");
}

static char *metrics(struct daemon *d)
{
	json_t *a = daemon_call(d, json_pack("{s:s, s:s, s:s, s:[]}", "cmd", "query", "plugin", "prometheus",
	                                     "query", "metrics", "args"));
	char *text = strdup(json_string_value(json_object_get(a, "body")));

	json_decref(a);
	return text;
}

static long value_of(const char *text, const char *series)
{
	const char *at = strstr(text, series);

	return at ? strtol(at + strlen(series), NULL, 10) : -1;
}

/* May it read what other users' processes do? Most processes are others'. */
static const char *reads_others(struct daemon *d)
{
	char *text = NULL;
	long read, denied;

	for (int i = 0; i < 400; i++) {
		free(text);
		text = metrics(d);
		if (passed_once(NULL, text))
			break;
		nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	}
	read = value_of(text, "weir_procfs_processes{state=\"read\"} ");
	denied = value_of(text, "weir_procfs_processes{state=\"denied\"} ");
	free(text);
	assert_true(read >= 0 && denied >= 0 && read + denied > 2);
	return read > denied ? "yes" : "no";
}

static void holds(const struct row *r)
{
	const char *source, *quality, *reason;
	struct daemon d;
	char yaml[600], got[400];
	json_t *s, *p;

	/* CAP_SYS_ADMIN would stand for the others */
	fixture_without = capability(r->without) | 1ull << 21;
	if (strcmp(r->without, "nothing") && fixture_without == 1ull << 21)
		fail_msg("docs/capabilities.md: there is no capability %s", r->without);
	snprintf(yaml, sizeof yaml, COMMON "http: {listen: ''}\nplugins:\n"
	         "  %.32s: {%s}\n  stdout: {file: /dev/null}\n  prometheus:\n", r->collector,
	         strcmp(r->others, "-") ? "fallback: always, interval: 1s" : "");
	daemon_start(&d, yaml);
	fixture_without = 0;
	assert_int_not_equal(of_process(&d, "Uid:"), 0);
	s = daemon_call(&d, json_pack("{s:s}", "cmd", "status"));
	p = plugin_of(s, r->collector);
	source = json_string_value(json_object_get(p, "source"));
	quality = json_string_value(json_object_get(p, "quality"));
	reason = json_string_value(json_object_get(p, "reason"));
	snprintf(got, sizeof got, "%s | %s | %s", source ? source : "none",
	         !source ? "-" : quality && *quality ? quality : "exact",
	         strcmp(r->others, "-") ? reads_others(&d) : "-");
	snprintf(yaml, sizeof yaml, "%s | %s | %s", r->source, r->quality, r->others);
	print_message("%s without %s: %s%s%s\n", r->collector, r->without, got, reason ? ": " : "",
	              reason ? reason : "");
	assert_string_equal(got, yaml);
	if (strcmp(r->reason, "-"))
		assert_non_null(strstr(reason ? reason : "", r->reason));
	json_decref(s);
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

#define WITH_QUEUE(size) COMMON "http: {listen: ''}\nplugins:\n  stdout: {file: /dev/null, queue: " size "}\n"

static bool queue_is(struct daemon *d, const char *want)
{
	json_t *a = daemon_call(d, json_pack("{s:s, s:s, s:s}", "cmd", "get", "plugin", "stdout",
	                                     "option", "queue"));
	bool is = !strcmp(json_string_value(json_object_get(a, "value")), want);

	json_decref(a);
	return is;
}

/* A file that only root can open, once the daemon is another: written in place, it is
 * read; another one in its place is refused, unless root's `weir reload` brings it. */
static void config_of_root(void **state)
{
	struct daemon d;
	char line[2000];
	json_t *a;
	FILE *f;

	(void)state;
	daemon_start(&d, WITH_QUEUE("1MiB"));
	assert_int_equal(chmod(d.config, 0600), 0);
	snprintf(line, sizeof line, "sed 's/queue: 1MiB/queue: 2MiB/' %s > %s.new && cat %s.new > %s", d.config,
	         d.config, d.config, d.config);
	f = popen(line, "r");
	assert_non_null(f);
	assert_int_equal(pclose(f), 0);
	kill(d.pid, SIGHUP);
	for (int i = 0; i < 2000 && !queue_is(&d, "2MiB"); i++)
		usleep(10000);
	assert_true(queue_is(&d, "2MiB"));
	daemon_configure(&d, WITH_QUEUE("3MiB"));
	assert_int_equal(chmod(d.config, 0600), 0);
	a = daemon_ask(&d, json_pack("{s:s}", "cmd", "reload"));
	assert_false(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
	assert_true(queue_is(&d, "2MiB"));
	snprintf(line, sizeof line, "WEIR_CONTROL_SOCKET=%s %s reload", d.socket, WEIR_BINARY);
	f = popen(line, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f));
	assert_string_equal(line, "reloaded: 1 updated (stdout)\n");
	while (fgets(line, sizeof line, f)) {
	}
	assert_int_equal(pclose(f), 0);
	assert_true(queue_is(&d, "3MiB"));
	/* What is no configuration is not handed over: the daemon, who names the file, must not
	 * be able to have root read another one for it. */
	daemon_configure(&d, "root:secret:1:0:::::\n");
	assert_int_equal(chmod(d.config, 0600), 0);
	snprintf(line, sizeof line, "WEIR_CONTROL_SOCKET=%s %s reload 2>&1", d.socket, WEIR_BINARY);
	f = popen(line, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f));
	assert_non_null(strstr(line, "replaced by another"));
	while (fgets(line, sizeof line, f))
		assert_null(strstr(line, "secret"));
	assert_int_not_equal(pclose(f), 0);
	assert_true(queue_is(&d, "3MiB"));
	assert_int_equal(daemon_stop(&d, SIGTERM), 0);
	daemon_clean(&d);
}

/* Every row of the table is what happens, and there is a row for every capability of
 * every shipped collector, and one with all of them. */
static void documented(void **state)
{
	struct row rows[40];
	char line[1000], buf[64], *names[2] = { "iomonitor", "procfs-fallback" };
	FILE *f = fopen(WEIR_SOURCE "/docs/capabilities.md", "r");
	size_t n = 0;

	(void)state;
	assert_non_null(f);
	while (n < 40 && fgets(line, sizeof line, f) && strncmp(line, "<!-- end", 8))
		n += parse_row(line, &rows[n]) && capability(rows[n].without) + !strcmp(rows[n].without, "nothing");
	fclose(f);
	for (size_t c = 0; c < 2; c++)
		for (unsigned bit = 0; bit <= 64; bit++) {
			const char *without = bit == 64 ? "nothing"
				: weir__privilege_names(1ull << bit, buf, sizeof buf);
			size_t found = 0;

			if (bit < 64 && !(needs_of(names[c]) & 1ull << bit))
				continue;
			for (size_t i = 0; i < n; i++)
				found += !strcmp(rows[i].collector, names[c]) && !strcmp(rows[i].without, without);
			if (found != 1)
				fail_msg("docs/capabilities.md has %zu rows for %s without %s", found, names[c], without);
		}
	for (size_t i = 0; i < n; i++)
		holds(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly), cmocka_unit_test(processes), cmocka_unit_test(root_when_asked),
		cmocka_unit_test(no_right_to_change), cmocka_unit_test(too_late),
		cmocka_unit_test(before_and_after), cmocka_unit_test(writable_plugin),
		cmocka_unit_test(config_of_root),  cmocka_unit_test(documented),
	};

	need_bpf();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
