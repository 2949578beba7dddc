"""Ways in: each turns a publisher's bytes into tracks and access units."""
