"""What goes from stage to stage is what it says."""

from __future__ import annotations

import pytest

from reconcile.domain.model import EffectKey, GiveUp, MalformedEnrollment, Reason
from reconcile.run.leases import Lease
from reconcile.run.page import Surveyed, Task


def test_what_cannot_be_sent_is_no_task() -> None:
    malformed = MalformedEnrollment(id="e1", problems=("email is missing",), reason=Reason.MALFORMED)
    entry = Surveyed(enrollment=malformed, decision=GiveUp(Reason.MALFORMED))
    lease = Lease(key=EffectKey("sam@example.com", "python-basics"), token="t1")

    assert entry.key is None
    with pytest.raises(TypeError, match="can be sent"):
        assert Task(entry=entry, lease=lease, looked_at=0.0).enrollment
