"""RTSP (RFC 2326) as a server: who announces and records publishes, who describes and plays watches.

Sans-IO but for `connection`, `datagrams`, `player` and `service`.
"""
