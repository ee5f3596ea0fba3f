"""What workers are forked with: imported once, by the process they are forked from, and kept for all of them.

What belongs here: the modules every Dagster run needs, the code location itself, and what makes that process cheap to
fork and to end. What does not: anything that starts threads or opens a connection, which a fork would lose.
"""

import gc

# Modules are never garbage. To look for some among them, again and again as more come in, costs a tenth of the time.
gc.disable()

import atexit  # noqa: E402
import os  # noqa: E402
from importlib import import_module  # noqa: E402

from fashion_assets.worker import IMPORTED_ONCE, repository  # noqa: E402

for _module in IMPORTED_ONCE:
    import_module(_module)
for _job in ("migrate_batch", "migrate_rows", "build_release"):
    repository().resolve_job_def(_job)

# Nor shall a worker look: every object it touches is a page it no longer shares. It switches the collector on again.
gc.freeze()

# Nothing to let go of, and taking the modules apart takes half a second, in which who reads the output waits for it.
atexit.register(os._exit, 0)
