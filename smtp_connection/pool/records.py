"""What a pool tells of itself."""

from __future__ import annotations

from ..records import LogEntry, Reported

__all__ = ["PoolLogEntry", "PoolStats"]


class PoolLogEntry(LogEntry, keys=("type", "message", "sid")):
    """One entry of the ``'log'`` event of a pool or a transport.

    - ``type``, ``message`` (str): see :class:`~smtp_connection.LogEntry`
    - ``sid`` (str): the id of the connection, or of the pool itself, as in entries of a logger
    """

    __slots__ = ("sid",)

    def __init__(self, type: str, message: str, sid: str) -> None:
        super().__init__(type, message)
        self.sid = sid


class PoolStats(Reported):
    """What ``stats()`` returns: the state of a pool at that moment.

    - ``queued`` (int): messages that wait for their turn, also for another attempt
    - ``sending`` (int): messages that a connection has got
    - ``sent`` (int): messages that the server has accepted, for some of their recipients at least
    - ``failed`` (int): messages that it has not, those in doubt not included
    - ``inDoubt`` (int): messages that it may or may not have accepted
    - ``requeued`` (int): how often a message was queued again, after a connection was dropped, say
    - ``connections`` (dict): their number by state: ``'opening'``, ``'idle'``, ``'sending'``,
      ``'closing'``
    - ``ceiling`` (int): how many connections there may be at the moment
    - ``rate`` (float): messages sent in a second, on the average of the last minute
    """

    __slots__ = (  # noqa: RUF023 - in the order of a message's life
        "queued",
        "sending",
        "sent",
        "failed",
        "inDoubt",
        "requeued",
        "connections",
        "ceiling",
        "rate",
    )

    def __init__(
        self,
        queued: int,
        sending: int,
        sent: int,
        failed: int,
        inDoubt: int,
        requeued: int,
        connections: dict[str, int],
        ceiling: int,
        rate: float,
    ) -> None:
        self.queued = queued
        self.sending = sending
        self.sent = sent
        self.failed = failed
        self.inDoubt = inDoubt
        self.requeued = requeued
        self.connections = connections
        self.ceiling = ceiling
        self.rate = rate
