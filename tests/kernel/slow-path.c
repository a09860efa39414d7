/* SPDX-License-Identifier: MIT */
/*
 * A namespace that makes each verdict cost what it likes: an accepted packet goes on with its path
 * inside our sendmsg, and there are 60,000 rules on it.
 */
#include <criterion/criterion.h>
#include <inttypes.h>

#include "scene.h"

/* Behind the queue in mangle INPUT; rules of one table only would not see the packet again. */
static void slow_down(struct scene *scene)
{
	netns_run(scene->ns,
		  "{ echo '*filter'; i=0; while [ $i -lt 60000 ]; do "
		  "echo \"-A INPUT -s 10.9.$((i / 256)).$((i %% 256)) -j DROP\"; i=$((i + 1)); "
		  "done; echo COMMIT; } | iptables-legacy-restore -w");
}

static void speed_up(struct scene *scene)
{
	netns_rule(scene->ns, 4, "-F INPUT");
}

TestSuite(slow_path, .timeout = 300);

/* One by one while each takes longer than a round should; many again as soon as they are quick. */
Test(slow_path, a_round_has_as_many_packets_as_its_time_allows)
{
	struct scene scene;
	int n, most = 0;
	uint32_t seq = 0, i;

	scene_open(&scene, 4);
	mnfq_socket_close(scene.sock);
	scene_ok(NULL, mnfq_socket_open_netns(&scene.sock, scene.ns->name,
					      SOCKET_OPTIONS(.round_us = 200)));
	scene_bind(&scene, NULL, scene_count);
	slow_down(&scene);
	udp_send_many(&scene.udp, seq, 50);
	for (; seq < 50; seq++)
		cr_assert_eq(mnfq_socket_dispatch(scene.sock, DEADLINE_MS), 1);
	speed_up(&scene);
	for (i = 0; i < 100 && most < 8; i++) {
		udp_send_many(&scene.udp, seq, 100);
		for (seq += 100; scene.seen<seq; most = n> most ? n : most) {
			n = mnfq_socket_dispatch(scene.sock, DEADLINE_MS);
			cr_assert(n > 0);
		}
	}
	cr_assert(most >= 8, "%d at most", most);
	scene_close(&scene);
}
