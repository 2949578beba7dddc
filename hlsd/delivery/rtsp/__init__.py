"""Streams as RTP payloads for who plays them by RTSP: cut once for each stream, whoever brings the viewers."""
