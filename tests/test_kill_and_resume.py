"A few ends at random moments; `python -m tests.kill_and_resume --kills 200`, and `--kind`, makes many"
import subprocess, sys
from pathlib import Path

import pytest

@pytest.mark.skipif(sys.platform == 'win32', reason='needs fork and SIGKILL')
def test_trainings_that_are_ended_go_on_as_if_nothing_had_happened():
    command = [sys.executable, Path(__file__).with_name('kill_and_resume.py'), '--kind', 'all', '--kills', '2']
    p = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert not p.returncode, p.stdout + p.stderr
    for kind in ('kills', 'hangups', 'best', 'two', 'full'):
        line = next(o for o in p.stdout.splitlines() if o.startswith(f'{kind}: '))
        assert 'identical: all' in line or kind == 'full' and 'skipped' in line
