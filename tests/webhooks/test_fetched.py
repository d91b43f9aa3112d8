"""Evidence for a body: fetched once, remembered, capped, never from elsewhere (WH-2, SE-2)."""

import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from payops.core.models import ProviderAccount
from payops.psp.base import AccountFacts, Fetch, SecretValue
from payops.psp.paypal.oauth import TOKENS
from payops.psp.registry import adapter
from payops.webhooks import fetched, trust
from payops.webhooks.fetched import Collector, EvidenceAway
from payops.webhooks.secrets import LiveSecret
from tests.psp import paypal_authority as authority
from tests.psp.paypal_api import API_KEY, ok, paypal_api, problem, token
from tests.psp.paypal_authority import NOW, chain
from tests.psp.paypal_signed import PAID, WEBHOOK_ID, account, headers_of, read
from tests.psp.scripted_server import always, http, in_turn, scripted_server

PEM = chain(authority.good(), authority.issuer())
FACTS = AccountFacts(provider="paypal", slug="demo", live=False)
VERIFY = "/v1/notifications/verify-webhook-signature"
QUESTION = Fetch(name="verdict:A", url=VERIFY, body=b'{"webhook_event": {}}', authorized=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def memory(clock):
    return Collector(clock=clock)


def certificate(server, path: str = "/certs/CERT-1") -> tuple[Fetch, ...]:
    return (Fetch(name="certificate", url=f"{server.origin}{path}"),)


def get(memory, server, settings, path: str = "/certs/CERT-1", deadline_s: float = 5.0):
    settings.HTTP_ALLOW = server.allow
    return memory.collect(certificate(server, path), account=FACTS, deadline_s=deadline_s)


def test_certificate_is_fetched_once_in_an_hour(memory, clock, settings):
    with scripted_server(always(http(200, PEM))) as server:
        assert get(memory, server, settings) == {"certificate": PEM}
        clock.now += 3599
        assert get(memory, server, settings) == {"certificate": PEM}
        assert server.connections == 1
        clock.now += 1
        assert get(memory, server, settings) == {"certificate": PEM}
        assert server.connections == 2

    [first, _] = server.received
    assert (first.method, first.target) == ("GET", "/certs/CERT-1")
    assert "authorization" not in first.headers


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(404, b"no"), "status_404"),
        (http(500, PEM), "status_500"),
        (http(302, b"", Location="http://127.0.0.1:1/certs/CERT-1"), "status_302"),
        (http(301, PEM, Location="https://elsewhere.example/"), "status_301"),
        (http(200, b"<html>signed out</html>"), "not_a_certificate"),
        (http(200, PEM + b"\n" * fetched.ANSWER_BYTES_MAX), "answer_too_large"),
        (http(200, PEM, Content_Encoding="gzip"), "answer_encoded"),
        (b"", "remote_protocol_error"),
    ],
    ids=["404", "500", "302", "301", "a page", "too large", "encoded", "nothing"],
)
def test_what_is_no_certificate_is_no_evidence_and_not_asked_again_at_once(
    memory, clock, settings, answer, reason
):
    with scripted_server(always(answer)) as server:
        for _ in range(50):
            with pytest.raises(EvidenceAway) as away:
                get(memory, server, settings)
            assert away.value.reason == reason
        assert server.connections == 1
        clock.now += fetched.FAILURE_KEPT_S
        with pytest.raises(EvidenceAway):
            get(memory, server, settings)
        assert server.connections == 2


def test_failure_is_forgotten_with_the_first_good_answer(memory, clock, settings):
    with scripted_server(in_turn(always(http(503)), always(http(200, PEM)))) as server:
        with pytest.raises(EvidenceAway, match="status_503"):
            get(memory, server, settings)
        clock.now += fetched.FAILURE_KEPT_S
        assert get(memory, server, settings) == {"certificate": PEM}


def test_known_certificate_outlives_an_outage_of_its_host_for_a_day(memory, clock, settings):
    with scripted_server(in_turn(always(http(200, PEM)), always(http(503)))) as server:
        get(memory, server, settings)
        clock.now += fetched.KEPT_S + fetched.STALE_S - 1
        assert get(memory, server, settings) == {"certificate": PEM}
        assert get(memory, server, settings) == {"certificate": PEM}
        assert server.connections == 2
        clock.now += fetched.FAILURE_KEPT_S
        with pytest.raises(EvidenceAway, match="status_503"):
            get(memory, server, settings)


def test_flood_of_made_up_addresses_is_capped_and_evicts_nothing(memory, clock, settings):
    def script(request):
        yield http(200, PEM) if request.target == "/certs/CERT-1" else http(404)

    with scripted_server(script) as server:
        get(memory, server, settings)
        for number in range(1000):
            with pytest.raises(EvidenceAway):
                get(memory, server, settings, f"/certs/FORGED-{number}")
        assert server.connections == int(fetched.FETCHES_BURST)
        # The real one is still known, and a new one may be asked a moment later.
        assert get(memory, server, settings) == {"certificate": PEM}
        clock.now += 1 / fetched.FETCHES_PER_S
        with pytest.raises(EvidenceAway, match="status_404"):
            get(memory, server, settings, "/certs/FORGED-anew")
        assert server.connections == int(fetched.FETCHES_BURST) + 1
        assert len(memory._failures) <= fetched.FAILURES_MAX


def test_memory_is_bounded(clock, memory, settings):
    with scripted_server(always(http(200, PEM))) as server:
        for number in range(fetched.KEPT_MAX + 10):
            clock.now += 1
            get(memory, server, settings, f"/certs/CERT-{number}")
        assert len(memory._kept) == fetched.KEPT_MAX
        before = server.connections
        get(memory, server, settings, f"/certs/CERT-{fetched.KEPT_MAX + 9}")
        assert server.connections == before


def test_sixteen_threads_fetch_one_certificate_once(memory, settings):
    def slow(request):
        yield 0.2
        yield http(200, PEM)

    with scripted_server(slow) as server:
        found: list[dict[str, bytes]] = []
        threads = [
            threading.Thread(target=lambda: found.append(get(memory, server, settings)))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert server.connections == 1

    assert found == [{"certificate": PEM}] * 16
    assert memory._under_way == {}


def test_silent_host_costs_no_more_than_the_deadline(memory, settings):
    with scripted_server(always(30.0)) as server:
        started = time.monotonic()
        with pytest.raises(EvidenceAway):
            get(memory, server, settings, deadline_s=0.3)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/certs/CERT-1", "https_required"),
        ("https://127.0.0.1:1/certs/CERT-1", "address_not_allowed"),
        ("https://169.254.169.254/latest", "address_not_allowed"),
        ("/v1/relative", "url_not_allowed"),
    ],
)
def test_private_or_plain_address_is_never_reached(memory, settings, url, reason):
    settings.HTTP_ALLOW = frozenset()

    with pytest.raises(EvidenceAway) as away:
        memory.collect((Fetch(name="certificate", url=url),), account=FACTS, deadline_s=1.0)
    assert away.value.reason == reason


def test_credentials_are_never_sent_with_a_get(memory, settings):
    with scripted_server(always(http(200, PEM))) as server:
        settings.HTTP_ALLOW = server.allow
        wanted = (replace(certificate(server)[0], authorized=True),)
        with pytest.raises(EvidenceAway, match="credentials"):
            memory.collect(wanted, account=FACTS, deadline_s=1.0)
        assert server.connections == 0


# ---- the post-back -----------------------------------------------------------------------------


def ask(memory, api, settings, *questions: Fetch, deadline_s: float = 5.0, facts=FACTS):
    settings.HTTP_ALLOW = api.server.allow
    settings.PSP = {"paypal": {"base_url": f"{api.server.origin}/", "api_key": API_KEY}}
    return memory.collect(questions or (QUESTION,), account=facts, deadline_s=deadline_s)


def test_question_goes_to_our_own_base_with_a_token_and_its_answer_is_not_kept(memory, settings):
    answers = {f"POST {VERIFY}": ok({"verification_status": "SUCCESS"})}
    with paypal_api(answers) as api:
        for _ in range(2):
            found = ask(memory, api, settings)
            assert found == {"verdict:A": b'{"verification_status": "SUCCESS"}'}
        questions = api.of(VERIFY)
        assert len(api.of("/v1/oauth2/token")) == 1

    assert [each.body for each in questions] == [QUESTION.body] * 2
    assert questions[0].headers["authorization"].startswith("Bearer A21AAF")
    assert questions[0].headers["content-type"] == "application/json"


def test_each_question_has_its_own_answer(memory, settings):
    other = replace(QUESTION, name="verdict:B", body=b'{"b": 1}')

    def script(request):
        return http(200, request.body)

    with paypal_api({f"POST {VERIFY}": script}) as api:
        found = ask(memory, api, settings, QUESTION, other)

    assert found == {"verdict:A": QUESTION.body, "verdict:B": b'{"b": 1}'}


def test_token_refused_is_renewed_once(memory, settings):
    answers = {
        "POST /v1/oauth2/token": [token("first"), token("second")],
        f"POST {VERIFY}": [problem(401, "AUTHENTICATION_FAILURE"), ok({"x": 1})],
    }
    with paypal_api(answers) as api:
        assert ask(memory, api, settings) == {"verdict:A": b'{"x": 1}'}
        sent = [each.headers["authorization"] for each in api.of(VERIFY)]

    assert sent == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("answers", "reason", "questions"),
    [
        ({f"POST {VERIFY}": problem(401, "AUTHENTICATION_FAILURE")}, "status_401", 2),
        ({f"POST {VERIFY}": problem(400, "VALIDATION_ERROR")}, "status_400", 1),
        ({f"POST {VERIFY}": http(302, b"", Location="https://x.example/")}, "status_302", 1),
        ({f"POST {VERIFY}": http(503)}, "status_503", 1),
        ({f"POST {VERIFY}": b""}, "remote_protocol_error", 1),
        ({"POST /v1/oauth2/token": http(401)}, "token_status_401", 0),
    ],
)
def test_no_answer_is_evidence_away(memory, settings, answers, reason, questions):
    with paypal_api(answers) as api, pytest.raises(EvidenceAway) as away:
        ask(memory, api, settings)

    assert away.value.reason == reason
    assert len(api.of(VERIFY)) == questions


def test_silent_api_costs_no_more_than_the_deadline(memory, settings):
    TOKENS.forget()
    with scripted_server(always(30.0)) as server:
        settings.HTTP_ALLOW = server.allow
        settings.PSP = {"paypal": {"base_url": server.origin, "api_key": API_KEY}}
        started = time.monotonic()
        with pytest.raises(EvidenceAway):
            memory.collect((QUESTION,), account=FACTS, deadline_s=0.3)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("url", ["https://evil.example/v1/x", "http://127.0.0.1:1/x", "v1/x", ""])
def test_question_goes_nowhere_but_to_the_accounts_api(memory, settings, url):
    with paypal_api({}) as api, pytest.raises(EvidenceAway, match="address_not_ours"):
        ask(memory, api, settings, replace(QUESTION, url=url))
    assert api.server.received == []


def test_account_without_an_api_has_nobody_to_ask(memory, settings):
    settings.PSP = {}

    with pytest.raises(EvidenceAway, match="address_not_ours"):
        memory.collect((QUESTION,), account=FACTS, deadline_s=1.0)


# ---- what an adapter is told to trust -----------------------------------------------------------


def paypal_account(**settings) -> ProviderAccount:
    return ProviderAccount(provider="paypal", slug="demo", settings=settings)


def secret(value: str) -> LiveSecret:
    return LiveSecret(SecretValue(id="s", value=value), NOW, NOW + timedelta(days=1))


def test_adapter_is_told_anchors_hosts_and_every_webhook_id(settings, tmp_path):
    (tmp_path / "ca.pem").write_bytes(authority.root().pem)
    settings.PAYPAL_CA_FILE = str(tmp_path / "ca.pem")
    settings.PAYPAL_CERT_HOSTS = "127.0.0.1:8001"
    settings.HTTP_ALLOW = frozenset({"127.0.0.1:8001", "127.0.0.1:8002"})

    known = paypal_account(verification="offline", trust_anchors="forged", webhook_id="FORGED")
    found = trust.facts_settings(known, (secret(WEBHOOK_ID), secret("ANOTHER0ID")))

    assert found == {
        "verification": "offline",
        "trust_anchors": authority.root().pem.decode(),
        "cert_hosts": "127.0.0.1:8001",
        "http_hosts": "127.0.0.1:8001,127.0.0.1:8002",
        "webhook_id": f"{WEBHOOK_ID},ANOTHER0ID",
    }


def test_other_providers_see_their_own_settings_alone(settings):
    other = ProviderAccount(provider="adyen", slug="demo", settings={"merchant_account": "M"})

    assert trust.facts_settings(other, (secret("x" * 20),)) == {"merchant_account": "M"}


def test_changed_authority_file_is_read_again(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.root().pem)
    assert trust.trust_anchors(str(path)) == authority.root().pem.decode()

    path.write_bytes(authority.root("Another root").pem + b"\n")
    assert trust.trust_anchors(str(path)) == authority.root("Another root").pem.decode() + "\n"


def test_authority_file_that_is_gone_or_huge_trusts_nobody(tmp_path, caplog):
    huge = tmp_path / "huge.pem"
    huge.write_bytes(b"\n" * (trust.CA_BYTES_MAX + 1))

    assert trust.trust_anchors(str(tmp_path / "gone.pem")) == ""
    assert trust.trust_anchors(str(huge)) == ""
    assert "nothing verifies" in caplog.text
    assert read(facts=account(trust_anchors="")).reason == "trust_anchors_missing"


def test_without_a_file_the_public_roots_are_trusted_and_our_test_authority_is_not():
    anchors = trust.trust_anchors("")

    assert anchors.count("BEGIN CERTIFICATE") > 50
    assert read(facts=account(trust_anchors=anchors)).reason == "certificate_untrusted"


def test_certificate_of_the_wire_proves_the_event(memory, settings):
    with scripted_server(always(http(200, PEM))) as server:
        settings.HTTP_ALLOW = server.allow
        host = f"127.0.0.1:{server.port}"
        facts = account(cert_hosts=host, http_hosts=host)
        headers = headers_of(PAID, cert_url=f"http://{host}/paypal/certs/CERT-1.pem")
        wanted = adapter("paypal").fetches(raw=PAID, headers=headers, account=facts)
        evidence = memory.collect(wanted, account=facts, deadline_s=2.0)

    verdict = read(headers=headers, facts=facts, fetched=evidence)
    assert (verdict.ok, verdict.secret_id) == (True, "s1")
