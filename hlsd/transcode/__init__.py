"""Renditions of live streams: pictures decoded once and encoded smaller, in a process for each stream."""
