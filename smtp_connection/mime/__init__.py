"""Mails composed from a dict, and ``email`` messages written for the wire."""
