"What is measured: each task gives rows for the table"
import importlib, importlib.util, subprocess, sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from .measure import middle, side_by_side, timed
from .work import chapter, one_epoch

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
    return training(chapter(5 if quick else 40), ('fastsgd_learner', 'bare_loop', 'torch_dataloader', 'fastai_on_fastsgd', 'fastai_learner'), 3 if quick else 5)

def an_epoch(quick):
    return training(one_epoch(), ('bare_loop', 'fastsgd_learner', 'torch_dataloader', 'fastai_on_fastsgd', 'fastai_learner', 'sklearn_mlp', 'jax_scan'), 3 if quick else 7)

def to_98(quick):
    "Training time to 98 % of all test images: 784-192-10, standardised input, Nesterov momentum, two epochs of one cycle, label smoothing"
    from torch.nn import functional as F
    from fastsgd.all import DataLoader, DataLoaders, Learner, ParamScheduler, accuracy, combined_cos, simple_net, validate_epoch
    work = one_epoch()
    if len(work.splits[0][1]) != 60_000: return [], ['time to 98 % is measured on MNIST only, which is not here']
    mean, std = work.splits[0][0].mean(), work.splits[0][0].std()
    (x, y), valid = [((x - mean)/std, y) for x, y in work.splits]
    def train(seed):
        torch.manual_seed(seed)
        learn = Learner(DataLoaders(DataLoader((x, y), 128, shuffle=True)), simple_net(784, 192, 10), partial(F.cross_entropy, label_smoothing=0.1),
                        opt_func=partial(torch.optim.SGD, momentum=0.9, nesterov=True))
        learn.fit(2, 0.2, cbs=ParamScheduler({'lr': combined_cos(0.25, 0.2/25, 0.2, 0.)}))
        return learn.model
    bare, _ = peers('bare_loop')
    seeds = range(2 if quick else 5)
    runs = [timed(partial(train, seed)) for seed in seeds]
    bare_runs = [timed(partial(bare['bare_loop'], work)) for _ in seeds]
    accs = [validate_epoch(model, DataLoader(valid, 10_000), accuracy) for _, model, _ in runs]
    times, epochs, task = [s for s, *_ in runs], [s for s, *_ in bare_runs], f'training to 98 %, ten digits (mnist), {len(seeds)} seeds'
    return [Row(task, 'bare_loop, one epoch of 784-30-10', middle(epochs), (min(epochs), max(epochs)), 1., ''),
            Row(task, 'fastsgd_learner, 784-192-10, two epochs', middle(times), (min(times), max(times)), middle(times)/middle(epochs), f'accuracy {min(accs):.4f} to {max(accs):.4f}')], disturbance(sum(d for *_, d in runs + bare_runs), task)

def loading(quick):
    "The images of MNIST again, decoded from their files with Pillow, and through `get_digits`, which keeps them"
    from PIL import Image
    import numpy as np
    from fastsgd.data import get_digits
    digits = get_digits()
    if digits.source != 'mnist': return [], ['the second load is measured on MNIST only, which is not here']
    from fastai.data.external import URLs, untar_data
    files = sorted(untar_data(URLs.MNIST).glob('*/*/*.png'))[::20 if quick else 1]
    def decode(): return np.stack([np.asarray(Image.open(f)) for f in files])
    times, _, disturbed = side_by_side({'get_digits, second load': get_digits, 'Pillow': decode}, 1 if quick else 3)
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

tasks = (chapter_network, an_epoch, to_98, loading, importing, memory)
