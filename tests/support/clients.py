"""Three clients that do the same: smtplib, aiosmtplib, and our own; and what becomes of it.

An outcome is ``"sent"``, the code of the reply that refused the login, the message or the
recipients (``"535"``), ``"lost"`` for a connection that has ended, or ``"timeout"``.
"""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from typing import Any

import aiosmtplib

from smtp_connection import Reactor, SMTPConnection, SMTPError
from smtp_connection.testing import SMTPServer

FROM, TO = "a@x.org", "b@x.org"

Client = Callable[..., str]
"""``client(server, login, to=, timeout=)`` delivers one message, and returns the outcome."""


def message() -> EmailMessage:
    """Return the message that they send."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = FROM, TO, "hi"
    made.set_content("hello\n.\n")
    return made


def with_smtplib(
    server: SMTPServer,
    login: tuple[str, str] | None = None,
    to: Sequence[str] = (TO,),
    timeout: float = 10,
) -> str:
    tls = server.tls.mode
    client: smtplib.SMTP | None = None
    try:
        if tls == "implicit":
            context = server.tls.context
            client = smtplib.SMTP_SSL(server.host, server.port, context=context, timeout=timeout)
        else:
            client = smtplib.SMTP(server.host, server.port, timeout=timeout)
        if tls == "starttls":
            client.starttls(context=server.tls.context)
        if login is not None:
            client.login(*login)
        client.send_message(message(), FROM, to)
        client.quit()
    except smtplib.SMTPResponseException as exc:
        return str(exc.smtp_code)
    except smtplib.SMTPRecipientsRefused as exc:
        return str(next(iter(exc.recipients.values()))[0])
    except TimeoutError:
        return "timeout"
    except smtplib.SMTPServerDisconnected as exc:
        return "timeout" if "timed out" in str(exc) else "lost"
    except OSError:
        return "lost"
    finally:
        if client is not None:
            client.close()
    return "sent"


def with_aiosmtplib(
    server: SMTPServer,
    login: tuple[str, str] | None = None,
    to: Sequence[str] = (TO,),
    timeout: float = 10,
) -> str:
    async def deliver() -> None:
        tls = server.tls.mode
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=tls == "implicit",
            start_tls=tls == "starttls",
            tls_context=None if tls == "off" else server.tls.context,
            timeout=timeout,
        )
        transport = None
        try:
            await client.connect()
            transport = client.transport
            if login is not None:
                await client.login(*login)
            await client.send_message(message(), sender=FROM, recipients=list(to))
            await client.quit()
        finally:
            client.close()
            # Python 3.10 closes the socket some turns of the loop after the transport.
            turns = 0
            while turns < 20 or (transport is not None and _is_open(transport)):
                await asyncio.sleep(0)
                turns += 1

    try:
        asyncio.run(deliver())
    except aiosmtplib.SMTPRecipientsRefused as exc:
        return str(exc.recipients[0].code)
    except aiosmtplib.SMTPResponseException as exc:
        return str(exc.code)
    except aiosmtplib.SMTPTimeoutError:
        return "timeout"
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPConnectError, OSError):
        return "lost"
    return "sent"


def _is_open(transport: asyncio.BaseTransport) -> bool:
    sock = transport.get_extra_info("socket")
    return sock is not None and sock.fileno() >= 0


def with_ours(
    server: SMTPServer,
    login: tuple[str, str] | None = None,
    to: Sequence[str] = (TO,),
    timeout: float = 10,
) -> str:
    milliseconds = int(timeout * 1000)
    options: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "secure": server.tls.mode == "implicit",
        "requireTLS": server.tls.mode == "starttls",
        **dict.fromkeys(("connectionTimeout", "greetingTimeout", "socketTimeout"), milliseconds),
    }
    if server.tls.mode != "off":
        options["tls"] = {"ca": server.tls.ca}
    errors: list[SMTPError] = []

    def note(err: SMTPError | None) -> None:
        if err is not None:
            errors.append(err)

    with Reactor() as reactor:
        connection = SMTPConnection(options, reactor=reactor)
        connection.on("error", errors.append)
        connection.connect()
        if login is not None:
            connection.login({"user": login[0], "pass": login[1]}, note)
        connection.send({"from": FROM, "to": list(to)}, message(), note)
        connection.quit()
        reactor.run()
    if not errors:
        return "sent"
    if errors[0].responseCode is not None:
        return str(errors[0].responseCode)
    return "timeout" if errors[0].code == "ETIMEDOUT" else "lost"


CLIENTS: dict[str, Client] = {
    "smtplib": with_smtplib,
    "aiosmtplib": with_aiosmtplib,
    "ours": with_ours,
}
