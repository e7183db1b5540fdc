"""Kills trainings at random moments, saves included, and sees whether they end as if nothing had happened.

`python -m tests.kill_and_resume --kills 200`, on Linux or macOS. Each training runs in a process of its own, forked
from one that has imported everything, and dies by SIGKILL, which no program can catch. What a power cut does to a
disk's own memory is not put to the proof here.
"""
import argparse, json, os, random, signal, sys, tempfile, threading, time, traceback
from collections import Counter
from pathlib import Path

# before they are imported: a process with threads must not fork
for library in ('OMP', 'OPENBLAS', 'MKL'): os.environ[f'{library}_NUM_THREADS'] = '1'
import torch
import fastsgd.schedule # noqa: F401 (gives Learner its fit_one_cycle)
from fastsgd.data.digits import get_digits
from fastsgd.dataloader import DataLoaders
from fastsgd.interpret import accuracy, cross_entropy
from fastsgd.learner import Learner
from fastsgd.models import simple_net
from fastsgd.tools.resume import CheckpointCallback
from fastsgd.tools.store import load_tensors

n_epoch = 6

def checkpoints(folder): return sorted(folder.glob('*.safetensors'))

def train(digits, seed, folder, result):
    "Train, from the last checkpoint in `folder` if there is one, and write all that came of it to `result`"
    torch.manual_seed(seed) # only the first seed may matter: the rest is in the checkpoints
    dls = DataLoaders.from_digits(digits, 100, seed=seed)
    learn = Learner(dls, simple_net(784, 30, 10), cross_entropy, metrics=accuracy)
    cbs = folder and CheckpointCallback(folder, every_batches=3, resume=True)
    with learn.no_bar(): learn.fit_one_cycle(n_epoch, 0.5, cbs=cbs)
    tensors = [*learn.model.parameters(), *(learn.opt.state[p]['buf'] for p in learn.model.parameters())]
    rec = learn.recorder
    told = json.dumps([rec.values, [float(o) for o in rec.losses], rec.iters, rec.hps, torch.rand(3).tolist()])
    result.write_bytes(b''.join(t.detach().numpy().tobytes() for t in tensors) + told.encode())

def fork(*args):
    "`train` in a process of its own; its number"
    tasks = Path('/proc/self/task')
    n_threads = len(os.listdir(tasks)) if tasks.is_dir() else threading.active_count()
    if n_threads > 1: raise RuntimeError(f'{n_threads} threads are running: a forked process would lack all but one')
    if pid := os.fork(): return pid
    status = 1
    try:
        train(*args)
        status = 0
    except BaseException: traceback.print_exc()
    finally: os._exit(status)

def ended(pid, wait=False):
    "The signal that ended a process, 0 if it came to its end, `None` if it runs; raises `RuntimeError` where it failed"
    found, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
    if not found: return None
    if os.WIFEXITED(status) and os.WEXITSTATUS(status): raise RuntimeError('the training failed')
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0

def temporary(folder, pid):
    "The names of files that a process, or any if it's `None`, has begun to write"
    names = os.listdir(folder) if folder.is_dir() else ()
    return [name for name in names if name.endswith('.tmp') and (f'.{pid}-' in name or pid is None)]

def kill_at_random(pid, folder, chance, duration):
    """Kill a training at a moment between its start and `duration`, half of the times in the next save from then on;
    `True` if it had not come to its end before"""
    moment, aimed = time.perf_counter() + chance.uniform(0, duration), chance.random() < 0.5
    while time.perf_counter() < moment or aimed and not temporary(folder, pid):
        if ended(pid) is not None: return False
        if time.perf_counter() < moment: time.sleep(0.0005) # in a save, every microsecond counts
    if aimed: time.sleep(chance.choice((0, chance.uniform(0, 0.001), chance.uniform(0, 0.01))))
    os.kill(pid, signal.SIGKILL)
    return ended(pid, wait=True) == signal.SIGKILL

def undisturbed(digits, seed, top):
    "What comes of a training that is never killed, and the seconds that it takes"
    train(digits, seed, top/'imports', top/'plain') # here, so that nothing is left to be imported in the others
    train(digits, seed, None, top/'plain')
    durations = []
    for i in range(3):
        start = time.perf_counter()
        ended(fork(digits, seed, top/f'whole{i}', top/'whole'), wait=True)
        durations.append(time.perf_counter() - start)
        assert (top/'plain').read_bytes() == (top/'whole').read_bytes(), 'making checkpoints changes a training'
    return (top/'whole').read_bytes(), min(durations)

def check_files(folder, before, cut, count):
    "Are all checkpoints whole, and has a save cleared up what was left before it?"
    count['kills during a save'] += bool(cut)
    for file in checkpoints(folder):
        load_tensors(file) # raises where a file is not whole
        count['checkpoints checked'] += 1
    left = [name for name in temporary(folder, None) if name not in cut]
    assert not left or checkpoints(folder) == before, f'a save did not clear up what was left before it: {left}'

def killed_and_resumed(digits, seed, folder, result, kills, chance, duration, count):
    "A training that is killed and resumed until it comes to its end, or so many kills have been made; the times it was"
    attempt = 0
    while True:
        before = checkpoints(folder)
        count['began anew'] += attempt > 0 and not before
        pid = fork(digits, seed + (attempt if before else 0), folder, result)
        if count['kills'] < kills: killed = kill_at_random(pid, folder, chance, duration)
        else: killed = ended(pid, wait=True) != 0
        count['kills'] += killed; count['runs'] += 1; attempt += 1
        check_files(folder, before, temporary(folder, pid), count)
        if not killed and result.exists(): return attempt - 1

def run(kills, seed, show=lambda text: None):
    "Trainings until so many kills were made; raises `AssertionError` with the first thing that is not as it must be"
    os.environ['CUDA_VISIBLE_DEVICES'] = '' # the promise holds on the CPU; and a graphics card would need threads
    torch.set_num_threads(1)
    chance, count, digits = random.Random(seed), Counter(), get_digits(source='mnist_5k')
    with tempfile.TemporaryDirectory() as top:
        whole, duration = undisturbed(digits, seed, Path(top))
        while count['kills'] < kills:
            folder, result = Path(top)/f"run{count['trainings']}", Path(top)/'result'
            result.unlink(missing_ok=True)
            times = killed_and_resumed(digits, seed, folder, result, kills, chance, duration, count)
            names = [f.name for f in checkpoints(folder)]
            done = len(names) == 2 and names[-1] == f'checkpoint_{n_epoch:04}_000000.safetensors'
            assert done and not temporary(folder, None), f'in the end there are {os.listdir(folder)}'
            same = result.read_bytes() == whole
            assert same, f'training {count["trainings"]}, after {times} kills, ended otherwise than one never killed'
            count['trainings'] += 1
            show(f"\r{count['kills']} kills, {count['trainings']} trainings")
    return {**count, 'seconds of an undisturbed training': round(duration, 2)}

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Kill trainings at random moments, resume them, '
                                     'and compare the weights with those of a training that was never killed.')
    parser.add_argument('--kills', type=int, default=200, help='how many (200)')
    parser.add_argument('--seed', type=int, default=0, help='for other moments and other weights (0)')
    args = parser.parse_args()
    def show(text): print(text, end='', file=sys.stderr) if sys.stderr.isatty() else None
    try: found = run(args.kills, args.seed, show)
    except (AssertionError, ValueError) as e: sys.exit(f'NOT identical: {e}')
    print(', '.join(f'{k}: {v}' for k, v in found.items()) + f"; identical: all {found['trainings']} trainings")
