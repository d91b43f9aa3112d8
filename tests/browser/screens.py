"""Every screen of the console by the name of its address: who looks, and how to get there.

The test compares this table with the address table, so that no screen can be forgotten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

LOOKS_MAX = 30
LOOK_MS = 3000


@dataclass(frozen=True, slots=True)
class Screen:
    """`row` opens the row of the list at `path` with these words; `then` follows its address."""

    who: str
    path: str
    row: str = ""
    link: str = ""
    then: str = ""

    def open(self, page: Page) -> int:
        """Go there as a person does; answers the status of the page looked at."""
        answer = page.goto(self.path)
        if self.row:
            row = page.get_by_role("main").locator("tbody tr").filter(has_text=self.row).first
            _come_to_be(page, row)
            answer = page.goto(str(row.locator("a").first.get_attribute("href")))
        if self.link:
            link = page.get_by_role("link", name=re.compile(self.link)).first
            answer = page.goto(str(link.get_attribute("href")))
        if self.then:
            answer = page.goto(page.url.split("?")[0] + self.then)
        expect(page.get_by_role("main")).to_be_visible()
        assert answer is not None
        return answer.status


def _come_to_be(page: Page, row: Locator) -> None:
    """Some rows are made by the clock: an alert is looked for twice a minute."""
    for _ in range(LOOKS_MAX):
        try:
            row.wait_for(timeout=LOOK_MS)
            return
        except PlaywrightTimeout:
            page.reload()


ANYBODY = ""
SCREENS: dict[str, tuple[Screen, ...]] = {
    "login": (Screen(ANYBODY, "/sign-in/"),),
    "home": (Screen("lena", "/"), Screen("ada", "/"), Screen("sofia", "/")),
    "cases": (
        Screen("lena", "/cases/?state=all"),
        Screen("amara", "/cases/?text=nothing-so-named"),
    ),
    "case": (
        Screen("lena", "/cases/?state=all&text=P-10488", "P-10488"),
        Screen("amara", "/cases/?state=all&text=P-10486", "P-10486"),
    ),
    "case-propose": (
        Screen("amara", "/cases/?text=P-10487", "P-10487", then="propose/"),
        Screen("amara", "/cases/?text=P-10487", "P-10487", then="propose/?resolution=release"),
    ),
    "approvals": (
        Screen("marco", "/approvals/?show=all"),
        Screen("ada", "/approvals/?show=mine"),
        Screen("audrey", "/approvals/?show=decided"),
    ),
    "approval": (
        Screen("chen", "/approvals/?show=all", "P-10494"),
        Screen("amara", "/approvals/?show=all", "P-10494"),
        Screen("audrey", "/approvals/?show=decided", "P-10488"),
    ),
    "payouts": (Screen("amara", "/payouts/"), Screen("amara", "/payouts/?q=none")),
    "payout": (
        Screen("lena", "/payouts/", "P-10488"),
        Screen("amara", "/payouts/", "P-10496"),
        Screen("audrey", "/payouts/", "P-10490"),
    ),
    "payout-new": (Screen("amara", "/payouts/new/"),),
    "refund-bulk": (Screen("amara", "/refunds/bulk/"),),
    "payout-act": (
        Screen("amara", "/payouts/", "P-10496", then="hold/"),
        Screen("amara", "/payouts/", "P-10496", then="cancel/"),
    ),
    "hold-release": (Screen("chen", "/payouts/", "P-10496", link="^Release…"),),
    "payments": (Screen("priya", "/payments/"),),
    "payment": (Screen("priya", "/payments/", "ORDER-"),),
    "refunds": (Screen("amara", "/refunds/"), Screen("audrey", "/refunds/?todo=ledger")),
    "refund": (Screen("lena", "/refunds/?todo=decide", "ORDER-2010"),),
    "refund-new": (Screen("amara", "/payments/", "ORDER-2010", link="^Refund, "),),
    "refund-act": (Screen("amara", "/refunds/?todo=decide", "ORDER-2010", then="cancel/"),),
    "refund-policy": (Screen("audrey", "/settings/refund-policy/"),),
    "refund-policy-propose": (Screen("marco", "/settings/refund-policy/change/"),),
    "disputes": (
        Screen("lena", "/disputes/"),
        Screen("audrey", "/disputes/?state=live&deadline=soon"),
    ),
    "dispute": (
        Screen("lena", "/disputes/", "SHOP-7022"),
        Screen("audrey", "/disputes/", "SHOP-7021"),
    ),
    "dispute-act": (
        Screen("amara", "/disputes/", "SHOP-7022", then="evidence-sent/"),
        Screen("lena", "/disputes/", "SHOP-7022", then="accept-loss/"),
    ),
    "beneficiaries": (Screen("amara", "/beneficiaries/"),),
    "beneficiary": (Screen("lena", "/beneficiaries/", "Fjord"),),
    "beneficiary-act": (Screen("chen", "/beneficiaries/", "Fjord", then="verify/"),),
    "bank-change": (Screen("amara", "/beneficiaries/", "Loomstate", then="bank-change/"),),
    "ledger": (Screen("priya", "/ledger/"),),
    "ledger-account": (
        Screen("priya", "/ledger/accounts/2000/"),
        Screen("audrey", "/ledger/accounts/5950/"),
    ),
    "journal": (Screen("priya", "/ledger/journal/"),),
    "manual-journals": (
        Screen("priya", "/ledger/manual/"),
        Screen("audrey", "/ledger/manual/?state=EXPIRED"),
    ),
    "manual-journal": (
        Screen("priya", "/ledger/manual/", "not charged yet"),
        Screen("audrey", "/ledger/manual/", "claimed from the bank"),
    ),
    "manual-journal-new": (Screen("priya", "/ledger/manual/new/"),),
    "entry-reverse": (
        Screen("priya", "/ledger/journal/?event_class=fee.charged", "fee.charged", then="reverse/"),
    ),
    "entry": (Screen("priya", "/ledger/journal/?event_class=payout.returned", "P-10488"),),
    "matrix": (
        Screen("audrey", "/ledger/matrix/"),
        Screen("priya", "/ledger/matrix/?q=dispute.lost"),
    ),
    "statements": (
        Screen("priya", "/ledger/statements/"),
        Screen("audrey", "/ledger/statements/?from=2001-01-01&to=2001-01-31"),
    ),
    "statement": (
        Screen("priya", "/ledger/statements/balance-sheet/"),
        Screen("audrey", "/ledger/statements/trial-balance/"),
        Screen("marco", "/ledger/statements/cash-position/?currency=EUR&compare=year"),
    ),
    "statement-lines": (Screen("priya", "/ledger/statements/lines/?account=1100"),),
    "statement-positions": (
        Screen("priya", "/ledger/statements/positions/?account=2000&side=credit"),
    ),
    "parity": (Screen("audrey", "/ledger/parity/"), Screen("priya", "/ledger/parity/")),
    "parity-bring": (Screen("priya", "/ledger/parity/new/"),),
    "parity-pack": (Screen("audrey", "/ledger/parity/", "Signed figures"),),
    "parity-ask": (Screen("priya", "/ledger/parity/", "Signed figures", then="ask/"),),
    "rates": (Screen("sofia", "/ledger/rates/"), Screen("audrey", "/ledger/rates/")),
    "rate": (Screen("priya", "/ledger/rates/USD/EUR/"),),
    "rates-bring": (Screen("priya", "/ledger/rates/bring/"),),
    "revaluation": (Screen("marco", "/ledger/periods/", "20", then="revaluation/"),),
    "periods": (Screen("priya", "/ledger/periods/"), Screen("audrey", "/ledger/periods/")),
    "periods-late": (Screen("priya", "/ledger/periods/late/"),),
    "period": (Screen("priya", "/ledger/periods/", "20"),),
    "period-act": (Screen("priya", "/ledger/periods/", "20", then="close/"),),
    "erp-exports": (Screen("priya", "/ledger/exports/"), Screen("audrey", "/ledger/exports/")),
    "erp-export-new": (Screen("priya", "/ledger/exports/new/"),),
    "erp-export": (Screen("priya", "/ledger/exports/", "MER-NS"),),
    "erp-export-entry": (Screen("audrey", "/ledger/exports/", "MER-NS", link="^MER-NS-.*-1$"),),
    "erp-mapping": (
        Screen("audrey", "/ledger/exports/mapping/netsuite/"),
        Screen("marco", "/ledger/exports/mapping/quickbooks/"),
    ),
    "erp-mapping-change": (Screen("marco", "/ledger/exports/mapping/netsuite/change/"),),
    "inbox": (Screen("eli", "/inbox/"),),
    "dead-letters": (Screen("eli", "/inbox/dead/"),),
    "event": (
        Screen("eli", "/inbox/?type=payout.reversed", "payout.reversed"),
        Screen("eli", "/inbox/dead/", "demo"),
    ),
    "raw-body": (Screen("chen", "/inbox/?type=payout.reversed", "payout.reversed", then="raw/"),),
    "discard": (Screen("eli", "/inbox/dead/discard/"),),
    "accounts": (Screen("audrey", "/accounts/"), Screen("eli", "/accounts/")),
    "account": (
        Screen("audrey", "/accounts/stripe/demo/"),
        Screen("eli", "/accounts/standard/demo/"),
    ),
    "account-refused": (
        Screen("audrey", "/accounts/stripe/demo/refused/"),
        Screen("eli", "/accounts/standard/demo/refused/?reason=ip_not_allowed"),
    ),
    "account-list": (Screen("eli", "/accounts/stripe/demo/list/"),),
    "account-name": (Screen("eli", "/accounts/stripe/demo/name/"),),
    "account-mode": (Screen("eli", "/accounts/standard/demo/mode/"),),
    "account-settings": (Screen("eli", "/accounts/stripe/demo/settings/"),),
    "account-rotate": (Screen("eli", "/accounts/standard/demo/secrets/new/"),),
    "account-retire": (Screen("eli", "/accounts/stripe/demo/", link="Retire"),),
    "messages": (Screen("amara", "/messages/"),),
    "tickets": (Screen("amara", "/messages/tickets/"),),
    "outbox": (Screen("eli", "/messages/outbox/"),),
    "monitoring": (Screen("eli", "/monitoring/"),),
    "monitoring-service": (Screen("lena", "/monitoring/service/"),),
    "alerts": (Screen("eli", "/monitoring/alerts/"),),
    "alert": (Screen("eli", "/monitoring/alerts/?rule=structural_mismatch", "does not fit"),),
    "jobs": (Screen("eli", "/jobs/"),),
    "saved-views": (Screen("lena", "/views/"),),
    "trace": (Screen("audrey", "/trace/"), Screen("audrey", "/trace/?q=P-10488")),
    "audit": (Screen("audrey", "/audit/"),),
    "audit-verify": (Screen("audrey", "/audit/verify/"),),
    "settings": (Screen("marco", "/settings/"),),
    "book": (Screen("audrey", "/settings/book/"),),
    "book-change": (Screen("marco", "/settings/book/change/"),),
    "people": (Screen("ada", "/settings/people/"), Screen("audrey", "/settings/people/")),
    "access-propose": (
        Screen("ada", "/settings/people/role-grant/"),
        Screen("ada", "/settings/people/api-key/"),
    ),
    "role-revoke": (Screen("ada", "/settings/people/", link="^Revoke "),),
    "policies": (Screen("marco", "/settings/policies/"),),
    "lanes-propose": (Screen("marco", "/settings/policies/lanes/"),),
    "connections": (
        Screen("lena", "/settings/connections/"),
        Screen("eli", "/settings/connections/"),
    ),
    "advice": (Screen("audrey", "/settings/advice/"),),
    "policy-propose": (Screen("marco", "/settings/policies/payout_release/"),),
}
# Addresses that only take a form or give a file; none of them is a page to look at.
ACTS = frozenset(
    [
        "logout",
        "assign-cases",
        "case-act",
        "approval-decide",
        "approval-withdraw",
        "approval-undo",
        "redrive",
        "redrive-messages",
        "job",
        "job-plan",
        "job-begin",
        "job-progress",
        "job-cancel",
        "job-again",
        "save-view",
        "saved-view",
        "alert-acknowledge",
        "evidence-pack",
        "evidence",
        "manual-journal-post",
        "manual-journal-give-up",
        "connection-try",
        "revaluation-take-back",
        "erp-export-file",
        "parity-compare",
        "erp-export-act",
    ]
)
