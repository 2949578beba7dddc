"""Is the way in of MPEG-TS by UDP, bare or in RTP: a port for each stream."""
