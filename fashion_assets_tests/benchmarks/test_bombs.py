"""The harness of hostile pictures, with small ones: what it prints, and that what is counted is what is taken."""

import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[2] / "benchmarks" / "bombs.py"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read off /proc")
def test_the_memory_that_decoding_takes_is_what_was_counted(tmp_path: Path):
    names = [
        "jpeg-progressive",
        "png-rgba16",
        "webp",
        "jpeg-1000-scans",
        "sparse-3gb",
    ]
    command = [sys.executable, str(HARNESS), "--edge", "4000", str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    lines = {line.split()[0]: line.split()[2:] for line in done.stdout.splitlines()[1:]}
    assert list(lines) == names and done.returncode == 0, done.stdout + done.stderr
    for name in names[:3]:
        judged, loaded = map(float, lines[name][4:6]), map(float, lines[name][7:9])
        (judged_peak, judged_counted), (loaded_peak, loaded_counted) = judged, loaded
        assert lines[name][:3] == ["4000", "x", "4000"]
        # Half of it at the least: who counts far more than is taken keeps others waiting for nothing.
        assert judged_counted / 2 < judged_peak < judged_counted * 4 / 3, lines[name]
        assert loaded_counted / 3 < loaded_peak < loaded_counted * 4 / 3, lines[name]
    assert {lines[name][0] for name in names[3:]} == {"image_too_costly", "image_file_too_large"}
