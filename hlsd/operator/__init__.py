"""Asks the operator's services by HTTP and reads what they say: for the auth callback and the webhooks alike."""
