"What is measured: each task gives rows for the table"
import importlib, importlib.util, shutil, subprocess, sys, tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from fastsgd.all import SGD, DataLoader, DataLoaders, Learner, ParamScheduler, accuracy, combined_cos, get_digits, simple_net, validate_epoch
from fastsgd.speed import BackpropByHand
from .measure import middle, side_by_side, timed
from .work import chapter, make_images, one_epoch

class Row(NamedTuple):
    "A line of the table"
    task: str # What was done
    who: str # By whom
    seconds: float # Median
    spread: tuple # Fastest and slowest
    ratio: float # Against the first line of the task: above 1 is slower
    note: str # What makes the comparison fair: updates and accuracy

needs = {'fastai_learner': 'fastai', 'fastai_on_fastsgd': 'fastai', 'sklearn_mlp': 'sklearn', 'jax_scan': 'jax'}

def peers(*names):
    "The peers that are installed (name to `train`), and the names of those that are not"
    missing = [n for n in names if importlib.util.find_spec(needs.get(n, 'torch')) is None]
    return {n: importlib.import_module(f'benchmarks.peers.{n}').train for n in names if n not in missing}, missing

def disturbance(n, what): return [f'{n} measurements of "{what}" were disturbed by other programs'] if n else []

def training(work, names, rounds):
    "The same work by several peers, which must take as many updates and end about as accurate"
    found, missing = peers(*names)
    times, results, disturbed = side_by_side({n: partial(train, work) for n, train in found.items()}, rounds)
    first = next(iter(found))
    for n, r in results.items():
        if r.updates != work.updates: raise RuntimeError(f'{n} took {r.updates} updates where {work.updates} were asked for')
        if abs(r.accuracy - results[first].accuracy) > 0.02: raise RuntimeError(f'{n} ends at {r.accuracy:.4f}, {first} at {results[first].accuracy:.4f}: not the same work')
    notes = [f'not installed, left out: {n}' for n in missing] + disturbance(disturbed, work.name)
    return [Row(work.name, n, middle(t), (min(t), max(t)), middle(t)/middle(times[first]), f'{results[n].updates:,} updates, accuracy {results[n].accuracy:.4f}') for n, t in times.items()], notes

def chapter_network(quick):
    return training(chapter(5 if quick else 40), ('fastsgd_by_hand', 'fastsgd_learner', 'bare_loop', 'torch_dataloader', 'fastai_on_fastsgd', 'fastai_learner'), 3 if quick else 5)

def an_epoch(quick):
    return training(one_epoch(), ('bare_loop', 'fastsgd_by_hand', 'fastsgd_learner', 'torch_dataloader', 'fastai_on_fastsgd', 'fastai_learner', 'sklearn_mlp', 'jax_scan'), 3 if quick else 7)

def to_goal(quick, goal, name, train, valid):
    "Training time to a share of all test images that are right, reached with every one of five seeds, beside an epoch of the bare loop"
    bare, _ = peers('bare_loop')
    seeds, work = range(2 if quick else 5), one_epoch()
    train(0), bare['bare_loop'](work) # the warm-up
    runs = [(timed(partial(train, seed)), timed(partial(bare['bare_loop'], work))) for seed in seeds]
    times, epochs, disturbed = [r[0] for r, _ in runs], [b[0] for _, b in runs], sum(r[2] + b[2] for r, b in runs)
    accs = [validate_epoch(r[1], DataLoader(valid, 1000), accuracy) for r, _ in runs]
    reached, task = sum(a >= goal for a in accs), f'training to {goal:.0%}, ten digits (mnist), {len(seeds)} seeds'
    return [Row(task, 'bare_loop, one epoch of 784-30-10', middle(epochs), (min(epochs), max(epochs)), 1., ''),
            Row(task, name, middle(times), (min(times), max(times)), middle(times)/middle(epochs), f'accuracy {min(accs):.4f} to {max(accs):.4f}, {reached} of {len(seeds)} seeds')], disturbance(disturbed, task)

def standardised(digits):
    mean, std = digits.train.x.mean(), digits.train.x.std()
    return [((x - mean)/std, y) for x, y in (digits.train, digits.valid)]

def to_98(quick):
    "A plain multi-layer network, as in `15_faster`: the 330 pixels with most ink, 288 hidden units, two epochs of one cycle, Nesterov momentum, label smoothing"
    digits = get_digits()
    if digits.source != 'mnist': return [], ['time to 98 % is measured on MNIST only, which is not here']
    kept = F.pad(digits.train.x.mean(0)[4:24, 4:24], (4, 4, 4, 4)).flatten().topk(330).indices.sort().values
    split, valid = [(x.flatten(1)[:, kept], y) for x, y in standardised(digits)]
    def train(seed):
        torch.manual_seed(seed)
        learn = Learner(DataLoaders(DataLoader(split, 256, shuffle=True)), simple_net(330, 288, 10), partial(F.cross_entropy, label_smoothing=0.1),
                        opt_func=partial(SGD, mom=0.9, nesterov=True))
        learn.fit(2, 0.28, cbs=[BackpropByHand(), ParamScheduler({'lr': combined_cos(0.35, 0.28/25, 0.28, 0.)})])
        return learn.model
    return to_goal(quick, 0.98, 'fastsgd_by_hand, 330-288-10, two epochs', train, valid)

def to_99(quick):
    "A small convolutional network, as in `15_faster`: 8 and 24 kernels, one epoch of one cycle, AdamW, label smoothing"
    if get_digits().source != 'mnist': return [], ['time to 99 % is measured on MNIST only, which is not here']
    split, valid = [(x.flatten(1), y) for x, y in standardised(get_digits())]
    def train(seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 24, 5), nn.MaxPool2d(2), nn.ReLU(),
                              nn.Flatten(), nn.Linear(384, 128), nn.ReLU(), nn.Linear(128, 10)).to(memory_format=torch.channels_last)
        learn = Learner(DataLoaders(DataLoader(split, 64, shuffle=True)), model, partial(F.cross_entropy, label_smoothing=0.05), opt_func=partial(torch.optim.AdamW, betas=(0.9, 0.99), fused=True))
        learn.fit(1, 0.008, cbs=ParamScheduler({'lr': combined_cos(0.3, 0.008/25, 0.008, 0.)}))
        return learn.model
    return to_goal(quick, 0.99, 'fastsgd_learner, 8 and 24 kernels, one epoch', train, valid)

def loading(quick):
    "The images of MNIST again, decoded from their files with Pillow, and through `get_digits`, which keeps them"
    from PIL import Image
    import numpy as np
    if get_digits().source != 'mnist': return [], ['the second load is measured on MNIST only, which is not here']
    from fastai.data.external import URLs, untar_data
    files = sorted(untar_data(URLs.MNIST).glob('*/*/*.png'))[::20 if quick else 1]
    def decode(): return np.stack([np.asarray(Image.open(f)) for f in files])
    # each on its own: a virtual machine takes unused memory back after a while, and a load after seconds of decoding would wait for it anew
    rounds = 1 if quick else 5
    loads, _, disturbed = side_by_side({'get_digits, second load': get_digits}, rounds)
    decodes, _, more = side_by_side({'Pillow': decode}, rounds)
    times, disturbed = loads | decodes, disturbed + more
    share = len(files)/70_000
    ours, theirs = middle(times['get_digits, second load']), middle(times['Pillow'])/share
    how = '' if share == 1 else f', extrapolated from {len(files):,}'
    return [Row('all 70,000 images of MNIST', 'get_digits, second load', ours, (min(times['get_digits, second load']), max(times['get_digits, second load'])), 1., 'float32, 0 to 1'),
            Row('all 70,000 images of MNIST', 'decoded by Pillow', theirs, tuple(v/share for v in (min(times['Pillow']), max(times['Pillow']))), theirs/ours, f'bytes{how}')], disturbance(disturbed, 'all 70,000 images of MNIST')

def importing(quick):
    "Fresh processes that import one thing"
    def fresh(code): return lambda: subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)
    kinds = {'torch': 'import torch', 'fastsgd.all': 'import fastsgd.all', 'fastai.basics': 'import fastai.basics', 'fastai.vision.all': 'import fastai.vision.all'}
    if importlib.util.find_spec('fastai') is None: kinds = {k: v for k, v in kinds.items() if 'fastai' not in k}
    times, _, disturbed = side_by_side({k: fresh(code) for k, code in kinds.items()}, 2 if quick else 5)
    return [Row('import, in a fresh process', k, middle(t), (min(t), max(t)), middle(t)/middle(times['torch']), '') for k, t in times.items()], disturbance(disturbed, 'import')

memory_code = '''
import re, torch
from fastsgd.all import *
import torch.nn.functional as F
torch.set_num_threads(1)
def peak(): return int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])*1024    # `ru_maxrss` would count the parent's
x = torch.rand(10, 784); y = torch.zeros(10, dtype=torch.int64)
def train(x, y): Learner(DataLoaders(DataLoader((x, y), 256, shuffle=True)), simple_net(n_out=10), F.cross_entropy).fit(1)
import io, contextlib
with contextlib.redirect_stdout(io.StringIO()):
    train(x, y)
    libraries = peak()
    digits = get_digits()
    train(digits.train.x.flatten(1), digits.train.y)
tensors = sum(t.numel()*t.element_size() for split in (digits.train, digits.valid) for t in split)
print(peak() - libraries, tensors)
'''

def memory(quick):
    "Peak memory of loading all digits and training an epoch, beyond what the libraries take"
    if not Path('/proc/self/status').exists(): return [], ['memory is measured on Linux only']
    out = subprocess.run([sys.executable, '-c', memory_code], check=True, capture_output=True, text=True).stdout
    used, tensors = map(int, out.split()[-2:])
    return [], [f'Memory while training on all digits: {used/2**20:.0f} MiB beyond the libraries, {used/tensors:.2f} times the tensors themselves ({tensors/2**20:.0f} MiB).']

big_code = '''
import re, sys, time, torch
from fastsgd.all import *
import torch.nn.functional as F
torch.set_num_threads(1)
def peak(): return int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])/1024
import io, contextlib
def train(dls): 
    with contextlib.redirect_stdout(io.StringIO()): learn = Learner((dls.train, None), simple_net(n_out=10), F.cross_entropy); learn.fit(1); return learn.model
digits = get_digits(source=sys.argv[1], mapped=True)
few = Digits((torch.rand(1000, 28, 28), torch.arange(1000) % 10), (torch.rand(10, 28, 28), torch.arange(10)), range(10), 'noise')
train(DataLoaders.from_digits(few, 256))
libraries, start = peak(), time.perf_counter()
model = train(DataLoaders.from_digits(digits, 256))
seconds = time.perf_counter() - start
mib = peak() - libraries
print(seconds, mib, validate_epoch(model, DataLoaders.from_digits(digits, 256).valid, accuracy))
'''

def larger_than_memory(quick):
    "An epoch of 784-30-10 on images that stay on disk, made by turning and shifting MNIST's: seconds and memory against their number"
    if not Path('/proc/self/status').exists() or get_digits().source != 'mnist': return [], ['data larger than memory is measured on Linux with MNIST only']
    rows, task = [], 'an epoch of 784-30-10 from disk (turned and shifted mnist)'
    with tempfile.TemporaryDirectory() as folder:
        for n in (60_000, 120_000) if quick else (60_000, 250_000, 500_000, 1_000_000):
            make_images(Path(folder)/str(n), n)
            runs = [[float(v) for v in subprocess.run([sys.executable, '-c', big_code, str(Path(folder)/str(n))], check=True, capture_output=True, text=True).stdout.split()[-3:]] for _ in range(1 if quick else 3)]
            times, mib, acc = sorted(r[0] for r in runs), max(r[1] for r in runs), runs[-1][2]
            first = rows[0].seconds if rows else middle(times)
            rows.append(Row(task, f'fastsgd_learner, {n:,} images', middle(times), (times[0], times[-1]), middle(times)/first, f'{middle(times)/n*1e6:.1f} µs an image, at most {mib:.0f} MiB of memory for {n*784/2**20:.0f} MiB of images, accuracy {acc:.3f}'))
            shutil.rmtree(Path(folder)/str(n))
    return rows, []

tasks = (chapter_network, an_epoch, to_98, to_99, loading, importing, memory, larger_than_memory)
