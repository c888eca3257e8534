// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl graph: processes, and what connects them, for Graphviz. */
#include <stdlib.h>
#include "ctl.h"

/* In quotes nothing but these two means anything to dot. */
static void quoted(const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
}

static int edge(const struct holder *h, void *arg)
{
	const struct object *o = arg;

	printf("\tp%d [label=\"", h->pid);
	quoted(h->comm);
	printf("\\n%d\", shape=box];\n", h->pid);
	if (o->type == MBUF_OBJECT_TYPE_QUEUE && h->right[0] == 's')
		printf("\tp%d -> o%016llx;\n", h->pid,
		       (unsigned long long)o->id);
	else if (o->type == MBUF_OBJECT_TYPE_QUEUE)
		printf("\to%016llx -> p%d;\n", (unsigned long long)o->id,
		       h->pid);
	else
		printf("\tp%d -> o%016llx [dir=none];\n", h->pid,
		       (unsigned long long)o->id);
	return 0;
}

int cmd_graph(int argc, char **argv)
{
	struct objects list = {};
	size_t i;
	int ret;

	(void)argv;
	if (argc || opt.json) {
		complain("graph takes no arguments; its output is for dot");
		return EXIT_USAGE;
	}
	ret = nl_objects(&list);
	if (ret)
		return ret;
	puts("digraph mbuf {");
	puts("\trankdir=LR;");
	for (i = 0; i < list.nr; i++) {
		struct object *o = &list.o[i];
		unsigned long long id = o->id, peer;

		if (o->type == MBUF_OBJECT_TYPE_SESSION)
			continue;
		printf("\to%016llx [label=\"", id);
		quoted(o->name[0] ? o->name : type_name(o->type));
		printf("\\n%016llx\"];\n", id);
		peer = o->n[MBUF_A_ENDPOINT_PEER_ID];
		/* Once for both, and for one whose other end is not seen. */
		if (o->type == MBUF_OBJECT_TYPE_ENDPOINT && id < peer)
			printf("\to%016llx -> o%016llx [dir=both];\n", id,
			       peer);
		holders(o->id, edge, o);
	}
	puts("}");
	free(list.o);
	return EXIT_OK;
}
