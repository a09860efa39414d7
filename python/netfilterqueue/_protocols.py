# SPDX-License-Identifier: MIT
"""Names of IP protocols, by number: the keywords of IANA's registry."""

_NAMES = """
HOPOPT ICMP IGMP GGP IP ST TCP CBT EGP IGP BBN-RCC-MON NVP-II PUP ARGUS EMCON XNET CHAOS UDP MUX DCN-MEAS HMP PRM
XNS-IDP TRUNK-1 TRUNK-2 LEAF-1 LEAF-2 RDP IRTP ISO-TP4 NETBLT MFE-NSP MERIT-INP DCCP 3PC IDPR XTP DDP IDPR-CMTP TP++
IL IPv6 SDRP IPv6-Route IPv6-Frag IDRP RSVP GRE DSR BNA ESP AH I-NLSP SWIPE NARP MOBILE TLSP SKIP IPv6-ICMP
IPv6-NoNxt IPv6-Opts - CFTP - SAT-EXPAK KRYPTOLAN RVD IPPC - SAT-MON VISA IPCV CPNX CPHB WSN PVP BR-SAT-MON SUN-ND
WB-MON WB-EXPAK ISO-IP VMTP SECURE-VMTP VINES TTP NSFNET-IGP DGP TCF EIGRP OSPFIGP Sprite-RPC LARP MTP AX.25 IPIP
MICP SCC-SP ETHERIP ENCAP - GMTP IFMP PNNI PIM ARIS SCPS QNX A/N IPComp SNP Compaq-Peer IPX-in-IP VRRP PGM - L2TP DDX
IATP STP SRP UTI SMP SM PTP ISIS FIRE CRTP CRUDP SSCOPMCE IPLT SPS PIPE SCTP FC RSVP-E2E-IGNORE Mobility UDPLite
MPLS-in-IP manet HIP Shim6 WESP ROHC Ethernet AGGFRAG NSH
""".split()

PROTOCOLS = {number: name for number, name in enumerate(_NAMES) if name != "-"}
PROTOCOLS.update(
    {
        61: "any host internal protocol",
        63: "any local network",
        68: "any distributed file system",
        99: "any private encryption scheme",
        114: "any 0-hop protocol",
        255: "Reserved",
    }
)
