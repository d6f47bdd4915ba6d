"""The files for systemd, Docker and Kubernetes: what can be checked without running any of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile.cli import COMMANDS
from reconcile.jobs.crontab import next_times
from tests.docs.documents import ROOT

PROGRAM = "/opt/reconcile/bin/reconcile"
SYSTEMD = ROOT / "docs" / "systemd"
DOCKERFILE = ROOT / "docs" / "docker" / "Dockerfile"
KUBERNETES = ROOT / "docs" / "kubernetes"

# --- systemd -----------------------------------------------------------------------------------------


def _unit(name: str) -> ConfigParser:
    unit = ConfigParser(interpolation=None, delimiters="=", strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys are as they are written
    unit.read_string((SYSTEMD / name).read_text(encoding="utf-8"))
    return unit


@pytest.mark.parametrize("name", ["reconcile.service", "reconcile-run.service"])
def test_the_services_run_a_command_that_exists_as_somebody_harmless(name: str) -> None:
    service = _unit(name)["Service"]

    program, command = service["ExecStart"].split()[:2]
    assert program == PROGRAM
    assert command in COMMANDS
    assert service["User"] != "root"
    assert service["ProtectSystem"] == "strict"
    # The one place that may be written is where the audit is.
    assert service["Environment"].endswith(f"sqlite:////var/lib/{service['StateDirectory']}/audit.db")


def test_the_timer_starts_what_is_there_as_often_as_the_scheduler() -> None:
    timer = _unit("reconcile-run.timer")["Timer"]

    assert timer["OnCalendar"] == "*:0/5"
    assert _unit("reconcile-run.service")["Service"]["Type"] == "oneshot"
    assert _unit("reconcile-run.service")["Service"]["SuccessExitStatus"] == "1 75"


def test_systemd_itself_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    """Where systemd is there to be asked; its files are read by the tests above in any case."""
    analyze = shutil.which("systemd-analyze")
    names = sorted(path.name for path in SYSTEMD.iterdir())
    assert names == ["reconcile-run.service", "reconcile-run.timer", "reconcile.service"]
    for name in names:
        text = (SYSTEMD / name).read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / name).write_text(text)
    if analyze is not None:
        done = subprocess.run(
            [analyze, "verify", *(str(tmp_path / name) for name in names)], capture_output=True, text=True
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


# --- Docker ------------------------------------------------------------------------------------------


def _instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    joined = text.replace("\\\n", " ")
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


def _of(word: str) -> list[str]:
    return [rest for instruction, rest in _instructions() if instruction == word]


def test_the_image_holds_all_that_the_package_is_made_of() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    copied = {name for line in _of("COPY") if "--from" not in line for name in line.split()[:-1]}
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8")

    assert all((ROOT / name).exists() for name in copied)
    packages = {name.partition(".")[0] for name in setup["options"]["packages"].split()}
    packages |= set(setup["options"]["package_dir"].replace("=", "").split()[1::2])
    assert packages | {"setup.cfg", "pyproject.toml", "README.md", "LICENSE"} == copied
    assert {line[1:] for line in ignored.splitlines() if line.startswith("!")} == copied
    (install,) = re.findall(r"pip install .*'\.\[(\w+)\]'", " ".join(_of("RUN")))
    assert install in setup["options.extras_require"]


def test_the_container_is_nobody_and_runs_the_scheduler() -> None:
    user, group = _of("USER")[-1].split(":")
    assert int(user) > 0
    assert int(group) > 0
    (audit,) = re.findall(r"RECONCILE_AUDIT_URL=sqlite:///(/\S+)/audit\.db", " ".join(_of("ENV")))
    assert [audit] == _of("VOLUME") == _of("WORKDIR")[-1:]
    assert [*json.loads(_of("ENTRYPOINT")[0]), *json.loads(_of("CMD")[0])] == [PROGRAM, "schedule"]
    for command in _of("RUN"):
        checked = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


@contextmanager
def _listener(status: int) -> Iterator[tuple[str, list[str]]]:
    """Answers each request with `status`; where it listens, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def _health(tmp_path: Path, *, reconcile: str = "exit 99", **env: str) -> int:
    """The health check's command, with a reconcile that does as it is told; its exit code."""
    import sys

    (command,) = re.findall(r"CMD (.*)", _of("HEALTHCHECK")[0])
    program = tmp_path / "reconcile"
    program.write_text(f'#!/bin/sh\necho "$@" >"{tmp_path}/called"\n{reconcile}\n')
    program.chmod(0o700)
    command = command.replace(PROGRAM, str(program)).replace("/opt/reconcile/bin/python", sys.executable)
    return subprocess.run(["/bin/sh", "-c", command], env=env, capture_output=True).returncode


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_the_listener_where_there_is_one(
    tmp_path: Path, status: int, healthy: bool
) -> None:
    with _listener(status) as (address, asked):
        code = _health(tmp_path, RECONCILE_HTTP=address)

    assert asked == ["/healthz"]
    assert (code == 0) == healthy


@pytest.mark.parametrize("code", [0, 2])
def test_without_a_listener_the_health_check_asks_the_command(tmp_path: Path, code: int) -> None:
    assert _health(tmp_path, reconcile=f"exit {code}") == code
    assert (tmp_path / "called").read_text() == "schedule --list\n"


# --- Kubernetes --------------------------------------------------------------------------------------


def _manifest(kind: str) -> dict[str, Any]:
    found = [
        document
        for path in sorted(KUBERNETES.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if document["kind"] == kind
    ]
    assert len(found) == 1
    manifest: dict[str, Any] = found[0]
    return manifest


def _pod(kind: str) -> dict[str, Any]:
    spec = _manifest(kind)["spec"]
    pod: dict[str, Any] = (spec["jobTemplate"]["spec"] if kind == "CronJob" else spec)["template"]["spec"]
    return pod


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_the_pods_are_nobody_and_write_to_their_volumes_only(kind: str) -> None:
    pod = _pod(kind)
    (container,) = pod["containers"]
    user, _ = _of("USER")[-1].split(":")

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == int(user)
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["terminationGracePeriodSeconds"] > 15
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"audit": "/var/lib/reconcile", "tmp": "/tmp"}
    assert {volume["name"] for volume in pod["volumes"]} == set(mounts)
    claim = _manifest("PersistentVolumeClaim")["metadata"]["name"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim


def test_the_deployment_runs_the_scheduler() -> None:
    deployment = _manifest("Deployment")["spec"]

    assert _pod("Deployment")["containers"][0]["args"] == json.loads(_of("CMD")[0])
    assert deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 0), (75, 0), (2, 2), (4, 4)])
def test_the_cron_job_fails_only_where_a_person_must_look(code: int, ends: int, tmp_path: Path) -> None:
    cron = _manifest("CronJob")["spec"]
    (container,) = _pod("CronJob")["containers"]
    program = tmp_path / "reconcile"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o700)
    command = [*container["command"], *(each.replace(PROGRAM, str(program)) for each in container["args"])]

    assert subprocess.run(command).returncode == ends
    assert next_times(cron["schedule"], after=datetime.now(UTC), timezone=cron["timeZone"], count=1)
    assert cron["jobTemplate"]["spec"]["backoffLimit"] == 0
