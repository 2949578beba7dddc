"""Viewers: one session for each playback."""
