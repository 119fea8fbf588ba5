"""What nodemailer makes of each of the inputs, in lines that say what a receiver finds.

``facts.json`` has the lines.  ``python -m tests.mime.nodemailer.facts FOLDER`` asks the package
nodemailer in ``FOLDER``, which npm has unpacked there, and writes them anew; it needs node.
"""

from __future__ import annotations

import base64
import email
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from .inputs import INPUTS

__all__ = ["FACTS", "FILES", "facts_of", "write_files"]

_HERE = Path(__file__).parent
_PATH = _HERE / "facts.json"

FACTS: dict[str, list[str]] = json.loads(_PATH.read_text(encoding="utf-8"))
"""For each input, what nodemailer 10.6.1 makes of it."""

FILES = {"page.html": b"<p>from a file", "notes.txt": b"from a file"}
"""The files that the inputs name."""

_STRUCTURE = ("content-", "mime-version")


def write_files(folder: Path) -> None:
    """Write the files that the inputs name."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)


def facts_of(envelope: Any, message: bytes) -> list[str]:
    """Return what a receiver finds: the envelope, the headers, and each part with its content.

    What is chosen at random, boundaries and ids, is left out, and so are the order of headers and
    the case of their names.
    """
    parsed = email.message_from_bytes(message, policy=default)
    assert isinstance(parsed, EmailMessage)
    recipients = envelope["to"]
    to = [recipients] if isinstance(recipients, str) else list(recipients)
    lines = [f"from {envelope['from']} to {' '.join(to)}"]
    lines += sorted(_headers(parsed))
    return [*lines, *_parts(parsed, 0)]


def _headers(part: Any) -> Iterator[str]:
    for name, value in part.items():
        if name.lower().startswith(_STRUCTURE):
            continue
        raw = re.sub(r"\r?\n", "", str(value))
        text = " ".join(str(make_header(decode_header(raw))).split())
        if name == "Message-ID" and re.fullmatch(r"<[0-9a-f-]{32,36}@[\w.]+>", text):
            text = "<new>"
        yield f"{name.title()}: {text}"


def _parts(part: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    kind = part["Content-Type"]
    params = sorted(kind.params.items()) if kind is not None else []
    told = [f"{name}={value}" for name, value in params if name != "boundary"]
    line = "; ".join([part.get_content_type(), *told])
    disposition = part["Content-Disposition"]
    if disposition is not None:
        line += f" | {disposition.content_disposition} {part.get_filename()!r}"
    if part["Content-ID"] is not None:
        known = str(part["Content-ID"]) in ("<p@x>", "<i@x>")
        line += f" | {part['Content-ID'] if known else '<new>'}"
    encoding = str(part["Content-Transfer-Encoding"] or "7bit").lower()
    own = list(_headers(part)) if depth else []
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        yield f"{indent}{line}"
        for each in part.get_payload():
            yield from _parts(each, depth + 1)
        return
    yield f"{indent}{line} [{encoding}]"
    yield from (f"{indent}  {header}" for header in own)
    if part.is_multipart():
        content = part.get_payload(0).as_bytes()
    else:
        content = part.get_payload(decode=True)
    text = re.sub(rb"\r\n?", b"\n", content).rstrip(b"\n").decode("utf-8", "backslashreplace")
    text = re.sub(r"cid:[\w.-]+@localhost", "cid:<new>", text)
    yield f"{indent}  {text!r}"


def main(home: str) -> int:
    """Ask nodemailer; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder))
        done = subprocess.run(
            ["node", str(_HERE / "compose.mjs"), home, folder],
            input=json.dumps(INPUTS),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found = {}
    for name, result in json.loads(done.stdout).items():
        if "error" in result:
            found[name] = [f"error: {result['error']}"]
        else:
            message = base64.b64decode(result["message"])
            found[name] = facts_of(result["envelope"], message)
    _PATH.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    changed = [name for name in found if found[name] != FACTS.get(name)]
    print(f"{len(found)} inputs, {len(changed)} with other facts than before")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
