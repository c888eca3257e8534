// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl graph: processes, and what connects them, for Graphviz. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
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

static void arrow(uint64_t from, uint64_t to, const char *how)
{
	printf("\to%016llx -> o%016llx [%s];\n", (unsigned long long)from,
	       (unsigned long long)to, how);
}

/* The object that stands for what has this identity: a session for its table. */
static uint64_t shown_as(const struct objects *list, uint64_t id)
{
	size_t i;

	for (i = 0; i < list->nr; i++)
		if (list->o[i].type == MBUF_OBJECT_TYPE_SESSION &&
		    list->o[i].n[MBUF_A_SESSION_TABLE_ID] == id)
			return list->o[i].id;
	return id;
}

/* What it is in, where it stands in line, and whatever else is not a process. */
static void edges(const struct objects *list, const struct object *o)
{
	uint64_t parent = MISSING;

	switch (o->type) {
	case MBUF_OBJECT_TYPE_ENDPOINT:
		/* Once for both, and for one whose other end is not seen. */
		if (o->id < o->n[MBUF_A_ENDPOINT_PEER_ID])
			arrow(o->id, o->n[MBUF_A_ENDPOINT_PEER_ID],
			      "dir=both");
		break;
	case MBUF_OBJECT_TYPE_QUEUE:
		parent = o->n[MBUF_A_QUEUE_PARENT_ID];
		break;
	case MBUF_OBJECT_TYPE_TABLE:
		parent = o->n[MBUF_A_TABLE_PARENT_ID];
		break;
	case MBUF_OBJECT_TYPE_MESSAGE:
		parent = o->n[MBUF_A_MESSAGE_PARENT_ID];
		if (o->n[MBUF_A_MESSAGE_DEST_ID] != MISSING)
			arrow(o->id, o->n[MBUF_A_MESSAGE_DEST_ID],
			      "label=\"parked\", color=red");
		break;
	case MBUF_OBJECT_TYPE_CONSENT:
		arrow(o->n[MBUF_A_CONSENT_END_ID], o->id, "style=dotted");
		break;
	}
	if (parent != MISSING)
		arrow(shown_as(list, parent), o->id,
		      "style=dashed, arrowhead=none");
}

/* Has a session anything in it, so that it is worth showing? */
static bool session_shown(const struct object *o)
{
	return o->n[MBUF_A_SESSION_HANDLES] &&
	       o->n[MBUF_A_SESSION_HANDLES] != MISSING;
}

/* Rights to the same memory have one identity. */
static bool shown_before(const struct objects *list, size_t at)
{
	size_t i;

	for (i = 0; i < at; i++)
		if (list->o[i].id == list->o[at].id)
			return true;
	return false;
}

/* From here on what is printed is drawn by dot, into the file. */
static int dot_begin(pid_t *dot)
{
	int fd, pipe_fd[2];

	fd = open(opt.svg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0) {
		complain("%s: %s", opt.svg, strerror(errno));
		return EXIT_FAILED;
	}
	if (pipe2(pipe_fd, O_CLOEXEC)) {
		complain("no pipe for dot: %s", strerror(errno));
		return EXIT_FAILED;
	}
	*dot = fork();
	if (*dot < 0) {
		complain("no process for dot: %s", strerror(errno));
		return EXIT_FAILED;
	}
	if (!*dot) {
		dup2(pipe_fd[0], STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		execlp("dot", "dot", "-Tsvg", NULL);
		_exit(errno == ENOENT ? 127 : 126);
	}
	close(fd);
	close(pipe_fd[0]);
	fflush(stdout);
	dup2(pipe_fd[1], STDOUT_FILENO);
	close(pipe_fd[1]);
	/* That it does not read is what its status says. */
	signal(SIGPIPE, SIG_IGN);
	return EXIT_OK;
}

static int dot_end(pid_t dot)
{
	struct stat st;
	int status;

	fflush(stdout);
	close(STDOUT_FILENO);
	if (waitpid(dot, &status, 0) == dot && WIFEXITED(status) &&
	    !WEXITSTATUS(status))
		return EXIT_OK;
	/* Not what is there for everybody. */
	if (!stat(opt.svg, &st) && S_ISREG(st.st_mode))
		unlink(opt.svg);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		complain("there is no dot to draw it; install graphviz, or leave --svg out");
	else
		complain("dot cannot draw it");
	return EXIT_FAILED;
}

int cmd_graph(int argc, char **argv)
{
	struct objects list = {};
	pid_t dot = -1;
	size_t i;
	int ret;

	(void)argv;
	if (argc || opt.json) {
		complain("graph takes no arguments; its output is for dot");
		return EXIT_USAGE;
	}
	ret = nl_objects(&list);
	if (!ret && opt.svg)
		ret = dot_begin(&dot);
	if (ret)
		return ret;
	puts("digraph mbuf {");
	puts("\trankdir=LR;");
	for (i = 0; i < list.nr; i++) {
		struct object *o = &list.o[i];
		unsigned long long id = o->id;

		if ((o->type == MBUF_OBJECT_TYPE_SESSION && !session_shown(o)) ||
		    shown_before(&list, i))
			continue;
		printf("\to%016llx [label=\"", id);
		quoted(o->name[0] ? o->name : type_name(o->type));
		printf("\\n%016llx\"];\n", id);
		edges(&list, o);
		holders(o->id, edge, o);
	}
	ret = handles_graph(&list);
	puts("}");
	free(list.o);
	if (opt.svg && ret)
		dot_end(dot);
	else if (opt.svg)
		ret = dot_end(dot);
	return ret;
}
