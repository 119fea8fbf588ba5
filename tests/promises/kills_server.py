"""An SMTP server that writes down each message that it accepts, before it says so.

``python -m tests.promises.kills_server FILE`` prints its port.  A message is accepted when its
final dot has arrived, whether or not the client lives to hear of it.  Some are refused for now.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

_chance = random.Random(7)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: Path) -> None:
    def say(line: str) -> None:
        writer.write(f"{line}\r\n".encode())

    async def take_message() -> None:
        text = await reader.readuntil(b"\r\n.\r\n")
        if _chance.random() < 0.01:
            say("451 4.3.0 try later")
            return
        number = text.partition(b"Subject: ")[2].split()[0].decode()
        with record.open("a") as file:
            file.write(f"{number}\n")
        await asyncio.sleep(_chance.uniform(0, 0.02))
        say("250 2.0.0 accepted")

    say("220 record.test")
    accepted = False
    try:
        while line := (await reader.readline()).decode().upper():
            if line.startswith("EHLO"):
                say("250-record.test\r\n250 PIPELINING")
            elif line.startswith("RCPT TO:<NOBODY@"):
                say("550 5.1.1 no such user")
            elif line.startswith("DATA"):
                if accepted:
                    say("354 go ahead")
                    await take_message()
                    accepted = False
                else:
                    say("503 5.5.1 no recipients")
            elif line.startswith("QUIT"):
                say("221 bye")
                break
            else:
                accepted = line.startswith("RCPT") or (accepted and not line.startswith("RSET"))
                say("250 2.0.0 ok")
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.close()


async def _main(record: Path) -> None:
    record.touch()
    server = await asyncio.start_server(lambda r, w: _serve(r, w, record), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
