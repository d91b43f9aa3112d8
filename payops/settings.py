"""One settings file, driven by the environment; `tests/settings.py` overrides a few lines."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

CHECKOUT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("PAYOPS_VAR", CHECKOUT / "var"))


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "options": "-c lock_timeout=5s -c idle_in_transaction_session_timeout=60s",
        },
    }


DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://payops@127.0.0.1:5432/payops")
DATABASE_OWNER_URL = os.environ.get("DATABASE_OWNER_URL", DATABASE_URL)
DATABASE_FACTS_URL = os.environ.get("DATABASE_FACTS_URL", "")
DATABASES = {"default": _database(DATABASE_URL), "owner": _database(DATABASE_OWNER_URL)}
DATABASE_ROUTERS: list[str] = []
SEEDING_MARK = os.environ.get("PAYOPS_SEEDING_MARK", "")
FACTS_ROLE = urlsplit(DATABASE_FACTS_URL).username or "payops_facts"
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

DEBUG = False
SECRET_KEY = os.environ.get("PAYOPS_SECRET_KEY") or secrets.token_urlsafe(48)
PAYOPS_MASTER_KEYS = os.environ.get("PAYOPS_MASTER_KEYS", "")
PAYOPS_ENVIRONMENT = os.environ.get("PAYOPS_ENVIRONMENT", "")
PUBLIC_URL = os.environ.get("PAYOPS_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = os.environ.get(
    "PAYOPS_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1],testserver"
).split(",")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
TRUSTED_PROXY_HOPS = int(os.environ.get("PAYOPS_TRUSTED_PROXY_HOPS", "0"))

PAYOPS_TOPICS = "payops.wiring.TOPICS"
PAYOPS_LANES = "payops.flows.lane_policy.rules_of"
PAYOPS_WAKE_UPS = os.environ.get("PAYOPS_WAKE_UPS", "1") == "1"
PAYOPS_ADVICE = os.environ.get("PAYOPS_ADVICE", "rules")
ADVICE_MODEL = {
    "url": os.environ.get("PAYOPS_ADVICE_URL", "").rstrip("/"),
    "model": os.environ.get("PAYOPS_ADVICE_MODEL", ""),
    "key": os.environ.get("PAYOPS_ADVICE_KEY", ""),
    "max_tokens": int(os.environ.get("PAYOPS_ADVICE_MAX_TOKENS", "400")),
    "deadline_s": int(os.environ.get("PAYOPS_ADVICE_DEADLINE_S", "10")),
    "cost_per_1k_tokens_micros": int(
        os.environ.get("PAYOPS_ADVICE_COST_PER_1K_TOKENS_MICROS", "0")
    ),
    "daily_cost_cap_micros": int(os.environ.get("PAYOPS_ADVICE_DAILY_COST_CAP_MICROS", "5000000")),
}
PSP = {
    provider: {
        "base_url": os.environ.get(f"PAYOPS_PSP_{provider.upper()}_URL", default_url),
        "api_key": os.environ.get(f"PAYOPS_PSP_{provider.upper()}_KEY", ""),
    }
    for provider, default_url in (
        ("stripe", "https://api.stripe.com"),
        ("adyen", ""),
        ("paypal", "https://api-m.paypal.com"),
        ("standard", ""),
    )
}
HTTP_ALLOW = frozenset(filter(None, os.environ.get("PAYOPS_HTTP_ALLOW", "").split(",")))
PAYPAL_CA_FILE = os.environ.get("PAYOPS_PAYPAL_CA_FILE", "")
PAYPAL_CERT_HOSTS = os.environ.get("PAYOPS_PAYPAL_CERT_HOSTS", "")
EMAIL_URL = os.environ.get("PAYOPS_EMAIL_URL", "")
SERVICENOW_URL = os.environ.get("PAYOPS_SERVICENOW_URL", "")
JIRA_URL = os.environ.get("PAYOPS_JIRA_URL", "")
TEAMS_URL = os.environ.get("PAYOPS_TEAMS_URL", "")
SLACK_URL = os.environ.get("PAYOPS_SLACK_URL", "")
RESEND_UNKNOWN = os.environ.get("PAYOPS_RESEND_UNKNOWN", "0") == "1"

INSTALLED_APPS = [
    "payops.core",
    "payops.webhooks",
    "payops.payments",
    "payops.cases",
    "payops.triage",
    "payops.monitoring",
    "payops.console",
    "payops.commands",
    "ledger",
    "approvals",
    "reconciliation",
    "compliance",
    "simple_history",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "payops.console.apps.InspectionConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
OTLP_ENDPOINT = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
METRICS_TOKEN = os.environ.get("PAYOPS_METRICS_TOKEN", "")
MIDDLEWARE = [
    *(["payops.monitoring.spans.ReceiptSpans"] if OTLP_ENDPOINT else []),
    "payops.monitoring.request_times.RequestTimes",
    "payops.webhooks.edge.WebhookEdge",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "payops.console.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "payops.console.middleware.Caller",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "payops.urls"
WSGI_APPLICATION = "payops.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [CHECKOUT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "payops.console.context.shell",
            ],
        },
    }
]

AUTH_USER_MODEL = "core.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
CSRF_FAILURE_VIEW = "payops.console.errors.csrf_failed"
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
# Forty lines of a manual journal have five fields each.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 300

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["payops.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "payops.api.problems.problem_response",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "PayOps API",
    "DESCRIPTION": "Requests from internal systems; decisions are made in the browser.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
}

LOG_FORMAT = "json" if os.environ.get("PAYOPS_LOG_FORMAT", "line") == "json" else "line"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "payops.core.logs.Line"},
        "json": {"()": "payops.core.logs.Json"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": os.environ.get("PAYOPS_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
    },
}
