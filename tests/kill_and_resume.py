"""Ends trainings in every way at any moment, saves included, and sees whether they go on as if nothing had happened.

`python -m tests.kill_and_resume --kills 200`, on Linux or macOS, and the same with `--kind`:

- `kills`: SIGKILL, which no program can catch, half of the times in the middle of a save;
- `hangups`: SIGHUP and SIGTERM, where nothing but the signal makes a checkpoint;
- `best`: SIGKILL in the middle of writing `best.safetensors`;
- `two`: several trainings are begun in one folder, and the one at work is killed;
- `full`: the disk is full; needs the right to mount a small one, and is skipped where that's missing.

Each training runs in a process of its own, forked from one that has imported everything. What a power cut does to a
disk's own memory is not put to the proof here.
"""
import argparse, json, os, random, re, shutil, signal, subprocess, sys, tempfile, threading, time, traceback
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

# before they are imported: a process with threads must not fork
for library in ('OMP', 'OPENBLAS', 'MKL'): os.environ[f'{library}_NUM_THREADS'] = '1'
import torch
import fastsgd.schedule # noqa: F401 (gives Learner its fit_one_cycle)
from fastsgd.callback import Callback
from fastsgd.data.digits import get_digits
from fastsgd.dataloader import DataLoaders
from fastsgd.interpret import accuracy, cross_entropy
from fastsgd.learner import Learner
from fastsgd.models import simple_net
from fastsgd.tools.resume import CheckpointCallback
from fastsgd.tools.store import load_tensors

n_epoch, refused = 6, 3 # an exit status

def checkpoints(folder): return sorted(folder.glob('checkpoint_*.safetensors'))

def place(file): return tuple(map(int, re.findall(r'\d+', file.name))) # epoch, batch

def content(file):
    "What a file holds, but for whose it is; `None` if there is none, raises `ValueError` if it is not whole"
    if not file.exists(): return None
    tensors, facts = load_tensors(file)
    return ({k: t.numpy().tobytes() for k, t in tensors.items()},
            {k: v for k, v in facts.items() if k not in ('run', 'sha256')})

class Tells(Callback):
    "Writes down how far a training has come, just before a checkpoint is made there; and each epoch's best, if asked"
    order = 99
    def __init__(self, file, bests=None): self.file, self.bests = file, bests
    def tell(self, *words):
        with open(self.file, 'a') as f: f.write(f'{os.getpid()} {" ".join(map(str, words))}\n')
    def keep(self): self.bests is None or self.bests.append(content(self.checkpoint.folder/'best.safetensors'))
    def after_batch(self): self.training and self.tell(self.epoch, self.iter + 1)
    def after_epoch(self): self.keep(), self.tell(self.epoch + 1, 0)
    def after_fit(self): self.keep(), self.tell('end')

def told(file):
    "The numbers of processes and the places they had come to, in order; 'end' for one that ended itself"
    lines = [o.split() for o in file.read_text().splitlines()] if file.exists() else ()
    return [(int(pid), 'end' if words == ['end'] else tuple(map(int, words))) for pid, *words in lines]

def train(digits, seed, folder, result, bests=None, resume=True, **how):
    "Train, from the last checkpoint in `folder` if there is one, and write all that came of it to `result`"
    torch.manual_seed(seed) # only the first seed may matter: the rest is in the checkpoints
    dls = DataLoaders.from_digits(digits, 100, seed=seed)
    learn = Learner(dls, simple_net(784, 30, 10), cross_entropy, metrics=accuracy)
    how = {'every_batches': 3, 'monitor': 'accuracy', **how}
    cbs = folder and [CheckpointCallback(folder, resume=resume, **how), Tells(result.with_suffix('.told'), bests)]
    with learn.no_bar(): learn.fit_one_cycle(n_epoch, 0.5, cbs=cbs)
    tensors = [*learn.model.parameters(), *(learn.opt.state[p]['buf'] for p in learn.model.parameters())]
    rec = learn.recorder
    said = json.dumps([rec.values, [float(o) for o in rec.losses], rec.iters, rec.hps, torch.rand(3).tolist()])
    result.write_bytes(b''.join(t.detach().numpy().tobytes() for t in tensors) + said.encode())

def fork(digits, seed, folder, result, **how):
    "`train` in a process of its own; its number"
    tasks = Path('/proc/self/task')
    n_threads = len(os.listdir(tasks)) if tasks.is_dir() else threading.active_count()
    if n_threads > 1: raise RuntimeError(f'{n_threads} threads are running: a forked process would lack all but one')
    if pid := os.fork(): return pid
    status = 1
    try:
        train(digits, seed, folder, result, **how)
        status = 0
    except OSError as e:
        result.with_suffix(f'.{os.getpid()}').write_text(f'{type(e).__name__}: {e}')
        status = refused
    except SystemExit as e: status = e.code # a signal was heard
    except BaseException: traceback.print_exc()
    finally: os._exit(status)

def ended(pid, wait=False):
    "The exit status of a process, less than 0 for a signal, `None` if it runs; raises `RuntimeError` where it failed"
    found, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
    if not found: return None
    code = os.waitstatus_to_exitcode(status)
    if code == 1: raise RuntimeError('the training failed')
    return code

def temporary(folder, pid=None, name=''):
    "The names of files that a process, or any if it's `None`, has begun to write"
    names = os.listdir(folder) if folder.is_dir() else ()
    return [o for o in names if o.endswith('.tmp') and o.startswith(f'.{name}') and (f'.{pid}-' in o or pid is None)]

class Proof:
    "Trainings that are ended in some way; `count` is what was seen, `chance` says when"
    how = {} # other arguments of the `CheckpointCallback`
    unit = 'kills' # what is counted up to the number wanted

    def __init__(self, digits, seed, top, chance, plain):
        self.digits, self.seed, self.top, self.chance, self.plain = digits, seed, top, chance, plain
        self.duration, self.count = plain.duration, Counter()

    def begin(self):
        "A folder for the next training"
        self.folder, self.result, self.attempt = self.top/'run'/f"{self.count['trainings']}", self.top/'result', 0
        for file in self.top.glob('result*'): file.unlink()

    def start(self, **how):
        "A process that trains, from the last checkpoint if there is one, with another seed in that case; its number"
        seed = self.seed + (self.attempt if checkpoints(self.folder) else 0)
        self.attempt += 1; self.count['runs'] += 1
        return fork(self.digits, seed, self.folder, self.result, **{**self.how, **how})

    def moment(self, pid, aimed=False, name=''):
        "Wait for some moment, then, if `aimed`, for the next save of a file called so; `False` if it ended before"
        start = time.perf_counter()
        until = start + self.chance.uniform(0, self.duration)
        while time.perf_counter() < until or aimed and not temporary(self.folder, pid, name):
            self.code = ended(pid)
            if self.code is not None:
                if self.attempt == 1: self.duration = min(self.duration, time.perf_counter() - start)
                return False
            if time.perf_counter() < until: time.sleep(0.0005) # in a save, every microsecond counts
        if aimed: time.sleep(self.chance.choice((0, self.chance.uniform(0, 0.001), self.chance.uniform(0, 0.01))))
        return True

    def end(self, pid):
        "Kill a training, half of the times in a save; its exit status"
        if not self.moment(pid, self.chance.random() < 0.5): return self.code
        os.kill(pid, signal.SIGKILL)
        return ended(pid, wait=True)

    def check(self, pid):
        "Are all files whole, is the best that of one of the last two epochs, and has a save cleared up what was left?"
        cut = temporary(self.folder, pid)
        self.count['kills during a save'] += bool(cut)
        for file in checkpoints(self.folder): content(file) # raises where it is not whole
        self.count['checkpoints checked'] += len(checkpoints(self.folder))
        best, places = content(self.folder/'best.safetensors'), [o for _, o in told(self.result.with_suffix('.told'))]
        epoch, batch = max((o for o in places if o != 'end'), default=(0, 0))
        may_be = [best == self.plain.bests[i] for i in {epoch, max(epoch - (batch == 0), 0)}]
        assert any(may_be), f'the best after {epoch} epochs and {batch} batches is that of another epoch'
        for name in {*temporary(self.folder)} - {*cut}:
            tmp, file = self.folder/name, self.folder/name[1:].rsplit('.', 2)[0]
            old = not file.exists() or file.stat().st_mtime_ns < tmp.stat().st_mtime_ns
            assert old, f'a save did not clear up what was left before it: {name}'

    def one(self, wanted):
        "A training that is ended and resumed until it comes to its end, or so many ends have been made"
        self.begin()
        while not self.result.exists():
            self.count['began anew'] += self.attempt > 0 and not checkpoints(self.folder)
            self.known = len(told(self.result.with_suffix('.told')))
            pid = self.start()
            code = self.end(pid) if self.count[self.unit] < wanted else ended(pid, wait=True)
            self.count[self.unit] += code != 0
            self.check(pid)
        self.compare()

    def compare(self):
        "Has it ended as if nothing had happened?"
        names = [f.name for f in checkpoints(self.folder)]
        done = len(names) < 3 and names[-1:] == [f'checkpoint_{n_epoch:04}_000000.safetensors']
        assert done and not temporary(self.folder), f'in the end there are {os.listdir(self.folder)}'
        where = f"training {self.count['trainings']}, begun {self.attempt} times, ended otherwise than one never ended"
        assert self.result.read_bytes() == self.plain.whole, where
        assert content(self.folder/'best.safetensors') == self.plain.bests[-1], f'{where}: in its best'
        self.count['trainings'] += 1
        shutil.rmtree(self.folder)

class Hangups(Proof):
    "SIGHUP and SIGTERM: the checkpoint that is made then is of the batch in which they were heard, or of a later one"
    how, unit = {'every_batches': None, 'every_epochs': 99}, 'hangups'
    def end(self, pid):
        if not self.moment(pid, self.chance.random() < 0.1): return self.code # the last epoch's save, or the best's
        signals = [signal.SIGHUP, signal.SIGTERM]
        for s in self.chance.sample(signals, self.chance.choice((1, 1, 1, 2))):
            os.kill(pid, s)
            time.sleep(self.chance.uniform(0, 0.003))
        code = ended(pid, wait=True)
        if code > 0: assert code in [128 + s for s in signals], f'it ended with {code}'
        places = [o for _, o in told(self.result.with_suffix('.told'))[self.known:]]
        assert code >= 0 or places[-1:] in ([], ['end']), f'in the middle of {places[-1:]} a signal was not heard'
        if code > 0 and places[:-1]:
            newest = max(map(place, checkpoints(self.folder)), default=())
            assert newest >= max(o for o in places if o != 'end'), f'it was at {places[-2:]}, and kept is {newest}'
            self.count['heard'] += 1
        return code

class Best(Proof):
    "SIGKILL in the middle of writing the best"
    def end(self, pid):
        if not self.moment(pid, True, 'best'): return self.code
        os.kill(pid, signal.SIGKILL)
        code = ended(pid, wait=True)
        self.count['kills during a save of the best'] += bool(temporary(self.folder, pid, 'best'))
        return code

class Two(Proof):
    "Several trainings in one folder: one trains, the others are told so; it is killed, and the next takes over"
    def one(self, wanted):
        self.begin()
        while not self.result.exists():
            pids = [self.start()]
            for _ in range(self.chance.choice((1, 1, 2))):
                time.sleep(self.chance.choice((0, 0, self.chance.uniform(0, 1.2*self.duration))))
                pids.append(self.start())
            if self.count['kills'] < wanted: self.kill_the_one_at_work(pids)
            codes = [ended(pid, wait=True) for pid in pids]
            self.check_codes(pids, codes)
            for pid in pids: self.check(pid)
            if -signal.SIGKILL in codes and checkpoints(self.folder): self.start_another()
        self.compare()

    def kill_the_one_at_work(self, pids):
        time.sleep(self.chance.uniform(0, self.duration))
        lines = told(self.result.with_suffix('.told'))
        at_work = [pid for pid, o in lines if o != 'end' and (pid, 'end') not in lines][-1:]
        for pid in {*at_work} & {*pids}: os.kill(pid, signal.SIGKILL) # it has not been waited for

    def check_codes(self, pids, codes):
        "One trained at a time, and whoever did not was told so"
        for pid, code in zip(pids, codes):
            assert code in (0, refused, -signal.SIGKILL), f'it ended with {code}'
            if code != refused: continue
            said = self.result.with_suffix(f'.{pid}').read_text()
            assert said == f'FileExistsError: another training is at work in {self.folder}: name another folder', said
        self.count['refused'] += codes.count(refused)
        self.count['kills'] += codes.count(-signal.SIGKILL)
        assert set(codes) != {refused}, 'all were refused'
        order = [pid for pid, o in told(self.result.with_suffix('.told')) if o != 'end']
        turns = [pid for i, pid in enumerate(order) if order[:i + 1][-2:] != [pid]*2]
        assert len(turns) == len(set(turns)), 'two were at work in one folder at once'

    def start_another(self):
        "One that does not go on with the training whose folder it is changes nothing there"
        before = {f.name: f.read_bytes() for f in self.folder.iterdir() if f.name != '.training'}
        assert ended(pid := self.start(resume=False), wait=True) == refused
        said = self.result.with_suffix(f'.{pid}').read_text()
        assert ' is of another training run: name another folder, or go on with' in said, said
        assert {f.name: f.read_bytes() for f in self.folder.iterdir() if f.name != '.training'} == before
        self.count['refused as others'] += 1

@contextmanager
def small_disk(folder, size):
    "A disk of so many bytes, mounted at `folder`; raises `PermissionError` where there is no right to do that"
    if not shutil.which('mount'): raise PermissionError('there is no mount')
    p = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', folder], capture_output=True, text=True)
    if p.returncode: raise PermissionError(p.stderr.strip())
    try: yield
    finally: subprocess.run(['umount', folder], check=True)

class Full(Proof):
    "A disk that is full from some moment on: what there was is whole, and once there is room again, training goes on"
    unit = 'full disks'
    def one(self, wanted):
        (self.top/'run').mkdir(exist_ok=True)
        with small_disk(self.top/'run', 2**21): super().one(wanted)

    def end(self, pid):
        filler = self.top/'run'/'filler'
        if self.chance.random() < 0.3 or self.moment(pid):
            free = shutil.disk_usage(filler.parent).free - self.chance.choice((0, self.chance.randrange(400_000)))
            with open(filler, 'wb') as f: self.fill(f, free)
            self.code = ended(pid, wait=True)
        if self.code:
            said = self.result.with_suffix(f'.{pid}').read_text()
            assert re.search(r'/run/.*safetensors could not be written: No space left on device$', said), said
            assert not temporary(self.folder), f'left on a full disk: {temporary(self.folder)}'
        filler.unlink(missing_ok=True)
        return self.code

    def fill(self, f, n):
        try:
            for _ in range(max(n, 0)//4096): f.write(bytes(4096)), f.flush()
        except OSError: pass # the training was quicker
        finally:
            try: f.close()
            except OSError: pass

kinds = {'kills': Proof, 'hangups': Hangups, 'best': Best, 'two': Two, 'full': Full}

class Plain:
    "What comes of a training that is never ended, what is best after each epoch, and the seconds that it takes"
    def __init__(self, digits, seed, top):
        self.bests, durations = [], []
        # here, so that nothing is left to be imported in the others
        train(digits, seed, top/'imports', top/'plain', self.bests)
        train(digits, seed, None, top/'plain')
        for i in range(3):
            start = time.perf_counter()
            ended(fork(digits, seed, top/f'whole{i}', top/'whole'), wait=True)
            durations.append(time.perf_counter() - start)
            assert (top/'plain').read_bytes() == (top/'whole').read_bytes(), 'making checkpoints changes a training'
        self.whole, self.duration = (top/'whole').read_bytes(), min(durations)

def run(names, n, seed, show=lambda text: None):
    "Trainings until there were so many ends of each kind; raises `AssertionError` with the first thing that is wrong"
    os.environ['CUDA_VISIBLE_DEVICES'] = '' # the promise holds on the CPU; and a graphics card would need threads
    torch.set_num_threads(1)
    chance, digits = random.Random(seed), get_digits(source='mnist_5k')
    with tempfile.TemporaryDirectory() as top:
        plain = Plain(digits, seed, Path(top))
        for name in names:
            proof = kinds[name](digits, seed, Path(top), chance, plain)
            try:
                while proof.count[proof.unit] < n:
                    proof.one(n)
                    show(f"\r{name}: {proof.count[proof.unit]} {proof.unit}, {proof.count['trainings']} trainings ")
            except PermissionError as e: yield f'{name}: skipped, no disk can be mounted: {e}'; continue
            except Exception as e: e.args = (f'{name}, seed {seed}: {e}',); raise
            seen = ', '.join(f'{k}: {v}' for k, v in proof.count.items())
            yield (f"{name}: {seen}, seconds of an undisturbed training: {plain.duration:.2f}; "
                   f"identical: all {proof.count['trainings']} trainings")

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='End trainings at random moments, resume them, '
                                     'and compare the weights with those of a training that was never ended.')
    parser.add_argument('--kind', choices=(*kinds, 'all'), default='kills', help='how they end (kills)')
    parser.add_argument('--kills', type=int, default=200, help='how many of each kind (200)')
    parser.add_argument('--seed', type=int, default=0, help='for other moments and other weights (0)')
    args = parser.parse_args()
    def show(text): print(text, end='', file=sys.stderr) if sys.stderr.isatty() else None
    try:
        for found in run(kinds if args.kind == 'all' else [args.kind], args.kills, args.seed, show):
            print(found, flush=True)
    except (AssertionError, ValueError) as e: sys.exit(f'NOT identical: {e}')
