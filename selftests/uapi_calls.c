// SPDX-License-Identifier: GPL-2.0
/*
 * The binary interface of the calls that came after those of uapi_abi.c: every
 * one of UAPI_CALLS(), with arguments that are spoiled in every way there is.
 * What was refused has changed nothing, and the same call works afterwards.
 */
#include <sys/eventfd.h>
#include <sys/resource.h>
#include "cap.h"
#include "paged.h"
#include "provide.h"
#include "uapi.h"

/* The largest struct that a command number can stand for. */
#define ARG_MAX_SIZE	((1u << _IOC_SIZEBITS) - 1)

/* The same command as if from a header in which the struct has another size. */
#define RESIZED(cmd, size) \
	_IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), size)

#define STRIDE_MAX	256

enum call_nr {
#define X(ioc, feature, min, on, arg) C_##ioc,
	UAPI_CALLS(X)
#undef X
	NR_CMDS
};

static const struct {
	const char *name;
	unsigned long cmd;
	uint64_t feature;
	unsigned int min;	/* size of the first version */
	unsigned int on;
	int arg;
} cmds[NR_CMDS] = {
#define X(ioc, feature, min, on, arg) \
	{ #ioc, MBUF_IOC_##ioc, MBUF_FEATURE_##feature, min, on, arg },
	UAPI_CALLS(X)
#undef X
};

#define NPAGES	4	/* of the paged region */

/* The handles in the root table that are there all the time. */
enum {
	H_FILE = 1,	/* the queue's send right */
	H_TABLE,	/* in which there is nothing */
	H_KEY,
	H_REVOKED,
	H_FREE,		/* nothing */
	H_NEW		/* the first that a call makes; what is from here on goes */
};

/*
 * What the calls are made on, or with
 */
static struct {
	int rfd, sfd;		/* a queue that takes capabilities */
	int full_rfd, full_sfd;	/* one that is full */
	int event;
	int x, y;		/* a channel; what is made on one is made on this */
	int listener, queue;
	int solid, region;	/* descriptors of one region */
	int pager, paged;	/* a paged region */
	int offerer, offeree, consent;	/* a channel, and a consent */
	int filler[64];
} things;

/* What feed() has made. */
static struct {
	uint64_t offer, consent;
	int cx, cy;		/* consents */
	uint64_t handle, sealed;
	struct mbuf_fault fault;
	struct toucher toucher;
	bool touched;
} fed;

static uint8_t *mapped;		/* the paged region */
static uint8_t *content;	/* as large */
static int first_fd;		/* what is from here on was made by a call */
static struct snapshot base;	/* with all things, and nothing fed */

/* All kinds of descriptors, in the order of ON_*. */
#define NR_KINDS	10

static void kinds(int session, int fds[NR_KINDS])
{
	fds[0] = session;
	fds[1] = things.rfd;
	fds[2] = things.sfd;
	fds[3] = things.offerer;
	fds[4] = things.listener;
	fds[5] = things.queue;
	fds[6] = things.solid;
	fds[7] = things.paged;
	fds[8] = things.pager;
	fds[9] = things.consent;
}

/*
 * One ioctl with a valid argument, to be spoiled by a test. What is only a
 * result is poisoned.
 */
struct call {
	enum call_nr which;
	int fd;
	union {
		uint64_t target;
		struct mbuf_grant grant;
		struct mbuf_provide provide;
		struct mbuf_xfer_caps xfer;
		struct mbuf_offer offer;
		struct mbuf_offered offered;
		struct mbuf_take take;
		struct mbuf_counter counter;
		struct mbuf_answer answer;
		struct mbuf_withdraw withdraw;
		struct mbuf_consent consent;
		struct mbuf_revoke revoke;
		struct mbuf_claim claim;
		struct mbuf_consent_info consent_info;
		struct mbuf_give give;
		struct mbuf_region_info region;
		struct mbuf_paged_create paged;
		struct mbuf_faults faults;
		struct mbuf_supply supply;
		struct mbuf_refuse refuse;
		struct mbuf_evict evict;
		struct mbuf_protect protect;
		struct mbuf_pages pages;
		struct mbuf_paged_info paged_info;
		struct mbuf_table_create table;
		struct mbuf_handle_put put;
		struct mbuf_handle_open open;
		struct mbuf_handle_copy copy;
		struct mbuf_handle handle;
		struct mbuf_handle_info info;
		struct mbuf_table_list list;
		struct mbuf_message_create message;
		struct mbuf_message_load load;
		struct mbuf_message_enqueue enqueue;
		struct mbuf_message_info message_info;
		struct mbuf_message_grant message_grant;
		struct mbuf_key_create key;
		struct mbuf_seal seal;
		struct mbuf_unseal unseal;
	};
	struct mbuf_cap caps[2];
	struct mbuf_fault msgs[2];
	struct mbuf_handle_entry entries[2];
	uint8_t states[NPAGES];
	char buf[16];
};

/*
 * Things
 */
static int handle_put(int session, int fd, uint64_t handle)
{
	struct mbuf_handle_put p = { .ref.fd = fd, .handle = handle };

	return (int)xioctl(session, MBUF_IOC_HANDLE_PUT, &p);
}

static int handle_delete(int session, uint64_t handle)
{
	struct mbuf_handle h = { .target = handle };

	return (int)xioctl(session, MBUF_IOC_HANDLE_DELETE, &h);
}

/* All in the root table, from an index on. */
static void delete_handles(int session, uint64_t start)
{
	struct mbuf_handle_entry e[32];
	struct mbuf_table_list l = {
		.start = start,
		.entries = (uintptr_t)e,
		.nr = 32,
		.stride = sizeof(e[0]),
	};
	long nr = xioctl(session, MBUF_IOC_TABLE_LIST, &l);

	while (nr > 0)
		handle_delete(session, e[--nr].handle);
}

static int make_handles(int session)
{
	struct mbuf_table_create t = { .handle = H_TABLE };
	struct mbuf_key_create k = { .handle = H_KEY };
	struct mbuf_handle_copy c = { .from = H_FREE, .handle = H_REVOKED };
	struct mbuf_handle h = { .target = H_FREE };
	long nr;

	if (handle_put(session, things.sfd, H_FILE) ||
	    xioctl(session, MBUF_IOC_TABLE_CREATE, &t) ||
	    xioctl(session, MBUF_IOC_KEY_CREATE, &k) ||
	    handle_put(session, things.event, H_FREE) ||
	    xioctl(session, MBUF_IOC_HANDLE_COPY, &c))
		return -EINVAL;
	nr = xioctl(session, MBUF_IOC_HANDLE_REVOKE, &h);
	return nr == 1 ? handle_delete(session, H_FREE) : -EINVAL;
}

/* Room for all that there can be in H_FREE's place is never taken by chance. */
static int hold_free(int session)
{
	return handle_put(session, things.event, H_FREE);
}

static int make_regions(int session)
{
	struct mbuf_offer o = offer_of(1, RIGHTS_RW, MBUF_OFFER_SOLID);
	struct mbuf_consent c = {};
	int end[2], ret;

	ret = ch_create(session, MBUF_END_DETACHED, end);
	if (ret)
		return ret;
	ret = rg_agree(end[0], end[1], &o, RIGHTS_R, &things.solid,
		       &things.region);
	if (ret)
		return ret;
	things.offerer = end[0];
	things.offeree = end[1];
	o = offer_of(1, RIGHTS_RW, 0);
	ret = rg_offer(end[0], &o);
	if (ret)
		return ret;
	c.offer = o.id;
	ret = pv_consent_some(end[0], &c);
	if (ret < 0)
		return ret;
	things.consent = ret;
	return pg_create(session, NPAGES * page_size(), &things.pager,
			 &things.paged, NULL);
}

static int open_things(int session)
{
	struct mbuf_accept_queue q = { .backlog = 1,
				       .flags = MBUF_LISTEN_DETACHED };
	struct mbuf_listen l = {
		.name = (uintptr_t)"calls",
		.name_len = 5,
		.flags = MBUF_LISTEN_DETACHED,
		.mode = 0600,
		.backlog = 1,
	};
	int ret, i, *fd;

	memset(&things, 0xff, sizeof(things));
	memset(&fed, 0, sizeof(fed));
	fed.cx = -1;
	fed.cy = -1;
	things.event = eventfd(0, EFD_CLOEXEC);
	ret = cap_queue(session, 4, 4, &things.rfd, &things.sfd) ?:
	      mbuf_queue_create(session, 1, 16, 0, &things.full_rfd,
				&things.full_sfd) ?:
	      mbuf_send(things.full_sfd, "x", 1, MBUF_NOW) ?:
	      make_handles(session) ?: make_regions(session);
	if (ret)
		return ret;
	if (xioctl(session, MBUF_IOC_LISTEN, &l) ||
	    xioctl(l.listener.fd, MBUF_IOC_ACCEPT_QUEUE, &q))
		return -EIO;
	things.listener = l.listener.fd;
	things.queue = q.queue.fd;
	mapped = mmap(NULL, NPAGES * page_size(), PROT_READ | PROT_WRITE,
		      MAP_SHARED, things.paged, 0);
	content = map_pages(NPAGES * page_size(), PROT_READ | PROT_WRITE);
	if (mapped == MAP_FAILED || !content)
		return -ENOMEM;
	fill_pattern(content, NPAGES * page_size(), 1);
	/* No number below the last of these shall be free. */
	first_fd = 0;
	for (fd = (int *)&things; fd < things.filler; fd++)
		if (*fd >= first_fd)
			first_fd = *fd + 1;
	for (i = 0; i < 64; i++) {
		ret = fcntl(things.event, F_DUPFD_CLOEXEC, 0);
		if (ret < 0)
			return ret;
		if (ret >= first_fd) {
			close(ret);
			break;
		}
		things.filler[i] = ret;
	}
	return take_snapshot(session, &base);
}

static void close_things(int session)
{
	int *fd = (int *)&things;
	size_t i;

	delete_handles(session, 0);
	for (i = 0; i < sizeof(things) / sizeof(*fd); i++)
		close_fd(&fd[i]);
	munmap(mapped, NPAGES * page_size());
	munmap(content, NPAGES * page_size());
}

/*
 * Calls
 */
static int channel_with_offer(int session)
{
	struct mbuf_offer o = offer_of(1, RIGHTS_RW, 0);
	int ret = rg_offer(things.x, &o);

	(void)session;
	fed.offer = o.id;
	return ret;
}

static int give_consents(void)
{
	struct mbuf_consent c = { .offer = fed.offer };

	fed.cx = pv_consent_some(things.x, &c);
	fed.consent = c.id;
	fed.cy = pv_consent(things.y, fed.offer);
	return fed.cx < 0 ? fed.cx : fed.cy < 0 ? fed.cy : 0;
}

static int touch(void)
{
	touch_init();
	if (!toucher_start(&fed.toucher, mapped + page_size(), -1))
		return -EAGAIN;
	fed.touched = true;
	return EVENTUALLY(pg_info(things.pager).waiting == 1) ? 0 : -ETIMEDOUT;
}

static int make_message(int session, bool load)
{
	struct mbuf_message_create c = {
		.handle = H_NEW,
		.max_msg = 16,
		.max_caps = 2,
		.inbox_msg = 16,
		.inbox_caps = 1,
		.sent.fd = -1,
		.arrived.fd = -1,
	};
	struct mbuf_message_load l = {
		.target = H_NEW,
		.msg = { .buf = (uintptr_t)"abc", .len = 3 },
	};
	long ret = xioctl(session, MBUF_IOC_MESSAGE_CREATE, &c);

	if (!ret && load)
		ret = xioctl(session, MBUF_IOC_MESSAGE_LOAD, &l);
	return (int)ret;
}

static int park_message(int session)
{
	struct mbuf_message_enqueue e = {
		.target = H_NEW,
		.dest.fd = things.full_sfd,
	};
	int ret = make_message(session, true);

	if (!ret)
		ret = (int)xioctl(session, MBUF_IOC_MESSAGE_ENQUEUE, &e);
	return ret == 1 ? 0 : -EINVAL;
}

static int seal_one(int session)
{
	struct mbuf_cap cap = mbuf_cap_fd(things.event);
	struct mbuf_seal s = {
		.target = H_KEY,
		.handle = H_NEW,
		.nr_caps = 1,
		.buf = (uintptr_t)"abc",
		.len = 3,
		.caps = (uintptr_t)&cap,
		.stride = sizeof(cap),
	};

	return (int)xioctl(session, MBUF_IOC_SEAL, &s);
}

/* Makes what a call needs that takes something. 0, or what went wrong. */
static int feed(int session, enum call_nr which)
{
	struct mbuf_cap cap = mbuf_cap_fd(things.event);
	struct mbuf_give g = { .ref.fd = things.sfd };
	struct mbuf_handle_copy c = { .from = H_FILE, .handle = H_NEW };
	int ret = 0, end[2];

	/* Else the first that a call makes would be there. */
	ret = hold_free(session);
	if (ret)
		return ret;
	if (cmds[which].on & ON_CHANNEL || which == C_PROVIDE) {
		ret = ch_create(session, MBUF_END_DETACHED, end);
		if (ret)
			return ret;
		things.x = end[0];
		things.y = end[1];
		if (which != C_OFFER && which != C_GIVE && which != C_GIVEN)
			ret = channel_with_offer(session);
	}
	if (ret)
		return ret;
	switch (which) {
	case C_RECV_CAPS:
		return send_caps(things.sfd, -1, "xyz", &cap, 1);
	case C_ANSWER:
		ret = rg_take(things.y, fed.offer);
		close(ret);
		return ret < 0 ? ret : 0;
	case C_CLAIM:
	case C_REVOKE:
	case C_PROVIDE:
		ret = give_consents();
		if (!ret && which == C_CLAIM)
			ret = pv_allocate(session, fed.cx, fed.cy);
		return ret;
	case C_GIVEN:
		return (int)xioctl(things.y, MBUF_IOC_GIVE, &g);
	case C_FAULTS:
		return touch();
	case C_REFUSE:
		ret = touch() ?: pg_fault(things.pager, &fed.fault);
		return ret == 1 ? 0 : -EINVAL;
	case C_EVICT:
	case C_PROTECT:
	case C_PAGES:
		ret = (int)pg_supply(things.pager, 0, content, 2 * page_size(),
				     0);
		return ret == 2 ? 0 : -EINVAL;
	case C_HANDLE_MOVE:
	case C_HANDLE_DELETE:
	case C_HANDLE_REVOKE:
		return (int)xioctl(session, MBUF_IOC_HANDLE_COPY, &c);
	case C_MESSAGE_LOAD:
	case C_MESSAGE_GRANT:
		return make_message(session, false);
	case C_MESSAGE_ENQUEUE:
	case C_MESSAGE_INFO:
		return make_message(session, true);
	case C_MESSAGE_CANCEL:
		return park_message(session);
	case C_UNSEAL:
		return seal_one(session);
	default:
		return 0;
	}
}

static int feed_call(int session, enum call_nr which)
{
	int ret = feed(session, which);

	if (ret)
		fprintf(stderr, "# what %s needs: %s\n", cmds[which].name,
			mbuf_strerror(ret));
	return ret;
}

static void drain(int rfd)
{
	struct mbuf_cap caps[64];
	unsigned int nr = 64;
	char buf[256];
	struct mbuf_msg msg = { .buf = (uintptr_t)buf, .len = sizeof(buf) };

	while (!mbuf_recv_caps(rfd, &msg, caps, &nr, 0, -1, MBUF_NOW)) {
		nr = 64;
		msg.len = sizeof(buf);
	}
}

/*
 * Undoes what feed() and the call did, also one that failed; false if anything
 * is left.
 */
static bool undo_call(int session, enum call_nr which)
{
	struct snapshot now;

	if (fed.touched) {
		pg_zero(things.pager, page_size(), page_size());
		toucher_join(&fed.toucher);
		fed.touched = false;
	}
	pg_evict(things.pager, 0, NULL, NPAGES * page_size());
	delete_handles(session, H_FREE);
	drain(things.rfd);
	if (get_info(things.full_rfd).depth != 1) {
		drain(things.full_rfd);
		mbuf_send(things.full_sfd, "x", 1, MBUF_NOW);
	}
	syscall(SYS_close_range, first_fd, ~0u, 0);
	things.x = -1;
	things.y = -1;
	fed.cx = -1;
	fed.cy = -1;
	if (EVENTUALLY(same_usage(session, &base, &now)))
		return true;
	fprintf(stderr,
		"# left behind by %s: objects %lld, memory %lld, handles %lld, caps %lld, module's users %ld\n",
		cmds[which].name,
		(long long)(now.objects.used - base.objects.used),
		(long long)(now.memory.used - base.memory.used),
		(long long)(now.handles.used - base.handles.used),
		(long long)(now.caps.used - base.caps.used),
		now.module_users - base.module_users);
	return false;
}

#define poison_field(f)	poison(&(f), sizeof(f))

static void valid_call(struct call *c, enum call_nr which, int session)
{
	const uint32_t page = (uint32_t)page_size();

	memset(c, 0, sizeof(*c));
	c->which = which;
	memcpy(c->buf, "abcdefghijklmno", 16);
	c->fd = cmds[which].on & ON_SESSION ? session :
		cmds[which].on & ON_CHANNEL ? things.x :
		cmds[which].on & ON_PAGER ? things.pager : things.consent;
	switch (which) {
	case C_GRANT:
		c->grant.from.fd = things.paged;
		c->grant.rights = MBUF_REGION_READ;
		poison_field(c->grant.region.fd);
		break;
	case C_PROVIDE:
		c->provide.consent[0].fd = fed.cx;
		c->provide.consent[1].fd = fed.cy;
		c->provide.flags = MBUF_PROVIDE_ALLOCATE;
		poison_field(c->provide.offer);
		break;
	case C_SEND_CAPS:
	case C_RECV_CAPS:
		c->fd = which == C_SEND_CAPS ? things.sfd : things.rfd;
		c->xfer.wait.mode = MBUF_WAIT_NOW;
		c->xfer.nr_caps = 1;
		poison_field(c->xfer.msg);
		c->xfer.msg.buf = (uintptr_t)c->buf;
		c->xfer.msg.len = which == C_SEND_CAPS ? 3 : 16;
		if (which == C_SEND_CAPS) {
			c->xfer.msg.flags = 0;
			c->xfer.msg.prio = 0;
			c->caps[0] = mbuf_cap_fd(things.event);
		} else {
			poison_field(c->caps);
		}
		c->xfer.caps = (uintptr_t)c->caps;
		c->xfer.stride = sizeof(c->caps[0]);
		c->xfer.table.fd = -1;
		break;
	case C_OFFER:
		c->offer = offer_of(1, RIGHTS_RW, 0);
		poison_field(c->offer.id);
		break;
	case C_OFFERED:
		c->fd = things.y;
		poison_field(c->offered);
		c->offered.target = 0;
		c->offered.wait = wait_of(MBUF_NOW);
		c->offered.flags = 0;
		c->offered.resv = 0;
		break;
	case C_TAKE:
		c->fd = things.y;
		c->take.id = fed.offer;
		poison_field(c->take.region.fd);
		break;
	case C_COUNTER:
	case C_REJECT:
		c->fd = things.y;
		c->counter.id = fed.offer;
		c->counter.reason = 7;
		if (which == C_COUNTER) {
			c->counter.min = page;
			c->counter.wanted = page;
			c->counter.max = page;
			c->counter.rights = RIGHTS_R;
		}
		break;
	case C_ANSWER:
		poison_field(c->answer);
		c->answer.target = 0;
		c->answer.wait = wait_of(MBUF_NOW);
		c->answer.id = fed.offer;
		c->answer.region.flags = 0;
		c->answer.region.handle = 0;
		break;
	case C_WITHDRAW:
		c->withdraw.id = fed.offer;
		break;
	case C_CONSENT:
		c->consent.offer = fed.offer;
		poison_field(c->consent.consent.fd);
		poison_field(c->consent.id);
		break;
	case C_REVOKE:
		c->revoke.id = fed.consent;
		break;
	case C_CLAIM:
		c->fd = things.y;
		poison_field(c->claim);
		c->claim.target = 0;
		c->claim.wait = wait_of(MBUF_NOW);
		c->claim.id = fed.offer;
		c->claim.region.flags = 0;
		c->claim.region.handle = 0;
		break;
	case C_CONSENT_INFO:
		poison_field(c->consent_info);
		c->target = 0;
		break;
	case C_GIVE:
		c->give.ref.fd = things.sfd;
		break;
	case C_GIVEN:
		poison_field(c->give.ref.fd);
		break;
	case C_REGION_INFO:
		c->fd = things.solid;
		poison_field(c->region);
		c->target = 0;
		break;
	case C_PAGED_CREATE:
		c->paged.size = page;
		poison_field(c->paged.pager.fd);
		poison_field(c->paged.region.fd);
		poison_field(c->paged.id);
		break;
	case C_FAULTS:
		c->faults.wait = wait_of(MBUF_NOW);
		c->faults.faults = (uintptr_t)c->msgs;
		c->faults.nr = 2;
		c->faults.stride = sizeof(c->msgs[0]);
		poison_field(c->msgs);
		break;
	case C_SUPPLY:
		c->supply.size = 2 * page;
		c->supply.data = (uintptr_t)content;
		poison_field(c->supply.done);
		poison_field(c->supply.supplied);
		break;
	case C_REFUSE:
		c->refuse.id = fed.fault.id;
		c->refuse.offset = fed.fault.offset;
		break;
	case C_EVICT:
		c->evict.size = 2 * page;
		c->evict.data = (uintptr_t)content + 2 * page;
		c->evict.states = (uintptr_t)c->states;
		poison(&c->evict.done, sizeof(c->evict) -
		       offsetof(struct mbuf_evict, done));
		break;
	case C_PROTECT:
		c->protect.size = 2 * page;
		c->protect.flags = MBUF_PROTECT_ASK;
		poison_field(c->protect.busy);
		break;
	case C_PAGES:
		c->pages.size = NPAGES * page;
		c->pages.states = (uintptr_t)c->states;
		break;
	case C_PAGED_INFO:
		poison_field(c->paged_info);
		c->target = 0;
		break;
	case C_TABLE_CREATE:
		poison_field(c->table.id);
		break;
	case C_HANDLE_PUT:
		c->put.ref.fd = things.event;
		break;
	case C_HANDLE_OPEN:
		c->target = H_FILE;
		poison_field(c->open.ref.fd);
		break;
	case C_HANDLE_COPY:
		c->copy.from = H_FILE;
		break;
	case C_HANDLE_MOVE:
		c->copy.from = H_NEW;
		break;
	case C_HANDLE_DELETE:
	case C_MESSAGE_CANCEL:
		c->target = H_NEW;
		break;
	case C_HANDLE_REVOKE:
		c->target = H_FILE;
		break;
	case C_HANDLE_INFO:
		poison_field(c->info);
		c->target = H_FILE;
		break;
	case C_TABLE_LIST:
		c->list.entries = (uintptr_t)c->entries;
		c->list.nr = 2;
		c->list.stride = sizeof(c->entries[0]);
		poison_field(c->entries);
		break;
	case C_MESSAGE_CREATE:
		c->message.max_msg = 16;
		c->message.max_caps = 2;
		c->message.inbox_msg = 16;
		c->message.inbox_caps = 1;
		c->message.sent.fd = things.event;
		c->message.arrived.fd = things.event;
		poison_field(c->message.id);
		break;
	case C_MESSAGE_LOAD:
		c->target = H_NEW;
		c->load.nr_caps = 1;
		c->load.msg.buf = (uintptr_t)c->buf;
		c->load.msg.len = 3;
		c->load.caps = (uintptr_t)c->caps;
		c->load.stride = sizeof(c->caps[0]);
		c->caps[0] = mbuf_cap_fd(things.event);
		break;
	case C_MESSAGE_ENQUEUE:
		c->target = H_NEW;
		c->enqueue.dest.fd = things.sfd;
		break;
	case C_MESSAGE_INFO:
		poison_field(c->message_info);
		c->target = H_NEW;
		break;
	case C_MESSAGE_GRANT:
		c->target = H_NEW;
		break;
	case C_KEY_CREATE:
		poison_field(c->key.id);
		break;
	case C_SEAL:
		c->target = H_KEY;
		c->seal.nr_caps = 1;
		c->seal.buf = (uintptr_t)c->buf;
		c->seal.len = 3;
		c->seal.caps = (uintptr_t)c->caps;
		c->seal.stride = sizeof(c->caps[0]);
		c->caps[0] = mbuf_cap_fd(things.event);
		poison_field(c->seal.id);
		break;
	case C_UNSEAL:
		c->target = H_KEY;
		c->unseal.sealed = H_NEW;
		c->unseal.nr_caps = 1;
		c->unseal.buf = (uintptr_t)c->buf;
		c->unseal.len = 16;
		c->unseal.caps = (uintptr_t)c->caps;
		c->unseal.stride = sizeof(c->caps[0]);
		poison_field(c->caps);
		break;
	case NR_CMDS:
		break;
	}
}

/* What the call gives when it works. */
static long call_success(enum call_nr which)
{
	return which == C_FAULTS || which == C_HANDLE_REVOKE ? 1 :
	       which == C_TABLE_LIST ? 2 : 0;
}

static long raw_call(struct call *c)
{
	return xioctl(c->fd, cmds[c->which].cmd, &c->target);
}

/* Makes the call. If it fails, nothing in it may have changed: else EPROTO. */
static long do_call(struct call *c)
{
	struct call before = *c;
	long ret = raw_call(c);

	if (ret < 0 && memcmp(c, &before, sizeof(before)))
		return -EPROTO;
	return ret;
}

/* The state that a failed call must leave alone. */
struct state {
	struct mbuf_queue_info info[2];
	struct mbuf_channel_info ch[2];
	struct mbuf_paged_info paged;
	struct mbuf_consent_info consent[3];
	struct mbuf_message_info message;
	struct mbuf_handle_entry entry[16];
	long handles;
	uint8_t pages[NPAGES];
	short ready[3];
	struct snapshot snap;
};

static void get_state(int session, struct state *s)
{
	struct mbuf_table_list l = {
		.entries = (uintptr_t)s->entry,
		.nr = 16,
		.stride = sizeof(s->entry[0]),
	};

	memset(s, 0, sizeof(*s));
	s->info[0] = get_info(things.rfd);
	s->info[1] = get_info(things.full_rfd);
	if (things.x >= 0) {
		s->ch[0] = ch_info(things.x);
		s->ch[1] = ch_info(things.y);
		s->ready[0] = poll_now(things.x, POLL_ALL);
		s->ready[1] = poll_now(things.y, POLL_ALL);
	}
	s->paged = pg_info(things.pager);
	s->ready[2] = poll_now(things.pager, POLL_ALL);
	xioctl(things.consent, MBUF_IOC_CONSENT_INFO, &s->consent[0]);
	if (fed.cx >= 0) {
		xioctl(fed.cx, MBUF_IOC_CONSENT_INFO, &s->consent[1]);
		xioctl(fed.cy, MBUF_IOC_CONSENT_INFO, &s->consent[2]);
	}
	s->message.target = H_NEW;
	xioctl(session, MBUF_IOC_MESSAGE_INFO, &s->message);
	s->handles = xioctl(session, MBUF_IOC_TABLE_LIST, &l);
	pg_pages(things.pager, 0, NPAGES * page_size(), s->pages);
	take_snapshot(session, &s->snap);
}

/* Some of what a call had got is let go of a little later. */
static bool unchanged(int session, const struct state *before)
{
	struct state now;

	return EVENTUALLY(({
		get_state(session, &now);
		!memcmp(before, &now, sizeof(now));
	}));
}

#define EXPECT_UNCHANGED(before)					\
	EXPECT_TRUE(unchanged(self->session, &(before)))

/* The first command from w on that the module has; see all_features. */
static enum call_nr next_cmd(uint64_t features, enum call_nr w)
{
	while (w < NR_CMDS && !(features & cmds[w].feature))
		w++;
	return w;
}

#define FOR_EACH_CMD(w)							\
	for ((w) = next_cmd(self->q.features, 0); (w) < NR_CMDS;	\
	     (w) = next_cmd(self->q.features, (w) + 1))

#define make_things() ASSERT_EQ(0, open_things(self->session))

#define FEED(w)	ASSERT_EQ(0, feed_call(self->session, w))
#define UNDO(w)	EXPECT_TRUE(undo_call(self->session, w))

/* With the call as it should be it works; and all that it did goes. */
#define WORKS_AND_UNDO(c, w) do {					\
	valid_call(&(c), w, self->session);				\
	EXPECT_EQ(call_success(w), do_call(&(c))) {			\
		TH_LOG("%s afterwards", cmds[w].name);			\
	}								\
	UNDO(w);							\
} while (0)

TEST_F(queue, all_features)
{
	const uint64_t all = MBUF_FEATURE_REGION | MBUF_FEATURE_PROVIDE |
			     MBUF_FEATURE_CAPS | MBUF_FEATURE_PAGED |
			     MBUF_FEATURE_MESSAGE | MBUF_FEATURE_SEAL;

	if ((self->q.features & all) != all)
		SKIP(return, "of features %#llx this module has %#llx: the rest is not tested",
		     (unsigned long long)all,
		     (unsigned long long)(self->q.features & all));
}

TEST_F(queue, valid_calls_work)
{
	enum call_nr w;
	struct call c;

	make_things();
	FOR_EACH_CMD(w) {
		FEED(w);
		WORKS_AND_UNDO(c, w);
	}
	/* A region's right may be of a paged one. */
	valid_call(&c, C_REGION_INFO, self->session);
	c.fd = things.paged;
	EXPECT_EQ(0, do_call(&c));
	EXPECT_EQ(MBUF_REGION_PAGED, c.region.options);
	close_things(self->session);
}

TEST_F(queue, shorter_structs)
{
	struct state before;
	struct call c, was;
	unsigned int size;
	enum call_nr w;

	make_things();
	FOR_EACH_CMD(w) {
		FEED(w);
		get_state(self->session, &before);
		valid_call(&c, w, self->session);
		was = c;
		for (size = 0; size < cmds[w].min; size++) {
			EXPECT_EQ(-EINVAL,
				  xioctl(c.fd, RESIZED(cmds[w].cmd, size),
					 &c.target)) {
				TH_LOG("%s of %u bytes", cmds[w].name, size);
			}
		}
		EXPECT_EQ(0, memcmp(&c, &was, sizeof(c)));
		EXPECT_UNCHANGED(before);
		WORKS_AND_UNDO(c, w);
	}
	close_things(self->session);
}

TEST_F(queue, longer_structs)
{
	const unsigned int more[] = { 1, 4, 8, 1000, 5000 };
	unsigned int i, size, known;
	struct state before;
	enum call_nr w;
	struct call c;
	uint8_t *arg;

	make_things();
	arg = map_pages(ARG_MAX_SIZE + 1, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, arg);
	FOR_EACH_CMD(w) {
		known = _IOC_SIZE(cmds[w].cmd);
		FEED(w);
		get_state(self->session, &before);
		valid_call(&c, w, self->session);
		for (i = 0; i <= ARRAY_SIZE(more); i++) {
			size = i < ARRAY_SIZE(more) ? known + more[i] :
						      ARG_MAX_SIZE;
			memset(arg, 0, ARG_MAX_SIZE + 1);
			memcpy(arg, &c.target, known);
			arg[known] = 1;
			EXPECT_EQ(-E2BIG, xioctl(c.fd,
						 RESIZED(cmds[w].cmd, size),
						 arg)) {
				TH_LOG("%s of %u bytes", cmds[w].name, size);
			}
			arg[known] = 0;
			arg[size - 1] = 0x80;
			EXPECT_EQ(-E2BIG, xioctl(c.fd,
						 RESIZED(cmds[w].cmd, size),
						 arg)) {
				TH_LOG("%s of %u bytes", cmds[w].name, size);
			}
			EXPECT_EQ(0, memcmp(arg, &c.target, known));
		}
		EXPECT_UNCHANGED(before);
		/* It is zero; what lies behind it does not matter. */
		arg[size - 1] = 0;
		arg[size] = 0xff;
		EXPECT_EQ(call_success(w),
			  xioctl(c.fd, RESIZED(cmds[w].cmd, size), arg)) {
			TH_LOG("%s of %u bytes", cmds[w].name, size);
		}
		EXPECT_EQ(0xff, arg[size]);
		while (--size >= known)
			if (arg[size])
				break;
		EXPECT_EQ(known - 1, size);
		UNDO(w);
	}
	munmap(arg, ARG_MAX_SIZE + 1);
	close_things(self->session);
}

/* Each is for some kinds of descriptors, and for no others. */
TEST_F(queue, wrong_object)
{
	int null, fds[NR_KINDS];
	struct state before;
	struct call c;
	enum call_nr w;
	unsigned int k;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, null);
	make_things();
	kinds(self->session, fds);
	FOR_EACH_CMD(w) {
		FEED(w);
		get_state(self->session, &before);
		valid_call(&c, w, self->session);
		c.fd = null;
		EXPECT_EQ(-ENOTTY, do_call(&c)) {
			TH_LOG("%s", cmds[w].name);
		}
		c.fd = things.event;
		EXPECT_EQ(-ENOTTY, do_call(&c)) {
			TH_LOG("%s", cmds[w].name);
		}
		for (k = 0; k < NR_KINDS; k++) {
			if (cmds[w].on & (1u << k))
				continue;
			c.fd = fds[k];
			/* Both rights of a queue know its commands. */
			EXPECT_EQ((cmds[w].on & (ON_RECV | ON_SEND) &&
				   (k == 1 || k == 2)) ? -EBADF : -ENOTTY,
				  do_call(&c)) {
				TH_LOG("%s on kind %u", cmds[w].name, k);
			}
		}
		EXPECT_UNCHANGED(before);
		WORKS_AND_UNDO(c, w);
	}
	close(null);
	close_things(self->session);
}

/* All numbers, for the kinds that uapi_abi.c has not. */
TEST_F(queue, unknown_commands)
{
	const unsigned int sizes[] = { 0, 8, 16, 32, 40, 48, 56, 64, 80, 136 };
	unsigned int nr, k, i;
	int fds[NR_KINDS];
	struct state before;
	uint8_t arg[256] = {};

	make_things();
	kinds(self->session, fds);
	get_state(self->session, &before);
	for (nr = 0; nr < 256; nr++) {
		for (k = 6; k < NR_KINDS; k++) {
			for (i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
				unsigned int type = MBUF_IOC_TYPE, dir, cmd;

				dir = _IOC_READ | _IOC_WRITE;
				if (i % 3 == 1)
					dir = _IOC_WRITE;
				else if (i % 3 == 2)
					type = 'm';
				else if (uapi_calls_on(nr) & (1u << k))
					continue;
				cmd = _IOC(dir, type, nr, sizes[i / 3]);
				ASSERT_EQ(-ENOTTY, xioctl(fds[k], cmd, arg)) {
					TH_LOG("command %#x on kind %u", cmd,
					       k);
				}
			}
		}
	}
	EXPECT_UNCHANGED(before);
	close_things(self->session);
}

TEST_F(queue, bad_descriptors)
{
	int paths[NR_KINDS], fds[NR_KINDS], closed;
	char name[64];
	struct call c;
	enum call_nr w;
	unsigned int k;

	make_things();
	kinds(self->session, fds);
	for (k = 0; k < NR_KINDS; k++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fds[k]);
		paths[k] = open(name, O_PATH | O_CLOEXEC);
		ASSERT_LE(0, paths[k]);
	}
	closed = dup(0);
	close(closed);
	FOR_EACH_CMD(w) {
		valid_call(&c, w, self->session);
		c.fd = -1;
		EXPECT_EQ(-EBADF, do_call(&c));
		c.fd = closed;
		EXPECT_EQ(-EBADF, do_call(&c));
		for (k = 0; k < NR_KINDS; k++) {
			c.fd = paths[k];
			EXPECT_EQ(-EBADF, do_call(&c)) {
				TH_LOG("%s, O_PATH of kind %u", cmds[w].name, k);
			}
		}
	}
	for (k = 0; k < NR_KINDS; k++)
		close(paths[k]);
	close_things(self->session);
}

TEST_F(queue, wild_arguments)
{
	unsigned int i, size, fit;
	struct state before;
	struct guarded g;
	struct call c;
	uint8_t *page;
	enum call_nr w;

	make_things();
	page = map_pages(page_size(), PROT_NONE);
	ASSERT_NE(NULL, page);
	FOR_EACH_CMD(w) {
		size = _IOC_SIZE(cmds[w].cmd);
		FEED(w);
		get_state(self->session, &before);
		valid_call(&c, w, self->session);
		for (i = 0; i < ARRAY_SIZE(wild); i++) {
			if (wild[i] > UINTPTR_MAX)
				continue;
			EXPECT_EQ(-EFAULT, xioctl(c.fd, cmds[w].cmd,
						  (void *)(uintptr_t)wild[i])) {
				TH_LOG("%s at %#llx", cmds[w].name,
				       (unsigned long long)wild[i]);
			}
		}
		EXPECT_EQ(-EFAULT, xioctl(c.fd, cmds[w].cmd, page));
		/* Only a part of it is memory. */
		for (fit = 1; fit < size; fit += 7) {
			ASSERT_TRUE(guarded_alloc(&g, fit));
			memcpy(g.p, &c.target, fit);
			EXPECT_EQ(-EFAULT, xioctl(c.fd, cmds[w].cmd, g.p));
			EXPECT_EQ(0, memcmp(g.p, &c.target, fit));
			guarded_free(&g);
		}
		/* The known part is, but not the rest. */
		ASSERT_TRUE(guarded_alloc(&g, size));
		memcpy(g.p, &c.target, size);
		EXPECT_EQ(-EFAULT, xioctl(c.fd, RESIZED(cmds[w].cmd, size + 8),
					  g.p));
		EXPECT_UNCHANGED(before);
		/* Up to the last byte before the hole it is fine. */
		EXPECT_EQ(call_success(w), xioctl(c.fd, cmds[w].cmd, g.p)) {
			TH_LOG("%s", cmds[w].name);
		}
		guarded_free(&g);
		UNDO(w);
	}
	munmap(page, page_size());
	close_things(self->session);
}

/* The argument can be read, but results cannot be written. */
TEST_F(queue, read_only_arguments)
{
	struct state before;
	struct call *ro;
	enum call_nr w;
	struct call c;

	make_things();
	ro = map_pages(sizeof(*ro), PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, ro);
	FOR_EACH_CMD(w) {
		FEED(w);
		get_state(self->session, &before);
		/* What it points to can be written. */
		valid_call(&c, w, self->session);
		ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ | PROT_WRITE));
		*ro = c;
		ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ));
		if (cmds[w].arg == ARG_SENT || cmds[w].arg == ARG_IN) {
			EXPECT_EQ(call_success(w), xioctl(c.fd, cmds[w].cmd,
							  &ro->target)) {
				TH_LOG("%s", cmds[w].name);
			}
			UNDO(w);
			continue;
		}
		EXPECT_EQ(-EFAULT, xioctl(c.fd, cmds[w].cmd, &ro->target)) {
			TH_LOG("%s", cmds[w].name);
		}
		if (cmds[w].arg == ARG_OUT)
			EXPECT_UNCHANGED(before) {
				TH_LOG("%s", cmds[w].name);
			}
		WORKS_AND_UNDO(c, w);
	}
	munmap(ro, sizeof(*ro));
	close_things(self->session);
}

/* Where there are no handles. */
TEST_F(queue, targets)
{
	const uint64_t targets[] = { 1, 1ull << 32, 1ull << 63, UINT64_MAX };
	struct state before;
	unsigned int i;
	struct call c;
	enum call_nr w;

	make_things();
	FOR_EACH_CMD(w) {
		if (cmds[w].on & ON_SESSION && w != C_GRANT &&
		    w != C_PROVIDE && w != C_PAGED_CREATE)
			continue;
		FEED(w);
		get_state(self->session, &before);
		for (i = 0; i < ARRAY_SIZE(targets); i++) {
			valid_call(&c, w, self->session);
			c.target = targets[i];
			EXPECT_EQ(-EOPNOTSUPP, do_call(&c)) {
				TH_LOG("%s", cmds[w].name);
			}
		}
		EXPECT_UNCHANGED(before);
		WORKS_AND_UNDO(c, w);
	}
	close_things(self->session);
}

/* An argument may be anywhere. */
TEST_F(queue, unaligned_arguments)
{
	uint8_t room[256 + 8];
	unsigned int size, shift;
	struct call c;
	enum call_nr w;

	make_things();
	FOR_EACH_CMD(w) {
		size = _IOC_SIZE(cmds[w].cmd);
		for (shift = 1; shift < 8; shift += 3) {
			FEED(w);
			valid_call(&c, w, self->session);
			poison(room, sizeof(room));
			memcpy(room + shift, &c.target, size);
			EXPECT_EQ(call_success(w), xioctl(c.fd, cmds[w].cmd,
							  room + shift)) {
				TH_LOG("%s at %u", cmds[w].name, shift);
			}
			EXPECT_TRUE(is_poison(room, shift));
			EXPECT_TRUE(is_poison(room + shift + size,
					      sizeof(room) - shift - size));
			UNDO(w);
		}
	}
	close_things(self->session);
}

/*
 * Fields. Offsets are from the beginning of the argument, and may be of what it
 * points to.
 */
#define AT(member)	(offsetof(struct call, member) - \
			 offsetof(struct call, target))

struct field {
	enum call_nr which;
	const char *name;
	size_t offset;
	uint32_t known;
};

/* A row for 32 bits, of which those that are known mean something. */
#define BITS(call, member, bits) \
	{ C_##call, #call " " #member, AT(member), bits }
/* All 64 must be 0. */
#define ZERO64(call, member) \
	BITS(call, member, 0), \
	{ C_##call, #call " " #member, AT(member) + 4, 0 }
/* An index that a handle shall have. */
#define INDEX(call, member) \
	BITS(call, member, MBUF_INDEX_MAX), \
	{ C_##call, #call " " #member, AT(member) + 4, 0 }
#define REF(call, member) \
	BITS(call, member.flags, 0), ZERO64(call, member.handle)
/* A size or an offset of whole pages. */
#define WHOLE(call, member)	BITS(call, member, ~0xfffu)
/* What is sent with a message. */
#define CAP(call) \
	BITS(call, caps[0].ref.flags, MBUF_REF_HANDLE), \
	ZERO64(call, caps[0].ref.handle), \
	BITS(call, caps[0].rights, 0), BITS(call, caps[0].type, 0), \
	BITS(call, caps[0].flags, 0), BITS(call, caps[0].error, 0), \
	ZERO64(call, caps[0].id)

#define FILE_RIGHTS	(MBUF_RIGHT_COPY | MBUF_RIGHT_PASS | MBUF_RIGHT_OPEN | \
			 MBUF_RIGHT_SEND)

static const struct field bits[] = {
	REF(GRANT, grant.from),
	BITS(GRANT, grant.rights, RIGHTS_RW),
	BITS(GRANT, grant.flags, 0),
	REF(GRANT, grant.region),
	REF(PROVIDE, provide.consent[0]),
	REF(PROVIDE, provide.consent[1]),
	/* With ALLOCATE. */
	BITS(PROVIDE, provide.memory.fd, 0),
	REF(PROVIDE, provide.memory),
	WHOLE(PROVIDE, provide.size),
	BITS(PROVIDE, provide.rights[0], RIGHTS_RW & ~2u),
	BITS(PROVIDE, provide.rights[1], RIGHTS_RW & ~2u),
	BITS(PROVIDE, provide.flags, MBUF_PROVIDE_ALLOCATE),
	BITS(PROVIDE, provide.resv, 0),
	BITS(SEND_CAPS, xfer.flags, 0),
	BITS(SEND_CAPS, xfer.resv, 0),
	BITS(SEND_CAPS, xfer.msg.flags, 0),
	BITS(SEND_CAPS, xfer.msg.prio, 0),
	REF(SEND_CAPS, xfer.table),
	CAP(SEND_CAPS),
	BITS(RECV_CAPS, xfer.flags, MBUF_RECV_LOOK | MBUF_RECV_HANDLES |
				    MBUF_RECV_DROP),
	BITS(RECV_CAPS, xfer.resv, 0),
	REF(RECV_CAPS, xfer.table),
	WHOLE(OFFER, offer.min),
	WHOLE(OFFER, offer.wanted),
	WHOLE(OFFER, offer.max),
	BITS(OFFER, offer.rights, RIGHTS_RW),
	BITS(OFFER, offer.options, MBUF_OFFER_SOLID | MBUF_OFFER_MEMFD |
				   MBUF_OFFER_PROVIDED),
	BITS(OFFER, offer.memory.fd, 0),
	REF(OFFER, offer.memory),
	BITS(OFFERED, offered.flags, 0),
	BITS(OFFERED, offered.resv, 0),
	WHOLE(TAKE, take.size),
	BITS(TAKE, take.rights, RIGHTS_RW & ~2u),
	BITS(TAKE, take.resv, 0),
	REF(TAKE, take.region),
	WHOLE(COUNTER, counter.min),
	WHOLE(COUNTER, counter.wanted),
	WHOLE(COUNTER, counter.max),
	BITS(COUNTER, counter.rights, RIGHTS_RW),
	BITS(COUNTER, counter.options, MBUF_OFFER_SOLID | MBUF_OFFER_MEMFD |
				       MBUF_OFFER_PROVIDED),
	BITS(COUNTER, counter.resv, 0),
	ZERO64(REJECT, counter.min),
	ZERO64(REJECT, counter.wanted),
	ZERO64(REJECT, counter.max),
	BITS(REJECT, counter.rights, 0),
	BITS(REJECT, counter.options, 0),
	BITS(REJECT, counter.resv, 0),
	REF(ANSWER, answer.region),
	WHOLE(CONSENT, consent.min),
	WHOLE(CONSENT, consent.max),
	BITS(CONSENT, consent.rights, RIGHTS_RW & ~2u),
	BITS(CONSENT, consent.flags, MBUF_CONSENT_UID | MBUF_CONSENT_FRESH |
				     MBUF_CONSENT_PAGED),
	BITS(CONSENT, consent.uid, 0),
	BITS(CONSENT, consent.resv, 0),
	REF(CONSENT, consent.consent),
	REF(CLAIM, claim.region),
	REF(GIVE, give.ref),
	BITS(GIVE, give.flags, 0),
	BITS(GIVE, give.resv, 0),
	REF(GIVEN, give.ref),
	BITS(GIVEN, give.flags, 0),
	BITS(GIVEN, give.resv, 0),
	WHOLE(PAGED_CREATE, paged.size),
	BITS(PAGED_CREATE, paged.flags, 0),
	BITS(PAGED_CREATE, paged.resv, 0),
	REF(PAGED_CREATE, paged.pager),
	REF(PAGED_CREATE, paged.region),
	BITS(FAULTS, faults.flags, MBUF_FAULTS_AGAIN),
	BITS(FAULTS, faults.resv, 0),
	WHOLE(SUPPLY, supply.offset),
	WHOLE(SUPPLY, supply.size),
	/* There is data. */
	BITS(SUPPLY, supply.flags, MBUF_SUPPLY_PROTECT),
	BITS(SUPPLY, supply.resv, 0),
	WHOLE(EVICT, evict.offset),
	WHOLE(EVICT, evict.size),
	/* There is data. */
	BITS(EVICT, evict.flags, 0),
	BITS(EVICT, evict.resv, 0),
	WHOLE(PROTECT, protect.offset),
	WHOLE(PROTECT, protect.size),
	BITS(PROTECT, protect.flags, MBUF_PROTECT_CLEAN | MBUF_PROTECT_ASK |
				     MBUF_PROTECT_UNMAP),
	BITS(PROTECT, protect.resv, 0),
	WHOLE(PAGES, pages.offset),
	WHOLE(PAGES, pages.size),
	BITS(PAGES, pages.flags, 0),
	BITS(PAGES, pages.resv, 0),
	INDEX(TABLE_CREATE, table.handle),
	BITS(TABLE_CREATE, table.flags, 0),
	BITS(TABLE_CREATE, table.resv, 0),
	REF(HANDLE_PUT, put.ref),
	INDEX(HANDLE_PUT, put.handle),
	BITS(HANDLE_PUT, put.rights, FILE_RIGHTS),
	BITS(HANDLE_PUT, put.resv, 0),
	REF(HANDLE_OPEN, open.ref),
	BITS(HANDLE_OPEN, open.flags, 0),
	BITS(HANDLE_OPEN, open.resv, 0),
	INDEX(HANDLE_COPY, copy.handle),
	BITS(HANDLE_COPY, copy.rights, FILE_RIGHTS),
	BITS(HANDLE_COPY, copy.resv, 0),
	INDEX(HANDLE_MOVE, copy.handle),
	BITS(HANDLE_MOVE, copy.rights, FILE_RIGHTS),
	BITS(HANDLE_MOVE, copy.resv, 0),
	BITS(HANDLE_DELETE, handle.flags, 0),
	BITS(HANDLE_DELETE, handle.resv, 0),
	BITS(HANDLE_REVOKE, handle.flags, 0),
	BITS(HANDLE_REVOKE, handle.resv, 0),
	INDEX(MESSAGE_CREATE, message.handle),
	BITS(MESSAGE_CREATE, message.flags, 0),
	BITS(MESSAGE_CREATE, message.resv, 0),
	REF(MESSAGE_CREATE, message.sent),
	REF(MESSAGE_CREATE, message.arrived),
	BITS(MESSAGE_LOAD, load.flags, 0),
	BITS(MESSAGE_LOAD, load.msg.flags, 0),
	ZERO64(MESSAGE_LOAD, load.msg.seq),
	BITS(MESSAGE_LOAD, load.msg.pid, 0),
	BITS(MESSAGE_LOAD, load.msg.uid, 0),
	BITS(MESSAGE_LOAD, load.msg.gid, 0),
	BITS(MESSAGE_LOAD, load.resv, 0),
	CAP(MESSAGE_LOAD),
	BITS(MESSAGE_ENQUEUE, enqueue.dest.flags, MBUF_REF_HANDLE),
	ZERO64(MESSAGE_ENQUEUE, enqueue.dest.handle),
	BITS(MESSAGE_ENQUEUE, enqueue.flags, 0),
	BITS(MESSAGE_ENQUEUE, enqueue.resv, 0),
	BITS(MESSAGE_CANCEL, handle.flags, 0),
	BITS(MESSAGE_CANCEL, handle.resv, 0),
	INDEX(MESSAGE_GRANT, message_grant.handle),
	BITS(MESSAGE_GRANT, message_grant.flags, MBUF_GRANT_ONCE),
	BITS(MESSAGE_GRANT, message_grant.resv, 0),
	INDEX(KEY_CREATE, key.handle),
	BITS(KEY_CREATE, key.flags, 0),
	BITS(KEY_CREATE, key.resv, 0),
	INDEX(SEAL, seal.handle),
	BITS(SEAL, seal.flags, 0),
	BITS(SEAL, seal.resv, 0),
	CAP(SEAL),
	BITS(UNSEAL, unseal.flags, MBUF_RECV_HANDLES),
	BITS(UNSEAL, unseal.resv, 0),
	BITS(UNSEAL, unseal.resv2, 0),
};

/* Every bit that means nothing, one at a time. */
TEST_F(queue, unknown_bits)
{
	struct state before;
	unsigned int i, bit;
	uint32_t value;
	enum call_nr w;
	struct call c;
	uint8_t *at;

	make_things();
	FOR_EACH_CMD(w) {
		FEED(w);
		get_state(self->session, &before);
		for (i = 0; i < ARRAY_SIZE(bits); i++) {
			if (bits[i].which != w)
				continue;
			for (bit = 0; bit < 32; bit++) {
				if (bits[i].known & (1u << bit))
					continue;
				valid_call(&c, w, self->session);
				at = (uint8_t *)&c.target + bits[i].offset;
				memcpy(&value, at, 4);
				if (value & (1u << bit))
					continue;
				value |= 1u << bit;
				memcpy(at, &value, 4);
				EXPECT_EQ(-EINVAL, do_call(&c)) {
					TH_LOG("%s, bit %u", bits[i].name, bit);
				}
			}
		}
		EXPECT_UNCHANGED(before) {
			TH_LOG("%s", cmds[w].name);
		}
		WORKS_AND_UNDO(c, w);
	}
	close_things(self->session);
}

/* Pointers in arguments. */
#define PTR(call, member)	{ C_##call, #call " " #member, AT(member), 0 }

static const struct field pointers[] = {
	PTR(SEND_CAPS, xfer.caps),
	PTR(SEND_CAPS, xfer.msg.buf),
	PTR(RECV_CAPS, xfer.caps),
	PTR(RECV_CAPS, xfer.msg.buf),
	PTR(FAULTS, faults.faults),
	PTR(SUPPLY, supply.data),
	PTR(EVICT, evict.data),
	PTR(EVICT, evict.states),
	PTR(PAGES, pages.states),
	PTR(TABLE_LIST, list.entries),
	PTR(MESSAGE_LOAD, load.msg.buf),
	PTR(MESSAGE_LOAD, load.caps),
	PTR(SEAL, seal.buf),
	PTR(SEAL, seal.caps),
	PTR(UNSEAL, unseal.buf),
	PTR(UNSEAL, unseal.caps),
};

TEST_F(queue, wild_pointers)
{
	struct state before;
	unsigned int i, k;
	enum call_nr w;
	struct call c;

	make_things();
	for (i = 0; i < ARRAY_SIZE(pointers); i++) {
		w = pointers[i].which;
		if (!(self->q.features & cmds[w].feature))
			continue;
		FEED(w);
		get_state(self->session, &before);
		for (k = 0; k < ARRAY_SIZE(wild); k++) {
			/* That is: not asked for. */
			if (!wild[k] &&
			    pointers[i].offset == AT(evict.states) &&
			    w == C_EVICT)
				continue;
			valid_call(&c, w, self->session);
			memcpy((uint8_t *)&c.target + pointers[i].offset,
			       &wild[k], sizeof(wild[k]));
			/* What it would have written to may be written to. */
			EXPECT_EQ(-EFAULT, raw_call(&c)) {
				TH_LOG("%s at %#llx", pointers[i].name,
				       (unsigned long long)wild[k]);
			}
		}
		EXPECT_UNCHANGED(before) {
			TH_LOG("%s", pointers[i].name);
		}
		WORKS_AND_UNDO(c, w);
	}
	close_things(self->session);
}

/* Arrays: the address, how many, and from one to the next. */
static const struct {
	enum call_nr which;
	size_t ptr, nr, stride;
	uint32_t min;		/* the least stride */
	bool in;		/* it is read */
} arrays[] = {
	{ C_SEND_CAPS, AT(xfer.caps), AT(xfer.nr_caps), AT(xfer.stride), 40,
	  true },
	{ C_RECV_CAPS, AT(xfer.caps), AT(xfer.nr_caps), AT(xfer.stride), 40,
	  false },
	{ C_MESSAGE_LOAD, AT(load.caps), AT(load.nr_caps), AT(load.stride), 40,
	  true },
	{ C_SEAL, AT(seal.caps), AT(seal.nr_caps), AT(seal.stride), 40, true },
	{ C_UNSEAL, AT(unseal.caps), AT(unseal.nr_caps), AT(unseal.stride), 40,
	  false },
	{ C_FAULTS, AT(faults.faults), AT(faults.nr), AT(faults.stride), 40,
	  false },
	{ C_TABLE_LIST, AT(list.entries), AT(list.nr), AT(list.stride), 24,
	  false },
};

static void set32(struct call *c, size_t offset, uint32_t value)
{
	memcpy((uint8_t *)&c->target + offset, &value, sizeof(value));
}

static void set64(struct call *c, size_t offset, uint64_t value)
{
	memcpy((uint8_t *)&c->target + offset, &value, sizeof(value));
}

TEST_F(queue, array_shapes)
{
	uint32_t stride, max = self->q.batch_max;
	uint8_t room[2 * STRIDE_MAX], *from;
	struct state before;
	unsigned int i, k;
	enum call_nr w;
	struct call c;

	make_things();
	for (i = 0; i < ARRAY_SIZE(arrays); i++) {
		const uint32_t min = arrays[i].min;
		const uint32_t bad[] = { 0, 1, 8, min - 8, min - 1, min + 1,
			min + 4, STRIDE_MAX - 1, STRIDE_MAX + 1, STRIDE_MAX + 8,
			1u << 31, UINT32_MAX - 7, UINT32_MAX };
		const uint32_t nrs[] = { max + 1, 1u << 31, UINT32_MAX,
			UINT32_MAX / min + 2 };

		w = arrays[i].which;
		if (!(self->q.features & cmds[w].feature))
			continue;
		FEED(w);
		get_state(self->session, &before);
		for (k = 0; k < ARRAY_SIZE(bad); k++) {
			valid_call(&c, w, self->session);
			set32(&c, arrays[i].stride, bad[k]);
			EXPECT_EQ(-EINVAL, do_call(&c)) {
				TH_LOG("%s, stride %u", cmds[w].name, bad[k]);
			}
		}
		for (k = 0; k < ARRAY_SIZE(nrs); k++) {
			valid_call(&c, w, self->session);
			set32(&c, arrays[i].nr, nrs[k]);
			EXPECT_EQ(-EINVAL, do_call(&c)) {
				TH_LOG("%s of %u", cmds[w].name, nrs[k]);
			}
		}
		if (w == C_FAULTS || w == C_TABLE_LIST) {
			valid_call(&c, w, self->session);
			set32(&c, arrays[i].nr, 0);
			EXPECT_EQ(-EINVAL, do_call(&c));
		}
		EXPECT_UNCHANGED(before);
		UNDO(w);

		/* Elements grow like structs do. */
		for (stride = min; stride <= STRIDE_MAX; stride += 8) {
			FEED(w);
			valid_call(&c, w, self->session);
			from = w == C_FAULTS ? (uint8_t *)c.msgs :
			       w == C_TABLE_LIST ? (uint8_t *)c.entries :
						   (uint8_t *)c.caps;
			memset(room, 0, sizeof(room));
			memcpy(room, from, min);
			set64(&c, arrays[i].ptr, (uintptr_t)room);
			set32(&c, arrays[i].stride, stride);
			if (arrays[i].in && stride > min) {
				get_state(self->session, &before);
				room[stride - 1] = 1;
				EXPECT_EQ(-E2BIG, do_call(&c)) {
					TH_LOG("%s, stride %u", cmds[w].name,
					       stride);
				}
				EXPECT_UNCHANGED(before);
				room[stride - 1] = 0;
			}
			/* Two of them, of which nothing is between. */
			EXPECT_EQ(call_success(w), raw_call(&c)) {
				TH_LOG("%s, stride %u", cmds[w].name, stride);
			}
			for (k = min; k < stride; k++)
				EXPECT_EQ(0, room[k]);
			if (w == C_TABLE_LIST)
				EXPECT_EQ(H_TABLE, room[stride]);
			UNDO(w);
		}
	}
	close_things(self->session);
}

/* Where there are none, what is said of the array does not matter. */
TEST_F(queue, empty_arrays)
{
	const uint64_t ptrs[] = { 0, 1, 4096, (uint64_t)-1 };
	struct call c;
	unsigned int i, k;
	enum call_nr w;

	make_things();
	for (i = 0; arrays[i].which != C_FAULTS; i++) {
		w = arrays[i].which;
		if (!(self->q.features & cmds[w].feature))
			continue;
		for (k = 0; k < 3 * ARRAY_SIZE(ptrs); k++) {
			FEED(w);
			valid_call(&c, w, self->session);
			/* What has one gives EMSGSIZE, or may drop it. */
			if (w == C_RECV_CAPS)
				c.xfer.flags = MBUF_RECV_DROP;
			set64(&c, arrays[i].ptr, ptrs[k / 3]);
			set32(&c, arrays[i].nr, 0);
			set32(&c, arrays[i].stride,
			      k % 3 == 0 ? 0 : k % 3 == 1 ? 40 : 256);
			EXPECT_EQ(w == C_UNSEAL ? -EMSGSIZE : 0, raw_call(&c)) {
				TH_LOG("%s, %u", cmds[w].name, k);
			}
			UNDO(w);
		}
	}
	close_things(self->session);
}

/* Handles, wherever an argument has one. */
#define HANDLE(call, member, what) \
	{ C_##call, #call " " #member, AT(member), what }
#define IS_TABLE	1	/* to put something into; 0 is the root table */
#define IS_OBJECT	2
#define IS_SEEN		4	/* a revoked one is not an error */
#define IS_ROOT		8	/* 0 is the root table */

static const struct field handles[] = {
	HANDLE(TABLE_CREATE, target, IS_TABLE),
	HANDLE(HANDLE_PUT, target, IS_TABLE),
	HANDLE(HANDLE_OPEN, target, IS_OBJECT),
	HANDLE(HANDLE_COPY, target, IS_TABLE),
	HANDLE(HANDLE_COPY, copy.from, IS_OBJECT),
	HANDLE(HANDLE_MOVE, target, IS_TABLE),
	HANDLE(HANDLE_MOVE, copy.from, IS_OBJECT),
	HANDLE(HANDLE_DELETE, target, IS_OBJECT | IS_SEEN),
	HANDLE(HANDLE_REVOKE, target, IS_OBJECT | IS_SEEN),
	HANDLE(HANDLE_INFO, target, IS_OBJECT | IS_SEEN | IS_ROOT),
	HANDLE(TABLE_LIST, target, IS_TABLE),
	HANDLE(MESSAGE_CREATE, target, IS_TABLE),
	HANDLE(MESSAGE_LOAD, target, IS_OBJECT),
	HANDLE(MESSAGE_ENQUEUE, target, IS_OBJECT),
	HANDLE(MESSAGE_CANCEL, target, IS_OBJECT),
	HANDLE(MESSAGE_INFO, target, IS_OBJECT),
	HANDLE(MESSAGE_GRANT, target, IS_OBJECT),
	HANDLE(MESSAGE_GRANT, message_grant.table, IS_TABLE),
	HANDLE(KEY_CREATE, target, IS_TABLE),
	HANDLE(SEAL, target, IS_OBJECT),
	HANDLE(SEAL, seal.table, IS_TABLE),
	HANDLE(UNSEAL, target, IS_OBJECT),
	HANDLE(UNSEAL, unseal.sealed, IS_OBJECT),
};

#define EXPECT_HANDLE(err, handle) do {					\
	valid_call(&c, w, self->session);				\
	set64(&c, handles[i].offset, handle);				\
	EXPECT_EQ(-(err), do_call(&c)) {				\
		TH_LOG("%s: " #handle, handles[i].name);		\
	}								\
} while (0)

TEST_F(queue, handles)
{
	const uint32_t path_max = self->q.path_max;
	struct {
		struct mbuf_path p;
		uint64_t index[2];
	} path;
	struct state before;
	unsigned int i, k;
	struct guarded g;
	enum call_nr w;
	struct call c;

	make_things();
	for (i = 0; i < ARRAY_SIZE(handles); i++) {
		const bool table = handles[i].known & IS_TABLE;

		w = handles[i].which;
		if (!(self->q.features & cmds[w].feature))
			continue;
		FEED(w);
		/* There is nothing at this one from here on. */
		ASSERT_EQ(0, handle_delete(self->session, H_FREE));
		get_state(self->session, &before);
		EXPECT_HANDLE(ENOENT, H_FREE);
		EXPECT_HANDLE(ENOENT, MBUF_INDEX_MAX);
		EXPECT_HANDLE(ENOENT, MBUF_INDEX_MAX + 1);
		EXPECT_HANDLE(ENOENT, 1ull << 32 | H_TABLE);
		EXPECT_HANDLE(ENOENT, ~MBUF_HANDLE_PATH);
		if (!table && !(handles[i].known & IS_ROOT))
			EXPECT_HANDLE(ENOENT, 0);
		EXPECT_HANDLE(ENOENT, PATH(H_FREE));
		EXPECT_HANDLE(ENOENT, PATH(0));
		EXPECT_HANDLE(ENOENT, PATH(H_FREE, 1));
		EXPECT_HANDLE(ENOENT, PATH(0, 1));
		EXPECT_HANDLE(ENOENT, PATH(H_TABLE, 0));
		EXPECT_HANDLE(ENOENT, PATH(H_TABLE, 1));
		EXPECT_HANDLE(ENOENT, PATH(H_TABLE, UINT64_MAX));
		/* A path is no index of a path. */
		EXPECT_HANDLE(ENOENT, PATH(PATH(H_TABLE), 1));
		EXPECT_HANDLE(ENOTDIR, PATH(H_FILE, 1));
		EXPECT_HANDLE(ENOTDIR, PATH(H_KEY, 1));
		EXPECT_HANDLE(EKEYREVOKED, PATH(H_REVOKED, 1));
		if (table) {
			EXPECT_HANDLE(ENOTDIR, H_FILE);
			EXPECT_HANDLE(ENOTDIR, PATH(H_KEY));
		}
		if (!(handles[i].known & IS_SEEN)) {
			EXPECT_HANDLE(EKEYREVOKED, H_REVOKED);
			EXPECT_HANDLE(EKEYREVOKED, PATH(H_REVOKED));
		}
		/* Paths that are none. */
		path.p = (struct mbuf_path){ .nr = 2 };
		path.index[0] = H_TABLE;
		path.index[1] = 1;
		EXPECT_HANDLE(ENOENT, MBUF_HANDLE_PATH | (uintptr_t)&path);
		path.p.resv = 1;
		EXPECT_HANDLE(EINVAL, MBUF_HANDLE_PATH | (uintptr_t)&path);
		path.p.resv = 1u << 31;
		EXPECT_HANDLE(EINVAL, MBUF_HANDLE_PATH | (uintptr_t)&path);
		path.p = (struct mbuf_path){ .nr = 0 };
		EXPECT_HANDLE(EINVAL, MBUF_HANDLE_PATH | (uintptr_t)&path);
		path.p.nr = path_max + 1;
		EXPECT_HANDLE(EINVAL, MBUF_HANDLE_PATH | (uintptr_t)&path);
		path.p.nr = UINT32_MAX;
		EXPECT_HANDLE(EINVAL, MBUF_HANDLE_PATH | (uintptr_t)&path);
		for (k = 0; k < ARRAY_SIZE(wild); k++)
			EXPECT_HANDLE(EFAULT, MBUF_HANDLE_PATH | wild[k]);
		/* One index and a half, and one of two. */
		path.p.nr = 2;
		for (k = 0; k <= 20; k += 4) {
			ASSERT_TRUE(guarded_alloc(&g, k));
			memcpy(g.p, &path, k);
			EXPECT_HANDLE(EFAULT, MBUF_HANDLE_PATH |
					      (uintptr_t)g.p);
			guarded_free(&g);
		}
		EXPECT_UNCHANGED(before) {
			TH_LOG("%s", handles[i].name);
		}
		/* As a path of one, or two, it is the same. */
		if (!table) {
			uint64_t h;

			valid_call(&c, w, self->session);
			memcpy(&h, (uint8_t *)&c.target + handles[i].offset, 8);
			set64(&c, handles[i].offset, PATH(h));
			EXPECT_EQ(call_success(w), do_call(&c)) {
				TH_LOG("%s, a path", handles[i].name);
			}
		} else {
			valid_call(&c, w, self->session);
			set64(&c, handles[i].offset, H_TABLE);
			EXPECT_EQ(w == C_TABLE_LIST ? 0 : call_success(w),
				  do_call(&c)) {
				TH_LOG("%s, a table", handles[i].name);
			}
			/* It is there, and not in the root table. */
			if (w != C_TABLE_LIST)
				EXPECT_EQ(0, handle_delete(self->session,
							   PATH(H_TABLE, 1))) {
					TH_LOG("%s", handles[i].name);
				}
		}
		UNDO(w);
	}
	close_things(self->session);
}

/* Which types of handles a call takes. */
TEST_F(queue, types_of_handles)
{
	static const struct {
		enum call_nr which;
		size_t offset;
		int err;
	} t[] = {
		{ C_MESSAGE_LOAD, AT(target), ENOTTY },
		{ C_MESSAGE_ENQUEUE, AT(target), ENOTTY },
		{ C_MESSAGE_CANCEL, AT(target), ENOTTY },
		{ C_MESSAGE_INFO, AT(target), ENOTTY },
		{ C_MESSAGE_GRANT, AT(target), ENOTTY },
		{ C_SEAL, AT(target), ENOTTY },
		{ C_UNSEAL, AT(target), ENOTTY },
		{ C_UNSEAL, AT(unseal.sealed), ENOTTY },
	};
	static const uint64_t others[] = { H_FILE, H_TABLE, H_KEY };
	struct state before;
	unsigned int i, k;
	enum call_nr w;
	struct call c;

	make_things();
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		w = t[i].which;
		if (!(self->q.features & cmds[w].feature))
			continue;
		FEED(w);
		get_state(self->session, &before);
		for (k = 0; k < ARRAY_SIZE(others); k++) {
			if (others[k] == H_KEY && t[i].offset == AT(target) &&
			    (w == C_SEAL || w == C_UNSEAL))
				continue;
			valid_call(&c, w, self->session);
			set64(&c, t[i].offset, others[k]);
			EXPECT_EQ(-t[i].err, do_call(&c)) {
				TH_LOG("%s of handle %u", cmds[w].name,
				       (unsigned int)others[k]);
			}
		}
		EXPECT_UNCHANGED(before);
		WORKS_AND_UNDO(c, w);
	}
	/* What only those of a queue's are for. */
	valid_call(&c, C_SEND_CAPS, self->session);
	c.fd = self->session;
	c.target = H_TABLE;
	EXPECT_EQ(-ENOTTY, do_call(&c));
	c.target = H_KEY;
	EXPECT_EQ(-ENOTTY, do_call(&c));
	c.target = H_FREE;
	EXPECT_EQ(-ENOENT, do_call(&c));
	c.target = H_REVOKED;
	EXPECT_EQ(-EKEYREVOKED, do_call(&c));
	c.target = PATH(H_FILE, 1);
	EXPECT_EQ(-ENOTDIR, do_call(&c));
	c.target = H_FILE;
	c.which = C_RECV_CAPS;
	EXPECT_EQ(-EBADF, do_call(&c));
	c.which = C_SEND_CAPS;
	EXPECT_EQ(0, do_call(&c));
	close_things(self->session);
}

/* Where a handle shall be: there is another, or there is not. */
TEST_F(queue, places)
{
	static const struct field t[] = {
		HANDLE(TABLE_CREATE, table.handle, 0),
		HANDLE(HANDLE_PUT, put.handle, 0),
		HANDLE(HANDLE_COPY, copy.handle, 0),
		HANDLE(HANDLE_MOVE, copy.handle, 0),
		HANDLE(MESSAGE_CREATE, message.handle, 0),
		HANDLE(MESSAGE_GRANT, message_grant.handle, 0),
		HANDLE(KEY_CREATE, key.handle, 0),
		HANDLE(SEAL, seal.handle, 0),
	};
	struct state before;
	enum call_nr w;
	unsigned int i;
	struct call c;
	uint64_t h;

	make_things();
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		w = t[i].which;
		if (!(self->q.features & cmds[w].feature))
			continue;
		FEED(w);
		get_state(self->session, &before);
		for (h = H_FILE; h <= H_FREE; h++) {
			valid_call(&c, w, self->session);
			set64(&c, t[i].offset, h);
			EXPECT_EQ(-EEXIST, do_call(&c)) {
				TH_LOG("%s", t[i].name);
			}
		}
		EXPECT_UNCHANGED(before);
		valid_call(&c, w, self->session);
		set64(&c, t[i].offset, 77);
		EXPECT_EQ(0, do_call(&c));
		memcpy(&h, (uint8_t *)&c.target + t[i].offset, 8);
		EXPECT_EQ(77, h);
		EXPECT_EQ(0, handle_delete(self->session, 77));
		UNDO(w);
	}
	close_things(self->session);
}

/* Descriptors in arguments. */
static const struct {
	struct field f;
	bool none;		/* a negative one is: none */
	int err[NR_KINDS];	/* 0: see somewhere else */
} refs[] = {
#define FD(call, member)	{ C_##call, #call " " #member, AT(member), 0 }
	/* Of a paged region rights can be granted, and of a solid one. */
	{ FD(GRANT, grant.from.fd), false,
	  { ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY, 0, 0, ENOTTY,
	    ENOTTY } },
	{ FD(PROVIDE, provide.consent[0].fd), false,
	  { ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY,
	    ENOTTY, EXDEV } },
	{ FD(PROVIDE, provide.consent[1].fd), false,
	  { ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY,
	    ENOTTY, EXDEV } },
	{ FD(SEND_CAPS, caps[0].ref.fd), false,
	  { EOPNOTSUPP, EOPNOTSUPP } },
	{ FD(SEND_CAPS, xfer.table.fd), true,
	  { 0, EBADF, EBADF, EBADF, EBADF, EBADF, EBADF, EBADF, EBADF,
	    EBADF } },
	{ FD(RECV_CAPS, xfer.table.fd), true,
	  { 0, EBADF, EBADF, EBADF, EBADF, EBADF, EBADF, EBADF, EBADF,
	    EBADF } },
	{ FD(GIVE, give.ref.fd), false,
	  { EOPNOTSUPP, EOPNOTSUPP, 0, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP,
	    EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP } },
	{ FD(HANDLE_PUT, put.ref.fd), false, { EOPNOTSUPP, EOPNOTSUPP } },
	{ FD(MESSAGE_CREATE, message.sent.fd), true,
	  { ENOTTY, ENOTTY, ENOTTY, 0, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY,
	    ENOTTY } },
	{ FD(MESSAGE_CREATE, message.arrived.fd), true,
	  { ENOTTY, ENOTTY, ENOTTY, 0, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY,
	    ENOTTY } },
	{ FD(MESSAGE_LOAD, caps[0].ref.fd), false, { EOPNOTSUPP, EOPNOTSUPP } },
	{ FD(MESSAGE_ENQUEUE, enqueue.dest.fd), false,
	  { ENOTTY, EBADF, 0, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY, ENOTTY,
	    ENOTTY } },
	{ FD(SEAL, caps[0].ref.fd), false, { EOPNOTSUPP, EOPNOTSUPP } },
};

TEST_F(queue, descriptors_in_arguments)
{
	int fds[NR_KINDS], path, closed;
	struct state before;
	unsigned int i, k;
	enum call_nr w;
	char name[64];
	struct call c;

	make_things();
	kinds(self->session, fds);
	for (i = 0; i < ARRAY_SIZE(refs); i++) {
		w = refs[i].f.which;
		if (!(self->q.features & cmds[w].feature))
			continue;
		FEED(w);
		snprintf(name, sizeof(name), "/proc/self/fd/%d", things.sfd);
		path = open(name, O_PATH | O_CLOEXEC);
		ASSERT_GE(path, 0);
		closed = dup(0);
		close(closed);
		get_state(self->session, &before);
#define EXPECT_REF(err, fd) do {					\
	valid_call(&c, w, self->session);				\
	set32(&c, refs[i].f.offset, (uint32_t)(fd));			\
	EXPECT_EQ(-(err), do_call(&c)) {				\
		TH_LOG("%s: " #fd " (%d)", refs[i].f.name, fd);		\
	}								\
} while (0)
		EXPECT_REF(EBADF, closed);
		EXPECT_REF(EBADF, path);
		EXPECT_REF(EBADF, INT_MAX);
		if (!refs[i].none) {
			EXPECT_REF(EBADF, -1);
			EXPECT_REF(EBADF, INT_MIN);
		}
		for (k = 0; k < NR_KINDS; k++)
			if (refs[i].err[k])
				EXPECT_REF(refs[i].err[k], fds[k]);
#undef EXPECT_REF
		EXPECT_UNCHANGED(before) {
			TH_LOG("%s", refs[i].f.name);
		}
		WORKS_AND_UNDO(c, w);
	}
	close_things(self->session);
}

/* No descriptor is free, or one where two are needed: nothing has happened. */
TEST_F(queue, no_descriptor_is_free)
{
	static const enum call_nr t[] = {
		C_GRANT, C_RECV_CAPS, C_TAKE, C_ANSWER, C_CONSENT, C_CLAIM,
		C_GIVEN, C_PAGED_CREATE, C_HANDLE_OPEN, C_UNSEAL,
	};
	struct rlimit was, lim;
	struct state before;
	unsigned int i;
	enum call_nr w;
	struct call c;
	int fd;

	make_things();
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &was));
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		w = t[i];
		if (!(self->q.features & cmds[w].feature))
			continue;
		FEED(w);
		get_state(self->session, &before);
		valid_call(&c, w, self->session);
		fd = dup(0);
		close(fd);
		lim = was;
		lim.rlim_cur = (rlim_t)fd;
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
		/* Results may have been written to. */
		EXPECT_EQ(-EMFILE, raw_call(&c)) {
			TH_LOG("%s", cmds[w].name);
		}
		if (w == C_PAGED_CREATE) {
			lim.rlim_cur++;
			ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
			EXPECT_EQ(-EMFILE, do_call(&c));
		}
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
		EXPECT_UNCHANGED(before) {
			TH_LOG("%s", cmds[w].name);
		}
		WORKS_AND_UNDO(c, w);
	}
	close_things(self->session);
}

TEST_F(queue, waits)
{
	static const struct {
		enum call_nr which;
		size_t offset;
	} t[] = {
		{ C_SEND_CAPS, AT(xfer.wait) },
		{ C_RECV_CAPS, AT(xfer.wait) },
		{ C_OFFERED, AT(offered.wait) },
		{ C_ANSWER, AT(answer.wait) },
		{ C_CLAIM, AT(claim.wait) },
		{ C_FAULTS, AT(faults.wait) },
	};
	static const struct mbuf_wait bad[] = {
		{ 0, 3, 0 },
		{ 0, UINT32_MAX, 0 },
		{ 1, MBUF_WAIT_FOREVER, 0 },
		{ UINT64_MAX, MBUF_WAIT_FOREVER, 0 },
		{ 1, MBUF_WAIT_NOW, 0 },
		{ 0, MBUF_WAIT_NOW, 1 },
		{ 1, MBUF_WAIT_UNTIL, CLOCK_BOOTTIME },
		{ 0, MBUF_WAIT_NOW, UINT32_MAX },
	};
	static const struct mbuf_wait good[] = {
		{ 0, MBUF_WAIT_FOREVER, 0 },
		{ 0, MBUF_WAIT_UNTIL, 0 },
		{ 1, MBUF_WAIT_UNTIL, 0 },
		{ UINT64_MAX, MBUF_WAIT_UNTIL, 0 },
	};
	struct state before;
	unsigned int i, k;
	enum call_nr w;
	struct call c;

	make_things();
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		w = t[i].which;
		if (!(self->q.features & cmds[w].feature))
			continue;
		FEED(w);
		get_state(self->session, &before);
		for (k = 0; k < ARRAY_SIZE(bad); k++) {
			valid_call(&c, w, self->session);
			memcpy((uint8_t *)&c.target + t[i].offset, &bad[k],
			       sizeof(bad[k]));
			EXPECT_EQ(-EINVAL, do_call(&c)) {
				TH_LOG("%s, wait %u", cmds[w].name, k);
			}
		}
		EXPECT_UNCHANGED(before);
		WORKS_AND_UNDO(c, w);
		/* What can be done at once is, however long it might wait. */
		for (k = 0; k < ARRAY_SIZE(good); k++) {
			FEED(w);
			valid_call(&c, w, self->session);
			memcpy((uint8_t *)&c.target + t[i].offset, &good[k],
			       sizeof(good[k]));
			EXPECT_EQ(call_success(w), do_call(&c)) {
				TH_LOG("%s, wait %u", cmds[w].name, k);
			}
			UNDO(w);
		}
	}
	close_things(self->session);
}

/* LOAD that cannot have its capabilities leaves what was loaded before. */
TEST_F(queue, failed_load)
{
	struct mbuf_message_info info = { .target = H_NEW };
	struct mbuf_cap bad[9];
	struct state before;
	unsigned int i;
	struct call c;
	int err[9];

	if (!(self->q.features & MBUF_FEATURE_MESSAGE))
		SKIP(return, "this module has no message objects");
	make_things();
	ASSERT_EQ(0, hold_free(self->session));
	ASSERT_EQ(0, make_message(self->session, false));
	valid_call(&c, C_MESSAGE_LOAD, self->session);
	ASSERT_EQ(0, do_call(&c));
	get_state(self->session, &before);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = mbuf_cap_fd(things.event);
	bad[0].type = MBUF_CAP_FILE;
	err[0] = EINVAL;
	bad[1].ref.fd = -1;
	err[1] = EBADF;
	bad[2].ref.fd = self->session;
	err[2] = EOPNOTSUPP;
	bad[3] = mbuf_cap_handle(77);
	err[3] = ENOENT;
	bad[4] = mbuf_cap_handle(H_REVOKED);
	err[4] = EKEYREVOKED;
	bad[5] = mbuf_cap_move(H_TABLE);
	err[5] = EOPNOTSUPP;
	bad[6] = mbuf_cap_handle(H_NEW);
	err[6] = EOPNOTSUPP;
	bad[7] = mbuf_cap_handle(PATH(H_FILE, 1));
	err[7] = ENOTDIR;
	bad[8] = mbuf_cap_handle(MBUF_HANDLE_PATH | 8);
	err[8] = EFAULT;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		valid_call(&c, C_MESSAGE_LOAD, self->session);
		c.load.msg.len = 7;
		c.load.nr_caps = 2;
		/* The first one is fine, and has to be given back. */
		c.caps[0] = mbuf_cap_move(H_FREE);
		c.caps[1] = bad[i];
		EXPECT_EQ(-err[i], do_call(&c)) {
			TH_LOG("capability %u", i);
		}
		EXPECT_UNCHANGED(before) {
			TH_LOG("capability %u", i);
		}
	}
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_MESSAGE_INFO, &info));
	EXPECT_EQ(MBUF_MESSAGE_LOADED, info.state);
	EXPECT_EQ(3, info.len);
	EXPECT_EQ(1, info.nr_caps);
	/* Only what cannot be read of the payload has taken its place. */
	valid_call(&c, C_MESSAGE_LOAD, self->session);
	c.load.msg.buf = 8;
	c.caps[0] = mbuf_cap_move(H_FREE);
	EXPECT_EQ(-EFAULT, do_call(&c));
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_MESSAGE_INFO, &info));
	EXPECT_EQ(MBUF_MESSAGE_EMPTY, info.state);
	EXPECT_EQ(-EEXIST, hold_free(self->session));
	UNDO(C_MESSAGE_LOAD);
	close_things(self->session);
}

TEST_HARNESS_MAIN
