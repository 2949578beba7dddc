"""Cuts a stream into parts and segments, and keeps its live window and playlists."""
