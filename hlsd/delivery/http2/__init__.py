"""HTTP/2, a core of our own over hpack."""
