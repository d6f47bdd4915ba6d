"""Root may write everywhere: how tests that are run by root still see a permission denied."""

from __future__ import annotations

import ctypes
import os

_PR_CAPBSET_DROP = 24
#: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: to ignore what a file's mode says.
_CAPABILITIES = (1, 2)

_libc = ctypes.CDLL(None, use_errno=True)


def obey_modes() -> None:
    """For `preexec_fn`: the program that follows is bound by files' modes, also as root (Linux)."""
    if os.geteuid() != 0:
        return
    for capability in _CAPABILITIES:
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot give up root's privileges")
