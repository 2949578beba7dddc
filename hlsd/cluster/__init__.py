"""Several processes, on one machine or many, as one server: where they agree about sessions and streams."""
