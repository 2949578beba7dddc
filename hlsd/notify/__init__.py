"""Tells the operator: webhooks, the outbox, the event log."""
