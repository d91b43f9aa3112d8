"""Our refund calls against two Stripes that somebody else wrote (RF-4 to RF-6, RF-10, D14).

stripe-stateful-mock keeps keys as Stripe does; localstripe ignores them and refunds more than was
charged, so that nothing there but our own questions can tell. Skipped, with a line, where
`PAYOPS_STRIPE_MOCK` and `PAYOPS_LOCALSTRIPE` do not name them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from payops.core.http import HttpClient
from payops.core.money import Money
from payops.psp import registry
from payops.psp.calling import CallOutcome, NotFound, RefundList, RefundOrder, RefundState
from tests.peers.processes import (
    API_KEY,
    LocalStripe,
    interpreter,
    localstripe,
    mock_folder,
    stateful_mock,
)
from tests.psp.scripted_server import Received, Script, scripted_server

THIRTY = Money(3000, "EUR")
DONE = {"refund.accepted", "refund.succeeded"}
refunds = registry.refunds("stripe")


@pytest.fixture(scope="session")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    folder = mock_folder()
    if folder.startswith("["):
        print(f"\nstripe-stateful-mock: skipped {folder}")
        pytest.skip(folder)
    with stateful_mock(folder, tmp_path_factory.mktemp("mock")) as found:
        yield found


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    python = interpreter()
    if python.startswith("["):
        print(f"\nlocalstripe: skipped {python}")
        pytest.skip(python)
    with localstripe(python, tmp_path_factory.mktemp("local")) as found:
        yield found


@pytest.fixture
def numbered(request: pytest.FixtureRequest) -> Callable[[], str]:
    """References of ours that no other test uses."""
    numbers = iter(range(1, 100))
    mark = abs(hash(request.node.nodeid)) % 16**8
    return lambda: f"rf_{mark:08x}{next(numbers):024x}"


def charge_at(peer: LocalStripe, *, source: str = "tok_visa", capture: bool = True) -> str:
    told = {"amount": 10000, "currency": "eur", "source": source, "capture": str(capture).lower()}
    answer = httpx.post(
        f"{peer.url}/v1/charges",
        data=told,
        headers={"Authorization": f"Bearer {API_KEY}"},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def local_charge(peer: LocalStripe) -> str:
    api = peer.client.v1
    customer = api.customers.create({"email": "buyer@example.com"})
    card: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2035, "cvc": "123"}
    method = api.payment_methods.create({"type": "card", "card": card})
    api.payment_methods.attach(method.id, {"customer": customer.id})
    charge = api.charges.create(
        {"amount": 10000, "currency": "eur", "customer": customer.id, "source": method.id}
    )
    return charge.id


def order(charge: str, our_ref: str, *, amount: Money = THIRTY, key: str = "") -> RefundOrder:
    return RefundOrder(
        our_ref=our_ref,
        merchant_ref="R-1",
        payment_provider_ref=charge,
        amount=amount,
        idempotency_key=key or f"key-{our_ref}",
    )


def caller(peer: LocalStripe) -> dict[str, Any]:
    return {
        "http": HttpClient(allow=[f"127.0.0.1:{peer.port}"]),
        "base_url": peer.url,
        "api_key": API_KEY,
        "deadline_s": 10.0,
    }


def submit(peer: LocalStripe, wanted: RefundOrder) -> CallOutcome:
    return refunds.submit_refund(order=wanted, **caller(peer))


def find(peer: LocalStripe, wanted: RefundOrder) -> Any:
    return refunds.find_refund(
        our_ref=wanted.our_ref, payment_provider_ref=wanted.payment_provider_ref, **caller(peer)
    )


def all_of(peer: LocalStripe, charge: str) -> tuple[RefundState, ...]:
    found = refunds.list_refunds(payment_provider_ref=charge, **caller(peer))
    assert isinstance(found, RefundList) and found.complete
    return found.refunds


def submit_over(script: Callable[[Received], Any], wanted: RefundOrder) -> CallOutcome:
    """Over a line that may spoil what it carries."""
    carried: Script = script
    with scripted_server(carried) as server:
        return refunds.submit_refund(
            order=wanted,
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=5.0,
        )


# ---- a Stripe that keeps keys --------------------------------------------------------------------


def test_refund_is_made_found_fetched_and_listed(mock, numbered):
    charge = charge_at(mock)
    wanted = order(charge, numbered())

    outcome = submit(mock, wanted)

    assert (outcome.kind, outcome.reached) == ("succeeded", DONE)
    assert (outcome.echo_amount, outcome.echo_reference) == (THIRTY, wanted.our_ref)
    found = find(mock, wanted)
    assert (found.provider_ref, found.movement_ref) == (outcome.provider_ref, outcome.movement_ref)
    fetched = refunds.fetch_refund(provider_ref=found.provider_ref, **caller(mock))
    assert fetched == found
    assert all_of(mock, charge) == (found,)
    assert find(mock, order(charge, numbered())) == NotFound(searched=wanted.our_ref[:-1] + "2")


def test_same_key_is_replayed_and_moves_nothing_again(mock, numbered):
    wanted = order(charge_at(mock), numbered())

    first, again = submit(mock, wanted), submit(mock, wanted)

    assert (first.kind, first.replayed) == ("succeeded", False)
    assert (again.kind, again.replayed) == ("succeeded", True)
    assert again.provider_ref == first.provider_ref
    assert len(all_of(mock, wanted.payment_provider_ref)) == 1


def test_same_key_with_other_parameters_is_refused(mock, numbered):
    wanted = order(charge_at(mock), numbered())
    submit(mock, wanted)

    changed = submit(mock, replace(wanted, amount=Money(3100, "EUR")))

    assert (changed.kind, changed.error_code) == ("refused", "idempotency_error")
    assert [state.amount for state in all_of(mock, wanted.payment_provider_ref)] == [THIRTY]


def test_more_than_is_left_is_refused(mock, numbered):
    charge = charge_at(mock)
    for _ in range(3):
        assert submit(mock, order(charge, numbered())).kind == "succeeded"

    over = submit(mock, order(charge, numbered()))
    rest = submit(mock, order(charge, numbered(), amount=Money(1000, "EUR")))
    gone = submit(mock, order(charge, numbered(), amount=Money(1, "EUR")))

    assert (over.kind, over.error_code) == ("refused", "invalid_request_error")
    assert rest.kind == "succeeded"
    assert (gone.kind, gone.error_code) == ("refused", "charge_already_refunded")
    assert sum(state.amount.minor for state in all_of(mock, charge)) == 10000


def test_disputed_charge_is_refused_with_stripes_own_word(mock, numbered):
    outcome = submit(mock, order(charge_at(mock, source="tok_createDispute"), numbered()))

    assert (outcome.kind, outcome.error_code) == ("refused", "charge_disputed")


def test_charge_that_the_provider_lost_is_refused_never_unknown(mock, numbered):
    """`tok_forget`: the charge was answered for and not kept."""
    wanted = order(charge_at(mock, source="tok_forget"), numbered())

    outcome = submit(mock, wanted)

    assert (outcome.kind, outcome.error_code) == ("refused", "resource_missing")
    assert find(mock, wanted) == NotFound(searched=wanted.our_ref)


@pytest.mark.parametrize("spoilt", ["cut", "500", "html"])
def test_answer_that_is_lost_is_found_and_the_same_key_repeats_it(mock, numbered, spoilt):
    """The refund is made, its answer is not: asked first, and only then the same key again."""
    wanted = order(charge_at(mock), numbered())

    def line(request: Received) -> Iterator[bytes | float]:
        mock.forward(request)
        if spoilt == "500":
            yield b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}"
        elif spoilt == "html":
            yield b"HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\n<html>"

    outcome = submit_over(line, wanted)

    assert (outcome.kind, outcome.provider_ref) == ("unknown", None)
    found = find(mock, wanted)
    assert isinstance(found, RefundState) and found.reached == DONE
    again = submit(mock, wanted)
    assert (again.kind, again.replayed, again.provider_ref) == (
        "succeeded",
        True,
        found.provider_ref,
    )
    assert len(all_of(mock, wanted.payment_provider_ref)) == 1


def test_refund_that_never_arrived_is_not_found(mock, numbered):
    wanted = order(charge_at(mock), numbered())

    outcome = submit_over(lambda request: iter(()), wanted)

    assert outcome.kind == "unknown"
    assert find(mock, wanted) == NotFound(searched=wanted.our_ref)


@pytest.mark.parametrize(
    ("token", "kind", "code"),
    [("tok_500", "unknown", "api_error"), ("tok_429", "failed", "rate_limit")],
)
def test_errors_of_its_own_mean_what_they_mean_at_stripe(mock, numbered, token, kind, code):
    """It fails charges alone: the line puts its own answer to one in the place of a refund's."""
    wanted = order(charge_at(mock), numbered())

    def line(request: Received) -> Iterator[bytes | float]:
        form = f"amount=100&currency=eur&source={token}".encode()
        yield mock.forward(replace(request, target="/v1/charges", body=form))

    outcome = submit_over(line, wanted)

    assert (outcome.kind, outcome.error_code) == (kind, code)
    assert find(mock, wanted) == NotFound(searched=wanted.our_ref)


# ---- a Stripe that knows no keys -----------------------------------------------------------------


def test_peer_without_keys_makes_two_refunds_and_we_see_both(local, numbered):
    wanted = order(local_charge(local), numbered())

    first, again = submit(local, wanted), submit(local, wanted)

    assert (first.kind, again.kind, again.replayed) == ("succeeded", "succeeded", False)
    assert first.provider_ref != again.provider_ref
    found = find(local, wanted)
    assert found.reason == "more_than_one"
    assert set(found.provider_refs) == {first.provider_ref, again.provider_ref}


def test_peer_that_refunds_more_than_was_charged_is_seen_by_its_list(local, numbered):
    charge = local_charge(local)

    over = submit(local, order(charge, numbered(), amount=Money(99900, "EUR")))

    assert over.kind == "succeeded"
    assert sum(state.amount.minor for state in all_of(local, charge)) == 99900


def test_lost_answer_of_a_peer_without_keys_is_found_and_need_not_be_repeated(local, numbered):
    wanted = order(local_charge(local), numbered())

    def cut(request: Received) -> Iterator[bytes | float]:
        local.forward(request)
        yield from ()

    outcome = submit_over(cut, wanted)

    assert outcome.kind == "unknown"
    found = find(local, wanted)
    assert isinstance(found, RefundState)
    assert [state.provider_ref for state in all_of(local, wanted.payment_provider_ref)] == [
        found.provider_ref
    ]
