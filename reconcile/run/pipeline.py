"""The stages of a run and the order of its effects: read from top to bottom, it is the promises' proof.

    scan ─▶ look ─▶ route ─▶ claim ─▶ check ─▶ write ─▶ judge ─▶ record ─▶ tell ─▶ give back
                      │                 ▲        │ too old │ again   ▲
                      │                 └────────┴─────────┘         │
                      └──────────── who needs no write ──────────────┘

1. look       in bulk and without a lease: most orders end here, and cost nothing more than being recorded
2. claim      a lease for each learner to enroll, then a second look under it: who is there is not written
3. check      intents committed (P1), with the audit's own lock (P11); orders, retry jobs and twins read
              again (P3); fence: the lease is still ours, and names the attempt from now on (P2)
4. write      only while the check is fresh; an unanswered one is held
5. judge      whose fault a failure was; a second try goes back to 3, with an intent of its own
6. record     the outcome is committed ...
7. tell       ... before its order is written back (P6) ...
8. give back  ... and the lease goes last (P8)

All stages are at work at once, each over what the one before it has put (`Flow`); `Ahead` bounds them.
Where the run is to end (`Halt`: a signal, an outage, a bug) nothing new is begun; what is in flight goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from reconcile.base import log
from reconcile.base.errors import ReconcileError
from reconcile.domain.model import AnyEnrollment
from reconcile.run.ahead import ALL, LOOKS, PLENTY, PORTION, Ahead
from reconcile.run.checking import Checking
from reconcile.run.claiming import Claiming
from reconcile.run.first_write import FirstWrite
from reconcile.run.flow import Flow
from reconcile.run.follow_up import Onlooker
from reconcile.run.judging import Judging, SecondTry
from reconcile.run.looking import look
from reconcile.run.options import Halt, Ports, RunOptions
from reconcile.run.pacing import Pacer
from reconcile.run.page import Group, Page, Parcel, Returned, Surveyed, Task, Told, Try
from reconcile.run.parcels import following, parcels
from reconcile.run.pool import Pool
from reconcile.run.ports import Progress
from reconcile.run.recording import Recording, Telling
from reconcile.run.routing import Routing
from reconcile.run.summary import RunSummary
from reconcile.run.writing import Writer

_log = log.get_logger(__name__)

#: Makes a flow work until it is over.
Drive = Callable[[Flow], None]


class Pipeline:
    """One run's stages."""

    def __init__(
        self,
        pages: Iterator[Sequence[AnyEnrollment]],
        *,
        ports: Ports,
        options: RunOptions,
        summary: RunSummary,
        halt: Halt,
        progress: Progress,
        onlookers: Sequence[Onlooker] = (),
        sight_proven: bool,
        surge_limit: int | None,
    ) -> None:
        self._pages = pages
        self._ports = ports
        self._options = options
        self._halt = halt
        self._run_id = summary.run_id
        pacer = self._pacer = Pacer(options.rate, ports.clock)
        pool = self._pool = Pool(ports.clock, concurrency=options.concurrency, batch=options.batch)
        self._first_write = FirstWrite(proven=sight_proven or not ports.platform.verified)
        self._routing = Routing(
            self, halt=halt, clock=ports.clock, max_enrolls=options.max_enrolls, surge_limit=surge_limit
        )
        self._claiming = Claiming(ports=ports, run_id=self._run_id, policy=options.policy, halt=halt)
        self._checking = Checking(ports=ports, run_id=self._run_id, policy=options.policy, halt=halt)
        self._writer = Writer(
            ports=ports,
            run_id=self._run_id,
            halt=halt,
            pacer=pacer,
            pool=pool,
            first_write=self._first_write,
            recheck=lambda groups: self._flow.put_first(self._check, groups),
        )
        self._judging = Judging(
            self, ports=ports, options=options, run_id=self._run_id, halt=halt, pacer=pacer
        )
        self._recording = Recording(ports=ports, run_id=self._run_id, halt=halt)
        self._telling = Telling(
            ports=ports, summary=summary, halt=halt, progress=progress, onlookers=onlookers
        )
        self._ahead = Ahead(pool, halt, batches=ports.platform.batches, parked=lambda: self._judging.parked)
        self._lay()

    @property
    def left_over(self) -> int:
        """Orders that should be enrolled and were left alone because of `max_enrolls`."""
        return self._routing.left_over

    @property
    def came_back(self) -> int:
        """Orders that said `failed` and were tried."""
        return self._judging.came_back

    def run(self, drive: Drive = Flow.run) -> None:
        """Work until all is done, or drained. Raises only bugs; what else ends the run stands in `Halt`."""
        self._flow.put(self._scan, [None])
        try:
            drive(self._flow)
        finally:
            # What a bug has swallowed: a process that lives on must not prolong it.
            self._ports.leases.leave(self._ahead.kept)

    def _lay(self) -> None:
        """The stages, each with how much it takes at once and what makes it pause."""
        flow = self._flow = Flow(on_bug=self._halt.break_off, when_idle=self._rest)

        pool, ahead, unless = self._pool, self._ahead, self._ahead.unless
        self._scan = flow.stage("scan", self._scan_page, at_once=unless(lambda: self._look.load >= LOOKS, 1))
        self._look = flow.stage(
            "look",
            self._look_at,
            at_once=unless(lambda: len(self._route.waiting) >= LOOKS, 1),
            workers=LOOKS,
        )
        self._route = flow.stage(
            "route",
            self._routing_of,
            at_once=unless(
                lambda: len(self._claim.waiting) >= ahead.leases or len(self._record.waiting) >= PLENTY, 1
            ),
        )
        self._claim = flow.stage("claim", self._claim_some, at_once=lambda: ahead.to_claim)
        self._pace = flow.stage("pace", self._pace_some, at_once=self._to_pace)
        self._check = flow.stage(
            "check",
            self._check_some,
            at_once=lambda: ahead.to_check(len(self._write.waiting), self._write.busy),
        )
        self._write = flow.stage(
            "write", self._write_one, at_once=lambda: int(self._write.busy < pool.limit), workers=pool.most
        )
        self._judge = flow.stage("judge", self._judge_some, at_once=lambda: ALL)
        self._again = flow.stage("again", self._try_again, at_once=lambda: ALL)
        self._record = flow.stage(
            "record", self._record_some, at_once=unless(lambda: len(self._tell.waiting) >= PLENTY, PORTION)
        )
        self._tell = flow.stage(
            "tell", self._tell_some, at_once=unless(lambda: len(self._give_back.waiting) >= PLENTY, PORTION)
        )
        self._give_back = flow.stage("give back", self._give_back_some, at_once=lambda: ALL)

    # --- the stages ------------------------------------------------------------------------------

    def _scan_page(self, _: list[None]) -> None:
        """The next page, and once more."""
        if self._halt.is_set or self._routing.left_over:
            return
        try:
            page = next(self._pages, None)
        except ReconcileError as error:
            self._halt.fail(error)
            return
        if page is not None:
            self._flow.put(self._look, [page])
            self._flow.put(self._scan, [None])

    def _look_at(self, pages: list[Sequence[AnyEnrollment]]) -> None:
        for page in pages:
            if self._halt.is_set:
                return
            try:
                entries = look(page, ports=self._ports, policy=self._options.policy)
            except ReconcileError as error:
                self._halt.fail(error)
                return
            self._flow.put(self._route, [Page(entries=entries)])

    def _routing_of(self, pages: list[Page]) -> None:
        try:
            self._routing.route(pages)
        except ReconcileError as error:
            self._halt.fail(error)

    def _claim_some(self, entries: list[Surveyed]) -> None:
        claimed = self._claiming.claim(entries)
        self._ahead.leased(task.lease for task in claimed.tasks)
        self._ahead.leased(each.lease for each in claimed.told if each.lease is not None)
        self._ahead.leased(each.lease for each in claimed.returned)
        self._flow.put(self._pace, claimed.tasks)
        self._flow.put(self._record, claimed.told)
        for entry in claimed.dropped:
            self._routing.settle(entry, None)
        self._flow.put(self._give_back, claimed.returned)

    def _to_pace(self) -> int:
        return 1 if self._options.rate and not self._halt.is_set else ALL

    def _pace_some(self, tasks: list[Task]) -> None:
        """Each has its turn (`RECONCILE_RATE`) before it is checked: a check that waits grows old."""
        if self._options.rate:
            self._pacer.wait_for_turn(self._halt)
        self._flow.put(self._check, [Group(tasks=[task]) for task in tasks])

    def _check_some(self, groups: list[Group]) -> None:
        checked = self._checking.check([task for group in groups for task in group.tasks])
        most = self._pool.batch if self._ports.platform.batches and self._first_write.proven else 1
        self._flow.put(self._write, parcels(groups, checked, most=most))
        self._flow.put(self._judge, checked.left_alone)
        self._flow.put(self._check, following(groups, checked))

    def _write_one(self, parcels: list[Parcel]) -> None:
        for parcel in parcels:
            self._flow.put(self._judge, self._writer.write(parcel))

    def _judge_some(self, tries: list[Try]) -> None:
        self._judging.judge(tries)

    def _try_again(self, seconds: list[SecondTry]) -> None:
        """Those whose turn comes first; the others wait behind them."""
        for second in sorted(seconds, key=lambda each: each.due):
            left = second.due - self._ports.clock.monotonic()
            if left > 0 and not self._halt.is_set:
                self._ports.clock.sleep(left)
            if not self._halt.is_set:
                self._judging.announce(second.task)
            self._flow.put_first(self._pace, [second.task])

    def _record_some(self, told: list[Told]) -> None:
        recorded = self._recording.record(told)
        waited: list[Told] = []
        for each in recorded.told:
            if each.leads:
                waited += self._routing.settle(each.entry, each.verdict)
        self._flow.put(self._tell, [each for each in recorded.told if each.verdict is not None or each.lease])
        self._flow.put(self._record, waited)
        for each in recorded.lost:
            if each.leads:
                self._routing.settle(each.entry, None)
        self._return(recorded.lost, in_doubt=True)

    def _tell_some(self, told: list[Told]) -> None:
        self._telling.tell(told)
        self._return(told)

    def _return(self, told: Sequence[Told], *, in_doubt: bool = False) -> None:
        self._flow.put(
            self._give_back,
            [
                Returned(lease=each.lease, keeps_owners=each.keeps_owners, in_doubt=in_doubt or each.in_doubt)
                for each in told
                if each.lease is not None
            ],
        )

    def _give_back_some(self, returned: list[Returned]) -> None:
        sure = [each for each in returned if not each.in_doubt]
        try:
            self._ports.leases.leave([each.lease for each in returned if each.in_doubt])
            self._ports.leases.release(
                [each.lease for each in sure],
                keep_owners={each.lease.key for each in sure if each.keeps_owners},
            )
        except ReconcileError as error:
            self._halt.fail(error)
        self._ahead.returned(each.lease for each in returned)

    def _rest(self) -> None:
        """Nothing flows any more: what was kept back is decided."""
        self._judging.rest()

    # --- where orders go from one stage to another ------------------------------------------------

    def claim(self, entries: Sequence[Surveyed]) -> None:
        """To be leased and enrolled."""
        self._flow.put(self._claim, entries)

    def tell(self, told: Sequence[Told]) -> None:
        """To be recorded and told."""
        self._flow.put(self._record, told)

    def again(self, seconds: Sequence[SecondTry]) -> None:
        """To be tried once more."""
        self._flow.put(self._again, seconds)
