"""Sockets, TLS and HTTP as all listeners and clients of hlsd use them."""
