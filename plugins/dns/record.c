/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records: from a question and its response to the struct that outputs see, the fields' names
 * and meanings, and the queue in which records wait until they may be emitted.
 */
#include "dns.h"

#include <string.h>

#define F(m, t, u, d, ...) WEIR_FIELD(struct weir_dns_transaction, m, t, u, d, __VA_ARGS__)
#define NAMED(n, m, t, d) { .name = n, .type = t, .unit = "", .doc = d,                    \
	.offset = offsetof(struct weir_dns_transaction, m),                                \
	.size = sizeof(((struct weir_dns_transaction *)0)->m) }
static const struct weir_field transaction_fields[] = {
	F(outcome, WEIR_ENUM8, "", "What became of the question; timeout: no answer in time",
	  .names = WEIR_DNS_OUTCOME_NAMES),
	F(name, WEIR_TEXT, "", "Name asked for, as sent, escaped as in a zone file; in mDNS without a question that of the first answer"),
	F(name_truncated, WEIR_BOOL, "", "The name is longer than the field"),
	F(redacted, WEIR_BOOL, "", "Names are keyed hashes"),
	F(type_name, WEIR_TEXT, "", "Type asked for: A, AAAA, HTTPS, ..."),
	F(type, WEIR_U16, "", "Its number"),
	NAMED("class", class_, WEIR_U16, "Class asked for; 1 IN"),
	F(rcode_name, WEIR_TEXT, "", "Result: NOERROR, NXDOMAIN, SERVFAIL, ...; empty without a response"),
	F(rcode, WEIR_U16, "", "Its number, with the bits of EDNS"),
	F(query_ns, WEIR_TIME_NS, "", "When the question was sent, the last time if it was repeated"),
	F(response_ns, WEIR_TIME_NS, "", "When the response came"),
	F(latency_ns, WEIR_U64, "ns", "From the newest query to its response; 0 unless answered"),
	F(wait_ns, WEIR_U64, "ns", "From the first query to the response, over retries and a switch to TCP"),
	F(retries, WEIR_U16, "queries", "How often the question was repeated"),
	F(transport, WEIR_ENUM8, "", "Carried by", .names = WEIR_DNS_TRANSPORT_NAMES),
	F(tcp_retry, WEIR_BOOL, "", "Asked over TCP because the response over UDP was truncated"),
	F(client_address, WEIR_IP, "", "Who asked"),
	F(client_port, WEIR_U16, "", "Its port"),
	F(server_address, WEIR_IP, "", "Who was asked: destination of the query"),
	F(server_port, WEIR_U16, "", "Its port"),
	F(loopback, WEIR_BOOL, "", "Between sockets of this host; a resolver there asks on by itself"),
	F(role, WEIR_ENUM8, "", "Whose socket was watched: the client's, the server's, or packets on their way",
	  .names = WEIR_DNS_ROLE_NAMES),
	F(pid, WEIR_U32, "", "Process that owns that socket; 0: unknown"),
	F(uid, WEIR_U32, "", "Its user, if the process is known"),
	F(comm, WEIR_CHARS, "", "Its name"),
	F(executable, WEIR_TEXT, "", "Its program"),
	F(cgroup_id, WEIR_U64, "", "Its cgroup (v2)"),
	F(container_id, WEIR_TEXT, "", "Container, from the cgroup"),
	F(unit, WEIR_TEXT, "", "systemd unit, from the cgroup"),
	F(pod_uid, WEIR_TEXT, "", "Kubernetes pod, from the cgroup"),
	F(netns_cookie, WEIR_U64, "", "Network namespace; 0: unknown"),
	F(socket_cookie, WEIR_U64, "", "Socket; 0: unknown"),
	F(interface_index, WEIR_U32, "", "Interface; 0: unknown"),
	F(community_id, WEIR_TEXT, "", "Community ID v1 of the carrying flow"),
	F(id, WEIR_U16, "", "Id of the message"),
	F(opcode, WEIR_U8, "", "0 query, 4 notify, 5 update"),
	F(authoritative, WEIR_BOOL, "", "AA"),
	NAMED("response_truncated", truncated, WEIR_BOOL, "TC of the response, or of the query without one"),
	F(recursion_desired, WEIR_BOOL, "", "RD"),
	F(recursion_available, WEIR_BOOL, "", "RA"),
	F(authentic_data, WEIR_BOOL, "", "AD"),
	F(checking_disabled, WEIR_BOOL, "", "CD"),
	F(zero, WEIR_BOOL, "", "The reserved bit Z"),
	F(questions, WEIR_U16, "", "Questions, as the header says"),
	F(answer_count, WEIR_U16, "", "Answers, as the header says"),
	F(authority_count, WEIR_U16, "", "Records of the authority section, as the header says"),
	F(additional_count, WEIR_U16, "", "Additional records, as the header says"),
	F(answers, WEIR_TEXT, "", "Answers: \"name ttl TYPE data\", separated by \"; \""),
	F(answers_more, WEIR_U16, "", "Answers that there was no room for"),
	F(ttl_min, WEIR_U32, "s", "Smallest TTL of the answers"),
	F(malformed, WEIR_BOOL, "", "A message could be read in part only"),
	F(edns, WEIR_U8, "", "EDNS: 1 in the query, 2 in the response, 3 in both"),
	F(edns_version, WEIR_U8, "", "Its version"),
	F(dnssec_ok, WEIR_BOOL, "", "DO of the query"),
	F(edns_query_size, WEIR_U16, "bytes", "Largest UDP message that the client takes"),
	F(edns_response_size, WEIR_U16, "bytes", "Largest UDP message that the server takes"),
	F(client_subnet, WEIR_TEXT, "", "EDNS client subnet: address/source/scope"),
	F(cookie, WEIR_TEXT, "", "EDNS cookie in hex"),
	F(edns_keepalive, WEIR_U16, "", "TCP keepalive of the response, in 100 ms"),
	F(edns_error, WEIR_U16, "", "Extended error code (RFC 8914) plus one; 0: none"),
	F(query_flags, WEIR_U16, "", "Flags of the query, as in its header: QR opcode AA TC RD RA Z AD CD rcode"),
	F(response_flags, WEIR_U16, "", "Flags of the response"),
	F(query_bytes, WEIR_U32, "bytes", "Size of the query"),
	F(response_bytes, WEIR_U32, "bytes", "Size of the response"),
	F(approx, WEIR_BOOL, "", "Packets were lost meanwhile: the outcome may be wrong"),
	F(source_name, WEIR_TEXT, "", "Source that saw it"),
};

static const struct weir_field packet_fields[] = {
	WEIR_FIELD(struct weir_dns_packet, len, WEIR_U32, "bytes", "Payload of the packet"),
	WEIR_FIELD(struct weir_dns_packet, copied, WEIR_U32, "bytes", "Payload that was copied"),
};

const struct weir_schema dns_schemas[WEIR_DNS_KINDS] = {
	[WEIR_DNS_TRANSACTION] = { .name = "dns", .topic = "dns", .version = 2,
		.size = sizeof(struct weir_dns_transaction), .priority = 1,
		.fields = WEIR_TABLE(transaction_fields), .doc = "A question and what became of it" },
	[WEIR_DNS_PACKET] = { .name = "dns_packet", .topic = "dns", .version = 1,
		.size = sizeof(struct weir_dns_packet), .priority = 1,
		.fields = WEIR_TABLE(packet_fields),
		.doc = "A packet on its way to the plugin, taken up into a transaction" },
};

/* ---- a record --------------------------------------------------------------------- */

/* A record that is being made: the struct, and behind it its strings, each with a NUL. The
 * first byte there is the string of all fields that are empty. */
struct making {
	struct weir_dns_transaction *r;
	uint32_t len;
	struct dns *d;
};

static void text_begin(struct making *k, struct dns_text *t, size_t max)
{
	dns_text_init(t, (char *)k->r + k->len, max + 1);
}

static void text_end(struct making *k, struct weir_text *field, const struct dns_text *t)
{
	*field = (struct weir_text){ .offset = (uint16_t)k->len, .size = (uint16_t)t->len };
	k->len += (uint32_t)t->len + 1;
}

static void text_put(struct making *k, struct weir_text *field, const char *s, size_t n)
{
	char *to = (char *)k->r + k->len;

	if (!n)
		return;
	memcpy(to, s, n);
	to[n] = 0;
	*field = (struct weir_text){ .offset = (uint16_t)k->len, .size = (uint16_t)n };
	k->len += (uint32_t)n + 1;
}

static void begin(struct making *k, struct weir_dns_transaction *r, struct dns *d)
{
	const struct weir_text empty = { .offset = sizeof *r };

	*k = (struct making){ .r = r, .len = sizeof *r + 1, .d = d };
	memset(r, 0, sizeof *r + 1);
	r->name = r->type_name = r->rcode_name = r->client_subnet = r->cookie = r->executable = empty;
	r->community_id = r->container_id = r->unit = r->pod_uid = r->source_name = r->answers = empty;
}

static void put_name(struct making *k, const struct dns_name *name)
{
	struct dns_text t;

	text_begin(k, &t, WEIR_DNS_NAME_MAX);
	dns_redacted(&t, name, k->d);
	k->r->name_truncated = t.cut;
	text_end(k, &k->r->name, &t);
}

static void fill_query(struct making *k, const struct dns_query *q)
{
	struct weir_dns_transaction *r = k->r;
	const char *type;
	char buf[16];

	memcpy(r->client_address, q->seen.src, 16);
	memcpy(r->server_address, q->seen.dst, 16);
	r->client_port = q->seen.sport;
	r->server_port = q->seen.dport;
	r->transport = q->seen.transport;
	r->role = q->seen.role;
	r->loopback = q->seen.loopback;
	r->netns_cookie = q->seen.netns;
	r->id = q->id;
	r->opcode = DNS_OPCODE(q->flags);
	r->retries = q->retries;
	r->tcp_retry = q->tcp_retry;
	r->approx = q->approx;
	r->questions = q->count[DNS_QUESTION];
	r->redacted = k->d->redact != DNS_REDACT_OFF;
	if (!q->none) {
		r->query_flags = q->flags;
		r->query_ns = q->seen.time_ns;
		r->query_bytes = q->bytes;
	}
	if (!q->count[DNS_QUESTION])
		return;
	r->type = q->type;
	r->class_ = q->class_;
	type = dns_type_name(q->type, buf);
	text_put(k, &r->type_name, type, strlen(type));
	put_name(k, &q->name);
}

static void fill_owner(struct weir_dns_transaction *r, const struct dns_seen *s)
{
	r->socket_cookie = s->cookie;
	r->cgroup_id = s->cgroup;
	r->interface_index = s->ifindex;
	if (!s->owned)
		return;
	r->pid = s->pid;
	r->uid = s->uid;
	memcpy(r->comm, s->comm, sizeof r->comm);
}

static void fill_flags(struct weir_dns_transaction *r, unsigned flags)
{
	r->authoritative = !!(flags & DNS_AA);
	r->truncated = !!(flags & DNS_TC);
	r->recursion_desired = !!(flags & DNS_RD);
	r->recursion_available = !!(flags & DNS_RA);
	r->authentic_data = !!(flags & DNS_AD);
	r->checking_disabled = !!(flags & DNS_CD);
	r->zero = !!(flags & DNS_Z);
}

static void put_subnet(struct making *k, const struct dns_edns *e)
{
	struct dns_text t;

	text_begin(k, &t, 63);
	if (e->subnet_family == 1) {
		uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };

		memcpy(mapped + 12, e->subnet, 4);
		dns_text_address(&t, mapped);
	} else {
		dns_text_ipv6(&t, e->subnet);
	}
	dns_text_char(&t, '/');
	dns_text_number(&t, e->subnet_source);
	dns_text_char(&t, '/');
	dns_text_number(&t, e->subnet_scope);
	text_end(k, &k->r->client_subnet, &t);
}

static void fill_edns(struct making *k, const struct dns_edns *e, bool query)
{
	struct weir_dns_transaction *r = k->r;
	struct dns_text t;

	if (!e->present)
		return;
	r->edns |= query ? WEIR_DNS_EDNS_QUERY : WEIR_DNS_EDNS_RESPONSE;
	r->edns_version = e->version;
	r->malformed |= e->bad;
	*(query ? &r->edns_query_size : &r->edns_response_size) = e->size;
	if (query)
		r->dnssec_ok = e->dnssec_ok;
	if (e->subnet_family)
		put_subnet(k, e);
	if (e->cookie_len) {
		text_begin(k, &t, 2 * sizeof e->cookie);
		dns_text_hex(&t, e->cookie, e->cookie_len);
		text_end(k, &r->cookie, &t);
	}
	if (query)
		return;
	r->edns_keepalive = e->has_timeout ? e->keepalive : 0;
	r->edns_error = e->has_error ? (uint16_t)(e->error + 1) : 0;
}

/* An mDNS response has no question; it is about the name of its first answer. */
static void name_of_first(struct making *k, const struct dns_msg *m)
{
	struct dns_name name;
	struct dns_walk w;
	struct dns_rr rr;

	dns_walk_start(m, &w);
	if (!dns_walk_next(m, &w, &rr) && rr.section == DNS_ANSWER && !dns_name_at(m, rr.name_off, &name, NULL))
		put_name(k, &name);
}

static void put_answer(struct dns_text *t, const struct dns_msg *m, const struct dns_rr *rr,
                       const struct dns_name *name, struct dns *d)
{
	char buf[16];

	if (t->len)
		dns_text_string(t, "; ");
	dns_redacted(t, name, d);
	dns_text_char(t, ' ');
	dns_text_number(t, rr->ttl);
	dns_text_char(t, ' ');
	dns_text_string(t, dns_type_name(rr->type, buf));
	/* Text of any kind may say the name that is redacted: only addresses stay. */
	if (d->redact == DNS_REDACT_OFF || rr->type == DNS_A || rr->type == DNS_AAAA ||
	    rr->type == DNS_CNAME) {
		dns_text_char(t, ' ');
		dns_text_data(t, m, rr, dns_redacted, d);
	}
}

/* Each answer goes in whole, or is one of "more"; but of the first what there is room for. */
static void fill_answers(struct making *k, const struct dns_msg *m)
{
	struct weir_dns_transaction *r = k->r;
	struct dns_name name;
	struct dns_walk w;
	struct dns_text t;
	struct dns_rr rr;
	bool any = false;

	text_begin(k, &t, WEIR_DNS_ANSWERS_MAX);
	dns_walk_start(m, &w);
	while (dns_walk_next(m, &w, &rr) == DNS_OK && rr.section == DNS_ANSWER) {
		struct dns_text before = t;

		r->ttl_min = any && r->ttl_min < rr.ttl ? r->ttl_min : rr.ttl;
		any = true;
		if (r->answers_more || dns_name_at(m, rr.name_off, &name, NULL)) {
			r->answers_more += r->answers_more < UINT16_MAX;
			continue;
		}
		put_answer(&t, m, &rr, &name, k->d);
		if (!t.cut)
			continue;
		r->answers_more++;
		if (before.len) {
			t = before;
			t.at[t.len] = 0;
		}
	}
	if (t.len)
		text_end(k, &r->answers, &t);
}

static void fill_response(struct making *k, const struct dns_seen *s, const struct dns_msg *m)
{
	struct weir_dns_transaction *r = k->r;
	const char *rcode;
	char buf[16];

	r->response_ns = s->time_ns;
	r->response_bytes = m->len;
	r->response_flags = m->flags;
	r->rcode = m->rcode;
	rcode = dns_rcode_name(m->rcode, buf);
	text_put(k, &r->rcode_name, rcode, strlen(rcode));
	r->opcode = DNS_OPCODE(m->flags);
	r->questions = m->count[DNS_QUESTION];
	r->answer_count = m->count[DNS_ANSWER];
	r->authority_count = m->count[DNS_AUTHORITY];
	r->additional_count = m->count[DNS_ADDITIONAL];
	r->malformed |= m->error == DNS_BAD_RECORD || m->error == DNS_BAD_COUNT;
	if (m->count[DNS_ANSWER])
		fill_answers(k, m);
	if (r->outcome == WEIR_DNS_MULTICAST && !m->count[DNS_QUESTION])
		name_of_first(k, m);
}

/* Who asked, beyond its pid, and over which flow. */
static void fill_names(struct making *k)
{
	struct weir_dns_transaction *r = k->r;
	const struct dns_process *e = dns_owner_of(k->d, r);
	const char *cid = dns_community_of(k->d, r);

	if (e) {
		text_put(k, &r->executable, e->executable, e->executable_len);
		text_put(k, &r->container_id, e->container, e->container_len);
		text_put(k, &r->unit, e->unit, e->unit_len);
		text_put(k, &r->pod_uid, e->pod, e->pod_len);
	}
	if (cid)
		text_put(k, &r->community_id, cid, strlen(cid));
	if (k->d->source)
		text_put(k, &r->source_name, k->d->source, strlen(k->d->source));
}

/* ---- what is counted ---------------------------------------------------------------- */

static bool failed(const struct weir_dns_transaction *r)
{
	return r->outcome == WEIR_DNS_TIMEOUT || r->outcome == WEIR_DNS_EVICTED ||
	       (r->outcome == WEIR_DNS_ANSWERED && r->rcode);
}

static void remember(struct dns *d, const struct weir_dns_transaction *r)
{
	struct dns_recent *n;
	size_t len;

	if (!failed(r) && r->latency_ns < d->slow_ns)
		return;
	n = &d->recent[d->recent_count++ % DNS_RECENT];
	n->time_ns = r->query_ns;
	n->latency_ns = r->latency_ns;
	n->seq = d->recent_count;
	n->pid = r->pid;
	n->type = r->type;
	n->rcode = r->rcode;
	n->retries = r->retries;
	n->outcome = r->outcome;
	n->transport = r->transport;
	memcpy(n->server, r->server_address, 16);
	memcpy(n->client, r->client_address, 16);
	n->server_port = r->server_port;
	n->client_port = r->client_port;
	memcpy(n->comm, r->comm, sizeof n->comm);
	len = r->name.size < sizeof n->name ? r->name.size : sizeof n->name - 1;
	memcpy(n->name, WEIR_DNS_TEXT(r, name), len);
	n->name[len] = 0;
}

static void hitter(struct dns_top *top, const void *key, size_t len, const struct weir_dns_transaction *r,
                   uint32_t weight)
{
	struct dns_top_entry *e = dns_top_add(top, key, len, weight);

	e->failed += failed(r) ? weight : 0;
	e->timeouts += r->outcome == WEIR_DNS_TIMEOUT ? weight : 0;
	e->latency_max_ns = r->latency_ns > e->latency_max_ns ? r->latency_ns : e->latency_max_ns;
	if (r->outcome != WEIR_DNS_ANSWERED)
		return;
	e->answered += weight;
	e->latency_ns += r->latency_ns * weight;
}

static void account(struct dns *d, const struct weir_dns_transaction *r, uint32_t weight)
{
	struct dns_server_key server = { .port = r->server_port };
	struct dns_process_key process = { .pid = r->pid };
	unsigned t = r->transport;

	d->counts.outcomes[t][r->outcome]++;
	d->counts.approx += r->approx;
	if (r->outcome == WEIR_DNS_ANSWERED) {
		d->counts.latency[t][dns_bucket(r->latency_ns)]++;
		d->counts.latency_ns[t] += r->latency_ns;
	}
	if (r->outcome > WEIR_DNS_TIMEOUT && r->outcome != WEIR_DNS_EVICTED)
		return; /* no question, or none that had its time */
	remember(d, r);
	hitter(d->top_names, WEIR_DNS_TEXT(r, name), r->name.size, r, weight);
	memcpy(server.address, r->server_address, 16);
	hitter(d->top_servers, &server, sizeof server, r, weight);
	if (!r->pid)
		return;
	memcpy(process.comm, r->comm, sizeof process.comm);
	hitter(d->top_processes, &process, sizeof process, r, weight);
}

/* ---- the queue ---------------------------------------------------------------------- */

/* Room at its end for the longest record, or NULL. */
static struct dns_queued *enqueue(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	if (d->queue_cap - d->queue_len < DNS_QUEUED_MAX) {
		size_t cap = d->queue_cap ? d->queue_cap * 2 : 65536;
		char *q = NULL;

		if (cap <= DNS_QUEUE_BYTES)
			q = p->host->realloc(p, d->queue, cap);
		if (!q)
			return NULL;
		d->queue = q;
		d->queue_cap = cap;
	}
	return (struct dns_queued *)(void *)(d->queue + d->queue_len);
}

static void on_timer(struct weir_plugin *p, void *arg)
{
	(void)arg;
	dns_flush(p);
}

static void fill_times(struct weir_dns_transaction *r, const struct dns_query *q, const struct dns_seen *seen)
{
	if (r->outcome != WEIR_DNS_ANSWERED)
		return;
	r->latency_ns = seen->time_ns - q->seen.time_ns;
	r->wait_ns = seen->time_ns - q->wait_from_ns;
	/* Clocks of two CPUs may differ by a little: never a negative time. */
	r->latency_ns = (int64_t)r->latency_ns < 0 ? 0 : r->latency_ns;
	r->wait_ns = (int64_t)r->wait_ns < 0 ? 0 : r->wait_ns;
}

void dns_finish(void *plugin, enum weir_dns_outcome outcome, const struct dns_query *q,
                const struct dns_seen *seen, const struct dns_msg *response)
{
	struct weir_plugin *p = plugin;
	struct dns *d = weir_state(p);
	struct dns_queued *e = enqueue(p);
	struct weir_dns_transaction *r;
	struct making k;

	if (!e) { /* no memory, or more in one drain than the bound: gone, and said so */
		d->counts.queue_full++;
		p->host->count(p, WEIR_DNS_TRANSACTION, WEIR_RECORD_FILTERED, 1);
		return;
	}
	r = &e->r;
	begin(&k, r, d);
	r->outcome = (uint8_t)outcome;
	fill_query(&k, q);
	fill_owner(r, q->seen.owned || !seen ? &q->seen : seen);
	fill_edns(&k, &q->edns, true);
	fill_flags(r, response ? response->flags : q->flags);
	if (response) {
		fill_response(&k, seen, response);
		fill_edns(&k, &response->edns, false);
	} else {
		r->answer_count = q->count[DNS_ANSWER];
		r->authority_count = q->count[DNS_AUTHORITY];
		r->additional_count = q->count[DNS_ADDITIONAL];
	}
	fill_times(r, q, seen);
	fill_names(&k);
	e->len = k.len;
	e->time_ns = r->query_ns ? r->query_ns : r->response_ns;
	e->weight = q->seen.weight ? q->seen.weight : 1;
	d->queue_len += (sizeof *e - sizeof e->r + k.len + 7) & ~7ul;
	account(d, r, e->weight);
	if (!d->timer)
		d->timer = p->host->timer_start(p, 0, 0, on_timer, d);
}

void dns_flush(struct weir_plugin *p)
{
	struct dns *d = weir_state(p);

	if (d->timer)
		p->host->timer_stop(d->timer);
	d->timer = NULL;
	for (size_t at = 0; at < d->queue_len;) {
		const struct dns_queued *e = (const void *)(d->queue + at);

		p->host->emit(p, WEIR_DNS_TRANSACTION, &e->r, e->len, e->time_ns, e->weight);
		at += (sizeof *e - sizeof e->r + e->len + 7) & ~7ul;
	}
	d->queue_len = 0;
}
