/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mbufctl: what its files share.
 *
 * One file for each command. What the kernel says comes through nl.c, and is
 * turned into struct object or struct user by object.c; what is printed goes
 * through out.c, which knows terminals and JSON. A command returns an exit
 * status; whoever finds an error says so in one line, by complain().
 */
#ifndef MBUFCTL_CTL_H
#define MBUFCTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/mbuf.h>
#include <linux/mbuf_netlink.h>

struct json_object;
struct nlmsghdr;

/* Exit status; in the manual page. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,	/* the kernel, or a check, says no */
	EXIT_USAGE = 2,		/* the command line is wrong */
	EXIT_NO_MODULE = 3,
	EXIT_NO_PERMISSION = 4,
	EXIT_NOT_FOUND = 5,	/* no such object */
	EXIT_TIMEOUT = 6,	/* --timeout has passed */
};

/* What the command line says. */
struct options {
	bool json;
	bool all;
	bool color;
	long count;		/* -n; 0: none given */
	bool latency;
	const char *svg;	/* where a picture goes; NULL: nowhere */
	int64_t timeout;	/* ns; -1: none given */
	uint32_t type;		/* 0: any */
	uint64_t id;		/* 0: any */
	uint64_t holder;	/* 0: any */
	int64_t uid;		/* -1: any */
	int64_t pid;		/* -1: any */
};

extern struct options opt;

/* The numbers of an object, by the attribute of its nest. */
#define NUMBERS	32
#define MISSING	(~0ull)

#define OBJECT_TYPES	(MBUF_OBJECT_TYPE_PAGED + 1)

/* How long messages took, by powers of two of nanoseconds. */
struct latency {
	uint64_t bucket[MBUF_LATENCY_BUCKETS];
	uint64_t total, longest;
};

struct object {
	uint32_t type;
	uint32_t netns;
	uint64_t id;
	int64_t uid, pid;	/* -1: a driver's */
	uint64_t n[NUMBERS];
	char name[4 * 256 + 1];	/* of a listener; as text */
	bool measured;		/* a queue: there is @latency */
	struct latency latency;
};

struct user {
	uint32_t uid, userns;
	bool own_limits;
	uint64_t n[NUMBERS];
};

struct notice {
	uint32_t what, type;
	int64_t uid;
	uint64_t number, id, peer_id, resource, error;
};

/* All that a dump has given, in order. */
struct objects {
	struct object *o;
	size_t nr;
};

/* A handle, and the session or table that holds it. */
struct handle {
	uint32_t holder_type, uid, pid, netns;
	uint32_t index, type, rights;
	uint64_t holder, table;
	uint64_t object;	/* 0: none that has an id */
};

struct handles {
	struct handle *h;
	size_t nr;
};

struct users {
	struct user *u;
	size_t nr;
};

/* nl.c: all of these complain by themselves. An exit status. */
int nl_objects(struct objects *list);
int nl_users(struct users *list);
int nl_handles(struct handles *list);
int nl_flush(uint64_t id);
int nl_measure(uint64_t id, bool on);
int nl_limits(int64_t uid, const uint64_t *limit, unsigned int set);
int nl_watch(int (*told)(const struct notice *n, void *arg), void *arg);

/* The fields of a user that can be set, in order. */
extern const char *const limit_names[];
#define LIMITS	5

/* object.c */
void object_parse(const struct nlmsghdr *h, struct object *o);
void user_parse(const struct nlmsghdr *h, struct user *u);
void notice_parse(const struct nlmsghdr *h, struct notice *n);
const char *type_name(uint32_t type);
uint32_t type_of_name(const char *name);
const char *notice_name(uint32_t what);
const char *resource_name(uint64_t resource);
const char *field_name(uint32_t type, int field);
bool field_is_id(const char *name);
const char *field_word(uint32_t type, int field, uint64_t n);
uint64_t object_load(const struct object *o, uint64_t *max);
struct json_object *object_json(const struct object *o);

/* out.c */
struct column {
	const char *title;
	bool right;
};

void complain(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
int screen_width(void);
void table_begin(const struct column *columns, int nr);
void table_cell(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void table_end(void);
void json_line(struct json_object *json);
void json_id(struct json_object *json, const char *key, uint64_t id);
void json_number(struct json_object *json, const char *key, uint64_t n);
const char *bar(uint64_t part, uint64_t whole, int width, char *text);
bool parse_id(const char *text, uint64_t *id);
bool parse_time(const char *text, int64_t *ns);
uint64_t now(void);

/* latency.c */
void latency_show(const struct object *o);
struct json_object *latency_json(const struct object *o);

/* handles.c */
void handle_parse(const struct nlmsghdr *h, struct handle *handle);
struct json_object *handle_json(const struct handle *h);
void handle_held(const struct handle *h);
int ls_handles(void);
int handles_graph(const struct objects *objects);

/* proc.c: who has descriptors of an object */
struct holder {
	int pid, fd;
	char comm[32];
	char right[16];
	uint64_t id;
};

typedef int holder_fn(const struct holder *h, void *arg);
int holders(uint64_t id, holder_fn *fn, void *arg);
int steal_fd(int pid, int fd);

/* The commands. */
int cmd_ls(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_graph(int argc, char **argv);
int cmd_quota(int argc, char **argv);
int cmd_flush(int argc, char **argv);
int cmd_measure(int argc, char **argv);
int cmd_send(int argc, char **argv);
int cmd_recv(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

#endif /* MBUFCTL_CTL_H */
