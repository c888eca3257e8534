// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl: the command line. */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ctl.h"

struct options opt = {
	.timeout = -1,
	.uid = -1,
	.pid = -1,
};

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *args, *help;
} commands[] = {
	{ "ls", cmd_ls, "[handles]", "list objects, or who holds which handle" },
	{ "show", cmd_show, "ID", "all about one object, and who has it" },
	{ "stat", cmd_stat, "", "sums of all objects" },
	{ "watch", cmd_watch, "", "notices, as they come" },
	{ "top", cmd_top, "", "the busiest objects, live" },
	{ "graph", cmd_graph, "", "what connects processes, for dot" },
	{ "quota", cmd_quota, "[set WHAT=N...]",
	  "what users have and may have" },
	{ "flush", cmd_flush, "ID", "drop all messages of a queue" },
	{ "measure", cmd_measure, "ID [off]",
	  "measure how long messages take" },
	{ "send", cmd_send, "ID", "send each line of the input" },
	{ "recv", cmd_recv, "ID", "receive messages, each a line" },
	{ "bench", cmd_bench, "", "what a message costs here" },
	{ "doctor", cmd_doctor, "", "what is wrong, in words" },
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void help(FILE *to)
{
	size_t i;

	fputs("usage: mbufctl [OPTION]... COMMAND [ARGUMENT]...\n\n", to);
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(to, "  %-7s %-16s %s\n", commands[i].name,
			commands[i].args, commands[i].help);
	fputs("\n"
	      "  -j, --json           one JSON object a line\n"
	      "  -n, --count N        so many objects, notices, messages, rounds\n"
	      "      --timeout TIME   at most so long: 500ms, 2s, 1min\n"
	      "  -t, --type TYPE      only this type, as ls shows it\n"
	      "  -i, --id ID          only this object; ls handles: only to this\n"
	      "      --holder ID      ls handles: only of this session or table\n"
	      "  -u, --uid UID        only of this user\n"
	      "  -p, --pid PID        only what this process has made\n"
	      "  -a, --all            of all network namespaces\n"
	      "      --latency        stat: how long messages took\n"
	      "      --svg FILE       graph: draw it, by dot\n"
	      "      --color WHEN     auto, always, never\n"
	      "  -h, --help\n\n"
	      "Exit status: 0 done, 1 it failed, 2 wrong usage, 3 no module,\n"
	      "4 not permitted, 5 no such object, 6 the time is over.\n", to);
}

static int usage(const char *what, const char *value)
{
	complain("%s: %s; see mbufctl --help", what, value);
	return EXIT_USAGE;
}

/* A number that is not negative. */
static bool parse_number(const char *text, int64_t *n)
{
	char *end;

	*n = strtoll(text, &end, 10);
	return end != text && !*end && *n >= 0 && *n <= UINT32_MAX;
}

enum { TIMEOUT = 256, COLOR, LATENCY, SVG, HOLDER };

static int parse_option(int c)
{
	int64_t n;

	switch (c) {
	case 'j':
		opt.json = true;
		return 0;
	case 'a':
		opt.all = true;
		return 0;
	case 'n':
		if (!parse_number(optarg, &n) || !n)
			return usage("not a number to count to", optarg);
		opt.count = (long)n;
		return 0;
	case 't':
		opt.type = type_of_name(optarg);
		return opt.type ? 0 : usage("no such type", optarg);
	case 'i':
		return parse_id(optarg, &opt.id) ? 0 :
		       usage("not an id", optarg);
	case 'u':
		return parse_number(optarg, &opt.uid) ? 0 :
		       usage("not a user id", optarg);
	case 'p':
		return parse_number(optarg, &opt.pid) && opt.pid ? 0 :
		       usage("not a process id", optarg);
	case TIMEOUT:
		return parse_time(optarg, &opt.timeout) ? 0 :
		       usage("not a time", optarg);
	case HOLDER:
		return parse_id(optarg, &opt.holder) ? 0 :
		       usage("not an id", optarg);
	case LATENCY:
		opt.latency = true;
		return 0;
	case SVG:
		opt.svg = optarg;
		return 0;
	case COLOR:
		if (!strcmp(optarg, "always"))
			opt.color = true;
		else if (!strcmp(optarg, "never"))
			opt.color = false;
		else if (strcmp(optarg, "auto"))
			return usage("not auto, always or never", optarg);
		return 0;
	case 'h':
		help(stdout);
		exit(EXIT_OK);
	}
	/* getopt has said what it is. */
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "count", required_argument, NULL, 'n' },
		{ "timeout", required_argument, NULL, TIMEOUT },
		{ "type", required_argument, NULL, 't' },
		{ "id", required_argument, NULL, 'i' },
		{ "uid", required_argument, NULL, 'u' },
		{ "pid", required_argument, NULL, 'p' },
		{ "all", no_argument, NULL, 'a' },
		{ "color", required_argument, NULL, COLOR },
		{ "latency", no_argument, NULL, LATENCY },
		{ "svg", required_argument, NULL, SVG },
		{ "holder", required_argument, NULL, HOLDER },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	size_t i;
	int c, ret;

	/* Who reads this may have enough. */
	signal(SIGPIPE, SIG_DFL);
	opt.color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	argv[0] = (char[]){ "mbufctl" };
	while ((c = getopt_long(argc, argv, "jan:t:i:u:p:h", longs,
				NULL)) >= 0) {
		ret = parse_option(c);
		if (ret)
			return ret;
	}
	if (optind == argc) {
		help(stderr);
		return EXIT_USAGE;
	}
	for (i = 0; i < NR_COMMANDS; i++) {
		if (strcmp(commands[i].name, argv[optind]))
			continue;
		optind++;
		ret = commands[i].run(argc - optind, argv + optind);
		if (fflush(stdout) && !ret) {
			complain("cannot write the output");
			ret = EXIT_FAILED;
		}
		return ret;
	}
	return usage("no such command", argv[optind]);
}
