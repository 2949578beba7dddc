"""Measures the server beside its peers; `python -m bench` writes the pages of docs/bench."""
