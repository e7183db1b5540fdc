"""The guides are run as they stand: each page from top to bottom in an empty folder, without MNIST and a network.

Blocks of `python` share their names, as in a notebook, and one that begins with `# name.py` is written to that file
instead. Blocks of `bash` are commands. A block of `text` is what the block above it prints (`…` stands for lines left
out): its words, whole numbers and lines must be there, other numbers about so, and seconds don't count. What needs two
machines, or never ends, is marked `sh` and isn't run.
"""
import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastsgd

package = Path(fastsgd.__file__).parent
nbs = Path(__file__).parent.parent/'nbs'
guides = sorted(nbs.glob('guides/*.md'))
pytestmark = pytest.mark.skipif(not guides, reason='only the installed package is here')
limit = 240 # seconds for a page: four times what it may take where nothing else runs
mark = '@@@'

def each_guide(f): return pytest.mark.parametrize('page', guides, ids=lambda p: p.stem)(f)
def read(page): return page.read_text(encoding='utf-8')
def blocks(page): return re.findall(r'^```(\w*)\n(.*?)^```$', read(page), re.M | re.S)

def as_script(kind, code, i):
    "A block as a part of the page's script; before it prints, it says which it is"
    said = f'print("{mark}{i}", flush=True)\n'
    name = re.match(r'# (\w+\.py)\n', code)
    if name: return f'open({name[1]!r}, "w").write({code!r})\n'
    if kind == 'python': return said + code
    return said + f'__import__("subprocess").run(["bash", "-euo", "pipefail", "-c", {code!r}], check=True)\n'

def commands(folder):
    "The package's commands and torchrun as programs of this Python, whether they're installed or not"
    folder.mkdir()
    calls = {'torchrun': '-m torch.distributed.run', 'python': ''}
    for name, module in dict(train='cli:main', predict='cli:predict_main', draw='draw:draw_main',
                             playground='playground:playground_main').items():
        module, f = module.split(':')
        calls[f'fastsgd_{name}'] = f'-c "from fastsgd.tools.{module} import {f}; {f}()"'
    for name, call in calls.items():
        (folder/name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
        (folder/name).chmod(0o755)
    return folder

def plain(line):
    "A line without its seconds and with a mark for each number that isn't whole, and those numbers"
    line = re.sub(r'\b\d+\.\d+ ?s\b', 'S', line)
    return ' '.join(re.sub(r'-?\d+\.\d+', '#', line).split()), re.findall(r'-?\d+\.\d+%?', line)

def about(a, b):
    "Are two numbers about the same? Other machines round in another way, and losses come out a bit different"
    x, y = (float(o.strip('%')) for o in (a, b))
    return abs(x - y) <= max(8 if a.endswith('%') else 0.08, 0.2*abs(y))

def first_not_said(quoted, said):
    "The first line that a page quotes and that isn't printed after those before it; `None` if there's none"
    rest = iter([plain(o) for o in said.splitlines()])
    for line in quoted.splitlines():
        if line.strip() in ('', '…'): continue
        words, numbers = plain(line)
        if not any(words == w and all(map(about, numbers, n)) for w, n in rest): return line
    return None

def test_each_page_is_kept_once():
    "The site is built from the pages where they are"
    others = [*nbs.rglob('*.md'), *nbs.parent.glob('*.md'), *nbs.parent.glob('docs/**/*.md'), *package.rglob('*.md')]
    titles = [read(o).split('\n')[0] for o in others if '_build' not in o.parts]
    for page in guides: assert titles.count(read(page).split('\n')[0]) == 1, page

@each_guide
def test_runs_as_it_stands(page, tmp_path):
    found = blocks(page)
    if not found: return
    assert {kind for kind, _ in found} <= {'python', 'bash', 'text', 'sh'}, page
    parts = [as_script(*block, i) for i, block in enumerate(found) if block[0] in ('python', 'bash')]
    (tmp_path/'page.py').write_text('\n'.join(parts), encoding='utf-8')
    (tmp_path/'here').mkdir()
    path = os.pathsep.join([str(commands(tmp_path/'bin')), os.environ['PATH']])
    env = os.environ | dict(PATH=path, FASTAI_HOME=str(tmp_path/'none'), https_proxy='http://127.0.0.1:9',
                            MPLBACKEND='agg', OMP_NUM_THREADS='1', GLOO_SOCKET_IFNAME='lo', BROWSER='true')
    env['PYTHONPATH'] = os.pathsep.join([str(package.parent), *filter(None, [env.get('PYTHONPATH')])])
    ran = subprocess.run([sys.executable, tmp_path/'page.py'], cwd=tmp_path/'here', env=env, text=True, timeout=limit,
                         stdin=subprocess.DEVNULL, capture_output=True)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    said = {int(i): text for i, text in re.findall(rf'{mark}(\d+)\n(.*?)(?={mark}|\Z)', ran.stdout, re.S)}
    for i, (kind, quoted) in enumerate(found):
        if kind != 'text': continue
        lacks = first_not_said(quoted, said.get(i - 1, ''))
        assert lacks is None, f'{page.name} says that this is printed: {lacks}\nwhere there is:\n{said.get(i - 1)}'

# --- troubleshooting ---------------------------------------------------------------------------------

says = {'require': 1, 'warn': 0, 'exit': 0, 'end_where': 0, 'require_all': 0} # which argument is the message

def fixed(node, names):
    "The fixed words of a message, and a `…` for whatever is put in"
    if isinstance(node, ast.Constant): return node.value if isinstance(node.value, str) else '…'
    if isinstance(node, ast.Name): return '…'.join(['', *(fixed(o, names) for o in names.pop(node.id, ())), ''])
    if isinstance(node, ast.JoinedStr): return ''.join(fixed(o, names) for o in node.values)
    return '…' + '…'.join(fixed(o, names) for o in ast.iter_child_nodes(node)) + '…'

def name_of(node): return getattr(getattr(node, 'func', node), 'id', getattr(getattr(node, 'func', node), 'attr', ''))

def sentences(file):
    """The errors and warnings of a module, with the lines they stand in; but none that only passes on another's words,
    and no `AttributeError`, which belongs to Python's way to look for names"""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding='utf-8'))))
    texts = ast.Constant, ast.JoinedStr, ast.IfExp, ast.BinOp, ast.BoolOp, ast.Dict
    names = {}
    for n in nodes:
        for t in n.targets if isinstance(n, ast.Assign) and isinstance(n.value, texts) else ():
            names.setdefault(getattr(t, 'id', ''), []).append(n.value)
    told = [n for f in nodes if isinstance(f, ast.FunctionDef) and f.name in ('why', 'wrong') for n in ast.walk(f)]
    for n in nodes:
        args = kinds = []
        if isinstance(n, ast.Raise): args, kinds = getattr(n.exc, 'args', []), [n.exc]
        elif isinstance(n, ast.Call) and name_of(n) in says: args = kinds = n.args[says[name_of(n)]:]
        elif isinstance(n, ast.Return) and n in told: args = [n.value]
        if 'AttributeError' in map(name_of, kinds): continue
        for text in (re.sub(r'…[…\s]*…', '…', fixed(a, dict(names))) for a in args[:1]):
            if max(len(part.split()) for part in text.split('…')) > 1: yield n.lineno, text

def quotes():
    "What the first column of each table quotes, as patterns"
    cells = re.findall(r'^\| (`.*?) \|', read(nbs/'guides/troubleshooting.md'), re.M)
    found = [q for c in cells for q in re.findall('`(.*?)`', c)]
    return {q: re.compile('.*'.join(map(re.escape, re.split(r'\s*…\s*', q))), re.S) for q in found}

def test_troubleshooting_has_every_sentence_and_no_other():
    "A new error: some of its fixed words into the first column of a row of nbs/guides/troubleshooting.md"
    found = {f'{f.name}, line {i}': text for f in sorted(package.rglob('*.py')) for i, text in sentences(f)}
    known = quotes()
    lacks = {where: text for where, text in found.items() if not any(p.search(text) for p in known.values())}
    gone = [q for q, p in known.items() if not any(p.search(text) for text in found.values())]
    assert len(found) > 200
    assert not lacks, f'sentences that no row of troubleshooting.md quotes: {lacks}'
    assert not gone, f'troubleshooting.md quotes what the package never says: {gone}'
    short = [q for q in known if len(q) < 8 or len(q.split()) < 2]
    assert not short, f'too short to be found by: {short}'
