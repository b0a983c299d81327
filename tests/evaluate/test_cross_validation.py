"""Cross-validation: its worker processes end with the process that started them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, time
from pathlib import Path
from joblib import delayed
from lspin.evaluate import in_processes

def work(number):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(1)

list(in_processes([delayed(work)(number) for number in range(1000)], "work", verbose=0))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs signals that cannot be caught")
def test_workers_of_a_killed_run_do_not_idle_on(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    here = str(Path(__file__).parents[2])
    paths = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "2"},
    )

    def workers():
        return [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]

    def alive(pid):
        status = Path("/proc", str(pid), "stat")
        if status.parent.parent.is_dir():
            return status.is_file() and status.read_text().split(")")[1].split()[0] != "Z"
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    try:
        wait_for(workers)
        assert run.pid not in workers()
    finally:
        run.kill()
        run.wait()
    wait_for(lambda: not any(map(alive, workers())))


def wait_for(condition, limit_s=120):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
