// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the kernel is asked, and what it says to that. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include "ctl.h"

/* Dumps that were not consistent are repeated so often. */
#define TRIES	5

const char *const limit_names[LIMITS] = {
	"objects", "memory", "inflight", "handles", "caps",
};

static const int limit_attrs[LIMITS] = {
	MBUF_A_USER_OBJECTS_LIMIT, MBUF_A_USER_MEMORY_LIMIT,
	MBUF_A_USER_INFLIGHT_LIMIT, MBUF_A_USER_HANDLES_LIMIT,
	MBUF_A_USER_CAPS_LIMIT,
};

static struct mnl_socket *sock;
static uint32_t group;
static uint16_t family;
static unsigned int seq;
static char buf[65536];

static int family_attr(const struct nlattr *attr, void *data)
{
	const struct nlattr *g, *a;

	(void)data;
	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
		family = mnl_attr_get_u16(attr);
	if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GROUPS)
		mnl_attr_for_each_nested(g, attr)
			mnl_attr_for_each_nested(a, g)
				if (mnl_attr_get_type(a) ==
				    CTRL_ATTR_MCAST_GRP_ID)
					group = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int family_seen(const struct nlmsghdr *h, void *data)
{
	return mnl_attr_parse(h, sizeof(struct genlmsghdr), family_attr, data);
}

static struct nlmsghdr *message(uint16_t type, uint8_t cmd, int flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *g;

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++seq;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->cmd = cmd;
	g->version = 1;
	return h;
}

/* What the kernel adds to an error, if it does. */
static const char *why(const char *at, size_t len)
{
	const struct nlmsghdr *h = (const void *)at;
	const struct nlmsgerr *e;
	const struct nlattr *a;
	size_t skip;

	if (!mnl_nlmsg_ok(h, (int)len))
		return NULL;
	e = mnl_nlmsg_get_payload(h);
	skip = h->nlmsg_type == NLMSG_DONE ? sizeof(int) : sizeof(*e);
	if (h->nlmsg_type == NLMSG_ERROR && !(h->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&e->msg);
	if ((h->nlmsg_type != NLMSG_ERROR && h->nlmsg_type != NLMSG_DONE) ||
	    !(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	mnl_attr_for_each(a, h, (unsigned int)skip)
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG)
			return mnl_attr_get_str(a);
	return NULL;
}

/* 0, or -errno; NULL or what the kernel says of it. */
static int ask(struct nlmsghdr *h, mnl_cb_t seen, void *data,
	       const char **text)
{
	unsigned int portid = mnl_socket_get_portid(sock), mine = h->nlmsg_seq;
	ssize_t len;
	int ret;

	*text = NULL;
	if (mnl_socket_sendto(sock, h, h->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(sock, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		ret = mnl_cb_run(buf, (size_t)len, mine, portid, seen, data);
	} while (ret > MNL_CB_STOP);
	if (ret == MNL_CB_STOP)
		return 0;
	ret = -errno;
	*text = why(buf, (size_t)len);
	return ret;
}

static int verdict(int err, const char *text)
{
	switch (-err) {
	case 0:
		return EXIT_OK;
	case EPERM:
	case EACCES:
		complain("not permitted%s%s; this takes CAP_NET_ADMIN, so try it as root",
			 text ? ": " : "", text ? text : "");
		return EXIT_NO_PERMISSION;
	case ENOENT:
	case ESRCH:
		complain("%s", text ? text : "there is no such object");
		return EXIT_NOT_FOUND;
	case EAGAIN:
		complain("nothing came in time");
		return EXIT_TIMEOUT;
	default:
		complain("the kernel refuses: %s%s%s", strerror(-err),
			 text ? ": " : "", text ? text : "");
		return EXIT_FAILED;
	}
}

static int nl_begin(void)
{
	const char *text;
	struct nlmsghdr *h;
	int one = 1, err;

	if (sock)
		return EXIT_OK;
	sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!sock || mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		complain("cannot use netlink: %s", strerror(errno));
		return EXIT_FAILED;
	}
	mnl_socket_setsockopt(sock, NETLINK_EXT_ACK, &one, sizeof(one));
	h = message(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	mnl_attr_put_strz(h, CTRL_ATTR_FAMILY_NAME, MBUF_FAMILY_NAME);
	err = ask(h, family_seen, NULL, &text);
	if (err == -ENOENT) {
		complain("the kernel has no mbuf; load it with: modprobe mbuf");
		return EXIT_NO_MODULE;
	}
	return verdict(err, text);
}

static void filter(struct nlmsghdr *h)
{
	if (opt.type)
		mnl_attr_put_u32(h, MBUF_A_OBJECT_TYPE, opt.type);
	if (opt.id)
		mnl_attr_put_u64(h, MBUF_A_OBJECT_ID, opt.id);
	if (opt.uid >= 0)
		mnl_attr_put_u32(h, MBUF_A_OBJECT_UID, (uint32_t)opt.uid);
	if (opt.pid > 0)
		mnl_attr_put_u32(h, MBUF_A_OBJECT_PID, (uint32_t)opt.pid);
	if (opt.all)
		mnl_attr_put(h, MBUF_A_OBJECT_ALL, 0, NULL);
}

static void handle_filter(struct nlmsghdr *h)
{
	if (opt.holder)
		mnl_attr_put_u64(h, MBUF_A_HANDLE_HOLDER_ID, opt.holder);
	if (opt.id)
		mnl_attr_put_u64(h, MBUF_A_HANDLE_OBJECT_ID, opt.id);
	if (opt.uid >= 0)
		mnl_attr_put_u32(h, MBUF_A_HANDLE_UID, (uint32_t)opt.uid);
	if (opt.pid > 0)
		mnl_attr_put_u32(h, MBUF_A_HANDLE_PID, (uint32_t)opt.pid);
	if (opt.all)
		mnl_attr_put(h, MBUF_A_HANDLE_ALL, 0, NULL);
}

/* Grows by one, and returns that one. */
static void *grow(void *array, size_t *nr, size_t size)
{
	void **p = array;
	char *more;

	if (!(*nr & (*nr - 1))) {
		more = realloc(*p, (*nr ? *nr * 2 : 1) * size);
		if (!more) {
			complain("no memory");
			exit(EXIT_FAILED);
		}
		*p = more;
	}
	return (char *)*p + (*nr)++ * size;
}

static int object_seen(const struct nlmsghdr *h, void *data)
{
	struct objects *list = data;

	object_parse(h, grow(&list->o, &list->nr, sizeof(*list->o)));
	return MNL_CB_OK;
}

static int user_seen(const struct nlmsghdr *h, void *data)
{
	struct users *list = data;

	user_parse(h, grow(&list->u, &list->nr, sizeof(*list->u)));
	return MNL_CB_OK;
}

static int handle_seen(const struct nlmsghdr *h, void *data)
{
	struct handles *list = data;

	handle_parse(h, grow(&list->h, &list->nr, sizeof(*list->h)));
	return MNL_CB_OK;
}

/* A dump, until it is consistent. */
static int dump(uint8_t cmd, mnl_cb_t seen, void *list, size_t *nr)
{
	const char *text;
	struct nlmsghdr *h;
	int err, tries = 0;

	err = nl_begin();
	if (err)
		return err;
	do {
		*nr = 0;
		h = message(family, cmd, NLM_F_DUMP);
		if (cmd == MBUF_CMD_OBJECT_GET)
			filter(h);
		else if (cmd == MBUF_CMD_HANDLE_GET)
			handle_filter(h);
		else if (opt.uid >= 0)
			mnl_attr_put_u32(h, MBUF_A_USER_UID,
					 (uint32_t)opt.uid);
		err = ask(h, seen, list, &text);
		if (err == -EINTR) {
			/* The rest of it. */
			while (recv(mnl_socket_get_fd(sock), buf, sizeof(buf),
				    MSG_DONTWAIT) > 0)
				;
		}
	} while (err == -EINTR && ++tries < TRIES);
	if (err == -EINTR) {
		complain("too much comes and goes for a consistent picture; try again");
		return EXIT_FAILED;
	}
	return verdict(err, text);
}

int nl_objects(struct objects *list)
{
	return dump(MBUF_CMD_OBJECT_GET, object_seen, list, &list->nr);
}

int nl_users(struct users *list)
{
	return dump(MBUF_CMD_USER_GET, user_seen, list, &list->nr);
}

int nl_handles(struct handles *list)
{
	return dump(MBUF_CMD_HANDLE_GET, handle_seen, list, &list->nr);
}

int nl_flush(uint64_t id)
{
	struct nlmsghdr *h;
	const char *text;
	int err = nl_begin();

	if (err)
		return err;
	h = message(family, MBUF_CMD_QUEUE_FLUSH, NLM_F_ACK);
	mnl_attr_put_u64(h, MBUF_A_OBJECT_ID, id);
	err = ask(h, NULL, NULL, &text);
	return verdict(err, text);
}

int nl_measure(uint64_t id, bool on)
{
	struct nlmsghdr *h;
	const char *text;
	int err = nl_begin();

	if (err)
		return err;
	h = message(family, MBUF_CMD_QUEUE_LATENCY, NLM_F_ACK);
	mnl_attr_put_u64(h, MBUF_A_OBJECT_ID, id);
	if (on)
		mnl_attr_put(h, MBUF_A_OBJECT_MEASURE, 0, NULL);
	err = ask(h, NULL, NULL, &text);
	return verdict(err, text);
}

int nl_limits(int64_t uid, const uint64_t *limit, unsigned int set)
{
	struct nlmsghdr *h;
	const char *text;
	int err = nl_begin(), i;

	if (err)
		return err;
	h = message(family, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	if (uid >= 0)
		mnl_attr_put_u32(h, MBUF_A_USER_UID, (uint32_t)uid);
	for (i = 0; i < LIMITS; i++)
		if (set & (1u << i))
			mnl_attr_put_u64(h, (uint16_t)limit_attrs[i],
					 limit[i]);
	err = ask(h, NULL, NULL, &text);
	return verdict(err, text);
}

struct watch {
	int (*told)(const struct notice *n, void *arg);
	void *arg;
};

static int notice_seen(const struct nlmsghdr *h, void *data)
{
	const struct watch *w = data;
	struct notice n;

	notice_parse(h, &n);
	return w->told(&n, w->arg) ? MNL_CB_STOP : MNL_CB_OK;
}

/* Until told() returns other than 0, or the time is over. */
int nl_watch(int (*told)(const struct notice *n, void *arg), void *arg)
{
	struct watch w = { told, arg };
	uint64_t end = now() + (uint64_t)opt.timeout;
	int err = nl_begin(), ret;

	if (err)
		return err;
	if (mnl_socket_setsockopt(sock, NETLINK_ADD_MEMBERSHIP, &group,
				  sizeof(group)) < 0)
		return verdict(-errno, NULL);
	for (;;) {
		struct pollfd p = { mnl_socket_get_fd(sock), POLLIN, 0 };
		int64_t left = (int64_t)(end - now());
		ssize_t len;

		if (opt.timeout >= 0 && left <= 0)
			return EXIT_OK;
		if (!poll(&p, 1, opt.timeout < 0 ? -1 :
				 (int)(left / 1000000 + 1)))
			continue;
		len = mnl_socket_recvfrom(sock, buf, sizeof(buf));
		/* What was lost shows in the numbers. */
		if (len < 0 && errno == ENOBUFS)
			continue;
		if (len < 0)
			return verdict(-errno, NULL);
		ret = mnl_cb_run(buf, (size_t)len, 0, 0, notice_seen, &w);
		if (ret == MNL_CB_STOP)
			return EXIT_OK;
	}
}
