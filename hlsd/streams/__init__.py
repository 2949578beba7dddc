"""What is on air: names, publishers, streams and the outputs they feed."""
