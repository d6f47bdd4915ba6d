"""A real SMTP server (aiosmtpd) that keeps what it takes, and misbehaves on request."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

#: What a stage may be told to do: answer with a line, or do something and (None) go on as usual.
Behaviour = Callable[[str], str | None]
#: The stages of a conversation, in their order.
HELLO, SENDER, RECIPIENT, CONTENT = "hello", "sender", "recipient", "content"
CUT = "cut the connection"


@dataclass(frozen=True, kw_only=True)
class Received:
    """One mail that the server took (or had whole, when it was told not to say so)."""

    sender: str
    to: str
    message: EmailMessage
    raw: bytes
    options: tuple[str, ...] = ()

    def part(self, kind: str) -> str:
        """The text of one part: `plain` or `html`; empty where there is none."""
        found = self.message.get_body((kind,))
        return "" if found is None else cast(str, found.get_content())


@dataclass(kw_only=True)
class MailServer:
    """The server, as a test sees it."""

    port: int
    received: list[Received] = field(default_factory=list)
    #: What happens at a stage, given the address (at `hello` the client's name); forgotten once used
    #: unless `always`.
    behaviours: dict[str, list[Behaviour]] = field(default_factory=dict)
    always: dict[str, Behaviour] = field(default_factory=dict)
    conversations: int = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def once(self, stage: str, behaviour: Behaviour | str) -> None:
        """At the next coming to this stage."""
        self.behaviours.setdefault(stage, []).append(_behaviour(behaviour))

    def every_time(self, stage: str, behaviour: Behaviour | str) -> None:
        self.always[stage] = _behaviour(behaviour)

    def behave(self) -> None:
        """As usual from now on."""
        self.behaviours.clear()
        self.always.clear()

    def addresses(self) -> list[str]:
        return [mail.to for mail in self.received]

    def reach(self, stage: str, what: str) -> str | None:
        waiting = self.behaviours.get(stage)
        behaviour = waiting.pop(0) if waiting else self.always.get(stage)
        return behaviour(what) if behaviour is not None else None


def _behaviour(given: Behaviour | str) -> Behaviour:
    return given if callable(given) else lambda _: given


class _Handler:
    # ruff: noqa: N802  aiosmtpd calls them by these names

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_EHLO(
        self, smtp: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self._server.conversations += 1
        said = await self._reach(HELLO, hostname, smtp)
        return [said] if said is not None else responses

    async def handle_HELO(self, smtp: SMTP, session: Session, envelope: Envelope, hostname: str) -> str:
        session.host_name = hostname
        return await self._reach(HELLO, hostname, smtp) or "250 test"

    async def handle_MAIL(
        self, smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        said = await self._reach(SENDER, address, smtp)
        if said is not None:
            return said
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        said = await self._reach(RECIPIENT, address, smtp)
        if said is not None:
            return said
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, smtp: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.content
        assert isinstance(raw, bytes)
        (to,) = envelope.rcpt_tos
        said = self._server.reach(CONTENT, to)
        if said is None or said == CUT:
            message = message_from_bytes(raw, policy=policy.default)
            assert isinstance(message, EmailMessage)
            mail = Received(
                sender=envelope.mail_from or "",
                to=to,
                message=message,
                raw=raw,
                options=tuple(envelope.mail_options),
            )
            self._server.received.append(mail)
        if said == CUT:
            _cut(smtp)
        return said or "250 taken"

    async def _reach(self, stage: str, what: str, smtp: SMTP) -> str | None:
        said = self._server.reach(stage, what)
        if said == CUT:
            _cut(smtp)
            await asyncio.sleep(0)
        return said


def _cut(smtp: SMTP) -> None:
    transport = smtp.transport
    assert transport is not None
    transport.abort()  # type: ignore[attr-defined]  # a StreamTransport, typed as its base


class _Controller(Controller):
    """Listens on a socket that is there already, so that its port is nobody else's."""

    def __init__(self, handler: _Handler, listening: socket.socket, **options: Any) -> None:
        super().__init__(handler, hostname="127.0.0.1", port=listening.getsockname()[1], **options)
        self._listening = listening

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._listening, ssl=self.ssl_context)


@contextmanager
def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    login: tuple[str, str] | None = None,
    utf8: bool = True,
) -> Iterator[MailServer]:
    """A server on loopback. `tls`: from the first byte; `starttls`: offered; `login`: required, by TLS."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = MailServer(port=listening.getsockname()[1])

    def authenticate(
        _smtp: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == login, handled=False)

    controller = _Controller(
        _Handler(server),
        listening,
        ssl_context=tls,
        tls_context=starttls,
        enable_SMTPUTF8=utf8,
        decode_data=False,
        auth_required=login is not None,
        auth_require_tls=login is not None,
        authenticator=authenticate if login is not None else None,
        ident="test",
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
        listening.close()


class SilentServer:
    """Takes connections and says nothing, or a byte now and then. A context manager."""

    def __init__(self, *, drip: bytes = b"", every: float = 0.05) -> None:
        self._drip = drip
        self._every = every
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def __enter__(self) -> SilentServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        self._listening.settimeout(0.1)
        taken: list[socket.socket] = []
        while not self._over.is_set():
            try:
                taken.append(self._listening.accept()[0])
            except TimeoutError:
                pass
            except OSError:
                break
            for connection in taken:
                self._say(connection)
            self._over.wait(self._every)
        for connection in taken:
            connection.close()

    def _say(self, connection: socket.socket) -> None:
        try:
            connection.sendall(self._drip)
        except OSError:
            self._drip = b""  # the client has gone
