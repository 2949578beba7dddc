"""The console: a page for the operator, on the API and nothing else."""
