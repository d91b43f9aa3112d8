"""The outgoing client against real servers that misbehave (D14, SE-2, design "Provider calls")."""

import datetime
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from payops.core import http as http_module
from payops.core.http import (
    HttpClient,
    HttpFailed,
    HttpRefused,
    HttpUnknown,
    address_is_public,
)
from tests.psp.scripted_server import always, http, scripted_server

GETADDRINFO = socket.getaddrinfo


def names_resolve_to(monkeypatch, *addresses: str) -> None:
    """Every name has these addresses; a numeric address stays what it is."""

    def resolver(host, port, *args, **kwargs):
        if host[0].isdigit():
            return GETADDRINFO(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port)) for found in addresses]

    monkeypatch.setattr(http_module.socket, "getaddrinfo", resolver)


def client_for(server, **limits) -> HttpClient:
    return HttpClient(allow=server.allow, **limits)


def test_complete_answer_comes_back_whole():
    with scripted_server(always(http(201, b"made", X_Trace="t-1"))) as server:
        answer = client_for(server).request(
            "POST", f"{server.origin}/v1/things?x=1#part", {"X-Key": "k"}, b"body"
        )

    assert (answer.status, answer.body, answer.headers["x-trace"]) == (201, b"made", "t-1")
    assert answer.sent_at <= answer.answered_at
    [request] = server.received
    assert (request.method, request.target, request.body) == ("POST", "/v1/things?x=1", b"body")
    assert request.headers["x-key"] == "k"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["accept-encoding"] == "identity"


def test_slow_drip_ends_at_the_total_deadline_and_is_unknown():
    def drip(request):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        for _ in range(1000):
            yield b"x"
            yield 0.05

    with scripted_server(drip) as server:
        began = time.monotonic()
        with pytest.raises(HttpUnknown) as caught:
            client_for(server, timeout_s=5, deadline_s=0.5).request("GET", f"{server.origin}/")
        took = time.monotonic() - began

    assert caught.value.reason == "deadline"
    assert caught.value.sent_at is not None
    assert 0.4 < took < 2.0


def test_dripping_headers_end_at_the_total_deadline_too():
    def drip(request):
        yield b"HTTP/1.1 200 OK\r\n"
        for number in range(1000):
            yield f"X-{number}: y\r\n".encode()
            yield 0.05

    with scripted_server(drip) as server:
        began = time.monotonic()
        with pytest.raises(HttpUnknown, match="deadline"):
            client_for(server, timeout_s=5).request("GET", f"{server.origin}/", deadline_s=0.5)

    assert time.monotonic() - began < 2.0


def test_silent_server_is_unknown_because_the_request_was_sent():
    with scripted_server(always(30.0)) as server, pytest.raises(HttpUnknown) as caught:
        client_for(server, timeout_s=0.3, deadline_s=5).request("POST", f"{server.origin}/")

    assert caught.value.reason == "read_timeout"


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (b"HTTP/1.1 200 OK\r\nContent-Le",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!",),
        (b"SSH-2.0-nope\r\n",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",),
    ],
    ids=["closed", "half headers", "half body", "not http", "bad chunk"],
)
def test_broken_answers_are_unknown(steps):
    with scripted_server(always(*steps)) as server, pytest.raises(HttpUnknown):
        client_for(server).request("POST", f"{server.origin}/", {}, b"x")

    assert len(server.received) == 1


def test_huge_body_stops_at_the_cap():
    def flood(request):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n"
        for _ in range(10_000):
            yield b"x" * 65536

    with scripted_server(flood) as server, pytest.raises(HttpUnknown) as caught:
        client_for(server, max_bytes=100_000).request("GET", f"{server.origin}/")

    assert caught.value.reason == "answer_too_large"


def test_body_of_exactly_the_cap_is_read():
    with scripted_server(always(http(200, b"x" * 1000))) as server:
        answer = client_for(server, max_bytes=1000).request("GET", f"{server.origin}/")

    assert len(answer.body) == 1000


def test_compressed_answer_is_not_unpacked():
    squeezed = http(200, b"\x1f\x8b", Content_Encoding="gzip")
    with (
        scripted_server(always(squeezed)) as server,
        pytest.raises(HttpUnknown, match="answer_encoded"),
    ):
        client_for(server).request("GET", f"{server.origin}/")


def test_redirect_is_returned_and_not_followed():
    with scripted_server(always(http(200))) as other:
        away = http(302, b"", Location=f"{other.origin}/stolen")
        with scripted_server(always(away)) as server:
            allow = server.allow | other.allow
            answer = HttpClient(allow=allow).request("GET", f"{server.origin}/")

    assert answer.status == 302
    assert other.received == []


def test_environment_proxies_are_ignored(monkeypatch):
    with scripted_server(always(http(200))) as proxy, scripted_server(always(http(204))) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        answer = client_for(server).request("GET", f"{server.origin}/")

    assert answer.status == 204
    assert proxy.received == []


def test_environment_credentials_are_ignored(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with scripted_server(always(http(200))) as server:
        client_for(server).request("GET", f"{server.origin}/")

    assert "authorization" not in server.received[0].headers


def test_closed_port_is_failed_because_nothing_was_sent():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(HttpFailed, match="connect_error"):
        HttpClient(allow={f"127.0.0.1:{port}"}).request("POST", f"http://127.0.0.1:{port}/")


def test_plain_http_needs_the_allow_list():
    with scripted_server(always(http(200))) as server, pytest.raises(HttpRefused) as caught:
        HttpClient().request("GET", f"{server.origin}/")

    assert caught.value.reason == "https_required"
    assert server.connections == 0


def test_allow_list_names_host_and_port():
    with scripted_server(always(http(200))) as server, pytest.raises(HttpRefused):
        HttpClient(allow={"127.0.0.1", f"127.0.0.1:{server.port + 1}"}).request(
            "GET", f"{server.origin}/"
        )

    assert server.connections == 0


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_every_spelling_of_loopback_is_refused(host):
    with scripted_server(always(http(200))) as server, pytest.raises(HttpRefused) as caught:
        HttpClient().request("GET", f"https://{host}:{server.port}/")

    assert caught.value.reason == "address_not_allowed"
    assert server.connections == 0


def test_name_that_points_to_loopback_is_refused(monkeypatch):
    names_resolve_to(monkeypatch, "127.0.0.1")
    with scripted_server(always(http(200))) as server, pytest.raises(HttpRefused) as caught:
        HttpClient().request("GET", f"https://rebind.example.com:{server.port}/")

    assert (caught.value.reason, caught.value.host) == ("address_not_allowed", "rebind.example.com")
    assert server.connections == 0


def test_one_private_address_among_public_ones_is_refused(monkeypatch):
    names_resolve_to(monkeypatch, "93.184.216.34", "10.0.0.8")

    with pytest.raises(HttpRefused, match="address_not_allowed"):
        HttpClient().request("GET", "https://mixed.example.com/")


def test_connects_to_the_address_that_was_checked(monkeypatch):
    names_resolve_to(monkeypatch, "127.0.0.1")
    connected = []

    class Spy(http_module.httpcore.SyncBackend):
        def connect_tcp(self, host, port, **kwargs):
            connected.append(host)
            return super().connect_tcp(host, port, **kwargs)

    monkeypatch.setattr(http_module.httpcore, "SyncBackend", Spy)
    with scripted_server(always(http(200))) as server:
        allow = {f"simulator.internal:{server.port}"}
        HttpClient(allow=allow).request("GET", f"http://simulator.internal:{server.port}/")

    assert connected == ["127.0.0.1"]
    assert server.received[0].headers["host"] == f"simulator.internal:{server.port}"


def test_hanging_resolver_is_failed_at_the_deadline(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(
        http_module.socket, "getaddrinfo", lambda *args, **kwargs: released.wait(10) and []
    )
    began = time.monotonic()
    with pytest.raises(HttpFailed, match="name_timeout"):
        HttpClient(deadline_s=0.3).request("GET", "https://slow.example.com/")
    released.set()

    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.53",
        "0.0.0.0",  # noqa: S104
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:10.0.0.1",
        "2002:0a00:0001::1",
        "64:ff9b::a00:1",
        "64:ff9b::a9fe:a9fe",
        "2001:0000:4136:e378:8000:63bf:f5ff:fffe",
        "not an address",
        "fe80::1%eth0",
    ],
)
def test_addresses_that_are_not_public(address):
    assert not address_is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::6810:84e5", "64:ff9b::5db8:d822"])
def test_addresses_that_are_public(address):
    assert address_is_public(address)


@pytest.mark.parametrize(
    ("method", "url", "headers", "reason"),
    [
        ("GET", "ftp://example.com/", {}, "url_not_allowed"),
        ("GET", "https:///nohost", {}, "url_not_allowed"),
        ("GET", "https://user:pw@example.com/", {}, "credentials_in_url"),
        ("GET", "https://exa\nmple.com/", {}, "url_malformed"),
        ("GET", "file:///etc/passwd", {}, "url_not_allowed"),
        ("TRACE", "https://example.com/", {}, "method_not_allowed"),
        ("GET", "https://example.com/", {"X-A": "a\r\nX-B: b"}, "header_malformed"),
        ("GET", "https://example.com/", {"X A": "a"}, "header_not_allowed"),
        ("GET", "https://example.com/", {"Host": "other"}, "header_not_allowed"),
        ("GET", "https://example.com/", {"Transfer-Encoding": "chunked"}, "header_not_allowed"),
    ],
)
def test_requests_that_never_leave_us(method, url, headers, reason):
    with pytest.raises(HttpRefused) as caught:
        HttpClient().request(method, url, headers)

    assert caught.value.reason == reason


def test_errors_never_show_headers_or_body():
    with scripted_server(always()) as server, pytest.raises(HttpUnknown) as caught:
        client_for(server).request(
            "POST", f"{server.origin}/p?token=t-secret", {"Authorization": "Bearer k-secret"}, b"b"
        )

    assert "secret" not in str(caught.value) + repr(caught.value)


@pytest.fixture
def certificate(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "psp.internal")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("psp.internal")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_tls_verifies_the_name_although_the_address_is_dialled(certificate, monkeypatch):
    names_resolve_to(monkeypatch, "127.0.0.1")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with scripted_server(always(http(200, b"ok")), tls=serving) as server:
        right = HttpClient(allow={f"psp.internal:{server.port}"}, ssl_context=trusting)
        wrong = HttpClient(allow={f"other.internal:{server.port}"}, ssl_context=trusting)
        strange = HttpClient(allow={f"psp.internal:{server.port}"})

        answer = right.request("GET", f"https://psp.internal:{server.port}/")
        with pytest.raises(HttpFailed):
            wrong.request("GET", f"https://other.internal:{server.port}/")
        with pytest.raises(HttpFailed):
            strange.request("GET", f"https://psp.internal:{server.port}/")

    assert answer.body == b"ok"
    assert len(server.received) == 1
