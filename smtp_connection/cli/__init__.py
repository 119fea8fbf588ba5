"""The command line, on the public names alone."""
