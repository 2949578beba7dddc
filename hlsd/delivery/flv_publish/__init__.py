"""Publishing by HTTP: `POST` and `PUT` of an FLV file that does not end, and the same by WebSocket."""
