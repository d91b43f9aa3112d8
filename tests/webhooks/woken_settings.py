"""Settings of a real web process that asks the broker to wake the workers."""

from tests.settings import *  # noqa: F403

PAYOPS_WAKE_UPS = True
