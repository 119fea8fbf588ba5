"""Who was sent what: a ledger that lets any number of workers send no message twice."""

from .claims import Claim
from .entries import Entry
from .ledger import Ledger

__all__ = ["Ledger", "Claim", "Entry"]
