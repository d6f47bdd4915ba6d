"""When a server's certificate ends."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime


def certificate_end(host: str, port: int, *, timeout: float) -> datetime | None:
    """The end of the certificate's validity; None where it cannot be told, or is not trusted.

    `timeout` in seconds. Never raises: whatever is wrong, a request to the server says better.
    """
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), timeout=timeout) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            found = secured.getpeercert() or {}
    except (OSError, ssl.SSLError, ValueError):
        return None
    end = found.get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if isinstance(end, str) else None
