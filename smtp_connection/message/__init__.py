"""Anything that can be sent, pulled piece by piece and encoded for the wire."""
