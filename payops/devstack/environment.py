"""The environment variables of every child process, in one place.

Owns the names the product reads. A value the caller already set always wins, except the addresses
of servers this stack started itself. The simulator gets an environment of its own without any
address or secret of the product's database: it must stay a stranger.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from payops.devstack.errors import StackError
from payops.devstack.secretfile import Secrets

SINGLE_ROLE = "PAYOPS_SINGLE_ROLE"
SINGLE_ROLE_WARNING = (
    f"{SINGLE_ROLE}=1: web and workers run as the owner of the tables. The database no longer "
    "refuses changes to journal, receipts, decisions and audit by the application itself."
)
_PASSED_TO_SIMULATOR = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT")


@dataclass(frozen=True)
class DatabaseUrls:
    owner: str
    app: str
    facts: str


@dataclass(frozen=True)
class Addresses:
    """Where the parts of one running stack are reached."""

    host: str
    web_port: int
    simulator_port: int
    database: DatabaseUrls
    broker: str

    @property
    def web(self) -> str:
        return f"http://{self.host}:{self.web_port}"

    @property
    def simulator(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}"


def given_database(*, environ: Mapping[str, str]) -> DatabaseUrls | None:
    """The database named by the environment; None when the stack brings its own.

    Raises StackError when only one role is given and nobody accepted what that gives up.
    """
    app = environ.get("DATABASE_URL")
    if not app:
        return None
    owner = environ.get("DATABASE_OWNER_URL")
    if not owner and environ.get(SINGLE_ROLE) != "1":
        raise StackError(
            "DATABASE_URL is set but DATABASE_OWNER_URL is not. The product runs as a role that "
            "cannot change history and migrates as the owner; give both, or set "
            f"{SINGLE_ROLE}=1 and do without that guard"
        )
    return DatabaseUrls(
        owner=owner or app, app=app, facts=environ.get("DATABASE_FACTS_URL") or owner or app
    )


SEEDING_MARK = "seeding"
SIMULATOR_DATA = "simulator"
PAYPAL_CLIENT = "payops-sandbox"
MERCHANT_ACCOUNT = "MeridianDE"
_PROVIDERS = ("STRIPE", "ADYEN", "PAYPAL", "STANDARD")


def product_environment(
    *, base: Mapping[str, str], var: Path, addresses: Addresses, secrets: Secrets
) -> dict[str, str]:
    """What settings.py reads; for web, workers, scheduler and management commands."""
    simulator_netloc = f"127.0.0.1:{addresses.simulator_port}"
    allowed = [part for part in base.get("PAYOPS_HTTP_ALLOW", "").split(",") if part]
    fixed = {
        "DATABASE_URL": addresses.database.app,
        "DATABASE_OWNER_URL": addresses.database.owner,
        "DATABASE_FACTS_URL": addresses.database.facts,
        "REDIS_URL": addresses.broker,
        "PAYOPS_HOST": addresses.host,
        "PAYOPS_PORT": str(addresses.web_port),
        "PAYOPS_VAR": str(var),
        "PAYOPS_SEEDING_MARK": str(var / SEEDING_MARK),
        "PAYOPS_HTTP_ALLOW": ",".join([*allowed, simulator_netloc]),
        "PYTHONUNBUFFERED": "1",
    }
    unless_given = {
        "DJANGO_SETTINGS_MODULE": "payops.settings",
        "PAYOPS_PUBLIC_URL": addresses.web,
        "PAYOPS_SECRET_KEY": secrets.secret_key,
        "PAYOPS_MASTER_KEYS": secrets.master_keys,
        "PROMETHEUS_MULTIPROC_DIR": str(var / "metrics"),
        "PAYOPS_PSP_STRIPE_URL": f"{addresses.simulator}/stripe",
        "PAYOPS_PSP_ADYEN_URL": f"{addresses.simulator}/adyen",
        "PAYOPS_PSP_PAYPAL_URL": f"{addresses.simulator}/paypal",
        "PAYOPS_PSP_STANDARD_URL": f"{addresses.simulator}/standard",
        "PAYOPS_PSP_STRIPE_KEY": secrets.psp_key,
        "PAYOPS_PSP_ADYEN_KEY": secrets.psp_key,
        "PAYOPS_PSP_PAYPAL_KEY": f"{PAYPAL_CLIENT}:{secrets.psp_key}",
        "PAYOPS_PSP_STANDARD_KEY": secrets.psp_key,
        "PAYOPS_SEED_WEBHOOK_SECRET_STRIPE_DEMO": secrets.webhook_stripe_demo,
        "PAYOPS_SEED_WEBHOOK_SECRET_ADYEN_DEMO": secrets.webhook_adyen_demo,
        "PAYOPS_SEED_WEBHOOK_SECRET_PAYPAL_DEMO": secrets.webhook_paypal_demo,
        "PAYOPS_SEED_WEBHOOK_SECRET_STANDARD_DEMO": secrets.webhook_standard_demo,
        "PAYOPS_SEED_WEBHOOK_SECRET_SERVICENOW_SUPPORT": secrets.webhook_servicenow_support,
    }
    given = {name: value for name, value in base.items() if value}
    made = {**unless_given, **given, **fixed}
    if _is_ours(made["PAYOPS_PSP_PAYPAL_URL"], addresses):
        # PayPal's certificates come from the simulator's own authority then, and from its host.
        made.setdefault("PAYOPS_PAYPAL_CA_FILE", str(var / SIMULATOR_DATA / "paypal-ca.pem"))
        made.setdefault("PAYOPS_PAYPAL_CERT_HOSTS", simulator_netloc)
    return made


def simulator_environment(*, product: Mapping[str, str], addresses: Addresses) -> dict[str, str]:
    return {
        **{name: product[name] for name in _PASSED_TO_SIMULATOR if name in product},
        "PYTHONUNBUFFERED": "1",
        "SIM_TARGET": addresses.web,
        "SIM_STRIPE_ACCOUNT": "demo",
        "SIM_STRIPE_SECRET": product["PAYOPS_SEED_WEBHOOK_SECRET_STRIPE_DEMO"],
        "SIM_STANDARD_ACCOUNT": "demo",
        "SIM_STANDARD_SECRET": product["PAYOPS_SEED_WEBHOOK_SECRET_STANDARD_DEMO"],
        "SIM_API_KEY": product["PAYOPS_PSP_STRIPE_KEY"],
        "SIM_ADYEN_ACCOUNT": "demo",
        "SIM_ADYEN_SECRET": product["PAYOPS_SEED_WEBHOOK_SECRET_ADYEN_DEMO"],
        "SIM_ADYEN_MERCHANT": MERCHANT_ACCOUNT,
        "SIM_ADYEN_KEY": product["PAYOPS_PSP_ADYEN_KEY"],
        "SIM_PAYPAL_ACCOUNT": "demo",
        "SIM_PAYPAL_WEBHOOK_ID": product["PAYOPS_SEED_WEBHOOK_SECRET_PAYPAL_DEMO"],
        "SIM_PAYPAL_KEY": product["PAYOPS_PSP_PAYPAL_KEY"],
    }


def starts_simulator(*, product: Mapping[str, str], addresses: Addresses) -> bool:
    """Unless every provider address was given and points elsewhere."""
    urls = (product[f"PAYOPS_PSP_{provider}_URL"] for provider in _PROVIDERS)
    return any(_is_ours(url, addresses) for url in urls)


def _is_ours(url: str, addresses: Addresses) -> bool:
    return url.startswith(addresses.simulator + "/")
