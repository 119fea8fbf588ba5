"""Options of every kind, checked once, when they are given."""
