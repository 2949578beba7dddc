"""HTTP/1.1 of streams, by our own protocol."""
