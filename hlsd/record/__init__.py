"""Keeps what is live in files, and serves it again: recorder, index, retention, playback (docs/recording.md)."""
