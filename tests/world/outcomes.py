"""Whether what ``send`` reports is what happened: compared with the server and with the wire."""

from __future__ import annotations

import re
from typing import Any

from .judge import Judge
from .messages import Mail
from .server import Server
from .streams import Stream
from .voice import NEVER, Reply

_SUCCESS = re.compile(rb"^\s*2[0-9][0-9].*\n", re.MULTILINE)
_REFUSAL = re.compile(rb"^\s*[45][0-9][0-9]", re.MULTILINE)
_LAST_LINE = re.compile(rb"^(?![0-9]{3}-).*\n", re.MULTILINE)
_TEXT = re.compile(rb"[45][0-9][0-9]")


def is_refusal(code: int | None) -> bool:
    return code is not None and 400 <= code < 600


def end_was_sent(mail: Mail, stream: Stream) -> bool:
    """Whether the system had taken the final dot."""
    return mail.last_words in b"".join(stream.sent)


def judge_by_wire(judge: Judge, mail: Mail, stream: Stream | None, error: Any) -> None:
    """What holds whatever the server says, and however it lies."""
    name = f"mail {mail.number}"
    sent = b"".join(stream.sent) if stream is not None else b""
    position = sent.find(mail.last_words)
    if stream is None or position < 0:
        judge.require(error is not None, f"{name} succeeds, and its end was never sent")
        doubtful = error.inDoubt and not judge.uncertain
        judge.require(not doubtful, f"{name} is in doubt, and its end was never sent")
        return
    read = b"".join(stream.read)
    before = stream.read_when_sent(position + len(mail.last_words))
    # With the lines of a reply that was under way by then.
    ends = [line.end() for line in _LAST_LINE.finditer(read, 0, before)]
    answers = read[ends[-1] if ends else 0 :]
    if error is None:
        judge.require(_SUCCESS.search(answers), f"{name} succeeds after the replies {answers!r}")
    elif not error.inDoubt:
        judge.require(_REFUSAL.search(answers), f"{name} fails without doubt after {answers!r}")


def judge_by_server(judge: Judge, mail: Mail, server: Server, error: Any, info: Any | None) -> None:
    """What holds if the server is honest: it knows what it has accepted."""
    if error is not None and error.command == "MAIL FROM" and error.response is not None:
        refused = mail.number in server.senders_refused
        judge.require(refused, f"mail {mail.number}: the sender was not refused, but {error!r}")
    verdicts = server.verdicts.get(mail.number, [])
    if any(reply.recipient is not None for reply in verdicts):
        _judge_each(judge, mail, server, verdicts, error, info)
        return
    _judge_one(judge, f"mail {mail.number}", server, verdicts[0] if verdicts else None, error, mail)
    if info is not None:
        number = mail.number
        judge.require(info.accepted == server.taken[number], f"mail {number}: {info.accepted}")
        judge.require(info.rejected == server.refused[number], f"mail {number}: {info.rejected}")
        judge.require(
            [one.recipient for one in info.rejectedErrors] == info.rejected
            and not any(one.inDoubt for one in info.rejectedErrors),
            f"mail {number}: its rejectedErrors are {info.rejectedErrors}",
        )


def _judge_one(
    judge: Judge, name: str, server: Server, verdict: Reply | None, error: Any, mail: Mail
) -> None:
    """Compare ``error`` with the final ``verdict``, of which the client may have heard or not."""
    stream = server.stream
    heard = verdict is not None and verdict.end <= stream.read_total
    if error is None:
        judge.require(
            heard and verdict is not None and verdict.positive,
            f"{name} succeeds, and the server's word was {verdict}",
        )
    elif judge.uncertain and error.inDoubt:
        judge.tally["an interrupt left a message in doubt"] += 1
    elif heard:
        assert verdict is not None
        judge.require(not verdict.positive, f"{name} fails, and the server said {verdict}")
        doubtful = not is_refusal(verdict.code)
        judge.require(error.inDoubt is doubtful, f"{name}: inDoubt is wrong after {verdict}")
    elif error.inDoubt:
        judge.tally["a message was left in doubt"] += 1
    elif end_was_sent(mail, stream) and not _refused_in_part(server, verdict, error):
        judge.fail(f"{name} is not in doubt, but no verdict was heard ({verdict})")


def _refused_in_part(server: Server, verdict: Reply | None, error: Any) -> bool:
    """Whether what the client has read of a reply that was cut off is clearly a refusal."""
    if not is_refusal(error.responseCode):
        return False
    start = min(server.voice.goodbye, verdict.start if verdict is not None else NEVER)
    if start == NEVER:
        return False
    return bool(_TEXT.match(b"".join(server.stream.read)[int(start) :].lstrip()))


def _judge_each(
    judge: Judge,
    mail: Mail,
    server: Server,
    verdicts: list[Reply],
    error: Any,
    info: Any | None,
) -> None:
    """The same for LMTP, where each recipient has a verdict."""
    source = error if info is None else info
    if source is None:
        return  # a callback that takes no result
    if judge.uncertain and error is not None and error.inDoubt and not error.rejected:
        return  # an interrupt has ended the dialogue that knew of recipients
    rejected = dict(zip(source.rejected or [], source.rejectedErrors or [], strict=True))
    if info is None:
        judge.require(
            error.inDoubt is any(one.inDoubt for one in rejected.values()),
            f"mail {mail.number}: inDoubt is not that of its recipients",
        )
    elif not info.accepted:
        judge.fail(f"mail {mail.number} succeeds for nobody")
    for verdict in verdicts:
        assert verdict.recipient is not None
        one = rejected.get(verdict.recipient)
        if one is None and info is None:
            judge.fail(f"mail {mail.number}: nothing is said about {verdict.recipient}")
        judge.require(
            info is None or (one is None) is (verdict.recipient in info.accepted),
            f"mail {mail.number}: {verdict.recipient} is both accepted and rejected, or neither",
        )
        name = f"mail {mail.number} for {verdict.recipient}"
        _judge_one(judge, name, server, verdict, one, mail)
    judge.require(
        set(server.refused[mail.number]) <= set(rejected),
        f"mail {mail.number}: a recipient was refused, and is not among {list(rejected)}",
    )
