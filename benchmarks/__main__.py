"""Runs all tasks, prints a table, and writes `benchmarks/results.md` and its plot:

    python -m benchmarks            # about ten minutes
    python -m benchmarks --quick    # under two minutes, and nothing is written
    python -m benchmarks gpu        # on a graphics card (benchmarks/card.py)
"""
import argparse, datetime, importlib.metadata, os, platform, re, sys
from pathlib import Path

import torch
from . import card
from .tasks import tasks

def processor():
    info = Path('/proc/cpuinfo')
    found = re.search(r'model name\s*: (.*)', info.read_text()) if info.exists() else None
    return f'{found[1] if found else platform.processor() or platform.machine()}, {os.cpu_count()} cores'

def versions():
    out = []
    for name in ('torch', 'fastai', 'scikit-learn', 'jax', 'keras', 'lightning'):
        try: out.append(f'{name} {importlib.metadata.version(name)}')
        except importlib.metadata.PackageNotFoundError: pass
    return f'Python {platform.python_version()}, ' + ', '.join(out)

def table(rows):
    lines = ['| work | who | seconds (median) | fastest to slowest | ratio | |', '| --- '*6 + '|']
    for r in rows:
        spread = f'{r.spread[0]:.3f} to {r.spread[1]:.3f}'
        lines.append(f'| {r.task} | {r.who} | {r.seconds:.3f} | {spread} | {r.ratio:.2f} | {r.note} |')
    return '\n'.join(lines)

def ratio_of(rows, task, who, to):
    "Seconds of `who` in those of `to`, or `None` where one of them wasn't measured"
    found = {r.who.split(',')[0]: r.seconds for r in rows if r.task.startswith(task)}
    return found[who]/found[to] if {who, to} <= found.keys() else None

chapter, epoch = 'simple_net, 3s and 7s', '784-30-10, ten digits'
goals = (('epochs of the bare loop that an epoch takes by hand, in a row', '≤', .7, epoch, 'fastsgd_in_a_row',
          'bare_loop'),
         ('epochs of the bare loop that an epoch takes in `Learner`', '≤', 1.05, epoch, 'fastsgd_learner', 'bare_loop'),
         ('the same for `small_cnn`', '≤', 1.01, 'small_cnn', 'fastsgd_learner', 'bare_loop'),
         ('times as fast as scikit-learn, by hand, in a row', '≥', 1.8, epoch, 'sklearn_mlp', 'fastsgd_in_a_row'),
         ('times as fast as JAX, by hand, in a row', '≥', 3, epoch, 'jax_scan', 'fastsgd_in_a_row'),
         ("times as fast as fastai, chapter's network, by hand, in a row", '≥', 5, chapter, 'fastai_learner',
          'fastsgd_in_a_row'),
         ('the same in `Learner`', '≥', 3.3, chapter, 'fastai_learner', 'fastsgd_learner'),
         ('epochs of the bare loop to 98 %', '≤', 2, 'training to 98%', 'fastsgd_in_a_row', 'bare_loop'),
         ('epochs of the bare loop to 99 %', '≤', 10, 'training to 99%', 'fastsgd_learner', 'bare_loop'),
         ('times `import torch` that `import fastsgd.all` takes', '≤', 1.05, 'import', 'fastsgd.all', 'torch'))

def goals_table(rows):
    lines = ['| goal | asked | measured | |', '| --- '*4 + '|']
    for what, sign, asked, *which in goals:
        if not (found := ratio_of(rows, *which)): continue
        reached = found <= asked if sign == '≤' else found >= asked
        lines.append(f"| {what} | {sign} {asked} | {found:.2f} | {'reached' if reached else 'not reached'} |")
    return '\n'.join(lines)

def plot(rows, file):
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    parts = {name: [r for r in rows[::-1] if r.task == name] for name in dict.fromkeys(r.task for r in rows)}
    fig, axs = plt.subplots(len(parts), 1, figsize=(8, 0.6*len(parts) + 0.32*len(rows)), layout='constrained',
                            height_ratios=[len(part) + 1 for part in parts.values()])
    for ax, (name, part) in zip(axs, parts.items()):
        ours = ['fastsgd' in r.who or 'get_digits' in r.who for r in part]
        colors = ['tab:orange' if o else 'tab:blue' for o in ours]
        ax.barh([r.who for r in part], [r.seconds for r in part], color=colors)
        for r in part: ax.text(r.seconds, r.who, f' {r.seconds:.2f} s', va='center', fontsize=8)
        ax.set_title(name, fontsize=10); ax.margins(x=0.15); ax.set_xlabel('seconds')
    fig.savefig(file, dpi=90)

def options():
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='fewer rounds, less work; writes nothing')
    parser.add_argument('--threads', type=int, default=1, help='processors and PyTorch threads of everybody (1)')
    parser.add_argument('--only', choices=[t.__name__ for t in tasks], help='one task only; writes nothing')
    return parser.parse_args()

def main():
    if sys.argv[1:2] == ['gpu']: return card.main(sys.argv[2:])
    args = options()
    torch.set_num_threads(args.threads)
    if hasattr(os, 'sched_setaffinity'): # everybody gets as many processors as we do
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-args.threads:])
    rows, notes = [], []
    for task in tasks:
        if args.only and task.__name__ != args.only: continue
        new, more = task(args.quick)
        rows, notes = rows + new, notes + more
        if new: print(table(new), flush=True)
        for note in more: print(note, flush=True)
    print(goals_table(rows))
    if not args.quick and not args.only: write(rows, notes, args.threads)

def write(rows, notes, n):
    "The table and its plot into `benchmarks/`"
    here = Path(__file__).parent
    threads = f'{n} of them used by everybody, {n} PyTorch thread' + 's'*(n > 1)
    text = f"""# Speed, side by side

`python -m benchmarks` measures all of it in one run and writes this page. In each block everybody does the same work:
the same number of updates of a network of the same size, with the same batch size and learning rate, checked to end
with about the same accuracy. They take turns; the seconds are the median after a warm-up, and a run during which other
programs kept the processor busy is repeated. The ratio compares with the first line of a block: 2 takes twice as long.

{datetime.date.today()}, {processor()}, {threads}, {versions()}

{table(rows)}

What we'd like, and what it is (in [the notebook on speed](../nbs/tools/speed.ipynb), a profile shows where time goes):

{goals_table(rows)}

![The seconds of the table as bars](results.png)

{chr(10).join('- ' + n for n in notes)}

{card.section()}"""
    (here/'results.md').write_text(text, encoding='utf-8')
    plot(rows, here/'results.png')

if __name__ == '__main__': main()
