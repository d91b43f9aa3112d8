"""`manage.py up`, `demo` and `test`: options, and errors as plain lines."""

import argparse
import sys
from collections.abc import Sequence

from payops.devstack import stack, testrun
from payops.devstack.datadir import default_path
from payops.devstack.errors import StackError
from payops.devstack.output import say
from payops.devstack.recipe import PRODUCT

EPILOG = """environment:
  PAYOPS_PORT            port of the web process (8000; 0 takes a free one)
  PAYOPS_HOST            address it listens on (127.0.0.1)
  PAYOPS_VAR             data directory (var/ in the checkout)
  DATABASE_URL           use this database and start none; with DATABASE_OWNER_URL
                         (DATABASE_FACTS_URL), or PAYOPS_SINGLE_ROLE=1
  REDIS_URL              use this broker and start none
"""
DESCRIPTIONS = {
    "up": "Start the whole stack with seeded books and keep it running until Ctrl-C.",
    "demo": "Like up, then play a day of payments at a pace a person can follow.",
    "test": "Run checks and tests on throwaway servers. All arguments are passed on to pytest; "
    "an expression (-k) or a path runs that part alone, without checks.",
}


def main(arguments: Sequence[str]) -> int:
    """Exit code of one command; `test` is not parsed, its arguments belong to pytest."""
    command, rest = arguments[0], arguments[1:]
    try:
        if command == "test":
            return testrun.run_tests(arguments=rest)
        return stack.run(recipe=PRODUCT, options=_options(command, rest))
    except StackError as error:
        say(f"ERROR: {error}")
        return 1


def _options(command: str, rest: Sequence[str]) -> stack.Options:
    parser = argparse.ArgumentParser(
        prog=f"manage.py {command}",
        description=DESCRIPTIONS[command],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--reset", action="store_true", help="throw the data in the data directory away first"
    )
    parser.add_argument(
        "--seed-demo",
        action="store_true",
        help="seed people and books also into a database given by DATABASE_URL",
    )
    parser.add_argument(
        "--people-only",
        action="store_true",
        help="seed people, accounts and sellers, but no payments and payouts",
    )
    given = parser.parse_args(rest)
    return stack.Options(
        var=default_path(),
        with_demo_day=command == "demo",
        with_reset=given.reset,
        with_seed=given.seed_demo,
        with_books=not given.people_only,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
