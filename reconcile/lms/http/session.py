"""A session for one server: no cookies, no proxies, nothing sent twice, and no write that leaves late.

A lease is proven before the request is made. What comes between (a name server that takes its time, one
address tried after the other, a process that is stopped) must not carry a write past that proof: so the last
look at the clock is taken on the open connection, right before the bytes go.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from requests import Session
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError
from urllib3.util import Retry


class _Limit(threading.local):
    """This thread's request: when it must have left (monotonic seconds), and whether it has begun to."""

    instant: float | None = None
    begun: bool = False


_limit = _Limit()


@contextmanager
def leaving_within(seconds: float | None) -> Iterator[None]:
    """What this thread sends in the block leaves so soon, or not at all; None sets no limit.

    Late, it ends as a connection that was never made (`ConnectTimeout`: nothing was sent); late in the middle
    of its bytes, as one that broke.
    """
    _limit.instant = None if seconds is None else time.monotonic() + seconds
    _limit.begun = False
    try:
        yield
    finally:
        _limit.instant = None


def _look_at_the_clock(connection: HTTPConnection) -> None:
    if _limit.instant is not None and time.monotonic() > _limit.instant:
        connection.close()
        if _limit.begun:
            raise TimeoutError("the request could not be sent in time")
        raise ConnectTimeoutError(connection, "connected too late")
    _limit.begun = True


class _Connection(HTTPConnection):
    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _look_at_the_clock(self)
        super().send(data)


class _TlsConnection(HTTPSConnection):
    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _look_at_the_clock(self)
        super().send(data)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Closes its connections when it is closed; the library leaves that to the garbage collector."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def close(self) -> None:
        pools = self.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118  not a dict: it cannot be iterated over
            pools[key].close()
        super().close()


class _NoCookies(RequestsCookieJar):
    """Keeps none: a stale `sid` changes the answers (FRAPPE 1), and each answer sets five."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Take none."""

    def add_cookie_header(self, request: Any) -> None:
        """Send none."""


def new_session(headers: Mapping[str, str]) -> Session:
    """A session that sends these headers. For one thread."""
    session = Session()
    # Proxies and .netrc of the environment could send the key elsewhere, and cost time.
    session.trust_env = False
    session.cookies = _NoCookies()
    session.headers.update(headers)
    # urllib3 must never send again by itself: that would double a write.
    adapter = _Adapter(max_retries=Retry(total=0, read=False, respect_retry_after_header=False))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
