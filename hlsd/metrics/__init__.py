"""Figures for Prometheus, read from live objects at scrape time."""
