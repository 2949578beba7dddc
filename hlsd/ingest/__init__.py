"""Ways in: each room turns a publisher's bytes into tracks and access units."""
