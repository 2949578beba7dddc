"""The HTTPS listener and its certificate."""
