// SPDX-License-Identifier: GPL-2.0
#include "channel.h"
#include "listener.h"

void mbuf_listener_withdraw(struct mbuf_channel *c)
{
}
