"""Turns sound that is not AAC into AAC: one process for the node, and the loop's side of it."""
