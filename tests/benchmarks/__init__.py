"""Benchmarks of the package and its peers: ``python -m tests.benchmarks``.

See docs/performance.rst.
"""
