"""Streams that encoders send in several qualities, joined to one."""
