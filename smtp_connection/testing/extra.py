"""What cannot be imported without the extra ``testing``, and the error that says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import needs_extra

__all__ = ["needing_extra"]


@contextmanager
def needing_extra() -> Iterator[None]:
    """Say which extra is missing, if an import within the ``with`` statement fails.

    Raises ``ModuleNotFoundError``, as the import does.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] == "smtp_connection":
            raise
        text = needs_extra("the server of smtp_connection.testing", "testing")
        raise ModuleNotFoundError(text, name=exc.name) from exc
