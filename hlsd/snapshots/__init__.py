"""Makes still pictures of live streams: on demand by HTTP, and timed into files. Decoding is a process of its own."""
