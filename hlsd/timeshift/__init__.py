"""Plays what was recorded of a stream as one long tape: behind live, from a moment on, between two moments."""
