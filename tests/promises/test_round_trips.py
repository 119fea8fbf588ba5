"""Any mail that is composed arrives as it was given: see ``round_trips``, here with fewer mails."""

from __future__ import annotations

import pytest

from smtp_connection.mime import compose as compose_module
from smtp_connection.mime.compose import Composed

from .round_trips import check, run

MAIL = {
    "from": {"name": "A", "address": "a@x.org"},
    "to": [{"name": "", "address": "b@x.org"}],
    "subject": "s",
    "text": "t",
    "attachments": [{"content": b"\0", "filename": "f"}],
}


def test_all_of_it_is_found_again():
    run(150, 1)


def test_it_would_notice(monkeypatch):
    check(MAIL)
    right = Composed.build
    for old, new in ((b"AA==", b"AQ=="), (b"Subject: s", b"Subject: z"), (b"A <a@", b"B <a@")):

        def careless(self, old=old, new=new):
            assert right(self).count(old) == 1
            return right(self).replace(old, new)

        monkeypatch.setattr(compose_module.Composed, "build", careless)
        with pytest.raises(AssertionError):
            check(MAIL)
