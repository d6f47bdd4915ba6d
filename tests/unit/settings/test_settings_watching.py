"""Where the scheduler listens, and what is no such place."""

from __future__ import annotations

import pytest

from reconcile.base.errors import ConfigurationError
from reconcile.settings import Settings
from reconcile.settings.schedule import host_and_port


def load(**environ: str) -> Settings:
    return Settings.load(environ, env_file=None, require=())


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("127.0.0.1:9108", ("127.0.0.1", 9108)),
        ("[::1]:9108", ("::1", 9108)),
        ("0.0.0.0:9108", ("0.0.0.0", 9108)),
        ("[::]:9108", ("::", 9108)),
        ("localhost:0", ("localhost", 0)),
        ("off", None),
        ("OFF", None),
        ("", None),
    ],
)
def test_where_to_listen(value: str, address: tuple[str, int] | None) -> None:
    assert host_and_port(load(RECONCILE_HTTP=value).http) == address


@pytest.mark.parametrize(
    "value",
    [
        "9108",
        ":9108",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "::1:9108",
        "[::1]",
        "http://127.0.0.1:9108",
        "127.0.0.1:9108/metrics",
        "127.0.0.1:٩١٠٨",
        "a b:1",
        "on",
    ],
)
def test_what_is_no_address_to_listen_on(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(RECONCILE_HTTP=value)
    (problem,) = caught.value.problems
    assert problem.startswith(
        "RECONCILE_HTTP: must be HOST:PORT such as 127.0.0.1:9108 or [::1]:9108, or off"
    )


def test_nobody_listens_unless_asked() -> None:
    assert host_and_port(load().http) is None
    assert load().ready_age == 900
