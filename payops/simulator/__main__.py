"""`python -m payops.simulator --port N --data DIR`: the payment provider as its own process."""

import argparse
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from payops.simulator.config import ConfigError, read_config
from payops.simulator.runner import AlreadyRunning, Simulator

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 when stopped, 1 when a part died, 2 when it cannot start."""
    parser = argparse.ArgumentParser(prog="payops.simulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="directory of its own store")
    options = parser.parse_args()
    os.umask(0o077)
    # Blocked before any thread starts and waited for below: a signal the kernel hands to another
    # thread would not wake a main thread that waits on a lock.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    broken = threading.Event()

    def fall(failure: threading.ExceptHookArgs) -> None:
        if failure.exc_value is not None:
            traceback.print_exception(failure.exc_value)
        broken.set()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.excepthook = fall
    try:
        config = read_config(environ=os.environ, directory=options.data.resolve())
        simulator = Simulator(config=config, port=options.port)
    except (ConfigError, AlreadyRunning, OSError) as problem:
        print(f"simulator: {problem}", file=sys.stderr)
        return 2
    simulator.start()
    print(f"simulator: http://127.0.0.1:{simulator.port}/ sends to {config.target}", flush=True)
    signal.sigwait(STOP_SIGNALS)
    simulator.stop()
    return 1 if broken.is_set() else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A sender may still wait for a dead receiver; the store is closed, nothing is lost by leaving.
    os._exit(code)
