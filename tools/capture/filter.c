/* SPDX-License-Identifier: MIT */
/* Filters in the language of tcpdump, as libpcap compiles them: one program for each link type. */
#include "capture/filter.h"

#include <stdio.h>

#if HAVE_PCAP

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <pcap/pcap.h>
#undef SOCKET /* of its headers, for other systems */
#include <stdlib.h>
#include <string.h>

#include "capture/filter-place.h"
#include "capture/frame.h"
#include "capture/view.h"

const bool filter_supported = true;

#define SNAP_MAX      262144 /* what a program returns for a packet that matches */
#define NO_MATCH      1u     /* in place of 0: that is what a load beyond the end returns */
#define ETHERNET_HEAD 14u
#define IP_HEADER     20u /* without options; */
#define IP_HEADER_MAX 60u /* with them */

/* What is behind this is for programs in the kernel, which know more than bytes. */
#define FIRST_ANCILLARY 0xfffff000u

struct program {
	struct bpf_program bpf;
	bool compiled;
	bool rejects_all;
	char error[256];
};

struct filter {
	struct program raw, ethernet;
	size_t least, most;
	char limits[FILTER_ERROR_SIZE];
};

/* ---- compiling ---------------------------------------------------------------------------- */

static void compile(struct program *program, int link_type, const char *text)
{
	pcap_t *pcap = pcap_open_dead(link_type, SNAP_MAX);

	if (!pcap) {
		snprintf(program->error, sizeof(program->error), "out of memory");
		return;
	}
	/* The netmask is not known; with 0, as tcpdump does, "ip broadcast" is 255.255.255.255 and 0.0.0.0. */
	program->compiled = pcap_compile(pcap, &program->bpf, text, 1, 0) == 0;
	if (!program->compiled)
		snprintf(program->error, sizeof(program->error), "%s", pcap_geterr(pcap));
	program->rejects_all = strstr(program->error, "rejects all packets") != NULL;
	pcap_close(pcap);
}

static bool is_filter(const char *text)
{
	struct program program = { .compiled = false };

	compile(&program, DLT_EN10MB, text);
	if (program.compiled)
		pcap_freecode(&program.bpf);
	return !strstr(program.error, "syntax error");
}

static bool is_load(const struct bpf_insn *insn, unsigned int mode)
{
	return BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == mode;
}

static bool asks_kernel(const struct program *program)
{
	for (unsigned int i = 0; program->compiled && i < program->bpf.bf_len; i++)
		if (is_load(&program->bpf.bf_insns[i], BPF_ABS) &&
		    program->bpf.bf_insns[i].k >= FIRST_ANCILLARY)
			return true;
	return false;
}

/* A program that ends at a load beyond the end returns 0. Then that must mean nothing else. */
static void mark_no_match(const struct program *program)
{
	for (unsigned int i = 0; program->compiled && i < program->bpf.bf_len; i++) {
		struct bpf_insn *insn = &program->bpf.bf_insns[i];

		if (insn->code == (BPF_RET | BPF_K) && insn->k == 0)
			insn->k = NO_MATCH;
	}
}

/* ---- what it needs ------------------------------------------------------------------------ */

static void raise_to(size_t *value, size_t at_least)
{
	if (*value < at_least)
		*value = at_least;
}

/*
 * An index of a load is the length of an IP header, or was computed from other bytes of the packet, and then may be
 * anything.
 */
static void add_needs(struct filter *filter, const struct program *program, size_t head)
{
	bool computed = false;
	const struct bpf_insn *insn;
	size_t end, least = 0, most = 0;

	for (unsigned int i = 0; program->compiled && i < program->bpf.bf_len; i++)
		computed |= program->bpf.bf_insns[i].code == (BPF_MISC | BPF_TAX);
	for (unsigned int i = 0; program->compiled && i < program->bpf.bf_len; i++) {
		insn = &program->bpf.bf_insns[i];
		end = (size_t)insn->k + (BPF_SIZE(insn->code) == BPF_W   ? 4
					 : BPF_SIZE(insn->code) == BPF_H ? 2
									 : 1);
		if (is_load(insn, BPF_ABS) || insn->code == (BPF_LDX | BPF_MSH | BPF_B)) {
			raise_to(&least, end);
			raise_to(&most, end);
		} else if (is_load(insn, BPF_IND)) {
			raise_to(&least, end + IP_HEADER);
			raise_to(&most, computed ? SIZE_MAX : end + IP_HEADER_MAX);
		}
	}
	raise_to(&filter->least, least > head ? least - head : 0);
	raise_to(&filter->most, most == SIZE_MAX ? most : most > head ? most - head : 0);
}

void filter_needs(const struct filter *filter, size_t *least, size_t *most)
{
	*least = filter->least;
	*most = filter->most;
}

/* ---- making ------------------------------------------------------------------------------- */

static bool fails(const struct program *program)
{
	return !program->compiled && !program->rejects_all;
}

/* Returns whether it is of use. */
static bool check(struct filter *filter, const char *text, char error[FILTER_ERROR_SIZE])
{
	const struct program *raw = &filter->raw, *ethernet = &filter->ethernet;

	if (!raw->compiled && !ethernet->compiled) {
		filter_explain(error, FILTER_ERROR_SIZE, text,
			       fails(raw) ? raw->error : ethernet->error, is_filter);
		return false;
	}
	if (asks_kernel(raw) || asks_kernel(ethernet)) {
		snprintf(
			error, FILTER_ERROR_SIZE,
			"inbound, outbound and the like are for captures at an interface: the hook of "
			"the rule decides that");
		return false;
	}
	if (fails(raw))
		snprintf(filter->limits, sizeof(filter->limits),
			 "it can only match packets of bridges: %s", raw->error);
	else if (raw->rejects_all)
		snprintf(filter->limits, sizeof(filter->limits),
			 "it can only match packets of bridges, and none of IP");
	else if (fails(ethernet))
		snprintf(filter->limits, sizeof(filter->limits),
			 "it cannot match packets of bridges: %s", ethernet->error);
	return true;
}

struct filter *filter_new(const char *text, char error[FILTER_ERROR_SIZE])
{
	struct filter *filter = calloc(1, sizeof(*filter));

	if (!filter) {
		snprintf(error, FILTER_ERROR_SIZE, "out of memory");
		return NULL;
	}
	compile(&filter->raw, DLT_RAW, text);
	compile(&filter->ethernet, DLT_EN10MB, text);
	if (!check(filter, text, error)) {
		filter_free(filter);
		return NULL;
	}
	add_needs(filter, &filter->raw, 0);
	if (!filter->raw.compiled)
		add_needs(filter, &filter->ethernet, ETHERNET_HEAD);
	mark_no_match(&filter->raw);
	mark_no_match(&filter->ethernet);
	return filter;
}

const char *filter_limits(const struct filter *filter)
{
	return filter->limits[0] ? filter->limits : NULL;
}

void filter_free(struct filter *filter)
{
	if (!filter)
		return;
	if (filter->raw.compiled)
		pcap_freecode(&filter->raw.bpf);
	if (filter->ethernet.compiled)
		pcap_freecode(&filter->ethernet.bpf);
	free(filter);
}

/* ---- running ------------------------------------------------------------------------------ */

static enum filter_result run_compiled(const struct program *program, const uint8_t *bytes,
				       size_t caplen, size_t length)
{
	unsigned int result;

	if (!program->compiled)
		return FILTER_NO;
	result = bpf_filter(program->bpf.bf_insns, bytes, (unsigned int)length,
			    (unsigned int)caplen);
	if (result == 0)
		return caplen < length ? FILTER_CUT : FILTER_NO;
	return result == NO_MATCH ? FILTER_NO : FILTER_YES;
}

/* A program takes its bytes in one piece. On the stack, as any thread may be here, and nothing is allocated for it. */
static enum filter_result run_frame(const struct program *program, const struct record *record,
				    size_t length)
{
	const size_t len = record->info.payload_len;
	uint8_t frame[FRAME_HEAD_MAX + MNFQ_COPY_RANGE_MAX];
	size_t head;

	if (len > MNFQ_COPY_RANGE_MAX) /* no message has more */
		return FILTER_CUT;
	head = frame_head(frame, record);
	if (len > 0)
		memcpy(frame + head, record->info.payload, len);
	return run_compiled(program, frame, head + len, head + length);
}

enum filter_result filter_run(const struct filter *filter, const struct mnfq_packet *packet)
{
	const uint8_t family = mnfq_packet_get_family(packet);
	size_t len, length, l2hdr;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);
	struct record record;

	if (mnfq_packet_get_length(packet, &length) < 0)
		return FILTER_CUT;
	mnfq_packet_get_l2hdr(packet, &l2hdr);
	if (l2hdr == 0 && (family == NFPROTO_IPV4 || family == NFPROTO_IPV6))
		return run_compiled(&filter->raw, payload, len, length);
	record_frame_of(&record, packet);
	if (frame_link_type(&record) == LINK_RAW)
		return run_compiled(&filter->raw, payload, len, length);
	return run_frame(&filter->ethernet, &record, length);
}

#else

const bool filter_supported = false;

struct filter *filter_new(const char *text, char error[FILTER_ERROR_SIZE])
{
	(void)text;
	snprintf(error, FILTER_ERROR_SIZE,
		 "this mnfq was built without libpcap, which filters need");
	return NULL;
}

enum filter_result filter_run(const struct filter *filter, const struct mnfq_packet *packet)
{
	(void)filter;
	(void)packet;
	return FILTER_NO;
}

void filter_needs(const struct filter *filter, size_t *least, size_t *most)
{
	(void)filter;
	*least = *most = 0;
}

const char *filter_limits(const struct filter *filter)
{
	(void)filter;
	return NULL;
}

void filter_free(struct filter *filter)
{
	(void)filter;
}

#endif
