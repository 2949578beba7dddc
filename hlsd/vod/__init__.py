"""Turns files into streams, by jobs that survive whoever works at them."""
