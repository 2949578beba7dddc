"""Looks at a machine before a server is run on it: what is in the way, and what to do about it."""
