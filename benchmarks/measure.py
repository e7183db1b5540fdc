"Trustworthy times on a machine that also does other things"
import contextlib, io, os, resource, statistics, time, warnings
from pathlib import Path

def _busy():
    "Seconds that all processors together have been busy since the machine started (Linux), or `None`"
    try: fields = [int(v) for v in Path('/proc/stat').read_text().split('\n', 1)[0].split()[1:]]
    except (OSError, ValueError): return None
    return (sum(fields[:3]) + sum(fields[5:8]))/os.sysconf('SC_CLK_TCK')

def _own():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(o.ru_utime + o.ru_stime for o in used)

def timed(f, tries=5):
    "Seconds that `f` takes, its result, and whether others kept the processors busy all the same after `tries`"
    for _ in range(tries):
        busy, own, start = _busy(), _own(), time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore') # what a peer's libraries say of each other
            result = f()
        seconds = time.perf_counter() - start
        others = 0. if busy is None else _busy() - busy - (_own() - own)
        # a tenth of one processor, and what the clock's ticks leave open
        if others < 0.1*seconds + 0.02: return seconds, result, False
    return seconds, result, True

def side_by_side(peers, rounds):
    """Each of `peers` (name to function) `rounds` times after a warm-up, taking turns: seconds and results of each, and
    how many rounds were disturbed"""
    times, results, disturbed = {name: [] for name in peers}, {}, 0
    for i in range(rounds + 1):
        for name, f in peers.items():
            seconds, results[name], other = timed(f)
            if i: times[name].append(seconds); disturbed += other
    return times, results, disturbed

def middle(times): return statistics.median(times)
