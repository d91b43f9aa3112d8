"""dj-stripe's own webhook endpoint, as its documentation sets it up.

`python -m bench.peers.djstripe` creates its tables and prints the endpoint's path. Needs dj-stripe
in the Python that runs it.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import django
from django.conf import settings

url = urlsplit(os.environ["BENCH_PEER_DATABASE"])
settings.configure(
    SECRET_KEY="bench",  # noqa: S106
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    ROOT_URLCONF="bench.peers.djstripe_urls",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "djstripe",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path.lstrip("/"),
            "USER": url.username,
            "PASSWORD": url.password,
            "HOST": url.hostname,
            "PORT": url.port,
            "CONN_MAX_AGE": None,
        }
    },
    STRIPE_LIVE_MODE=False,
    STRIPE_TEST_SECRET_KEY="sk_test_" + "b" * 24,
    STRIPE_API_HOST="http://127.0.0.1:9",  # nothing listens: a call to the provider would fail
    DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
    LOGGING={"version": 1, "root": {"level": "CRITICAL", "handlers": []}},
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()


def prepare() -> str:
    from django.core.management import call_command
    from djstripe.models import Account, APIKey, WebhookEndpoint

    call_command("migrate", verbosity=0)
    account = Account.objects.create(id="acct_bench", livemode=False)
    APIKey.objects.create(
        id="mk_bench",
        secret=settings.STRIPE_TEST_SECRET_KEY,
        type="secret",
        livemode=False,
        djstripe_owner_account=account,
    )
    endpoint = WebhookEndpoint(
        id="we_bench",
        url="http://localhost/",
        secret=os.environ["BENCH_SECRET"],
        livemode=False,
        status="enabled",
        api_version="2024-06-20",
        enabled_events=["*"],
        djstripe_validation_method="verify_signature",
        djstripe_owner_account=account,
    )
    endpoint.save()
    return f"/stripe/webhook/{endpoint.djstripe_uuid}/"


if __name__ == "__main__":
    print(prepare())
