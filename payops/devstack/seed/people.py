"""The seeded people: one per role, second persons, a second login of one person, a superuser."""

from __future__ import annotations

from dataclasses import dataclass

from payops.core.roles import Role


@dataclass(frozen=True, slots=True)
class Seat:
    """`logins` all belong to the one person; a superuser holds no role by being one."""

    logins: tuple[str, ...]
    name: str
    roles: tuple[Role, ...]
    superuser: bool = False


PEOPLE = (
    Seat(("amara", "amara-2"), "Amara Okafor", (Role.OPS_AGENT,)),
    Seat(("lena",), "Lena Fischer", (Role.OPS_LEAD,)),
    Seat(("tomas",), "Tomas Novak", (Role.OPS_LEAD,)),
    Seat(("priya",), "Priya Raman", (Role.FINANCE_ANALYST,)),
    Seat(("marco",), "Marco Bianchi", (Role.FINANCE_MANAGER,)),
    Seat(("ingrid",), "Ingrid Solberg", (Role.FINANCE_MANAGER,)),
    Seat(("chen",), "Chen Wei", (Role.COMPLIANCE,)),
    Seat(("fatima",), "Fatima Zahra", (Role.COMPLIANCE,)),
    Seat(("sofia",), "Sofia Almeida", (Role.TREASURY,)),
    Seat(("henrik",), "Henrik Dahl", (Role.TREASURY,)),
    Seat(("audrey",), "Audrey Klein", (Role.AUDITOR,)),
    Seat(("eli",), "Eli Navarro", (Role.ENGINEER,)),
    Seat(("noor",), "Noor Haddad", (Role.ENGINEER,)),
    Seat(("ada",), "Ada Mensah", (Role.ACCESS_ADMIN,)),
    Seat(("root",), "Sam Root", (), superuser=True),
)
