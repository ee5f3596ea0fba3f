"""How far the server's processes stand back."""

import os
import subprocess

from fashion_assets.postgres.connections import _stand_back


def test_a_session_stands_back_as_far_as_who_opened_it():
    other = subprocess.Popen(["sleep", "60"])
    try:
        here = os.getpriority(os.PRIO_PROCESS, 0)
        if not (opening := os.fork()):
            os.nice(3)
            _stand_back(other.pid)
            os._exit(0)
        os.waitpid(opening, 0)
        assert os.getpriority(os.PRIO_PROCESS, other.pid) == here + 3
        _stand_back(other.pid)  # never to the front
        assert os.getpriority(os.PRIO_PROCESS, other.pid) == here + 3
    finally:
        other.kill()
        other.wait()
    _stand_back(other.pid)  # which has ended
