"""What is counted for monitoring, and how it is told to Prometheus.

Begin at `metrics`, the numbers; `metering` follows each run, `textfile` adds to a file.
"""

from __future__ import annotations

import os

# Somebody else's setting: with it the library would keep our numbers in files of that folder, add to what it
# finds there under this process's number, and stop a run where the folder is missing. It looks when imported.
for _name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
    os.environ.pop(_name, None)
