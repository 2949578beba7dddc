"""Tells other processes of a rendition, so that they serve the same bytes: frames, who makes them, who mirrors them."""
