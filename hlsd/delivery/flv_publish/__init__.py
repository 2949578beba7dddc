"""Publishing by HTTP: `POST` and `PUT` of a file of FLV or MPEG-TS that does not end, and of FLV by WebSocket."""
