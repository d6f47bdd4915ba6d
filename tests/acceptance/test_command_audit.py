"""`db` and `init`: preparing what a run needs; asking for it changes nothing, repeating it neither."""

from __future__ import annotations

import stat

from reconcile.audit.tables import HEAD_REVISION
from tests.acceptance.harness import World


def test_the_audit_database_is_made_by_upgrade_and_only_by_it(bare: World) -> None:
    only_audit = dict.fromkeys(("MONGODB_URI", "FRAPPE_LMS_BASE_URL", "FRAPPE_LMS_API_KEY"))

    missing = bare.run("db", "current", env=only_audit, code=1)
    assert "reconcile db upgrade" in missing.stdout
    assert list(bare.folder.iterdir()) == []

    made = bare.run("db", "upgrade", env=only_audit, code=0)
    assert HEAD_REVISION in made.stdout
    assert stat.S_IMODE(bare.audit_file.stat().st_mode) == 0o600

    current = bare.start("db", "current", env=only_audit)
    again = bare.start("db", "upgrade", env=only_audit)
    assert (done := current.wait()).code == 0
    assert "up to date" in done.stdout
    assert "already at" in again.wait().stdout


def test_init_makes_what_is_missing_once(bare: World) -> None:
    bare.order("sam@example.com")
    documents = bare.dump()

    asked = bare.run("init", "--dry-run", code=0)
    assert bare.dump() == documents
    assert not bare.audit_file.exists()
    assert "would be made" in asked.stdout
    assert "missing" in asked.stdout

    made = bare.run("init", code=0)
    after = bare.dump()
    assert "reconcile_unsynced: made" in made.stdout
    assert bare.audit_file.exists()
    assert after["enrollments"][0] == documents["enrollments"][0]
    assert any("reconcile_unsynced" in index for index in after["enrollments"][1])

    again, asked_again = bare.start("init"), bare.start("init", "--dry-run")
    repeated, looked = again.wait(), asked_again.wait()
    assert ": made" not in repeated.stdout
    assert "would be" not in looked.stdout
    assert "up to date" in looked.stdout
    assert bare.dump() == after


def test_the_first_run_needs_no_init(bare: World) -> None:
    bare.lms.site.add_user("old@example.com")
    order = bare.order("sam@example.com")
    bare.lms.site.enroll("old@example.com", "python-basics")

    bare.run("run", "--quiet", code=0)

    assert bare.sync(order)["synced"]
    assert stat.S_IMODE(bare.audit_file.stat().st_mode) == 0o600
