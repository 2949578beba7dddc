"""Keeps finished recordings in an object store too: uploads, their state, playback from there (docs/recording.md)."""
