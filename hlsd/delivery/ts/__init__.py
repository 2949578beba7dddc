"""Streams as transport streams, for who plays them as they go: made once for each, whoever brings the viewers."""
