/* SPDX-License-Identifier: MIT */
/* All that the doctor sees of a network namespace. */
#include "doctor/sight.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/netns-enter.h"
#include "common/sys.h"
#include "doctor/network.h"
#include "doctor/read-rules.h"
#include "stat/places.h"

/* ---- queues ----------------------------------------------------------------------------- */

/* Returns 0 or -ENOMEM. */
static int look_at_queues(struct sight *sight, struct reading *reading, struct owners *owners)
{
	struct place place;
	int err;

	if (support_is_asleep(&sight->support))
		return 0;
	err = place_open_own(&place, sight->queues_why);
	reading->at_ms = clock_ms();
	if (err == 0) {
		snprintf(sight->name, sizeof(sight->name), "%s", place.name);
		sight->inode = place.inode;
		err = reading_add(reading, &place, 0, UINT16_MAX);
		if (err < 0)
			snprintf(sight->queues_why, sizeof(sight->queues_why),
				 "cannot read the queues: %s", strerror(-err));
	}
	place_close(&place);
	sight->queues_error = err;
	return err == -ENOMEM ? err : reading_complete(reading, owners);
}

/* Its third field; a name in front may contain blanks and parentheses. */
static char read_state(int pid)
{
	char path[64], line[256], state = '\0';
	const char *end = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = pid ? fopen(path, "re") : NULL;
	if (!file)
		return '\0';
	line[fread(line, 1, sizeof(line) - 1, file)] = '\0';
	end = strrchr(line, ')');
	if (end)
		(void)sscanf(end + 1, " %c", &state);
	fclose(file);
	return state;
}

static int read_states(struct sight *sight)
{
	sight->states = calloc(sight->queues.count + 1, 1);
	if (!sight->states)
		return -ENOMEM;
	for (size_t i = 0; i < sight->queues.count; i++)
		sight->states[i] = read_state(sight->queues.rows[i].pid);
	return 0;
}

uint32_t sight_count_new(const struct row *row)
{
	return row->compared ? row->queue.last_id - row->before.last_id : 0;
}

/*
 * A packet whose message could not be delivered took a number, too. The kernel writes these counters down while they
 * change: one may be ahead of another.
 */
uint32_t sight_count_decided(const struct row *row)
{
	const struct mnfq_kernel_queue *now = &row->queue, *then = &row->before;
	const uint32_t decided = (now->last_id - then->last_id) -
				 (now->user_dropped - then->user_dropped) -
				 (now->waiting - then->waiting);

	return decided > INT32_MAX ? 0 : decided;
}

/* ---- rules ------------------------------------------------------------------------------ */

/* Nothing is asked of nf_tables unless it is there; where it is not, it has no rules. */
static int read_rules(struct sight *sight, struct rules *rules)
{
	sight->legacy_error = read_rules_legacy(rules);
	if (sight->support.parts[PART_NF_TABLES] == PRESENCE_LOADED)
		sight->nft_error = read_rules_nft(rules);
	else if (sight->support.parts[PART_NF_TABLES] == PRESENCE_UNKNOWN)
		sight->nft_error = -ENOSYS;
	return sight->legacy_error == -ENOMEM || sight->nft_error == -ENOMEM ? -ENOMEM : 0;
}

bool sight_wants_rule(const struct sight *sight, const struct queue_rule *rule)
{
	return rule->first <= sight->last && rule->last >= sight->first;
}

/* ---- what is missing -------------------------------------------------------------------- */

/* How many have a lower number. They are in ascending order. */
static size_t count_below(const struct sight *sight, unsigned int num)
{
	size_t begin = 0, end = sight->queues.count, middle;

	while (begin < end) {
		middle = begin + (end - begin) / 2;
		if (sight->queues.rows[middle].queue.num < num)
			begin = middle + 1;
		else
			end = middle;
	}
	return begin;
}

unsigned int sight_count_bound(const struct sight *sight, uint16_t first, uint16_t last)
{
	return (unsigned int)(count_below(sight, last + 1u) - count_below(sight, first));
}

const struct row *sight_find_elsewhere(const struct sight *sight, uint16_t first, uint16_t last)
{
	for (size_t i = 0; i < sight->elsewhere.count; i++) {
		const struct row *row = &sight->elsewhere.rows[i];

		if (row->netns_inode != sight->inode && row->queue.num >= first &&
		    row->queue.num <= last)
			return row;
	}
	return NULL;
}

unsigned int sight_count_elsewhere(const struct sight *sight, uint16_t num)
{
	unsigned int count = 0;

	for (size_t i = 0; i < sight->elsewhere.count; i++)
		count += sight->elsewhere.rows[i].netns_inode != sight->inode &&
			 sight->elsewhere.rows[i].queue.num == num;
	return count;
}

bool sight_knows_rules(const struct sight *sight)
{
	return !sight->legacy_error && !sight->nft_error && !sight->rules.too_many;
}

bool sight_is_unfed(const struct sight *sight, uint16_t num)
{
	if (!sight_knows_rules(sight))
		return false; /* its rule may be among those that were not seen */
	for (size_t i = 0; i < sight->rules.count; i++)
		if (rule_sends_to(&sight->rules.list[i], num))
			return false;
	return true;
}

const struct row *sight_find_unfed(const struct sight *sight)
{
	for (size_t i = 0; i < sight->queues.count; i++)
		if (sight->queues.rows[i].queue.last_id == 0 &&
		    sight_is_unfed(sight, sight->queues.rows[i].queue.num))
			return &sight->queues.rows[i];
	return NULL;
}

bool sight_is_unheard(const struct sight *sight, const struct queue_rule *rule)
{
	return !sight->queues_error && !rule->computed &&
	       sight_count_bound(sight, rule->first, rule->last) == 0;
}

static bool misses_queue(const struct sight *sight)
{
	for (size_t i = 0; i < sight->rules.count; i++)
		if (sight_wants_rule(sight, &sight->rules.list[i]) &&
		    sight_is_unheard(sight, &sight->rules.list[i]))
			return true;
	return sight->has_queues && sight_count_bound(sight, sight->first, sight->last) == 0;
}

/* What cannot be seen there is not missed. Returns 0 or -ENOMEM. */
static int look_elsewhere(struct sight *sight, struct owners *owners)
{
	struct netns_scan *scan = NULL;
	int home = netns_enter_open_home(), err = 0;

	if (home >= 0 && netns_scan_new(&scan) == 0)
		err = places_add_all(&sight->elsewhere, scan, home, 0, UINT16_MAX);
	netns_scan_free(scan);
	if (home >= 0)
		close(home);
	return err < 0 ? err : reading_complete(&sight->elsewhere, owners);
}

/* ---- all -------------------------------------------------------------------------------- */

void sight_begin(struct sight *sight)
{
	FILE *file = fopen("/proc/sys/net/core/rmem_max", "re");
	char path[sizeof("/run/netns/") + 256];

	support_read(&sight->support);
	snprintf(path, sizeof(path), "/run/netns/%.255s", sight->netns ? sight->netns : "");
	sight->netns_has_name = sight->netns && access(path, F_OK) == 0;
	if (!file)
		return;
	if (fscanf(file, "%" SCNu64, &sight->rmem_max) != 1)
		sight->rmem_max = 0;
	fclose(file);
}

static void wait_ms(uint32_t ms)
{
	const int64_t end = clock_ms() + ms;
	struct timespec left;

	for (int64_t now = clock_ms(); now < end; now = clock_ms()) {
		left = (struct timespec){ (end - now) / 1000, (end - now) % 1000 * 1000000 };
		nanosleep(&left, NULL);
	}
}

/* Before that and after it the network is read: no packet comes to a rule or a queue that is not counted there. */
static int take_rules_and_queues(struct sight *sight, uint32_t ms, struct owners *owners)
{
	struct reading before = { 0 };
	struct rules rules_before = { 0 };
	int err = read_rules(sight, &rules_before);

	if (err == 0)
		err = look_at_queues(sight, &before, owners);
	if (err == 0) {
		wait_ms(ms);
		err = look_at_queues(sight, &sight->queues, owners);
	}
	if (err == 0)
		err = read_rules(sight, &sight->rules);
	if (err == 0) {
		rules_compare(&sight->rules, &rules_before);
		reading_compare(&sight->queues, &before);
		err = read_states(sight);
	}
	reading_free(&before);
	rules_free(&rules_before);
	return err;
}

int sight_take(struct sight *sight, uint32_t ms)
{
	struct owners owners = { 0 };
	int err;

	network_count(&sight->before);
	err = take_rules_and_queues(sight, ms, &owners);
	network_read(&sight->now);
	if (err == 0 && !support_is_asleep(&sight->support) && misses_queue(sight))
		err = look_elsewhere(sight, &owners);
	owners_free(&owners);
	return err;
}

void sight_free(struct sight *sight)
{
	reading_free(&sight->queues);
	reading_free(&sight->elsewhere);
	rules_free(&sight->rules);
	free(sight->states);
	sight->states = NULL;
}
