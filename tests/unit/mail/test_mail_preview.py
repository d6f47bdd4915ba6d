"""What a dry run would mail: counted as a real run would, written from the first order, nothing sent."""

from __future__ import annotations

from reconcile.base.errors import ServiceUnavailable
from reconcile.domain.model import EffectKey
from reconcile.mail.message import Composer
from reconcile.mail.preview import MailPreview, Preview
from reconcile.run.dry_run import without_writes
from reconcile.run.options import DRY_RUN, RunOptions
from reconcile.run.ports import Intent, Origin
from reconcile.run.reconciler import Reconciler
from reconcile.run.summary import RunSummary
from reconcile.templates.mail import read_templates
from tests.fakes.attempts import begin
from tests.fakes.harness import World
from tests.fakes.world import NOON, order


def look(world: World, *, subject: str = "{{ course_title }}") -> Preview:
    composer = Composer(
        templates=read_templates(subject=subject, place=""),
        lms_url="https://lms.example.com",
        course_address=lambda course: f"https://lms.example.com/{course}",
        domain="example.com",
    )
    preview = MailPreview(outbox=None, composer=composer, platform=world.lms, clock=world.clock)
    ports = preview.watching(without_writes(world.ports))
    Reconciler(ports).run(RunOptions(mode=DRY_RUN, concurrency=1), stop=world.stop)
    return preview.look()


def test_who_would_be_enrolled_would_be_mailed() -> None:
    world = World([order("e1"), order("e2"), order("e3"), order("e4", email="e3@example.com")])
    world.lms.add(EffectKey("e1@example.com", "python-basics"))

    found = look(world)

    # One has access already, two orders are one learner.
    assert (found.new, found.waiting, found.problem) == (2, 0, None)
    assert found.first is not None
    assert found.first.to in ("e2@example.com", "e3@example.com")
    assert found.first.subject == "Python Basics"
    assert world.audit.attempts == {}
    assert len(world.lms.rows) == 1


def test_what_an_earlier_run_has_left_open_is_counted() -> None:
    world = World([order("e1")])
    world.lms.add(EffectKey("e1@example.com", "python-basics"))
    gone = Origin(host="elsewhere", pid=1, process_started="1")
    world.audit.open_run(RunSummary(run_id="old", mode="apply", started_at=NOON), gone)
    (item,) = world.source.scan(RunOptions().selection)
    begin(world.audit, Intent(run_id="old", enrollment=item, number=1, started_at=NOON))  # type: ignore[arg-type]
    world.audit.close_dead_runs(origin=gone, stale_before=NOON.replace(year=2030), at=NOON)

    found = look(world)

    assert (found.new, found.first) == (1, None)


def test_nobody_is_nobody() -> None:
    found = look(World())

    assert (found.new, found.first) == (0, None)


def test_without_a_title_the_slug_will_do() -> None:
    world = World([order("e1")])

    def down(_: object) -> dict[str, str]:
        raise ServiceUnavailable("down")

    world.lms.titles = down  # type: ignore[method-assign]
    found = look(world)

    assert found.first is not None
    assert found.first.subject == "python-basics"


def test_words_that_fail_on_this_order_are_told() -> None:
    found = look(World([order("e1")]), subject="{{ 1 / 0 if course_title == 'Python Basics' else 'x' }}")

    assert found.first is None
    assert found.problem == "the subject: division by zero"
