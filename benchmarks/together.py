"""Two processes against one, and against PyTorch's `DistributedDataParallel`, side by side; writes `together.md`:

    python -m benchmarks.together            # some minutes, on two free cores
    python -m benchmarks.together --quick    # fewer images, and nothing is written

All of it is measured in one run of two processes with one thread each. They take turns: one process alone (the other
waits), then both; ours, then a bare loop in PyTorch. The seconds are medians after a warm-up.
"""
import argparse, contextlib, datetime, io, os, re, statistics, subprocess, sys, time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from fastsgd.all import (DataLoader, DistributedCallback, Learner, MappedDataLoader, Processes, get_digits, mlp,
                         simple_net, small_cnn)
from .__main__ import processor, versions

nets = {'784-30-10': (lambda: simple_net(n_out=10), 60_000), 'small_cnn': (small_cnn, 4096),
        '784-1024-1024-10': (lambda: mlp((784, 1024, 1024, 10)), 4096)} # and images to measure with
batch_sizes, lr = (256, 2048), 0.1
silent = 'two processes that tell each other nothing' # no more than this machine can do

class Work(NamedTuple):
    "One epoch"
    net: str
    x: torch.Tensor
    y: torch.Tensor
    bs: int # Of all processes together

def ours(work, cbs=None):
    torch.manual_seed(0)
    model = nets[work.net][0]()
    learn = Learner((DataLoader((work.x, work.y), work.bs, shuffle=True, drop_last=True, seed=0), None), model,
                    cross_entropy, lr=lr, cbs=cbs)
    with contextlib.redirect_stdout(io.StringIO()): learn.fit(1)
    return model, learn.recorder.times[0]

def bare(work, wrap=lambda model: model, rank=0, size=1):
    "The usual loop; each process takes its part of the batch that all have agreed on"
    torch.manual_seed(0)
    model, g = nets[work.net][0](), torch.Generator().manual_seed(0)
    wrapped, opt, k = wrap(model), torch.optim.SGD(model.parameters(), lr=lr), work.bs//size
    start = time.perf_counter()
    order = torch.randperm(len(work.y), generator=g)
    for i in range(0, len(order) - work.bs + 1, work.bs):
        places = order[i + rank*k:i + rank*k + k]
        loss = cross_entropy(wrapped(work.x[places]), work.y[places])
        loss.backward()
        opt.step()
        opt.zero_grad()
    return model, time.perf_counter() - start

def weights(model): return torch.cat([p.detach().flatten() for p in model.parameters()])

def by_turns(all, work, rounds):
    "Seconds of each peer, by rank 0"
    alone = {'one process, fastsgd': lambda: ours(work), 'one process, bare loop': lambda: bare(work)}
    both = {'two processes, fastsgd': lambda: ours(work, DistributedCallback(timeout=600)),
            'two processes, DistributedDataParallel': lambda: bare(work, DistributedDataParallel, all.rank, all.size),
            silent: lambda: bare(work, rank=all.rank, size=all.size)}
    times, ends = {name: [] for name in [*alone, *both]}, {}
    for i in range(rounds + 1):
        for name, train in [*alone.items(), *both.items()]:
            dist.barrier()
            if name in alone and all.rank: continue
            model, seconds = train()
            ends[name] = weights(model)
            if i: times[name].append(seconds)
    if all.rank: return {}
    first = ends['one process, fastsgd']
    del ends[silent] # it has learned from its own parts alone
    for name, w in ends.items(): torch.testing.assert_close(w, first, atol=1e-4, rtol=0, msg=f'{name} ends elsewhere')
    return times

def all_reduce_seconds(all, rounds):
    "Median seconds of adding up so many bytes over both processes"
    found = {}
    for n in (1, 2**10, 2**14, 2**18, 2**20, 2**22):
        t = torch.ones(n)
        times = []
        for _ in range(10*rounds):
            dist.barrier()
            start = time.perf_counter()
            all.total(t)
            times.append(time.perf_counter() - start)
        found[4*n] = statistics.median(times)
    return found

def measure(quick):
    "What one of the two processes does; process 0 prints lines of the tables"
    torch.set_num_threads(1)
    all, rounds = Processes(timeout=600), 1 if quick else 5
    digits = get_digits()
    x, y = digits.train.x.flatten(1), digits.train.y
    for net, (make, n) in nets.items():
        for bs in batch_sizes:
            m = max(min(n, len(y))//(8 if quick else 1)//bs, 1)*bs
            times = by_turns(all, Work(net, x[:m], y[:m], bs), rounds)
            first = statistics.median(times['one process, fastsgd']) if times else 0
            for name, t in times.items():
                s, epoch = statistics.median(t), 60_000/m
                print(f'| {net}, batch {bs} | {name} | {s*epoch:.3f} | {min(t)*epoch:.3f} to {max(t)*epoch:.3f} '
                      f'| {m/s:,.0f} | {first/s:.2f} |', flush=True)
    found = all_reduce_seconds(all, rounds)
    if not all.rank:
        for size, s in found.items(): print(f'| sum of {size:,} bytes | {s*1e3:.4f} |', flush=True)

def from_disk(folder, n):
    "An epoch of 784-30-10 on images that stay on disk, MNIST's over and over, shifted; process 0 prints the memory"
    torch.set_num_threads(1)
    all, digits, file = Processes(timeout=600), get_digits(), Path(folder)/'x.npy'
    m = len(digits.train.y)
    if not all.rank:
        images = np.lib.format.open_memmap(file, 'w+', np.uint8, (n, 28, 28))
        for i, part in enumerate(torch.arange(n).split(10_000)):
            images[part[0]:part[-1] + 1] = (digits.train.x[part % m].roll(part[0].item()//m, 2)*255).byte()
        del images
    dist.barrier()
    y = digits.train.y[torch.arange(n) % m]
    ours(Work('784-30-10', digits.train.x[:512].flatten(1), y[:512], 256), DistributedCallback(timeout=600)) # imports
    del digits
    memory()
    before = memory() # of the libraries and the labels
    dls = MappedDataLoader((np.load(file, mmap_mode='r'), y), 256, shuffle=True, seed=0), None
    learn = Learner(dls, simple_net(n_out=10), cross_entropy, lr=lr, cbs=DistributedCallback(timeout=600))
    with contextlib.redirect_stdout(io.StringIO()): learn.fit(1)
    used = max(all.gather(memory() - before))
    if not all.rank: print(f'| {n:,} images, {n*784/2**20:,.0f} MiB | {learn.recorder.times[0]:.1f} | {used:.0f} |')

def memory():
    "MiB that this process has used at most since this was asked before"
    peak = int(re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text())[1])/1024
    Path('/proc/self/clear_refs').write_text('5') # Linux begins anew
    return peak

def main():
    parser = argparse.ArgumentParser(prog='python -m benchmarks.together', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='fewer images, one round; writes nothing')
    parser.add_argument('--images', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.images:
        n, folder = args.images.split(',', 1)
        return from_disk(folder, int(n))
    if 'WORLD_SIZE' in os.environ: return measure(args.quick)
    busy, rows = os.getloadavg()[0], two(*['--quick']*args.quick)
    with TemporaryDirectory() as folder:
        for n in (100_000, 200_000 if args.quick else 1_000_000): rows += two('--images', f'{n},{folder}')
    if not args.quick: write(rows, busy)

def two(*words):
    "The lines that process 0 of two prints"
    start = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', '-m',
             'benchmarks.together', *words]
    env = os.environ | {'OMP_NUM_THREADS': '1'}
    out = subprocess.run(start, stdout=subprocess.PIPE, text=True, check=True, env=env)
    rows = [line for line in out.stdout.splitlines() if line.startswith('|')]
    print(*rows, sep='\n', flush=True)
    return rows

def write(rows, busy):
    "The three tables into `benchmarks/together.md`"
    def lines(mark): return '\n'.join(r for r in rows if mark in r)
    text = f"""# Two processes, side by side

`python -m benchmarks.together` measures all of it in one run and writes this page: an epoch of 60,000 images (measured
on fewer for the larger networks) by one process and by two with one thread each, with our Learner and in a bare loop,
for two processes with PyTorch's `DistributedDataParallel`. They take turns, end with the same weights, and the seconds
are medians after a warm-up. Two processes that tell each other nothing end with other weights: they show how much two
processes get out of this machine at most. The last column says how many times as fast as one process with our Learner.
On a machine that is busy with other things, two processes get no more of it than one, and the figures say little.

{datetime.date.today()}, {processor()}, load average before the run {busy:.1f}, {versions()}

| work | who | seconds an epoch (median) | fastest to slowest | images a second | times one process |
| --- | --- | --- | --- | --- | --- |
{lines(' process')}

| two processes add up | milliseconds (median) |
| --- | --- |
{lines('sum of')}

| an epoch of 784-30-10 by two processes, from disk | seconds | MiB of memory of each, beyond libraries and labels |
| --- | --- | --- |
{lines(' MiB ')}
"""
    (Path(__file__).parent/'together.md').write_text(text, encoding='utf-8')

if __name__ == '__main__': main()
