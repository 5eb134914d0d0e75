/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classic filter of the packet source, made of the list of ports. All offsets are from
 * the network header (SKF_NET_OFF), so the kind of interface does not matter; the kernel has
 * taken one VLAN tag off already. What cannot be judged here is kept: fragments, IPv6
 * extension headers, a second VLAN tag.
 */
#include "packet_filter.h"

#include <linux/if_ether.h>

#define NET ((uint32_t)SKF_NET_OFF)
#define PROTOCOL ((uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL))

/* Targets of jumps, resolved at the end. */
enum label { NEXT, V4, V4_WHOLE, V6, PORTS, KEEP, DROP, LABELS };

struct assembler {
	struct dns_packet_filter *f;
	uint8_t jt[DNS_FILTER_MAX], jf[DNS_FILTER_MAX];
	uint16_t at[LABELS];
};

static void op(struct assembler *a, uint16_t code, uint32_t k)
{
	a->jt[a->f->len] = a->jf[a->f->len] = NEXT;
	a->f->code[a->f->len++] = (struct sock_filter){ .code = code, .k = k };
}

static void jump(struct assembler *a, uint16_t code, uint32_t k, enum label yes, enum label no)
{
	op(a, BPF_JMP | code | BPF_K, k);
	a->jt[a->f->len - 1] = (uint8_t)yes;
	a->jf[a->f->len - 1] = (uint8_t)no;
}

static void here(struct assembler *a, enum label l)
{
	a->at[l] = a->f->len;
}

static void resolve(struct assembler *a)
{
	for (uint16_t i = 0; i < a->f->len; i++) {
		if (a->jt[i])
			a->f->code[i].jt = (uint8_t)(a->at[a->jt[i]] - i - 1);
		if (a->jf[i])
			a->f->code[i].jf = (uint8_t)(a->at[a->jf[i]] - i - 1);
	}
}

void dns_packet_filter(struct dns_packet_filter *f, const uint16_t *ports, uint32_t count, uint32_t keep)
{
	struct assembler a = { .f = f };

	f->len = 0;
	op(&a, BPF_LD | BPF_H | BPF_ABS, PROTOCOL);
	jump(&a, BPF_JEQ, ETH_P_IPV6, V6, NEXT);
	jump(&a, BPF_JEQ, ETH_P_IP, V4, NEXT);
	jump(&a, BPF_JEQ, ETH_P_8021Q, KEEP, NEXT);
	jump(&a, BPF_JEQ, ETH_P_8021AD, KEEP, DROP);
	here(&a, V4);
	op(&a, BPF_LD | BPF_B | BPF_ABS, NET + 9);
	jump(&a, BPF_JEQ, 17, V4_WHOLE, NEXT);
	jump(&a, BPF_JEQ, 6, V4_WHOLE, DROP);
	here(&a, V4_WHOLE);
	op(&a, BPF_LD | BPF_H | BPF_ABS, NET + 6);
	jump(&a, BPF_JSET, 0x3fff, KEEP, NEXT); /* more fragments, or an offset */
	op(&a, BPF_LDX | BPF_B | BPF_MSH, NET);
	jump(&a, BPF_JEQ, 0xffffffff, DROP, PORTS); /* never equal: 16 bits were loaded */
	here(&a, V6);
	op(&a, BPF_LDX | BPF_IMM, 40);
	op(&a, BPF_LD | BPF_B | BPF_ABS, NET + 6);
	jump(&a, BPF_JEQ, 17, PORTS, NEXT);
	jump(&a, BPF_JEQ, 6, PORTS, NEXT);
	jump(&a, BPF_JEQ, 0, KEEP, NEXT);   /* hop by hop, routing, fragment, destination */
	jump(&a, BPF_JEQ, 43, KEEP, NEXT);
	jump(&a, BPF_JEQ, 44, KEEP, NEXT);
	jump(&a, BPF_JEQ, 60, KEEP, DROP);
	here(&a, PORTS);
	for (uint32_t side = 0; side < 4; side += 2) {
		op(&a, BPF_LD | BPF_H | BPF_IND, NET + side);
		for (uint32_t i = 0; i < count; i++)
			jump(&a, BPF_JEQ, ports[i], KEEP, NEXT);
	}
	here(&a, DROP);
	op(&a, BPF_RET | BPF_K, 0);
	here(&a, KEEP);
	op(&a, BPF_RET | BPF_K, keep);
	resolve(&a);
}
