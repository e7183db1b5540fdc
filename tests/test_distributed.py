"Several processes on this machine train together: what they end with, and what becomes of the others if one ends"
import contextlib
import io
import multiprocessing as mp
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
import traceback
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from fastsgd.all import *
from fastsgd.tools.train import fastsgd_train

if sys.platform == 'win32': pytest.skip('needs signals and fork', allow_module_level=True)
loopback = 'lo' if sys.platform == 'linux' else 'lo0'
limit = 120 # seconds, for all processes of a test: ten times what it takes where nothing else runs
ctx = mp.get_context('forkserver') # a process that has imported everything, and forks
ctx.set_forkserver_preload(['fastsgd.all', 'torch._dynamo', 'pytest'])

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def one_of_them(f, args, rank, size, port, out):
    "What `f` gives is kept beside what is printed"
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank), MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=str(port), GLOO_SOCKET_IFNAME=loopback)
    with open(f'{out}.said', 'w', buffering=1) as f1, open(f'{out}.errors', 'w', buffering=1) as f2:
        os.dup2(f1.fileno(), 1); os.dup2(f2.fileno(), 2)
        sys.stdout, sys.stderr = f1, f2
        torch.set_num_threads(1)
        try: torch.save(f(*args), f'{out}.result')
        except SystemExit: raise
        except BaseException: traceback.print_exc(); f2.flush(); os._exit(1)

class Ended:
    "What became of a process"
    def __init__(self, process, out):
        self.said, self.errors = (Path(f'{out}.{k}').read_text() for k in ('said', 'errors'))
        self.status, result = process.exitcode, Path(f'{out}.result')
        self.result = torch.load(result, weights_only=False) if result.exists() else None

def start(f, size, folder, *args):
    port, outs = free_port(), [folder/f'of{size}_{rank}' for rank in range(size)]
    ps = [ctx.Process(target=one_of_them, args=(f, args, rank, size, port, str(outs[rank]))) for rank in range(size)]
    for p in ps: p.start()
    return ps, outs

def ended(ps, outs):
    end = time.time() + limit
    try:
        for p in ps: p.join(max(end - time.time(), 0.1))
        assert all(p.exitcode is not None for p in ps), 'a process hangs'
    finally:
        for p in ps: p.kill()
    return [Ended(p, out) for p, out in zip(ps, outs)]

def run(f, size, folder, *args):
    "`f(*args)` in so many processes, none of which fails; the result of each"
    found = ended(*start(f, size, folder, *args))
    for p in found: assert p.status == 0, p.errors
    return [p.result for p in found]

# --- the same weights ------------------------------------------------------------------------------

def data(n):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 20, generator=g)
    return x, (x[:, :4].argmax(1))

def net(): return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))

def learner(cbs=None, n=203, bs=20, seed=0, loader=DataLoader, dtype=torch.float32, **kwargs):
    "203 items in batches of 20: the last one has 3"
    torch.manual_seed(seed)
    train, valid = [(x.to(dtype), y) for x, y in (data(n), data(n//2))]
    dls = DataLoaders(loader(train, bs, shuffle=True, seed=seed), loader(valid, 30))
    kwargs = dict(metrics=accuracy, lr=0.2, opt_func=lambda ps, lr: SGD(ps, lr, mom=0.9)) | kwargs
    return Learner(dls, net().to(dtype), cross_entropy, cbs=cbs, **kwargs)

def trained(learn):
    rec = learn.recorder
    return [p.detach().clone() for p in learn.model.parameters()], rec.values, rec.losses, rec.lrs

def plain(epochs=4, **kwargs):
    "What one process comes to, without any of this"
    learn = learner(**kwargs)
    with learn.no_bar(): learn.fit_one_cycle(epochs, 0.2)
    return trained(learn)

def together(epochs=4, options={}, **kwargs):
    learn = learner(DistributedCallback(**options), **kwargs)
    learn.fit_one_cycle(epochs, 0.2)
    return trained(learn)

def same(one, other, atol=1e-6):
    (weights, *table), (others, *other_table) = one, other
    for p, q in zip(weights, others): torch.testing.assert_close(p, q, atol=atol, rtol=0)
    for a, b in zip(table, other_table):
        torch.testing.assert_close(torch.tensor(a), torch.tensor(b), atol=max(atol, 1e-6), rtol=2e-6)

def test_alone_with_an_optimizer_of_fastais():
    import fastsgd.all as ours
    one, shared = (learner(cbs, opt_func=ours.Adam, lr=0.01) for cbs in (None, DistributedCallback()))
    for learn in (one, shared):
        with learn.no_bar(): learn.fit(1)
    same(trained(one), trained(shared))

class Ask(Callback):
    order = 80
    def before_fit(self): self.n = []
    def after_epoch(self): self.n.append([len(self.learn.get_preds(i)[0]) for i in (0, 1)])
def ask_amid():
    learn = learner([DistributedCallback(), Ask()])
    learn.fit(2)
    return learn.ask.n, trained(learn)
def test_who_asks_amid_a_training_gets_all_items(tmp_path):
    alone = learner()
    with alone.no_bar(): alone.fit(2)
    for n, got in run(ask_amid, 2, tmp_path):
        assert n == [[203, 101]]*2
        same(trained(alone)[:1], got[:1])

@pytest.mark.parametrize('size', (1, 2, 3))
def test_same_weights_and_table(tmp_path, size, capsys):
    expected = plain()
    for got in run(together, size, tmp_path): same(expected, got)
    assert expected[1][-1][-1] > 0.9
    said = [Path(f'{tmp_path}/of{size}_{i}.said').read_text() for i in range(size)]
    assert len(said[0].splitlines()) == 5 and 'accuracy' in said[0] and not any(said[1:])
    for a, b in zip(said[0].splitlines()[1:], expected[1]):
        assert a.split()[1:-1] == [f'{v:.4f}' for v in b]

class Noisy:
    "Adds noise to the images of a batch: it draws random numbers"
    def __call__(self, batch): return batch[0] + torch.randn(batch[0].shape)*0.1, batch[1]

def noisy(data, bs, **kwargs): return DataLoader(data, bs, batch_tfm=Noisy(), **kwargs)
def items(data, bs, **kwargs): return DataLoader([*zip(*data)], bs, **kwargs)
def of_pytorch(data, bs, shuffle=False, seed=None):
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data), bs, shuffle)
def a_list(data, bs, **kwargs): return [*DataLoader(data, bs)]
def full_only(data, bs, **kwargs): return DataLoader(data, bs, drop_last=True, **kwargs)
def global_seed(data, bs, shuffle=False, seed=None): return DataLoader(data, bs, shuffle)
def mapped(data, bs, **kwargs):
    MappedDataLoader.block, MappedDataLoader.window = 8, 64
    return MappedDataLoader(data, bs, **kwargs)

@pytest.mark.parametrize('loader', (noisy, items, of_pytorch, a_list, full_only, global_seed, mapped))
def test_any_loader(tmp_path, loader):
    expected = plain(loader=loader)
    for got in run(partial(together, loader=loader), 2, tmp_path): same(expected, got)

def f1(targs, preds): return sum((preds == i)[targs == i].float().mean() for i in range(4)).item()/4
class Twice(Callback):
    "Takes a step with the gradients of every other batch"
    run_valid = False
    def before_step(self):
        if self.iter % 2 == 0: raise CancelBatchException

@pytest.mark.parametrize('kwargs', (
    dict(bs=2, n=41), dict(bs=200), dict(n=20), dict(opt_func=torch.optim.Adam), dict(wd=0.1)), ids=str)
def test_any_training(tmp_path, kwargs):
    "With 64 bits: some of these make much of a rounding error, which is all that may differ"
    kwargs['dtype'] = torch.float64
    expected = plain(**kwargs)
    for got in run(partial(together, **kwargs), 2, tmp_path): same(expected, got, atol=1e-9)

def with_callbacks(distributed):
    learn = learner([Twice(), GradientClip(0.5), BackpropByHand(), EarlyStoppingCallback(patience=2),
                     *[DistributedCallback()]*distributed], metrics=[accuracy, WholeSetMetric(f1)])
    learn.model[0].bias.requires_grad_(False)
    rate = learn.lr_find(show_plot=False).valley
    learn.fit(6, 0.5)
    first = trained(learn)
    learn.fit(2) # the second fit begins with what the first left
    return *first, rate, trained(learn)[0], learn.validate()

def test_callbacks_and_metrics_of_a_whole_set(tmp_path):
    with contextlib.redirect_stdout(io.StringIO()): expected = with_callbacks(False)
    for got in run(with_callbacks, 2, tmp_path, True):
        same(expected[:4], got[:4])
        assert abs(expected[4] - got[4]) < 1e-6
        for a, b in zip(expected[5] + [torch.tensor(expected[6])], got[5] + [torch.tensor(got[6])]):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)

def halves(epochs, bs=20):
    "One process that adds up the gradients of the halves of each batch, in order"
    learn = learner(bs=bs)
    opt = SGD(learn.model.parameters(), 0.2, mom=0.9)
    for _ in range(epochs):
        for xb, yb in learn.dls.train:
            grads, k = [], -(-len(xb)//2)
            for part in (slice(0, k), slice(k, None)):
                cross_entropy(learn.model(xb[part]), yb[part]).backward()
                grads.append([p.grad*(len(xb[part])/len(xb)) for p in learn.model.parameters()])
                opt.zero_grad()
            for p, a, b in zip(learn.model.parameters(), *grads): p.grad = a + b
            opt.step()
            opt.zero_grad()
    return [p.detach() for p in learn.model.parameters()]

def exact(epochs):
    learn = learner(DistributedCallback(exact=True))
    learn.fit(epochs, 0.2)
    return trained(learn)

def test_exact_is_bit_for_bit(tmp_path):
    expected = halves(3)
    for got in run(exact, 2, tmp_path, 3):
        for p, q in zip(expected, got[0]): assert torch.equal(p, q)
    of_three = run(exact, 3, tmp_path, 3)
    for got in of_three[1:]:
        for p, q in zip(of_three[0][0], got[0]): assert torch.equal(p, q)

def test_fewer_bits_are_close(tmp_path):
    expected, (got, _) = plain(), run(partial(together, options=dict(bf16=True)), 2, tmp_path)
    same(expected, got, atol=0.05)
    assert any(not torch.equal(p, q) for p, q in zip(expected[0], got[0]))

# --- what is refused -------------------------------------------------------------------------------

def refused(f, size, folder, *args):
    "What process 0 says; all end, with a status that is not 0, and the others say nothing"
    first, *others = ended(*start(f, size, folder, *args))
    assert first.status and all(p.status == 2 and not p.errors for p in others), [p.errors for p in others]
    return first.errors.splitlines()[-1]

def other(what):
    "Process 1 means something else"
    own = int(os.environ['RANK']) and what
    learn = learner(DistributedCallback(), **{'bs': dict(bs=10), 'lr': dict(lr=0.5), 'n': dict(n=100)}.get(own, {}))
    if own == 'pixel': learn.dls.train.tensors[0][50, 3] += 1
    if own == 'model': learn.model[1] = nn.Tanh()
    if own == 'version': sys.modules[DistributedCallback.__module__].__version__ = '9.9'
    learn.fit(3 if own == 'epochs' else 2)

@pytest.mark.parametrize('what, named', dict(
    bs='training batch_size than process 0: 10, not 20', lr="optimizer", n='training n than process 0: 100, not 203',
    pixel='training data', model='model than process 0: Sequential', version='version of fastsgd than process 0: 9.9',
    epochs='n_epoch than process 0: 3, not 2').items())
def test_processes_that_mean_something_else_are_refused(tmp_path, what, named):
    said = refused(other, 2, tmp_path, what)
    assert said.startswith('ValueError: process 1 has another ') and named in said

def small(): learner(DistributedCallback(), bs=2).fit(1)
def summed():
    learn = learner(DistributedCallback())
    learn.loss_func = nn.CrossEntropyLoss(reduction='sum')
    learn.fit(1)
def cards(): Processes().device('cuda')
def test_other_bad_input(tmp_path, monkeypatch):
    assert 'ValueError: batches of 2 cannot be shared by 3 processes' in refused(small, 3, tmp_path)
    assert 'ValueError: the loss must be the mean of the items' in refused(summed, 2, tmp_path)
    if torch.cuda.device_count() < 3:
        assert '3 processes on one machine need as many graphics cards' in refused(cards, 3, tmp_path)
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(ValueError, match='WORLD_SIZE is 2, but there is no RANK and no MASTER'): DistributedCallback()
    with pytest.raises(ValueError, match='exclude'): DistributedCallback(exact=True, bf16=True)

# --- stopped and gone on with ----------------------------------------------------------------------

class Signal(Callback):
    "Sends itself a signal in a batch, in one process"
    def __init__(self, signum, rank, epoch, batch, when):
        def send():
            here = self.learn.epoch, self.learn.iter, int(os.environ['RANK'])
            if here == (epoch, batch, rank): os.kill(os.getpid(), signum)
        vars(self)[when] = send

def go_on(folder, epochs, *cbs, options={}):
    "The training in `folder`, begun or gone on with; how it ended"
    learn, how = learner(DistributedCallback(**options)), None
    try: learn.fit_one_cycle(epochs, 0.2, cbs=[CheckpointCallback(folder, every_batches=3, resume=True, keep=1),
                                           *[make() for make in cbs]])
    except KeyboardInterrupt as e: how = str(e)
    except SystemExit as e: how = e.code
    return *trained(learn), how, learn.iter

def names(folder): return sorted(f.name for f in Path(folder).iterdir())

@pytest.mark.parametrize('sizes, signum, batch, when', (
    ((1, 2), signal.SIGTERM, 4, 'after_batch'), ((2, 1), signal.SIGINT, 4, 'after_pred'),
    ((2, 3), signal.SIGTERM, 5, 'before_step'), ((3, 1), signal.SIGTERM, 10, 'after_train'),
    ((2, 2), signal.SIGINT, 3, 'after_epoch'), ((2, 1), signal.SIGTERM, 3, 'after_validate')))
def test_a_run_goes_on_with_more_or_fewer(tmp_path, sizes, signum, batch, when):
    expected, folder, last = plain(), tmp_path/'run', sizes[0] - 1
    stopped = run(go_on, sizes[0], tmp_path, folder, 4, partial(Signal, signum, last, 1, batch, when))
    assert len({(p[-2], p[-1]) for p in stopped}) == 1 # all stopped in the same place
    assert stopped[0][-2] == 143 if signum == signal.SIGTERM else 'go on with' in stopped[0][-2]
    assert len(names(folder)) == 1
    for *got, how, _ in run(go_on, sizes[1], tmp_path, folder, 4):
        assert how is None
        same(expected, got)
    assert names(folder) == ['checkpoint_0004_000000.safetensors']

def test_a_checkpoint_knows_no_number_of_processes(tmp_path):
    for size in (1, 3): run(go_on, size, tmp_path, tmp_path/f'run{size}', 2)
    (one, facts), (three, others) = (
        load_tensors(tmp_path/f'run{size}/checkpoint_0002_000000.safetensors') for size in (1, 3))
    assert one.keys() == three.keys() and facts.keys() == others.keys()
    assert facts['training'] == others['training'] and facts['architecture'] == others['architecture']
    for k in one:
        if one[k].shape == three[k].shape and one[k].is_floating_point():
            torch.testing.assert_close(one[k], three[k], atol=1e-6, rtol=0)

# --- data of each ----------------------------------------------------------------------------------

def write_shards(folder, lengths):
    x, y = data(sum(lengths))
    start = 0
    for i, n in enumerate(lengths):
        with tarfile.open(folder/f'{i}.tar', 'w') as tar:
            for j in range(start, start + n):
                for ending, raw in (('x', x[j].numpy().tobytes()), ('y', bytes([y[j]]))):
                    info = tarfile.TarInfo(f'{j:05}.{ending}')
                    info.size = len(raw)
                    tar.addfile(info, io.BytesIO(raw))
        start += n

def item(parts): return torch.frombuffer(bytearray(parts['x']), dtype=torch.float32), parts['y'][0]
def shards(folder, bs): return torch.utils.data.DataLoader(TarShards(sorted(folder.glob('*.tar')), item), bs)

def learn_from_shards(folder, cbs=None, dls=None):
    torch.manual_seed(0)
    learn = Learner(dls or (shards(folder, 8), shards(folder, 16)), net(), cross_entropy, metrics=accuracy, cbs=cbs)
    learn.fit(2, 0.2)
    return trained(learn)
def shards_together(folder): return learn_from_shards(folder, DistributedCallback())

def test_files_are_read_by_one_process_each(tmp_path):
    "One has 42 items, the other 20; the same is what one process comes to with the batches of both in one"
    write_shards(tmp_path, (10, 20, 32))
    x, y = data(62)
    first, second = [torch.cat([t[:10], t[30:]]).split(8) for t in (x, y)], [t[10:30].split(8) for t in (x, y)]
    both = [tuple(torch.cat([first[k][i], *second[k][i:i + 1]]) for k in (0, 1)) for i in range(6)]
    with contextlib.redirect_stdout(io.StringIO()): expected = learn_from_shards(tmp_path, dls=(both, [(x, y)]))
    for got in run(shards_together, 2, tmp_path, tmp_path): same(expected, got)

def test_fewer_files_than_processes(tmp_path):
    write_shards(tmp_path, (10, 20))
    found = ended(*start(shards_together, 3, tmp_path, tmp_path))
    assert all(p.status for p in found)
    assert 'ValueError: process 2 has no batch at all: are there fewer files than processes?' in found[2].errors
    assert 'process 2 has ended: ValueError: process 2 has no batch' in found[0].errors

def of_a_file(folder):
    "Memory of an epoch of images that stay on disk, in MiB"
    x, y = np.load(folder/'x.npy', mmap_mode='r'), torch.from_numpy(np.load(folder/'y.npy'))
    dls = DataLoaders(MappedDataLoader((x, y), 256, shuffle=True, seed=0))
    learn = Learner(dls, simple_net(n_out=10), cross_entropy, cbs=DistributedCallback())
    learn.fit(1)
    return int(re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text())[1])/1024

@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='asks /proc for the memory')
def test_memory_does_not_grow_with_the_images(tmp_path):
    "40 MiB of images and 160 MiB of them"
    used = {}
    for n in (50_000, 200_000):
        images = np.lib.format.open_memmap(tmp_path/'x.npy', 'w+', np.uint8, (n, 28, 28))
        pattern = np.random.default_rng(0).integers(0, 256, (10_000, 28, 28), np.uint8)
        for i in range(0, n, 10_000): images[i:i + 10_000] = np.roll(pattern, i//10_000, 2)
        np.save(tmp_path/'y', np.arange(n) % 10)
        del images
        used[n] = run(of_a_file, 2, tmp_path, tmp_path)
    assert max(used[200_000]) - min(used[50_000]) < 30, used

# --- when one of them is gone ----------------------------------------------------------------------

class Last(Callback):
    "Process 1 does something in an epoch"
    def __init__(self, do, epoch, batch): self.do, self.place = do, (epoch, batch, '1')
    def after_pred(self):
        if self.learn.training and (self.learn.epoch, self.learn.iter, os.environ['RANK']) == self.place: self.do()

def die(): os.kill(os.getpid(), signal.SIGKILL)
def hang(): os.kill(os.getpid(), signal.SIGSTOP)
def fail(): raise OSError('no image could be read')

def ended_by(do, folder, bad=False):
    learn = learner([DistributedCallback(timeout=5), Last(do, 3, 2)])
    if bad: learn.dls.train.tensors[0][7] = torch.nan # in the data of all
    start = time.time()
    try: learn.fit_one_cycle(6, 0.2, cbs=CheckpointCallback(folder, every_epochs=100))
    finally: print('seconds:', time.time() - start, file=sys.stderr)

@pytest.mark.parametrize('do, said', (
    (die, 'another process was killed, or has not answered for 5 s: process {} ends, too'),
    (hang, 'another process was killed, or has not answered for 5 s'),
    (fail, 'process 1 has ended: OSError: no image could be read')))
def test_one_that_is_gone_ends_all(tmp_path, do, said):
    begun = time.time()
    ps, outs = start(ended_by, 3, tmp_path, do, tmp_path/'run')
    for i in (0, 2): ps[i].join(30)
    assert time.time() - begun < 35 and all(ps[i].exitcode == 1 for i in (0, 2))
    if do is hang: ps[1].kill()
    one = (first := ended(ps, outs))[1]
    for i in (0, 2): assert f'ConnectionError: {said.format(i)}' in first[i].errors
    assert one.status == (1 if do is fail else -9)
    if do is fail: assert 'OSError: no image could be read' in one.errors
    assert names(tmp_path/'run') == ['checkpoint_0003_000000.safetensors'] # of the last whole epoch
    expected = plain(6)
    for *got, _, _ in run(go_on, 2, tmp_path, tmp_path/'run', 6): same(expected, got)

def test_what_is_not_finite_is_told_by_the_one_that_meets_it(tmp_path):
    found = ended(*start(ended_by, 2, tmp_path, fail, tmp_path/'run', True))
    assert all(p.status == 1 for p in found)
    said = [p.errors.splitlines() for p in found]
    assert sum('FloatingPointError: the loss is nan in epoch 0' in o for p in said for o in p) == 2
    assert sum('ConnectionError: process' in o for p in said for o in p) == 1

# --- the command -----------------------------------------------------------------------------------

asked = '--source', 'mnist_5k', '--model', 'simple_net', '--epochs', '8', '--batch-size', '64'

@pytest.fixture
def torchrun(tmp_path):
    "Starts the command in two processes, none of which outlives the test"
    started = []
    def start(*options, train=asked):
        command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', *options,
                   '-m', 'fastsgd.tools.cli', 'train', *train]
        env = os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join(sys.path), GLOO_SOCKET_IFNAME=loopback)
        started.append(subprocess.Popen(command, cwd=tmp_path, env=env, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]
    yield start
    for p in started:
        if p.poll() is None: p.terminate() # it ends its processes, too
        p.communicate(timeout=limit)

def until(f):
    "The first thing that is found"
    end = time.time() + limit
    while time.time() < end:
        if found := f(): return found
        time.sleep(0.01)
    pytest.fail('nothing happened')

def process_of(rank, parent):
    for pid in Path(f'/proc/{parent}/task/{parent}/children').read_text().split():
        if f'\0RANK={rank}\0'.encode() in Path(f'/proc/{pid}/environ').read_bytes(): return int(pid)

@pytest.fixture(scope='module')
def by_one(tmp_path_factory):
    "The weights and the table of one process"
    folder = tmp_path_factory.mktemp('one')/'run'
    with contextlib.redirect_stdout(io.StringIO()):
        fastsgd_train(source='mnist_5k', model='simple_net', epochs=8, batch_size=64, out=str(folder), device='cpu')
    return folder

def table(folder):
    return [[float(v) for v in o.split(',')[:4]] for o in (folder/'history.csv').read_text().split()[1:]]

def same_run(one, other):
    assert names(other) == ['history.csv', 'model.safetensors', 'report.png']
    for k, t in load_tensors(one/'model.safetensors')[0].items():
        torch.testing.assert_close(t, load_tensors(other/'model.safetensors')[0][k], atol=1e-6, rtol=0)
    for a, b in zip(table(one), table(other)): assert a == pytest.approx(b, abs=1e-6)

linux = pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='looks for the process in /proc')

@linux
def test_the_command_survives_a_killed_process(tmp_path, by_one, torchrun):
    p = torchrun('--max-restarts', '1', train=(*asked, '--out', 'run'))
    until(lambda: [*tmp_path.glob('run/checkpoint_0002*')])
    os.kill(process_of(1, p.pid), signal.SIGKILL)
    out, err = p.communicate(timeout=limit)
    assert p.returncode == 0, err
    assert 'fastsgd_train: another process was killed' in err and 'to go on: fastsgd_train --resume run' in err
    assert 'Going on from the last checkpoint' in out and out.count('epoch  train_loss') == 2
    same_run(by_one, tmp_path/'run')

@linux
@pytest.mark.parametrize('signum', (signal.SIGINT, signal.SIGTERM))
def test_the_command_stops_and_leaves_one_checkpoint(tmp_path, by_one, torchrun, signum):
    p = torchrun()
    until(lambda: [*tmp_path.glob('fastsgd_run/checkpoint_0002*')])
    p.send_signal(signum)
    out, err = p.communicate(timeout=limit)
    assert p.returncode and err.count('to go on: fastsgd_train --resume fastsgd_run') == 1
    kept, = [f for f in (tmp_path/'fastsgd_run').iterdir()]
    assert kept.name.startswith('checkpoint')
    with contextlib.redirect_stdout(io.StringIO()): fastsgd_train(resume=str(tmp_path/'fastsgd_run'))
    same_run(by_one, tmp_path/'fastsgd_run')
