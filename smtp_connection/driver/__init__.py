"""What drives a connection, from ``connect()`` to ``'end'``."""
