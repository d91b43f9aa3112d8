"""E-mail over SMTP: one message, one recipient, one total deadline, one stable Message-ID.

Never resends by itself: once the text was handed over and no reply came, the outcome is unknown.
Never sends a password over an unencrypted connection. Serves item "notify" of the runbook and
design "Exactly once, honestly".
"""

import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

from payops.connectors.base import AddressMalformed, ConnectorOutcome, Message, OutcomeKind
from payops.core.http import ADDRESSES_TRIED_MAX, HttpFailed, resolve

ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,188}[A-Za-z0-9])?"
)
MESSAGE_ID = re.compile(r"[A-Za-z0-9._-]{1,120}")
SUBJECT_CHARS_MAX = 200
TEXT_CHARS_MAX = 50_000
# Plain ASCII on the wire, so that no relay has to offer 8BITMIME.
WIRE_POLICY = SMTP_POLICY.clone(cte_type="7bit")
DEFAULT_PORTS = {"smtp": 25, "smtps": 465}


class EmailAddressMalformed(AddressMalformed):
    """The configured address cannot be used; the text says which part, never the password."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """smtp[s]://[user:password@]host[:port]/?from=<sender>[&starttls=1]"""

    host: str
    port: int
    is_tls: bool
    needs_starttls: bool
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)


class EmailConnector:
    """See `payops.connectors.base.MessageConnector`."""

    name = "email"

    def __init__(self, address: str, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._relay = read_relay(address)
        self._ssl_context = ssl_context or ssl.create_default_context()

    def send(self, *, message: Message, deadline_s: float) -> ConnectorOutcome:
        """Raises nothing; a message that cannot be written correctly is refused unsent."""
        started_at = datetime.now(UTC)
        masked = {"message_id": message.message_id, "repeat": message.is_repeat}
        try:
            content = compose(message=message, sender=self._relay.sender, sent_at=started_at)
        except ValueError:
            kind, reason = _ended("refused", "message_malformed")
        else:
            kind, reason = self._deliver(message.recipient, content, deadline_s)
        return ConnectorOutcome(
            kind=kind,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            external_ref=message_id(message=message, sender=self._relay.sender),
            reason=reason,
            request_masked=masked,
        )

    def _deliver(
        self, recipient: str, content: bytes, deadline_s: float
    ) -> tuple[OutcomeKind, str]:
        session = _Session(self._relay, self._ssl_context, deadline_s)
        try:
            with session:
                session.open()
                for step in (session.sender, lambda: session.recipient(recipient)):
                    code = step()
                    if code >= 300:
                        return _rejected(code)
                code = session.content(content)
                return ("sent", "") if 200 <= code < 300 else _rejected(code)
        except smtplib.SMTPNotSupportedError:
            return _ended("refused", "tls_or_login_not_offered")
        except smtplib.SMTPAuthenticationError as error:
            return _ended("failed", f"login_{error.smtp_code}")
        except (OSError, HttpFailed, smtplib.SMTPException, ValueError) as error:
            reason = "deadline" if session.is_expired() else type(error).__name__.lower()
            return _ended("unknown" if session.is_handed_over else "failed", reason)


class _Smtp(smtplib.SMTP):
    """smtplib's conversation over a connection made elsewhere, within the deadline."""

    def __init__(self, connect: Callable[[], socket.socket], host: str) -> None:
        super().__init__()
        self._connect_within_deadline = connect
        # The name that STARTTLS verifies; smtplib sets it only when it connects by itself.
        self._host = host

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._connect_within_deadline()


class _Session:
    """One SMTP conversation; a timer cuts the socket at the deadline, whatever the other drips."""

    def __init__(self, relay: Relay, ssl_context: ssl.SSLContext, deadline_s: float) -> None:
        self._relay = relay
        self._ssl_context = ssl_context
        self._ends = time.monotonic() + deadline_s
        self._expired = threading.Event()
        self._timer = threading.Timer(deadline_s, self._cut)
        self._timer.daemon = True
        self._smtp: smtplib.SMTP | None = None
        self.is_handed_over = False

    def __enter__(self) -> "_Session":
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._smtp is not None:
            # No QUIT: its answer changes nothing and waiting for it could outlast the deadline.
            self._smtp.close()

    def is_expired(self) -> bool:
        return self._expired.is_set() or time.monotonic() >= self._ends

    def open(self) -> None:
        relay = self._relay
        self._smtp = smtp = _Smtp(self._connect, relay.host)
        code, _ = smtp.connect(relay.host, relay.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, b"")
        smtp.ehlo_or_helo_if_needed()
        if relay.needs_starttls:
            smtp.starttls(context=self._ssl_context)
            smtp.ehlo()
        if relay.user:
            smtp.login(relay.user, relay.password)

    def _connect(self) -> socket.socket:
        relay = self._relay
        failure: OSError = TimeoutError()
        addresses = resolve(host=relay.host, port=relay.port, timeout_s=self._left_s())
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            try:
                sock = socket.create_connection((address, relay.port), self._left_s())
            except OSError as error:
                failure = error
                continue
            if not relay.is_tls:
                return sock
            return self._ssl_context.wrap_socket(sock, server_hostname=relay.host)
        raise failure

    def _left_s(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def sender(self) -> int:
        return self._open_smtp().mail(self._relay.sender)[0]

    def recipient(self, address: str) -> int:
        return self._open_smtp().rcpt(address)[0]

    def content(self, content: bytes) -> int:
        smtp = self._open_smtp()
        smtp.putcmd("data")
        code, _ = smtp.getreply()
        if code != 354:
            return code if code >= 400 else 554
        self.is_handed_over = True
        stuffed = re.sub(rb"(?m)^\.", b"..", content)
        smtp.send(stuffed.removesuffix(b"\r\n") + b"\r\n.\r\n")
        return smtp.getreply()[0]

    def _open_smtp(self) -> smtplib.SMTP:
        if self._smtp is None or self.is_expired():
            raise smtplib.SMTPServerDisconnected("deadline")
        return self._smtp

    def _cut(self) -> None:
        self._expired.set()
        sock = getattr(self._smtp, "sock", None)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


def read_relay(address: str) -> Relay:
    """Raises EmailAddressMalformed."""
    try:
        parts = urlsplit(address)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
        options = parse_qs(parts.query)
    except ValueError:
        raise EmailAddressMalformed("the e-mail address is not a URL") from None
    sender = options.get("from", [""])[0]
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise EmailAddressMalformed("the e-mail address must be smtp://host or smtps://host")
    if not ADDRESS.fullmatch(sender):
        raise EmailAddressMalformed("the e-mail address needs ?from=<sender address>")
    is_tls = parts.scheme == "smtps"
    return Relay(
        host=parts.hostname,
        port=port,
        is_tls=is_tls,
        # A password is reason enough for encryption, asked for or not.
        needs_starttls=not is_tls and bool(parts.username or options.get("starttls") == ["1"]),
        sender=sender,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def message_id(*, message: Message, sender: str) -> str:
    """The same for every attempt, so that a mail reader can fold a repeat into the first."""
    return f"<{message.message_id}@{sender.rpartition('@')[2]}>"


def compose(*, message: Message, sender: str, sent_at: datetime) -> bytes:
    """The message as it goes over the wire. Raises ValueError."""
    if not ADDRESS.fullmatch(message.recipient) or not MESSAGE_ID.fullmatch(message.message_id):
        raise ValueError("recipient or message id malformed")
    mail = EmailMessage(policy=WIRE_POLICY)
    subject = " ".join(message.subject.split())[:SUBJECT_CHARS_MAX]
    mail["Message-ID"] = message_id(message=message, sender=sender)
    mail["Date"] = format_datetime(sent_at)
    mail["From"] = sender
    mail["To"] = message.recipient
    mail["Subject"] = f"[repeat] {subject}" if message.is_repeat else subject
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{message.text[:TEXT_CHARS_MAX]}\n\n{message.deep_link}\n")
    return mail.as_bytes()


def _ended(kind: OutcomeKind, reason: str) -> tuple[OutcomeKind, str]:
    return kind, reason


def _rejected(code: int) -> tuple[OutcomeKind, str]:
    """5xx is final, 4xx asks for another try; after either the relay has not taken the message."""
    return _ended("refused" if code >= 500 else "failed", f"smtp_{code}")
