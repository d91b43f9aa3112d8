"""A stack with real servers and tiny processes of its own, as a program the tests start and kill.

`python -m tests.devstack.tiny_stack [--reset] [--demo]`, configured like the product by PAYOPS_VAR
and PAYOPS_PORT.
"""

import json
import sys
from pathlib import Path

from payops.devstack import stack
from payops.devstack.datadir import CHECKOUT, default_path
from payops.devstack.errors import StackError
from payops.devstack.output import say
from payops.devstack.recipe import SIMULATOR, WEB, Recipe, Setting
from payops.devstack.supervisor import Program

HEALTH_SERVER = str(Path(__file__).with_name("health_server.py"))
BROKEN_SERVER = ("-c", "print('no such setting: BOOK'); raise SystemExit(3)")
SEEDED = {
    "people": {
        "maya": {"password": "maya-pass", "roles": ["ops_lead"]},
        "omar": {"password": "omar-pass", "roles": ["ops_agent", "ops_lead"]},
    },
    "api_key": "pk_tiny",
}


def programs(setting: Setting) -> list[Program]:
    server = BROKEN_SERVER if "--broken-web" in sys.argv else (HEALTH_SERVER,)
    ports = {
        WEB: setting.addresses.web_port,
        "worker": 0,
        SIMULATOR: setting.addresses.simulator_port,
    }
    return [
        Program(
            name=name,
            command=(sys.executable, *server, str(port)),
            env=setting.environment,
            cwd=CHECKOUT,
        )
        for name, port in ports.items()
    ]


def recipe(*, migrate: str = "print('migrated')") -> Recipe:
    def python(code: str) -> tuple[str, ...]:
        return (sys.executable, "-c", code)

    return Recipe(
        migrate=python(migrate),
        seed_people=python(f"print('seeding'); print({json.dumps(json.dumps(SEEDED))})"),
        seed_books=python("print('books')"),
        demo_day=python("print('a day of payments')"),
        programs=programs,
    )


def main(arguments: list[str]) -> int:
    options = stack.Options(
        var=default_path(),
        with_demo_day="--demo" in arguments,
        with_reset="--reset" in arguments,
    )
    migrate = (
        "import sys; sys.exit('no such table: payout')"
        if "--broken-migration" in arguments
        else "pass"
    )
    try:
        return stack.run(recipe=recipe(migrate=migrate), options=options)
    except StackError as error:
        say(f"ERROR: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
