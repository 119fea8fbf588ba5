"""What the server announced in its reply to EHLO or LHLO (RFC 5321 section 4.1.1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .replies import Reply

__all__ = ["Capabilities"]


class Capabilities(Mapping[str, str]):
    """The announced extensions: a mapping from keywords to parameters, which ignores case.

    ``'PIPELINING' in capabilities``, ``capabilities['SIZE']`` (``''`` if it has no parameters).

    - ``auth`` (tuple of str): the SASL mechanisms, upper case, in the server's order
    - ``pipelining`` (bool): whether commands may be sent without waiting (RFC 2920)
    - ``takes_size`` (bool): whether MAIL may declare the size of the message (RFC 1870)
    - ``size`` (int or None): the largest message in bytes, ``None`` if the server names no limit
    - ``rcpt_max``, ``rcpt_domain_max`` (int): how many recipients, and how many domains of theirs,
      the server takes in one transaction; ``mail_max`` (int): how many transactions it takes in a
      session (RFC 9422); 0 if it names no limit
    - ``limits_rcpt`` (bool): whether one of the first two is a limit
    - ``lines`` (list of str): the lines of the reply, without the first, which is a greeting
    """

    __slots__ = (
        "_parameters",
        "auth",
        "limits_rcpt",
        "lines",
        "mail_max",
        "pipelining",
        "rcpt_domain_max",
        "rcpt_max",
        "size",
        "takes_size",
    )

    def __init__(self, reply: Reply | None = None) -> None:
        """Read ``reply``; without one (before EHLO, after HELO) nothing is announced."""
        lines = reply.lines[1:] if reply is not None else []
        self.lines = [line.strip() for line in lines if line.strip()]
        self._parameters: dict[str, str] = {}
        mechanisms: dict[str, None] = {}
        for line in self.lines:
            keyword, _, parameters = line.partition(" ")
            keyword = keyword.upper()
            # "AUTH=LOGIN PLAIN" is how servers wrote it before RFC 2554; some still send both.
            if keyword == "AUTH" or keyword.startswith("AUTH="):
                words = line[len("AUTH") :].replace("=", " ").upper().split()
                mechanisms.update(dict.fromkeys(words))
                keyword = "AUTH"
            self._parameters.setdefault(keyword, parameters.strip())
        self.auth = tuple(mechanisms)
        if "AUTH" in self._parameters:
            self._parameters["AUTH"] = " ".join(self.auth)
        self.pipelining = "PIPELINING" in self._parameters
        self.takes_size = "SIZE" in self._parameters
        size = self._parameters.get("SIZE", "")
        # "SIZE 0" means that there is no fixed maximum (RFC 1870 section 4).  Longer numbers are
        # ignored: no size has 20 digits, and converting thousands of them takes quadratic time.
        self.size = (
            int(size) or None if size.isascii() and size.isdigit() and len(size) < 20 else None
        )

        self.rcpt_max = self.rcpt_domain_max = self.mail_max = 0
        self.limits_rcpt = False
        limits = self._parameters.get("LIMITS")
        if limits:
            self._read_limits(limits)

    def _read_limits(self, text: str) -> None:
        given = {name.upper(): value for name, _, value in (w.partition("=") for w in text.split())}

        def limit(name: str) -> int:
            value = given.get(name, "")
            # RFC 9422 section 4: at most six digits.
            return int(value) if value.isascii() and value.isdigit() and len(value) <= 6 else 0

        self.rcpt_max = limit("RCPTMAX")
        self.rcpt_domain_max = limit("RCPTDOMAINMAX")
        self.mail_max = limit("MAILMAX")
        self.limits_rcpt = bool(self.rcpt_max or self.rcpt_domain_max)

    def __getitem__(self, keyword: str) -> str:
        return self._parameters[keyword.upper()]

    def __contains__(self, keyword: object) -> bool:
        return isinstance(keyword, str) and keyword.upper() in self._parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        return f"Capabilities({self._parameters!r})"
