"""One server as several processes on one machine: a supervisor, a core that owns the streams, workers that serve."""
