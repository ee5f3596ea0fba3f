"""Tags of the Dagster runs that commands execute, in processes of their own.

What belongs here: what is written on such runs, and read of them by whoever meets one. What does not: executing them
(`worker`).
"""

import os
from collections.abc import Mapping

RUNNER = "fashion_assets/process"
"""Tag of runs started here: host and process, so that a later command can tell which died with theirs."""

NEVER_RETRIED = {"dagster/max_retries": "0"}
"""Tag of runs the daemon leaves alone when they fail: whoever started the command starts it again."""


def this_process() -> str:
    """What `RUNNER` says of runs of this process."""
    return f"{os.uname().nodename}:{os.getpid()}"


def is_of_a_command(tags: Mapping[str, str]) -> bool:
    """Whether a run of these tags was executed by a command. One that Dagster launched in its stead, as when somebody has
    it executed again, has its tags and more."""
    return RUNNER in tags and "dagster/parent_run_id" not in tags
