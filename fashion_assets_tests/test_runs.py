"""Worker processes of a command: one that is gone is told in words, whenever it went."""

import multiprocessing

from fashion_assets.runs import Runs
from fashion_assets.settings import Settings


def test_a_worker_that_is_gone_before_its_work_is_told_in_words(settings: Settings):
    with Runs() as runs:
        runs._prepared.result()
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        for _ in range(2):  # the pool notices, and then takes nothing more
            reason = runs.run("promote_candidate")
            assert reason is not None and "its worker process died" in reason
