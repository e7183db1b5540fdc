"What is measured: each task gives rows for the table"
import importlib, importlib.util, shutil, subprocess, sys, tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from fastsgd.all import (SGD, DataLoader, DataLoaders, Learner, ParamScheduler, StepsInARow, accuracy, combined_cos,
                         get_digits, simple_net, small_cnn, validate_epoch)
from fastsgd.tools.playground import playground
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

needs = {'fastai_learner': 'fastai', 'fastai_on_fastsgd': 'fastai', 'sklearn_mlp': 'sklearn', 'jax_scan': 'jax',
         'keras_on_jax': 'keras', 'lightning_trainer': 'lightning'}

def peers(*names):
    "The peers that are installed (name to `train`), and the names of those that are not"
    missing = [n for n in names if importlib.util.find_spec(needs.get(n, 'torch')) is None]
    return {n: importlib.import_module(f'benchmarks.peers.{n}').train for n in names if n not in missing}, missing

def disturbance(n, what): return [f'{n} measurements of "{what}" were disturbed by other programs'] if n else []

def row(task, who, times, first, note=''):
    "The line of `who`, whose `times` are compared with `first`, the seconds of the task's first line"
    return Row(task, who, middle(times), (min(times), max(times)), middle(times)/first, note)

def training(work, names, rounds):
    "The same work by several peers, which must take as many updates and end about as accurate"
    found, missing = peers(*names)
    compiling = {n: timed(partial(found[n], work))[0] for n in ('jax_scan', 'keras_on_jax') if n in found}
    times, results, disturbed = side_by_side({n: partial(train, work) for n, train in found.items()}, rounds)
    first = next(iter(found))
    for n, (updates, reached) in results.items():
        if updates != work.updates: raise RuntimeError(f'{n} took {updates} updates, not {work.updates}')
        if abs(reached - results[first].accuracy) > 0.02:
            raise RuntimeError(f'{n} ends at {reached:.4f}, {first} at {results[first].accuracy:.4f}: not the same')
    notes = [f'not installed, left out: {n}' for n in missing] + disturbance(disturbed, work.name)
    said = {n: f'{r.updates:,} updates, accuracy {r.accuracy:.4f}' for n, r in results.items()}
    for n, first_run in compiling.items(): said[n] += f', after {first_run - middle(times[n]):.1f} s to compile'
    return [row(work.name, n, t, middle(times[first]), said[n]) for n, t in times.items()], notes

def chapter_network(quick):
    names = ('fastsgd_in_a_row fastsgd_by_hand fastsgd_learner bare_loop torch_dataloader fastai_on_fastsgd '
             'lightning_trainer fastai_learner').split()
    return training(chapter(5 if quick else 40), names, 3 if quick else 5)

def an_epoch(quick):
    names = ('bare_loop fastsgd_in_a_row fastsgd_by_hand fastsgd_learner torch_dataloader fastai_on_fastsgd '
             'lightning_trainer fastai_learner sklearn_mlp jax_scan keras_on_jax').split()
    return training(one_epoch(), names, 3 if quick else 7)

def convolutions(quick):
    "`small_cnn` on 6,400 images, in our Learner and in a bare loop"
    digits = get_digits()
    data = digits.train.x[:6400].flatten(1), digits.train.y[:6400]
    def start():
        torch.manual_seed(0)
        return small_cnn(), DataLoader(data, 64, shuffle=True)
    def bare():
        model, dl = start()
        opt = SGD(model.parameters(), lr=0.1)
        for xb, yb in dl:
            F.cross_entropy(model(xb), yb).backward()
            opt.step()
            opt.zero_grad()
    def ours():
        model, dl = start()
        Learner((dl, None), model, F.cross_entropy).fit(1, 0.1)
    times, _, disturbed = side_by_side({'bare_loop': bare, 'fastsgd_learner': ours}, 3 if quick else 9)
    task = f'small_cnn, 6,400 digits ({digits.source}), one epoch'
    return [row(task, n, t, middle(times['bare_loop'])) for n, t in times.items()], disturbance(disturbed, task)

def to_goal(quick, goal, name, train, valid):
    "Training time to a share of right test images, with each of ten seeds, beside an epoch of the bare loop"
    bare = peers('bare_loop')[0]['bare_loop']
    seeds, work = range(2 if quick else 10), one_epoch()
    train(0), bare(work) # the warm-up
    runs = [(timed(partial(train, seed)), timed(partial(bare, work))) for seed in seeds]
    times, epochs, disturbed = [r[0] for r, _ in runs], [b[0] for _, b in runs], sum(r[2] + b[2] for r, b in runs)
    accs = [validate_epoch(r[1], DataLoader(valid, 1000), accuracy) for r, _ in runs]
    task, first = f'training to {goal:.0%}, ten digits (mnist), {len(seeds)} seeds', middle(epochs)
    said = f'accuracy {min(accs):.4f} to {max(accs):.4f}, {sum(a >= goal for a in accs)} of {len(seeds)} seeds'
    return [row(task, 'bare_loop, one epoch of 784-30-10', epochs, first),
            row(task, name, times, first, said)], disturbance(disturbed, task)

def standardized(digits):
    mean, std = digits.train.x.mean(), digits.train.x.std()
    return [((x - mean)/std, y) for x, y in (digits.train, digits.valid)]

def plain_sprint(digits):
    """A plain multi-layer network, as in `tools/speed`: the 330 pixels with most ink, 288 hidden units, two epochs of
    one cycle, Nesterov momentum, label smoothing"""
    kept = F.pad(digits.train.x.mean(0)[4:24, 4:24], (4, 4, 4, 4)).flatten().topk(330).indices.sort().values
    split, valid = [(x.flatten(1)[:, kept], y) for x, y in standardized(digits)]
    def train(seed, device='cpu'):
        torch.manual_seed(seed)
        dl = DataLoader(split, 256, shuffle=True, device=device)
        smoothed = partial(F.cross_entropy, label_smoothing=0.1)
        learn = Learner((dl, None), simple_net(330, 288, 10).to(device), smoothed,
                        opt_func=partial(SGD, mom=0.9, nesterov=True))
        learn.fit(2, 0.28, cbs=[StepsInARow(), ParamScheduler({'lr': combined_cos(0.35, 0.28/25, 0.28, 0.)})])
        return learn.model
    return 'fastsgd_in_a_row, 330-288-10, two epochs', train, valid

def conv_sprint(digits):
    "A small convolutional network, as in `tools/speed`: 8 and 24 kernels, one epoch of one cycle, AdamW, smoothing"
    split, valid = [(x.flatten(1), y) for x, y in standardized(digits)]
    def train(seed, device='cpu'):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(),
                              nn.Conv2d(8, 24, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
                              nn.Linear(384, 128), nn.ReLU(), nn.Linear(128, 10)).to(memory_format=torch.channels_last)
        dl = DataLoader(split, 64, shuffle=True, device=device)
        smoothed = partial(F.cross_entropy, label_smoothing=0.05)
        learn = Learner((dl, None), model.to(device), smoothed,
                        opt_func=partial(torch.optim.AdamW, betas=(0.9, 0.99), fused=True))
        learn.fit(1, 0.008, cbs=ParamScheduler({'lr': combined_cos(0.3, 0.008/25, 0.008, 0.)}))
        return learn.model
    return 'fastsgd_learner, 8 and 24 kernels, one epoch', train, valid

def sprints(digits): return {0.98: plain_sprint(digits), 0.99: conv_sprint(digits)}

def to_98(quick):
    if get_digits().source != 'mnist': return [], ['time to 98 % is measured on MNIST only, which is not here']
    return to_goal(quick, 0.98, *plain_sprint(get_digits()))

def to_99(quick):
    if get_digits().source != 'mnist': return [], ['time to 99 % is measured on MNIST only, which is not here']
    return to_goal(quick, 0.99, *conv_sprint(get_digits()))

def loading(quick):
    "The images of MNIST again, decoded from their files with Pillow, and through `get_digits`, which keeps them"
    from PIL import Image
    import numpy as np
    if get_digits().source != 'mnist': return [], ['the second load is measured on MNIST only, which is not here']
    from fastai.data.external import URLs, untar_data
    files = sorted(untar_data(URLs.MNIST).glob('*/*/*.png'))[::20 if quick else 1]
    def decode(): return np.stack([np.asarray(Image.open(f)) for f in files])
    # each on its own: a virtual machine takes unused memory back while images are decoded, and a load would wait for it
    rounds = 1 if quick else 5
    times, _, disturbed = side_by_side({'load': get_digits}, rounds)
    decoded, _, more = side_by_side({'decode': decode}, rounds)
    loads, decodes = times['load'], decoded['decode']
    task, share = 'all 70,000 images of MNIST', len(files)/70_000
    how = '' if share == 1 else f', extrapolated from {len(files):,}'
    rows = [row(task, 'get_digits, second load', loads, middle(loads), 'float32, 0 to 1'),
            row(task, 'decoded by Pillow', [t/share for t in decodes], middle(loads), f'bytes{how}')]
    return rows, disturbance(disturbed + more, task)

def importing(quick):
    "Fresh processes that import one thing"
    def fresh(code): return lambda: subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)
    names = ['torch', 'fastsgd.all'] + ['fastai.basics', 'fastai.vision.all']*bool(importlib.util.find_spec('fastai'))
    times, _, disturbed = side_by_side({k: fresh(f'import {k}') for k in names}, 2 if quick else 5)
    rows = [row('import, in a fresh process', k, t, middle(times['torch'])) for k, t in times.items()]
    return rows, disturbance(disturbed, 'import')

def answering(quick):
    "`fastsgd_predict` for one image, from the command line, beside the import of PyTorch"
    from PIL import Image
    def run(*words): return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as tmp:
        digits, model, file = get_digits(source='mnist_5k'), Path(tmp, 'model'), Path(tmp, 'digit.png')
        dls = DataLoaders.from_digits(digits, 256)
        model = Learner(dls, simple_net(n_out=10), F.cross_entropy).save(model)
        Image.fromarray((digits.valid.x[0]*255).byte().numpy()).save(file)
        call = 'import sys; from fastsgd.tools.cli import predict_main; sys.argv[0] = "fastsgd_predict"; predict_main()'
        times, _, disturbed = side_by_side({'import torch': run('-c', 'import torch'), 'fastsgd_predict, one image':
                                            run('-c', call, str(model), str(file))}, 2 if quick else 7)
    first = middle(times['import torch'])
    return [row('an answer from the command line', k, t, first, f'{middle(t) - first:+.2f} s'*('predict' in k))
            for k, t in times.items()], disturbance(disturbed, 'answering')

memory_code = '''
import re, torch
from fastsgd.all import *
import torch.nn.functional as F
torch.set_num_threads(1)
def peak(): # `ru_maxrss` would count the parent's
    return int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])*1024
x = torch.rand(10, 784); y = torch.zeros(10, dtype=torch.int64)
def train(x, y):
    dls = DataLoaders(DataLoader((x, y), 256, shuffle=True))
    Learner(dls, simple_net(n_out=10), F.cross_entropy).fit(1)
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
    return [], [f'Memory while training on all digits: {used/2**20:.0f} MiB beyond the libraries, '
                f'{used/tensors:.2f} times the tensors themselves ({tensors/2**20:.0f} MiB).']

big_code = '''
import re, sys, time, torch
from fastsgd.all import *
from fastsgd.tools.mapped import MappedDataLoader
import torch.nn.functional as F
torch.set_num_threads(1)
def peak(): return int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])/1024
import io, contextlib
def loaders(digits): return DataLoaders.from_digits(digits, 256, loader=MappedDataLoader)
def train(dls):
    learn = Learner((dls.train, None), simple_net(n_out=10), F.cross_entropy)
    with contextlib.redirect_stdout(io.StringIO()): learn.fit(1)
    return learn.model
digits = get_digits(source=sys.argv[1], mapped=True)
noise = [(torch.rand(n, 28, 28), torch.arange(n) % 10) for n in (1000, 10)]
train(DataLoaders.from_digits(Digits(*noise, range(10), 'noise'), 256))
libraries, start = peak(), time.perf_counter()
model = train(loaders(digits))
seconds = time.perf_counter() - start
mib = peak() - libraries
print(seconds, mib, validate_epoch(model, loaders(digits).valid, accuracy))
'''

def larger_than_memory(quick):
    "An epoch of 784-30-10 on images that stay on disk, made by turning and shifting MNIST's: seconds and memory"
    if not Path('/proc/self/status').exists() or get_digits().source != 'mnist':
        return [], ['data larger than memory is measured on Linux with MNIST only']
    rows, task = [], 'an epoch of 784-30-10 from disk (turned and shifted mnist)'
    for n in (60_000, 120_000) if quick else (60_000, 250_000, 500_000, 1_000_000):
        with tempfile.TemporaryDirectory() as tmp:
            make_images(folder := Path(tmp)/'images', n)
            command = [sys.executable, '-c', big_code, str(folder)]
            outs = [subprocess.check_output(command, text=True) for _ in range(1 if quick else 3)]
        times, mib, acc = zip(*([float(v) for v in out.split()[-3:]] for out in outs))
        said = (f'{middle(times)/n*1e6:.1f} µs an image, at most {max(mib):.0f} MiB of memory '
                f'for {n*784/2**20:.0f} MiB of images, accuracy {acc[-1]:.3f}')
        first = rows[0].seconds if rows else middle(times)
        rows.append(row(task, f'fastsgd_learner, {n:,} images', times, first, said))
    return rows, []

epoch_code = '''async () => {
  await playground.ask({}) // measures what has been trained so far; now an epoch is all there is to do
  const start = performance.now()
  await playground.ask({steps: 63, ms: 1e9, lr: 0.1, batch: 32, momentum: 0.5})
  return (performance.now() - start)/1000
}'''

def in_a_page(quick):
    "An epoch of 784-30-10 on the 2,000 images of the playground, in a browser"
    chromium = shutil.which('chromium')
    if not chromium or importlib.util.find_spec('playwright') is None:
        return [], ['the playground is measured where there are playwright and chromium']
    from playwright.sync_api import sync_playwright
    with tempfile.TemporaryDirectory() as tmp, sync_playwright() as p:
        playground().save(file := Path(tmp)/'page.html')
        page = p.chromium.launch(executable_path=chromium, args=['--no-sandbox']).new_page()
        page.goto(file.as_uri())
        page.evaluate('playground.ready')
        times = [page.evaluate(epoch_code) for _ in range(7 if quick else 32)][2:]
    who = 'fastsgd_playground, chromium'
    return [row('an epoch of 784-30-10, 2,000 images, in a page', who, times, middle(times), '63 updates')], []

tasks = (chapter_network, an_epoch, convolutions, to_98, to_99, loading, importing, answering, memory,
         larger_than_memory, in_a_page)
