/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text to a tree of nodes, each with the place it stands at. Only what a
 * configuration needs: mappings, lists, scalars; no anchors, aliases or tags.
 */
#ifndef WEIR_CORE_CONFIG_YAML_H
#define WEIR_CORE_CONFIG_YAML_H

#include "diag.h"

enum weir__node_kind { WEIR__NODE_NULL, WEIR__NODE_SCALAR, WEIR__NODE_LIST, WEIR__NODE_MAP };

struct weir__node {
	enum weir__node_kind kind;
	struct weir__mark at;     /* of the value */
	struct weir__mark key_at; /* in a mapping */
	char *key;                /* in a mapping, else NULL */
	char *text;               /* of a scalar, else NULL */
	struct weir__node *parent, *first, *last, *next;
	size_t count;             /* children */
	bool cut;                 /* its end has not been read: a syntax error */
};

/* text ends with NUL (len does not count it); name and text outlive the tree.
 * *ret is the root, NULL for an empty document; free it with weir__node_free.
 * What is wrong goes into diags; then the tree holds what could be read before
 * it, and *ret_whole is false if something behind it has not been read. 0, or
 * -ENOMEM. */
int weir__yaml_parse(const char *name, const char *text, size_t len,
                     struct weir__diags *diags, struct weir__node **ret, bool *ret_whole);
void weir__node_free(struct weir__node *n); /* NULL is fine */
struct weir__node *weir__node_get(const struct weir__node *map, const char *key);

#endif
