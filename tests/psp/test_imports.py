"""Adapters and the HTTP client stay plain Python (design §2)."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROBE = """
import sys
import payops.psp.registry, payops.connectors.registry, payops.core.http
print(sorted({name.split(".")[0] for name in sys.modules} & {"django", "celery", "rest_framework"}))
"""


def test_adapters_load_without_the_framework():
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
