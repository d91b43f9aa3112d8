"""Ports on loopback: free ones for the servers, and a clear line when a wanted one is taken."""

import socket

from payops.devstack.errors import StackError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(*, host: str, port: int) -> bool:
    with socket.socket() as probe:
        # A port in TIME_WAIT is free for a server, so it must be free for the probe too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def web_port(*, host: str, wanted: str) -> int:
    """The port of the web process; 0 means any. A port in use is refused before anything starts."""
    try:
        port = int(wanted)
        if not 0 <= port <= 65535:
            raise ValueError(wanted)
    except ValueError:
        raise StackError(f"PAYOPS_PORT must be a port number, not {wanted!r}") from None
    if port == 0:
        return free_port()
    if not is_free(host=host, port=port):
        raise StackError(
            f"port {port} on {host} is in use; stop what listens there or set PAYOPS_PORT"
        )
    return port


def near_port(*, wanted: int) -> int:
    """The wanted port when it is free, so that an open page survives a restart; else any."""
    if wanted <= 65535 and is_free(host=LOOPBACK, port=wanted):
        return wanted
    return free_port()
