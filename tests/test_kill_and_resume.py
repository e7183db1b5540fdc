"A few kills at random moments; `python -m tests.kill_and_resume --kills 200` makes many"
import subprocess, sys
from pathlib import Path

import pytest

@pytest.mark.skipif(sys.platform == 'win32', reason='needs fork and SIGKILL')
def test_killed_trainings_end_as_if_nothing_had_happened():
    command = [sys.executable, Path(__file__).with_name('kill_and_resume.py'), '--kills', '5']
    p = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not p.returncode, p.stdout + p.stderr
    assert 'kills: 5,' in p.stdout and 'identical: all' in p.stdout
