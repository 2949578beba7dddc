"""Relays: streams that come from other servers, and streams that go on to them."""
