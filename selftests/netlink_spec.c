// SPDX-License-Identifier: GPL-2.0
/*
 * The specification of the netlink family, held against the header for programs
 * and against the kernel that this runs on: what it says of itself, and what it
 * answers.
 */
#include "cap.h"
#include "listener.h"
#include "netlink.h"
#include "paged.h"
#include "provide.h"

struct spec_constant {
	const char *name;
	long spec, header;
};

struct spec_set;

struct spec_attr {
	const char *name, *type;
	const struct spec_set *nest;
};

struct spec_set {
	const char *name;
	const struct spec_attr *attrs;
	unsigned int nr;
};

struct spec_op {
	const char *name;
	unsigned int value;
	const struct spec_set *set;
	bool does, dumps, admin;
	uint32_t do_request, dump_request, do_reply, dump_reply, event;
};

struct spec_group {
	const char *name;
};

#include "netlink_spec_tables.h"

FIXTURE(spec) {
	FIXTURE_DATA(queue) base;
	struct nl nl;
};

FIXTURE_SETUP(spec)
{
	queue_setup(_metadata, &self->base, NULL);
	ASSERT_EQ(0, nl_open(&self->nl));
}

FIXTURE_TEARDOWN(spec)
{
	nl_close(&self->nl);
	queue_teardown(_metadata, &self->base, NULL);
}

TEST_F(spec, numbers_are_those_of_the_header)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(spec_constants); i++) {
		EXPECT_EQ(spec_constants[i].spec, spec_constants[i].header) {
			TH_LOG("%s", spec_constants[i].name);
		}
	}
	EXPECT_STREQ(MBUF_FAMILY_NAME, SPEC_FAMILY);
	EXPECT_STREQ("linux/mbuf_netlink.h", SPEC_HEADER);
}

/* What the kernel says that the family has. */
struct family {
	uint32_t version;
	uint32_t flags[16];
	unsigned int nr_ops, nr_groups;
	char group[16];
};

static void see_family(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		       void *arg)
{
	struct nl_attrs ops = nl_nest(attrs, CTRL_ATTR_OPS);
	struct nl_attrs groups = nl_nest(attrs, CTRL_ATTR_MCAST_GROUPS);
	struct family *f = arg;
	int i;

	(void)h;
	f->version = (uint32_t)nl_num(attrs, CTRL_ATTR_VERSION);
	for (i = 1; i < NL_ATTRS; i++) {
		if (ops.a[i]) {
			struct nl_attrs op = nl_nest(&ops, i);
			uint64_t id = nl_num(&op, CTRL_ATTR_OP_ID);

			f->nr_ops++;
			if (id < ARRAY_SIZE(f->flags))
				f->flags[id] = (uint32_t)
					nl_num(&op, CTRL_ATTR_OP_FLAGS);
		}
		if (groups.a[i]) {
			struct nl_attrs g = nl_nest(&groups, i);

			f->nr_groups++;
			snprintf(f->group, sizeof(f->group), "%s",
				 (char *)nl_data(g.a[CTRL_ATTR_MCAST_GRP_NAME]));
		}
	}
}

TEST_F(spec, operations_are_those_of_the_kernel)
{
	struct family f = {};
	unsigned int requests = 0;
	size_t i;

	nl_begin_family(&self->nl, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	nl_put(&self->nl, CTRL_ATTR_FAMILY_NAME, SPEC_FAMILY,
	       sizeof(SPEC_FAMILY));
	ASSERT_EQ(1, nl_ask(&self->nl, see_family, &f));
	EXPECT_EQ(MBUF_FAMILY_VERSION, f.version);

	for (i = 0; i < ARRAY_SIZE(spec_ops); i++) {
		const struct spec_op *op = &spec_ops[i];
		uint32_t flags = f.flags[op->value];

		requests += op->does || op->dumps;
		EXPECT_EQ(op->does, !!(flags & GENL_CMD_CAP_DO)) {
			TH_LOG("%s", op->name);
		}
		EXPECT_EQ(op->dumps, !!(flags & GENL_CMD_CAP_DUMP)) {
			TH_LOG("%s", op->name);
		}
		EXPECT_EQ(op->admin, !!(flags & GENL_UNS_ADMIN_PERM)) {
			TH_LOG("%s", op->name);
		}
		EXPECT_EQ(op->does || op->dumps,
			  !!(flags & GENL_CMD_CAP_HASPOL)) {
			TH_LOG("%s", op->name);
		}
	}
	EXPECT_EQ(requests, f.nr_ops);
	ASSERT_EQ(ARRAY_SIZE(spec_groups), f.nr_groups);
	EXPECT_STREQ(spec_groups[0].name, f.group);
}

/* What the kernel takes in requests of one operation. */
struct policy {
	uint32_t mask;
	uint32_t type[NL_ATTRS];
};

static void see_policy(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		       void *arg)
{
	struct policy *p = arg;
	int index, type;

	(void)h;
	if (!attrs->a[CTRL_ATTR_POLICY])
		return;
	for (index = 0; index < NL_ATTRS; index++) {
		struct nl_attrs policies = nl_nest(attrs, CTRL_ATTR_POLICY);
		struct nl_attrs types;

		if (!policies.a[index])
			continue;
		types = nl_nest(&policies, index);
		for (type = 1; type < NL_ATTRS; type++) {
			struct nl_attrs one = nl_nest(&types, type);

			if (!types.a[type])
				continue;
			p->mask |= 1u << type;
			p->type[type] = (uint32_t)
				nl_num(&one, NL_POLICY_TYPE_ATTR_TYPE);
		}
	}
}

static uint32_t policy_type(const char *type)
{
	if (!strcmp(type, "u32"))
		return NL_ATTR_TYPE_U32;
	if (!strcmp(type, "u64"))
		return NL_ATTR_TYPE_U64;
	if (!strcmp(type, "flag"))
		return NL_ATTR_TYPE_FLAG;
	return 0;
}

TEST_F(spec, requests_are_what_the_kernel_takes)
{
	unsigned int type;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(spec_ops); i++) {
		const struct spec_op *op = &spec_ops[i];
		struct policy p = {};

		if (!op->does && !op->dumps)
			continue;
		nl_begin_family(&self->nl, GENL_ID_CTRL, CTRL_CMD_GETPOLICY,
				NLM_F_DUMP);
		nl_put(&self->nl, CTRL_ATTR_FAMILY_NAME, SPEC_FAMILY,
		       sizeof(SPEC_FAMILY));
		nl_put_u32(&self->nl, CTRL_ATTR_OP, op->value);
		ASSERT_LT(0, nl_ask(&self->nl, see_policy, &p));
		EXPECT_EQ(op->do_request | op->dump_request, p.mask) {
			TH_LOG("%s", op->name);
		}
		for (type = 1; type <= op->set->nr; type++) {
			if (!(p.mask & (1u << type)))
				continue;
			EXPECT_EQ(policy_type(op->set->attrs[type - 1].type),
				  p.type[type]) {
				TH_LOG("%s of %s",
				       op->set->attrs[type - 1].name,
				       op->name);
			}
		}
	}
}

/* Are attributes what the specification says? Complains if not. */
static bool attrs_fit(const struct spec_set *set, const void *data, size_t len,
		      uint32_t mask)
{
	const char *p = data;
	bool fit = true;

	while (len) {
		const struct nlattr *a = (const void *)p;
		unsigned int type = a->nla_type & NLA_TYPE_MASK;
		const struct spec_attr *attr;
		size_t step;

		if (len < NLA_HDRLEN || a->nla_len < NLA_HDRLEN ||
		    a->nla_len > len || !type || type > set->nr) {
			fprintf(stderr,
				"# %s: attribute %u of %u bytes, %zu are left\n",
				set->name, type, a->nla_len, len);
			return false;
		}
		attr = &set->attrs[type - 1];
		if ((mask && strcmp(attr->type, "pad") &&
		     !(mask & (1u << type))) ||
		    (!strcmp(attr->type, "u32") && nl_len(a) != 4) ||
		    (!strcmp(attr->type, "u64") && nl_len(a) != 8) ||
		    ((!strcmp(attr->type, "flag") ||
		      !strcmp(attr->type, "pad")) && nl_len(a)) ||
		    !(a->nla_type & NLA_F_NESTED) != !attr->nest) {
			fprintf(stderr, "# %s: %s of type %s: %zu bytes\n",
				set->name, attr->name, attr->type, nl_len(a));
			fit = false;
		} else if (attr->nest) {
			fit &= attrs_fit(attr->nest, nl_data(a), nl_len(a), 0);
		}
		step = NLA_ALIGN(a->nla_len);
		p += step;
		len -= step < len ? step : len;
	}
	return fit;
}

struct fitting {
	const struct spec_op *op;
	bool dump, fit;
	uint32_t types;
};

static void see_fitting(const struct nlmsghdr *h, const struct nl_attrs *attrs,
			void *arg)
{
	const struct genlmsghdr *g = NLMSG_DATA(h);
	struct fitting *f = arg;

	f->fit &= g->cmd == f->op->value && g->version == MBUF_FAMILY_VERSION;
	f->fit &= attrs_fit(f->op->set, (char *)NLMSG_DATA(h) + GENL_HDRLEN,
			    h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN,
			    f->dump ? f->op->dump_reply : f->op->do_reply);
	if (f->op->value == MBUF_CMD_OBJECT_GET)
		f->types |= 1u << nl_num(attrs, MBUF_A_OBJECT_TYPE);
}

/* One of each kind of objects is there. */
TEST_F(spec, replies_are_as_described)
{
	struct fitting f = { .dump = true, .fit = true };
	struct mbuf_queue_info info;
	struct mbuf_offer o = offer_of(1, RIGHTS_RW, MBUF_OFFER_PROVIDED);
	struct mbuf_message_create c = {
		.max_msg = 4, .inbox_msg = 4, .sent.fd = -1, .arrived.fd = -1,
	};
	const int s = self->base.session;
	int memfd, end[2], lfd, qfd, consent, pager, region;
	uint64_t table = 0, key = 0;
	struct mbuf_grant g = {};
	uint32_t num = 0;

	NL_QUEUE(4, 64, 0);
	nl_begin(&self->nl, MBUF_CMD_QUEUE_LATENCY, NLM_F_ACK);
	nl_put_u64(&self->nl, MBUF_A_OBJECT_ID, get_info(self->base.rfd).id);
	nl_put(&self->nl, MBUF_A_OBJECT_MEASURE, NULL, 0);
	ASSERT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	ASSERT_EQ(0, ch_create(self->base.session, 0, end));
	lfd = ls_listen(self->base.session, 0777, 4);
	ASSERT_LE(0, lfd);
	qfd = ls_queue(lfd, 4);
	ASSERT_LE(0, qfd);
	memfd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, ftruncate(memfd, (off_t)page_size()));
	ASSERT_EQ(0, fcntl(memfd, F_ADD_SEALS, SEALS_SIZE));
	g.from.fd = memfd;
	g.rights = RIGHTS_R;
	ASSERT_EQ(0, xioctl(self->base.session, MBUF_IOC_GRANT, &g));
	ASSERT_EQ(0, mbuf_table_create(s, 0, &table));
	ASSERT_EQ(0, mbuf_key_create(s, table, &key));
	ASSERT_EQ(0, rg_offer(end[0], &o));
	consent = pv_consent(end[1], o.id);
	ASSERT_LE(0, consent);
	ASSERT_EQ(0, pg_create(s, page_size(), &pager, &region, NULL));
	/* In line, so that it says all that it can. */
	ASSERT_EQ(0, mbuf_message_create(s, &c));
	while (!send_num(self->base.sfd, 1, MBUF_NOW))
		;
	ASSERT_EQ(0, mbuf_message_load(s, c.handle, &num, 4, NULL, 0));
	ASSERT_EQ(1, mbuf_message_enqueue(s, c.handle, self->base.sfd));

	f.op = &spec_ops[0];
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	ASSERT_LE(7, nl_ask(&self->nl, see_fitting, &f));
	EXPECT_TRUE(f.fit);
	EXPECT_EQ((2u << MBUF_OBJECT_TYPE_PAGED) - 2, f.types);

	f.op = &spec_ops[1];
	nl_begin(&self->nl, MBUF_CMD_USER_GET, NLM_F_DUMP);
	ASSERT_LE(1, nl_ask(&self->nl, see_fitting, &f));
	EXPECT_TRUE(f.fit);

	f.op = &spec_ops[6];
	ASSERT_EQ(MBUF_CMD_HANDLE_GET, f.op->value);
	nl_begin(&self->nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
	ASSERT_EQ(3, nl_ask(&self->nl, see_fitting, &f));
	EXPECT_TRUE(f.fit);

	info = get_info(self->base.rfd);
	f.op = &spec_ops[0];
	f.dump = false;
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_ACK);
	nl_put_u64(&self->nl, MBUF_A_OBJECT_ID, info.id);
	ASSERT_EQ(1, nl_ask(&self->nl, see_fitting, &f));
	EXPECT_TRUE(f.fit);

	ASSERT_EQ(0, mbuf_handle_delete(s, c.handle));
	ASSERT_EQ(0, mbuf_handle_delete(s, table));
	close(pager);
	close(region);
	close(consent);
	close(g.region.fd);
	close(memfd);
	close(qfd);
	close(lfd);
	close(end[0]);
	close(end[1]);
}

TEST_HARNESS_MAIN
