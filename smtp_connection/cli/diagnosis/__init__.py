"""``diagnose``: what a server is, from the look-up to the login, and what is wrong with it.

``targets`` says where to look, ``examine`` looks, ``verdict`` judges, ``report`` shows.
"""
