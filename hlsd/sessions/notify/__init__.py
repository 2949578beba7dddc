"""Tells others what happens: webhooks with a durable outbox, the event log, the ring of the last events."""
