"""The stories of refunds run against the real simulator process over real HTTP."""

from __future__ import annotations

from tests.flows.conftest import provider as provider
from tests.flows.conftest import simulator_process as simulator_process
