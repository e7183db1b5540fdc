"""On a graphics card: prints all figures, and writes them into `card.json`, which `results.md` and a notebook show (it
needs MNIST):

    python -m benchmarks gpu                 # some minutes, on a card
    python -m benchmarks gpu --device cpu    # the same work on a processor, as a trial; nothing is written
    python -m benchmarks gpu --quick         # fewer rounds, less work, and nothing is written
"""
import argparse, datetime, json, shutil, subprocess, sys
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F
from fastsgd.all import (SGD, BackpropByHand, DataLoader, DataLoaders, Learner, StepsInARow, accuracy, fit_many,
                         get_digits, simple_net, validate_epoch)
from fastsgd.tools.processes import pick_device
from fastsgd.tools.recipes import products_in_step, quicker_device, recipes
from .measure import middle, side_by_side, timed
from .peers import fastsgd_in_a_row
from .tasks import peers, sprints
from .work import chapter, one_epoch

file = Path(__file__).with_name('card.json')
goals = (('ms an epoch of 784-30-10 takes, batches of 256', '≤', 6, 'epoch'),
         ("epochs of the bare loop that an epoch takes in `Learner`", '≤', 1, 'learner'),
         ('ms of training to 98 %', '≤', 30, '98 %'), ('ms of training to 99 %', '≤', 70, '99 %'),
         ("times as fast as fastai with its own loader, the chapter's 40 epochs", '≥', 30, 'fastai'),
         ('times the time of one training that 128 side by side take', '≤', 3, 'many'))

def bare_loop(tensors, size):
    x, y = tensors
    torch.manual_seed(0)
    model = simple_net(n_out=10).to(x.device)
    opt = SGD(model.parameters(), 0.1)
    for places in torch.randperm(len(y), device=x.device).split(size):
        F.cross_entropy(model(x.index_select(0, places)), y.index_select(0, places)).backward()
        opt.step()
        opt.zero_grad()
    return model

def learned(tensors, size, cbs=None, epochs=1, make=lambda: simple_net(n_out=10)):
    torch.manual_seed(0)
    learn = Learner((DataLoader(tensors, size, shuffle=True), None), make().to(tensors[0].device), F.cross_entropy)
    learn.fit(epochs, 0.1, cbs=cbs)
    return learn.model

def done(train, *args): # a card has done what was asked of it once it answers a question
    model = train(*args)
    next(model.parameters()).sum().item()
    return model

ways = {'a bare PyTorch loop': bare_loop, 'Learner': learned,
        'BackpropByHand': lambda t, n: learned(t, n, BackpropByHand()),
        'StepsInARow': lambda t, n: learned(t, n, StepsInARow())}

def epochs(digits, device, quick):
    "Milliseconds of an epoch of 784-30-10 at batch 256: each way on the device, in a row on the processor, and JAX"
    here, there = [tuple(t.to(d) for t in (digits.train.x.flatten(1), digits.train.y)) for d in ('cpu', device)]
    trains = {name: partial(done, f, there, 256) for name, f in ways.items()}
    trains['StepsInARow on one CPU core'] = partial(done, ways['StepsInARow'], here, 256)
    if jax := peers('jax_scan')[0]: trains['JAX, an epoch in one scan'] = partial(jax['jax_scan'], one_epoch())
    times = side_by_side(trains, 2 if quick else 7)[0]
    return {name: middle(t)*1000 for name, t in times.items()}

def batch_sizes(digits, device, quick):
    "Milliseconds of an epoch in `Learner` for each size of batch, on the processor and on the device"
    found = {}
    for where in dict.fromkeys(('cpu', str(device))):
        tensors = tuple(t.to(where) for t in (digits.train.x.flatten(1), digits.train.y))
        sizes = (256, 4096) if quick else (64, 256, 1024, 4096, 16384)
        times = {n: [timed(partial(done, learned, tensors, n))[0] for _ in range(2 if quick else 4)] for n in sizes}
        found[where] = {n: middle(t[1:])*1000 for n, t in times.items()}
    return found

def devices(digits, device, quick):
    "For each of the command's models and some sizes of batches: milliseconds of 50 steps on either side, and the rule"
    found = []
    for name, recipe in recipes.items():
        for size in (32, 256) if quick else (32, 128, 512, 2048):
            n, s = min(50*size, len(digits.train.y)), dict(model=name, batch_size=size)
            trains = {}
            for where in dict.fromkeys(('cpu', str(device))):
                tensors = tuple(t[:n].to(where) for t in (digits.train.x.flatten(1), digits.train.y))
                trains[where] = partial(done, learned, tensors, size, None, 1, partial(recipe.make, 10))
            times = {where: middle(t)*1000 for where, t in side_by_side(trains, 1 if quick else 3)[0].items()}
            found.append(dict(model=name, batch_size=size, products=products_in_step(s), milliseconds=times,
                              quicker=min(times, key=times.get), rule=quicker_device(s)))
    return found

def many(digits, device, quick):
    "How many times the time of one training 128 side by side take, 784-30-10, one epoch of batches of 256"
    train, valid = [(x.flatten(1), y) for x, y in (digits.train, digits.valid)]
    dls = DataLoaders(DataLoader(train, 256, shuffle=True, device=device), DataLoader(valid, 1000, device=device))
    rates = [0.02*1.2**i for i in range(4 if quick else 16)]
    def fit(lrs, seeds): return fit_many(lambda: simple_net(n_out=10), dls, 1, lrs, seeds)
    seeds = range(2 if quick else 8)
    times = side_by_side({'one': lambda: fit(0.1, 0), 'all': lambda: fit(rates, seeds)}, 1 if quick else 3)[0]
    return len(rates)*len(seeds), middle(times['all'])/middle(times['one'])

def measured(device, quick):
    "All figures, for the goals and for the pictures"
    digits, found = get_digits(), {}
    ms = epochs(digits, device, quick)
    found['epoch'], found['learner'] = min(ms[k] for k in ways), ms['Learner']/ms['a bare PyTorch loop']
    print(*(f'{name}: {t:.1f} ms' for name, t in ms.items()), sep='\n', flush=True)
    for goal, (name, train, valid) in sprints(digits).items() if digits.source == 'mnist' else ():
        runs = [timed(partial(done, train, seed, device)) for seed in (0, *range(2 if quick else 5))][1:]
        accs = [validate_epoch(m, DataLoader(valid, 1000, device=device), accuracy) for _, m, _ in runs]
        found[f'{goal:.0%}'.replace('%', ' %')] = middle([seconds for seconds, *_ in runs])*1000
        print(f'{name}: {middle([r[0] for r in runs])*1000:.0f} ms, accuracy {min(accs):.4f} to {max(accs):.4f}, '
              f'{sum(a >= goal for a in accs)} of {len(accs)} seeds reach {goal:.0%}', flush=True)
    if fastai := peers('fastai_learner')[0]:
        work = chapter(2 if quick else 40)
        there = [tuple(t.to(device) for t in split) for split in work.splits]
        theirs, ours = timed(partial(fastai['fastai_learner'], work))[0], fastsgd_in_a_row.train
        found['fastai'] = theirs/middle([timed(partial(ours, work._replace(splits=there)))[0] for _ in range(3)])
    n, found['many'] = many(digits, device, quick)
    print(f'{n} trainings take {found["many"]:.1f} times the time of one', flush=True)
    if quick: del found['many'] # the goal is about 128
    for d in (choices := devices(digits, device, quick)):
        each = ', '.join(f'{where} {t:.0f} ms' for where, t in d['milliseconds'].items())
        print(f"{d['model']}, batches of {d['batch_size']}, {d['products']/1e6:.1f} million multiplications in a step: "
              f"{each}; the rule takes {d['rule']}", flush=True)
    return dict(milliseconds=ms, goals=found, choices=choices, batch_sizes=batch_sizes(digits, device, quick))

def goals_table(found):
    "What we'd like of a card and what it is; `found` is empty where no card has been measured with this version"
    lines = ['| goal | asked | measured | |', '| --- '*4 + '|']
    for what, sign, asked, key in goals:
        value = found.get(key)
        reached = value is not None and (value <= asked if sign == '≤' else value >= asked)
        said = ('not measured', '') if value is None else (f'{value:.2f}', 'reached' if reached else 'not reached')
        lines.append(f'| {what} | {sign} {asked} | {said[0]} | {said[1]} |')
    return '\n'.join(lines)

def section():
    "The part of `results.md` about a card"
    kept = json.loads(file.read_text(encoding='utf-8'))
    times = '\n'.join(f'| {name} | {ms:g} |' for name, ms in kept['milliseconds'].items())
    return f"""## On a graphics card

`python -m benchmarks gpu` measures this on a machine that has one, and keeps it in [card.json](card.json). What there
is of a card: {kept['card']}, torch {kept['torch']}, {kept['what']}.

| way | milliseconds |
| --- | --- |
{times}

{goals_table(kept.get('goals', {}))}
"""

def the_card(device):
    "The name of a card and its driver, as `nvidia-smi` tells them; the device's own name without it"
    if not shutil.which('nvidia-smi'): return str(device)
    command = ['nvidia-smi', '--query-gpu=name,driver_version', '--format=csv,noheader', f'--id={device.index or 0}']
    name, driver = subprocess.check_output(command, text=True).strip().split(', ')
    return f'{name}, driver {driver}'

def main(words):
    parser = argparse.ArgumentParser(prog='python -m benchmarks gpu', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cuda', help='where to measure (cuda)')
    parser.add_argument('--quick', action='store_true', help='fewer rounds, less work; writes nothing')
    args = parser.parse_args(words)
    try: device = pick_device(args.device)
    except ValueError as e: sys.exit(f'{e}; --device cpu does the same work on a processor')
    torch.set_num_threads(1)
    found = measured(device, args.quick)
    print(goals_table(found['goals']))
    if args.quick or device.type == 'cpu': return
    what = "an epoch of 784-30-10 on MNIST's 60,000 images, which lie on the card, batches of 256"
    head = dict(card=the_card(device), torch=torch.__version__, date=str(datetime.date.today()), what=what)
    file.write_text(json.dumps(head | found, indent=1), encoding='utf-8')
