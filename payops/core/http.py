"""The one outgoing HTTP client: every call the product makes to the outside goes through here.

Owns the total deadline, the address guard at connect time, the size cap, and the distinction the
callers live by: refused (never left us), failed (no connection, a retry is safe) and unknown
(something was sent and no full answer came back, so verify first). Never follows a redirect, never
reads proxies or credentials from the environment, never reuses a connection, never decodes a
compressed body. Serves design "Provider calls", D14 and SE-2.
"""

import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpcore
import httpx

ADDRESSES_TRIED_MAX = 4
WRITE_CHUNK_BYTES = 16_384
MAX_BYTES_DEFAULT = 1_048_576
# Serve a cloud host's own configuration, on addresses that count as public in some Pythons.
METADATA_NETWORKS = (
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("192.0.0.0/24"),
)
NAT64_PREFIX = ipaddress.ip_network("64:ff9b::/96")
HEADERS_WE_SET = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
)
HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
HEADER_VALUE = re.compile(r"[\x20-\x7e\t]{0,4096}")
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class HttpError(Exception):
    """A call without a usable answer; `reason` is a machine code, the text names the host only."""

    def __init__(self, reason: str, host: str = "", sent_at: datetime | None = None) -> None:
        super().__init__(f"{reason} ({host})" if host else reason)
        self.reason = reason
        self.host = host
        self.sent_at = sent_at


class HttpRefused(HttpError):
    """We refused to make the call; nothing left the process and trying again changes nothing."""


class HttpFailed(HttpError):
    """The connection was never established; the same call may safely be made again."""


class HttpUnknown(HttpError):
    """Bytes were sent and no full answer was read; ask the other side before doing it again."""


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """A complete answer. `headers` has lower-case names; a repeated header keeps its last value."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    sent_at: datetime
    answered_at: datetime


class HttpClient:
    """Makes one guarded request per call; safe to share between threads.

    `allow` names "host:port" pairs that may be reached although private and without TLS (the
    simulator, an internal relay). Everything else must be https to a public address.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        timeout_s: float = 10.0,
        deadline_s: float = 20.0,
        max_bytes: int = MAX_BYTES_DEFAULT,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._allow = frozenset(entry.strip().lower() for entry in allow if entry.strip())
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._ssl_context = ssl_context or httpx.create_ssl_context(trust_env=False)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        deadline_s: float | None = None,
    ) -> HttpAnswer:
        """Send one request and read its whole answer within the deadline.

        A redirect is returned as the 3xx it is. Raises HttpRefused, HttpFailed or HttpUnknown.
        """
        target = self._target(url)
        host = target.host
        sent_headers = _checked_headers(headers or {}, host)
        if method not in METHODS:
            raise HttpRefused("method_not_allowed", host)
        allowed = f"{host}:{target.port or _default_port(target)}".lower() in self._allow
        if target.scheme != "https" and not allowed:
            raise HttpRefused("https_required", host)
        clock = _Deadline(seconds=deadline_s if deadline_s is not None else self._deadline_s)
        backend = _GuardedBackend(clock=clock, guarded=not allowed, timeout_s=self._timeout_s)
        try:
            return self._exchange(method, target, sent_headers, body, backend)
        except HttpError as error:
            if backend.sent_at is not None and not isinstance(error, HttpUnknown):
                raise HttpUnknown(error.reason, host, backend.sent_at) from error
            raise
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            reason = _reason(error, clock)
            if backend.sent_at is not None:
                raise HttpUnknown(reason, host, backend.sent_at) from error
            if isinstance(error, httpcore.LocalProtocolError):
                raise HttpRefused("request_malformed", host) from error
            raise HttpFailed(reason, host) from error

    def _target(self, url: str) -> httpx.URL:
        try:
            target = httpx.URL(url)
        except (httpx.InvalidURL, TypeError, ValueError) as error:
            raise HttpRefused("url_malformed") from error
        if target.scheme not in ("http", "https") or not target.host or "%" in target.host:
            raise HttpRefused("url_not_allowed", target.host)
        if target.userinfo:
            raise HttpRefused("credentials_in_url", target.host)
        return target

    def _exchange(
        self,
        method: str,
        target: httpx.URL,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        backend: "_GuardedBackend",
    ) -> HttpAnswer:
        limit = self._max_bytes
        port = target.port
        request = httpcore.Request(
            method,
            httpcore.URL(
                scheme=target.raw_scheme, host=target.raw_host, port=port, target=target.raw_path
            ),
            headers=[
                (b"Host", target.netloc),
                (b"Accept-Encoding", b"identity"),
                (b"Connection", b"close"),
                (b"Content-Length", str(len(body)).encode()),
                *headers,
            ],
            content=body,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write"), self._timeout_s)},
        )
        with httpcore.ConnectionPool(
            ssl_context=self._ssl_context, network_backend=backend, retries=0, http2=False
        ) as pool:
            response = pool.handle_request(request)
            try:
                answer_headers = {
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in response.headers
                }
                content = bytearray()
                for chunk in response.iter_stream():
                    content += chunk
                    if len(content) > limit:
                        raise HttpUnknown("answer_too_large", target.host, backend.sent_at)
            finally:
                response.close()
        if answer_headers.get("content-encoding", "identity") not in ("identity", ""):
            raise HttpUnknown("answer_encoded", target.host, backend.sent_at)
        answered_at = datetime.now(UTC)
        return HttpAnswer(
            status=response.status,
            headers=answer_headers,
            body=bytes(content),
            sent_at=backend.sent_at or answered_at,
            answered_at=answered_at,
        )


class _Deadline:
    """What is left of the whole call's time; every blocking operation asks it first."""

    def __init__(self, *, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left_s(self) -> float:
        return self._ends - time.monotonic()

    def bounded(self, timeout_s: float | None, error: type[Exception]) -> float:
        left = self.left_s()
        if left <= 0:
            raise error("deadline")
        return left if timeout_s is None else min(left, timeout_s)


class _GuardedBackend(httpcore.NetworkBackend):
    """Resolves, checks and connects to the very address it checked."""

    def __init__(self, *, clock: _Deadline, guarded: bool, timeout_s: float) -> None:
        self._clock = clock
        self._guarded = guarded
        self._timeout_s = timeout_s
        self._plain = httpcore.SyncBackend()
        self.sent_at: datetime | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        limit_s = self._clock.bounded(self._timeout_s, httpcore.ConnectTimeout)
        addresses = resolve(host=host, port=port, timeout_s=limit_s)
        if self._guarded:
            for address in addresses:
                if not address_is_public(address):
                    raise HttpRefused("address_not_allowed", host)
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            limit_s = self._clock.bounded(self._timeout_s, httpcore.ConnectTimeout)
            try:
                stream = self._plain.connect_tcp(address, port, timeout=limit_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return _DeadlineStream(stream, self._clock, self)
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise HttpRefused("unix_socket_not_allowed")

    def sleep(self, seconds: float) -> None:
        raise HttpRefused("waiting_not_allowed")


class _DeadlineStream(httpcore.NetworkStream):
    """Bounds each read and write by what is left of the call, so that a drip cannot stretch it."""

    def __init__(
        self, stream: httpcore.NetworkStream, clock: _Deadline, backend: _GuardedBackend
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(
            max_bytes, timeout=self._clock.bounded(timeout, httpcore.ReadTimeout)
        )

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_CHUNK_BYTES):
            limit_s = self._clock.bounded(timeout, httpcore.WriteTimeout)
            if self._backend.sent_at is None:
                self._backend.sent_at = datetime.now(UTC)
            self._stream.write(buffer[start : start + WRITE_CHUNK_BYTES], timeout=limit_s)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        limit_s = self._clock.bounded(timeout, httpcore.ConnectTimeout)
        secured = self._stream.start_tls(ssl_context, server_hostname, timeout=limit_s)
        return _DeadlineStream(secured, self._clock, self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def resolve(*, host: str, port: int, timeout_s: float) -> list[str]:
    """All addresses of a name, in the resolver's order. Raises HttpFailed.

    The C resolver takes no timeout, so it runs in a thread that is left behind when it hangs.
    """
    answer: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError):
            answer.put(None)

    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    try:
        addresses = answer.get(timeout=timeout_s)
    except queue.Empty:
        raise HttpFailed("name_timeout", host) from None
    if not addresses:
        raise HttpFailed("name_unknown", host)
    return addresses


def address_is_public(text: str) -> bool:
    """Whether an address lies on the public internet, seen through every IPv4-in-IPv6 wrapping."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    for candidate in (address, *_embedded(address)):
        if candidate.is_multicast or any(candidate in network for network in METADATA_NETWORKS):
            return False
        if not candidate.is_global and not _is_wrapping(candidate):
            return False
    return True


def _embedded(address: Address) -> list[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inner: list[Address] = [a for a in (address.ipv4_mapped, address.sixtofour) if a is not None]
    if address.teredo is not None:
        inner.extend(address.teredo)
    if address in NAT64_PREFIX:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return inner


def _is_wrapping(address: Address) -> bool:
    """NAT64 is how an IPv6-only host reaches a public IPv4 address; the inner one decides."""
    return isinstance(address, ipaddress.IPv6Address) and address in NAT64_PREFIX


def _checked_headers(headers: Mapping[str, str], host: str) -> list[tuple[bytes, bytes]]:
    checked = []
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in HEADERS_WE_SET:
            raise HttpRefused("header_not_allowed", host)
        if not HEADER_VALUE.fullmatch(value):
            raise HttpRefused("header_malformed", host)
        checked.append((name.encode("ascii"), value.encode("ascii")))
    return checked


def _default_port(target: httpx.URL) -> int:
    return 443 if target.scheme == "https" else 80


def _reason(error: Exception, clock: _Deadline) -> str:
    if clock.left_s() <= 0:
        return "deadline"
    name = type(error).__name__
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
