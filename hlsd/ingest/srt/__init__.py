"""SRT in live mode: the protocol without sockets or clock, and the UDP port to which publishers and players come.

Source: draft-sharabayko-srt-01. Not here, since no encoder needs it for live media: rendezvous, file mode, packet
filters (FEC), bonding, AES-GCM.
"""
