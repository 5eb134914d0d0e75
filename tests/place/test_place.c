/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs at a place: what they count is what was sent, what they do not want passes, and
 * nothing of them is left, whatever ends them. Interfaces of namespaces of the test's own;
 * cgroup programs are at the machine's root and look for this process only.
 */
#include "bpf_priv.h"
#include "fixture.h"
#include "gates.h"
#include "meter.h"
#include "net.h"
#include "privilege.h"
#include "traffic_gates.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TCX(egress) (WEIR__TCX_INGRESS + (egress))

static struct net_pair pair;
static const struct weir_source source = {
	.name = "bpf", .doc = "Gates", .quality = "", WEIR_BPF_OBJECT(gates),
	.programs = WEIR_TABLE(gates_programs),
};

static struct weir__bpf *open_gates(bool on)
{
	uint16_t port = htons(GATES_PORT);
	uint32_t pid = (uint32_t)getpid();
	struct weir__bpf *b;

	assert_int_equal(weir__bpf_new(&source, 65536, &b), 0);
	assert_int_equal(weir__bpf_set_const(b, "gates_port", &port, sizeof port), 0);
	assert_int_equal(weir__bpf_set_const(b, "gates_tgid", &pid, sizeof pid), 0);
	if (weir__bpf_load(b))
		fail_msg("%s", weir__bpf_error(b));
	weir__bpf_enable(b, on);
	return b;
}

static uint64_t seen(struct weir__bpf *b, uint32_t gate)
{
	uint64_t n = 0;

	weir__map_lookup(weir__bpf_map_fd(b, "gates_seen"), &gate, &n);
	return n;
}

static struct weir__bpf_program *row(struct weir__bpf *b, enum gate gate)
{
	struct weir__bpf_program *rows;

	assert_int_equal(weir__bpf_programs(b, &rows), GATES);
	return &rows[gate];
}

static int at(struct weir__bpf *b, unsigned ifindex, uint32_t flags, bool on)
{
	return weir__bpf_attach_at(b, "gate_tc", (int)ifindex, flags, on);
}

/* ---- what is at an interface ----------------------------------------------------------------- */

static uint32_t tcx_count(unsigned ifindex, bool egress)
{
	uint32_t ids[64], n = 64, flags = 0;

	return bpf_prog_query((int)ifindex, (enum bpf_attach_type)TCX(egress), 0, &flags, ids, &n) ? 0 : n;
}

/* Output of a command in a namespace. */
static void tc(const struct ns *ns, const char *command, char *text, size_t size)
{
	const struct ns *was = ns_enter(ns);
	FILE *f = popen(command, "re");
	size_t n = f ? fread(text, 1, size - 1, f) : 0;

	text[n] = 0;
	assert_non_null(f);
	pclose(f);
	ns_enter(was);
}

static int count_of(const char *text, const char *what)
{
	int n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

static int filters(const char *direction)
{
	char command[128], text[8192];

	snprintf(command, sizeof command, "/sbin/tc filter show dev c0 %s", direction);
	tc(&pair.client, command, text, sizeof text);
	return count_of(text, "handle 0x");
}

static bool has_clsact(void)
{
	char text[4096];

	tc(&pair.client, "/sbin/tc qdisc show dev c0", text, sizeof text);
	return strstr(text, "clsact") != NULL;
}

static bool have_tcx(void)
{
	static int known = -1;
	struct weir__bpf *b;

	if (known >= 0)
		return known;
	b = open_gates(false);
	ns_enter(&pair.client);
	assert_int_equal(at(b, link_index(&pair.client, "c0"), 0, true), 0);
	known = tcx_count(link_index(&pair.client, "c0"), false) == 1;
	weir__bpf_free(b);
	ns_enter(NULL);
	return known;
}

/* ---- tc ---------------------------------------------------------------------------------------- */

static void counts(void)
{
	struct weir__bpf *b = open_gates(true);
	unsigned c0 = link_index(&pair.client, "c0");

	ns_enter(&pair.client);
	assert_int_equal(at(b, c0, WEIR_ATTACH_EGRESS, true), 0);
	assert_int_equal(at(b, c0, WEIR_ATTACH_EGRESS, true), 0); /* it is */
	assert_true(row(b, GATE_TC)->attached);
	send_from(&pair, 1, 20);
	send_from(&pair, 2, 5); /* the other direction */
	assert_int_equal(seen(b, GATE_TC), 20);
	assert_int_equal(at(b, c0, WEIR_ATTACH_INGRESS | WEIR_ATTACH_LAST, true), 0);
	send_from(&pair, 2, 5);
	assert_int_equal(seen(b, GATE_TC), 25);
	assert_true(row(b, GATE_TC)->runs >= 25);

	weir__bpf_enable(b, false); /* off: they pass, unseen */
	send_from(&pair, 1, 3);
	send_from(&pair, 2, 3);
	weir__bpf_enable(b, true);
	assert_int_equal(at(b, c0, WEIR_ATTACH_EGRESS, false), 0);
	assert_int_equal(at(b, c0, WEIR_ATTACH_EGRESS, false), 0);
	send_from(&pair, 1, 3);
	assert_int_equal(seen(b, GATE_TC), 25);

	assert_int_equal(at(b, 99999, 0, true), -ENODEV);
	assert_non_null(strstr(row(b, GATE_TC)->error, "99999"));
	assert_int_equal(at(b, 0, 0, true), -EINVAL);
	assert_int_equal(weir__bpf_attach_at(b, "gate_egress", (int)c0, 0, true), -ENOENT);
	weir__bpf_detach(b);
	weir__bpf_free(b);
	ns_enter(NULL);
	assert_int_equal(tcx_count(c0, false) + tcx_count(c0, true), 0);
	assert_false(has_clsact());
}

static void sheds(void)
{
	struct weir__bpf *b = open_gates(true);
	unsigned c0 = link_index(&pair.client, "c0"), x0;

	link_pair(&pair.client, "x0", &pair.client, "x1");
	x0 = link_index(&pair.client, "x0");
	ns_enter(&pair.client);
	assert_int_equal(at(b, x0, WEIR_ATTACH_EGRESS, true), 0);
	assert_int_equal(at(b, c0, WEIR_ATTACH_EGRESS, true), 0);
	send_from(&pair, 1, 2);
	assert_int_equal(weir__bpf_shed(b, 2), 0);
	assert_false(row(b, GATE_TC)->attached);
	assert_true(row(b, GATE_EGRESS)->attached);
	send_from(&pair, 1, 2);
	assert_int_equal(seen(b, GATE_TC), 2);
	/* What the plugin asks for meanwhile is done later; an interface may be gone by then. */
	assert_int_equal(at(b, c0, WEIR_ATTACH_INGRESS, true), 0);
	link_delete(&pair.client, "x0");
	assert_int_equal(weir__bpf_shed(b, 0), 0);
	assert_true(row(b, GATE_TC)->attached);
	send_from(&pair, 1, 2);
	send_from(&pair, 2, 2);
	assert_int_equal(seen(b, GATE_TC), 6);
	assert_int_equal(weir__bpf_shed(b, 2), 0);
	weir__bpf_free(b); /* while it is shed: nothing leaks */
	ns_enter(NULL);
	assert_false(has_clsact());
}

static void tcx(void **state)
{
	(void)state;
	if (!have_tcx()) {
		print_message("SKIP: tcx: this kernel has none\n");
		skip();
	}
	counts();
	sheds();
}

static void clsact(void **state)
{
	(void)state;
	weir__bpf_no_tcx = true;
	counts();
	sheds();
	weir__bpf_no_tcx = false;
}

/* A process that has attached, and is killed. */
static void attach_and_die(void)
{
	unsigned c0 = link_index(&pair.client, "c0");
	int fds[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		struct weir__bpf *b = open_gates(true);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ns_enter(&pair.client);
		if (at(b, c0, WEIR_ATTACH_EGRESS, true) || at(b, c0, WEIR_ATTACH_INGRESS, true) ||
		    write(fds[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static bool links_gone(void)
{
	unsigned c0 = link_index(&pair.client, "c0");

	ns_enter(&pair.client);
	/* The kernel frees descriptors of the dead a moment later. */
	for (int i = 0; i < 500 && tcx_count(c0, false) + tcx_count(c0, true); i++)
		usleep(10000);
	ns_enter(NULL);
	return !(tcx_count(c0, false) + tcx_count(c0, true));
}

/* A link ends with its process. A filter does not: whoever attaches next removes it, but not
 * those of one that lives, nor anybody else's. */
static void killed(void **state)
{
	struct weir__bpf *a, *b;
	unsigned c0 = link_index(&pair.client, "c0");

	(void)state;
	if (have_tcx()) {
		attach_and_die();
		assert_true(links_gone());
	}
	weir__bpf_no_tcx = true;
	attach_and_die();
	attach_and_die();
	assert_int_equal(filters("egress"), 1); /* of the second: it has removed the first's */
	ns_enter(&pair.client);
	a = open_gates(true);
	b = open_gates(true);
	assert_int_equal(at(a, c0, WEIR_ATTACH_EGRESS, true), 0);
	assert_int_equal(at(b, c0, WEIR_ATTACH_EGRESS, true), 0);
	assert_int_equal(filters("egress"), 2);
	assert_int_equal(filters("ingress"), 0);
	send_from(&pair, 1, 4);
	assert_int_equal(seen(a, GATE_TC), 4);
	assert_int_equal(seen(b, GATE_TC), 4);
	weir__bpf_free(a);
	assert_int_equal(filters("egress"), 1);
	send_from(&pair, 1, 4);
	assert_int_equal(seen(b, GATE_TC), 8);
	weir__bpf_free(b);
	ns_enter(NULL);
	assert_false(has_clsact());
	weir__bpf_no_tcx = false;
}

static void shell(const char *command)
{
	char text[512];

	tc(&pair.client, command, text, sizeof text);
	if (*text)
		fail_msg("%s: %s", command, text);
}

/* A filter that is not Weir's. */
static void add_theirs(struct weir__bpf *b)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)link_index(&pair.client, "c0"),
	            .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 9,
	            .prog_fd = weir__bpf_program_fd(&b->programs[GATE_TC]));

	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

/* A clsact that was there stays, with and without its owner's filters; one that Weir made stays
 * while somebody uses it. */
static void others(void **state)
{
	unsigned c0 = link_index(&pair.client, "c0");
	struct weir__bpf *b;

	(void)state;
	weir__bpf_no_tcx = true;
	for (int theirs = 0; theirs < 2; theirs++) {
		b = open_gates(true);
		if (theirs)
			shell("/sbin/tc qdisc add dev c0 clsact 2>&1");
		ns_enter(&pair.client);
		assert_int_equal(at(b, c0, WEIR_ATTACH_EGRESS | WEIR_ATTACH_PRIORITY(7), true), 0);
		if (!theirs)
			add_theirs(b);
		weir__bpf_free(b);
		ns_enter(NULL);
		assert_true(has_clsact());
		assert_int_equal(filters("egress"), 0);
		assert_int_equal(filters("ingress"), !theirs);
		shell("/sbin/tc qdisc del dev c0 clsact 2>&1");
	}
	/* An ingress qdisc has no egress side. */
	shell("/sbin/tc qdisc add dev c0 ingress 2>&1");
	b = open_gates(true);
	ns_enter(&pair.client);
	assert_int_equal(at(b, c0, WEIR_ATTACH_EGRESS, true), -EBUSY);
	assert_int_equal(at(b, c0, WEIR_ATTACH_INGRESS, true), 0);
	send_from(&pair, 2, 3);
	assert_int_equal(seen(b, GATE_TC), 3);
	weir__bpf_free(b);
	ns_enter(NULL);
	shell("/sbin/tc qdisc del dev c0 ingress 2>&1");
	weir__bpf_no_tcx = false;
}

/* ---- cgroups -------------------------------------------------------------------------------------- */

static void connect_once(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int in = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(in, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(in, 1), 0);
	assert_int_equal(getsockname(in, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(out, (struct sockaddr *)&a, len), 0);
	close(out);
	close(in);
}

static void cgroup(void **state)
{
	uint32_t before = at_root();
	struct weir__bpf *b = open_gates(true);

	(void)state;
	for (int i = 0; i < GATE_TC; i++)
		if (!row(b, (enum gate)i)->attached)
			fail_msg("%s", row(b, (enum gate)i)->error);
	assert_int_equal(at_root(), before + 1);
	send_from(&pair, 1, 9);
	connect_once();
	assert_int_equal(seen(b, GATE_EGRESS), 9);
	assert_int_equal(seen(b, GATE_INGRESS), 9);
	assert_int_equal(seen(b, GATE_CREATE), 4); /* two for packets, two for the connection */
	assert_int_equal(seen(b, GATE_CONNECT), 1);
	assert_true(seen(b, GATE_OPS) >= 1);
	for (int i = 0; i < 10; i++)
		send_from(&pair, 1, 10); /* enough for the meter to have timed some */
	assert_true(row(b, GATE_EGRESS)->hook_ns > 3 * weir__meter_cal()->hook_ns * 100);
	weir__bpf_enable(b, false); /* off: all of it goes on as before, unseen */
	send_from(&pair, 1, 9);
	connect_once();
	assert_int_equal(seen(b, GATE_EGRESS), 109);
	assert_int_equal(seen(b, GATE_CONNECT), 1);
	weir__bpf_free(b);
	assert_int_equal(at_root(), before);
}

/* Another host takes it over: the counts go on, nothing is at the root twice. */
static void handed_over(void **state)
{
	uint32_t before = at_root();
	struct weir__bpf *a = open_gates(true), *b;
	struct weir__bpf_handles h;
	uint16_t port = htons(GATES_PORT);
	uint32_t pid = (uint32_t)getpid();

	(void)state;
	send_from(&pair, 1, 2);
	assert_int_equal(weir__bpf_new(&source, 65536, &b), 0);
	assert_int_equal(weir__bpf_set_const(b, "gates_port", &port, sizeof port), 0);
	assert_int_equal(weir__bpf_set_const(b, "gates_tgid", &pid, sizeof pid), 0);
	assert_int_equal(weir__bpf_export(a, &h), 0);
	assert_true(h.movable);
	assert_int_equal(weir__bpf_adopt(b, &h), 0);
	weir__bpf_handles_close(&h);
	weir__bpf_part(a);
	assert_int_equal(at_root(), before + 1);
	send_from(&pair, 1, 2);
	assert_int_equal(seen(b, GATE_EGRESS), 4);
	/* It is the other's now: shed, it is gone; after, it is back. */
	assert_int_equal(weir__bpf_shed(b, 3), 0);
	assert_int_equal(at_root(), before);
	assert_int_equal(weir__bpf_shed(b, 0), 0);
	assert_int_equal(at_root(), before + 1);
	ns_enter(&pair.client);
	assert_int_equal(at(b, link_index(&pair.client, "c0"), WEIR_ATTACH_EGRESS, true), 0);
	send_from(&pair, 1, 2);
	assert_int_equal(seen(b, GATE_EGRESS), 6);
	assert_int_equal(seen(b, GATE_TC), 2);
	/* With interfaces it cannot be handed over again: they are exchanged. */
	assert_int_equal(weir__bpf_export(b, &h), 0);
	assert_false(h.movable);
	weir__bpf_free(b);
	ns_enter(NULL);
	assert_int_equal(at_root(), before);
}

/* ---- maps, on a thread that has no rights ---------------------------------------------------------- */

struct drain {
	struct weir__bpf *b;
	int rc;
	uint32_t count;
	uint32_t keys[16];
	uint64_t values[16];
};

static void drain(void *arg)
{
	struct drain *d = arg;
	uint64_t token = 0;

	d->count = 16;
	d->rc = weir__map_drain(weir__bpf_map_fd(d->b, "gates_seen"), &token, true, d->keys, d->values, &d->count);
}

static void drained(void **state)
{
	struct drain d = { .b = open_gates(true) };
	uint64_t sum = 0;

	(void)state;
	send_from(&pair, 1, 6);
	weir__bpf_enable(d.b, false);
	assert_int_equal(weir__privilege_bare(drain, &d), 0);
	assert_int_equal(d.rc, -ENOENT); /* and that was all */
	for (uint32_t i = 0; i < d.count; i++)
		if (d.keys[i] == GATE_EGRESS || d.keys[i] == GATE_INGRESS)
			sum += d.values[i];
	assert_int_equal(sum, 12);
	assert_int_equal(seen(d.b, GATE_EGRESS), 0);
	weir__bpf_free(d.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcx), cmocka_unit_test(clsact), cmocka_unit_test(killed),
		cmocka_unit_test(others), cmocka_unit_test(cgroup), cmocka_unit_test(handed_over),
		cmocka_unit_test(drained),
	};
	int rc;

	need_bpf();
	if (no_net()) {
		printf("SKIP: %s\n", no_net());
		return 77;
	}
	pair_new(&pair, 41);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free(&pair);
	return rc;
}
