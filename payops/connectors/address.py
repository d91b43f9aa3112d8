"""Where a system outside is reached, from one URL: its base, its credentials, its options.

The URL comes from the environment and holds secrets: what is wrong with it is told by the name of
the part, and neither the text of an error nor a repr ever shows a credential.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from payops.connectors.base import AddressMalformed

ADDRESS_CHARS_MAX = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """`base_url` has no credentials, no query and no slash at its end."""

    base_url: str
    host: str
    user: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)


def read_address(address: str, *, system: str, known: frozenset[str]) -> Address:
    """`known` names the options it may carry. Raises AddressMalformed."""
    try:
        parts = urlsplit(address)
        port = parts.port
        said = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise AddressMalformed(f"the address of {system} is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise AddressMalformed(f"the address of {system} must be https://credentials@host/")
    if len(address) > ADDRESS_CHARS_MAX or not address.isascii() or not address.isprintable():
        raise AddressMalformed(f"the address of {system} is too long or holds odd characters")
    options = dict(said)
    if len(options) != len(said) or not options.keys() <= known:
        given = ", ".join(sorted(options.keys() - known)) or "one twice"
        raise AddressMalformed(f"the address of {system} has options it does not know: {given}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(
        base_url=f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}",
        host=parts.hostname,
        user=unquote(parts.username or ""),
        secret=unquote(parts.password or ""),
        options=options,
    )
