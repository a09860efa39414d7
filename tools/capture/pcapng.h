/* SPDX-License-Identifier: MIT */
/* Numbers of pcapng: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html */
#ifndef MNFQ_TOOLS_CAPTURE_PCAPNG_H
#define MNFQ_TOOLS_CAPTURE_PCAPNG_H

#define BLOCK_SECTION       0x0a0d0d0au
#define BLOCK_INTERFACE     1u
#define BLOCK_PACKET_OLD    2u
#define BLOCK_PACKET_SIMPLE 3u
#define BLOCK_STATISTICS    5u
#define BLOCK_PACKET        6u

#define BYTE_ORDER_MAGIC 0x1a2b3c4du

#define OPTION_END     0u
#define OPTION_COMMENT 1u

#define SHB_OS       3u
#define SHB_USERAPPL 4u

#define IF_NAME        2u
#define IF_DESCRIPTION 3u
#define IF_TSRESOL     9u
#define IF_TSOFFSET    14u

#define EPB_FLAGS     2u
#define EPB_DROPCOUNT 4u
#define EPB_PACKETID  5u
#define EPB_QUEUE     6u
#define EPB_VERDICT   7u

#define EPB_INBOUND  1u
#define EPB_OUTBOUND 2u

/*
 * There is no kind of verdict for netfilter. That of tc is the nearest one, and what is read of it are the names of
 * its actions (linux/pkt_cls.h).
 */
#define VERDICT_TC 1u
#define TC_OK      0u
#define TC_SHOT    2u
#define TC_QUEUED  5u
#define TC_REPEAT  6u

#define ISB_STARTTIME    2u
#define ISB_ENDTIME      3u
#define ISB_IFRECV       4u
#define ISB_IFDROP       5u
#define ISB_FILTERACCEPT 6u
#define ISB_USRDELIV     8u

#endif
