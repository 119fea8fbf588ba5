"""Benchmarks of the package and its peers: ``python -m tests.benchmarks``; see README.rst."""
