"The house: its floors, their sizes and what leads from one notebook to the next"
import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastsgd

package = Path(fastsgd.__file__).parent
root = Path(__file__).parent.parent
nbs = root/'nbs'
story = sorted(nbs.glob('[0-9][0-9]_*.ipynb'))
rooms = sorted([*nbs.glob('data/*.ipynb'), *nbs.glob('tools/*.ipynb')])
notebooks = [*story, *rooms]
needs_nbs = pytest.mark.skipif(not story, reason='only the installed package is here')
modules = [f for f in sorted(package.rglob('*.py')) if not f.stem.startswith('_')]

def name(path): return path.relative_to(nbs).with_suffix('').as_posix()
def cells(nb): return json.loads(nb.read_text(encoding='utf-8'))['cells']
def source(cell): return ''.join(cell['source'])
def code_cells(nb): return [c for c in cells(nb) if c['cell_type'] == 'code']
def text(nb): return '\n'.join(source(c) for c in cells(nb) if c['cell_type'] == 'markdown')
def each(files, **kwargs): return pytest.mark.parametrize('nb', files, ids=name, **kwargs)

# --- what is imported ------------------------------------------------------------------------------

def run(code): return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout

@pytest.mark.parametrize('module', ('fastsgd.all', 'fastsgd.tools.cli'))
def test_import_brings_in_nothing_slow(module):
    slow = 'fastai fastprogress mlxtend sklearn scipy pandas matplotlib torchvision'.split()
    assert run(f'import sys, {module}; print([m for m in {slow} if m in sys.modules])') == '[]\n'

def test_import_changes_no_thread_count():
    code = 'import torch; n = torch.get_num_threads(); import fastsgd.all; print(torch.get_num_threads() - n)'
    assert run(code) == '0\n'

def public(file):
    "The names in a module's `__all__`"
    found = [n.value for n in ast.parse(file.read_text(encoding='utf-8')).body
             if isinstance(n, ast.Assign) and getattr(n.targets[0], 'id', '') == '__all__']
    return ast.literal_eval(found[0]) if found else []

def test_all_has_every_public_name():
    import fastsgd.all as everything
    for f in modules:
        if f.stem in ('checks', 'grounds', 'answers', 'cli', 'recipes', 'train'): continue
        for o in public(f): assert hasattr(everything, o), f'{o} of {f.name}'

def test_names_of_the_first_version_are_still_there():
    "What the package gave before the house had floors; what was taken away on purpose is in CHANGELOG.md"
    import fastsgd.all as everything
    import fastsgd.tools.answers as answers
    import fastsgd.tools.cli as cli
    names = (Path(__file__).parent/'public_names.txt').read_text().split()
    assert [o for o in names if not any(hasattr(m, o) for m in (everything, answers, cli))] == []

def dotted(file): return '.'.join(file.relative_to(package).with_suffix('').parts)
def floor(module): return module.split('.')[0] if '.' in module else 'story'

def imported(file):
    "Modules of the package that a module imports, such as `data.digits` or `learner`"
    here = file.relative_to(package).with_suffix('').parts[:-1]
    for n in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(n, ast.ImportFrom) and n.level and n.module:
            yield '.'.join([*here[:len(here) - n.level + 1], n.module])

def order_of_the_story():
    found = (re.search(r'^#\| default_exp (\S+)', source(c), re.M) for nb in story for c in code_cells(nb))
    return [m[1] for m in found if m]

@needs_nbs
def test_arrows_point_down():
    floors, order = {'data': 0, 'story': 1, 'tools': 2}, order_of_the_story()
    used = {dotted(f): set(imported(f)) for f in modules if f.stem != 'all'}
    for module, others in used.items():
        for other in others:
            assert floors[floor(other)] <= floors[floor(module)], f'{module} imports {other}, from a floor above'
            if floor(module) == floor(other) == 'story':
                assert order.index(other) < order.index(module), f'{module} imports {other}, which comes later'
    for module in used: assert module not in reached(module, used), f'{module} imports itself in a circle'

def reached(module, used):
    "All modules that a module leads to"
    found, todo = set(), list(used[module])
    while todo:
        if (m := todo.pop()) not in found: found.add(m); todo += used.get(m, ())
    return found

@needs_nbs
@each(story)
def test_story_uses_no_tool(nb):
    if nb.stem in ('16_fastai_learner', '17_recap'): return # they show how all of it works together
    for c in code_cells(nb): assert not re.search(r'(from|import) fastsgd\.(tools|all)\b', source(c)), source(c)

@needs_nbs
@each(notebooks)
def test_one_notebook_one_module(nb):
    code = '\n'.join(map(source, code_cells(nb)))
    module = re.search(r'^#\| default_exp (\S+)', code, re.M)
    exports = re.search(r'^#\| export\b', code, re.M)
    assert bool(module) == bool(exports), 'default_exp without an export, or the other way round'
    if nb in rooms: assert module[1] == name(nb).replace('/', '.')

@needs_nbs
@each([*notebooks, nbs/'index.ipynb'])
def test_leaves_classes_as_it_found_them(nb):
    "What `fastsgd.all` adds to `Learner` must not reach a notebook that is tested after it in the same process"
    code = [source(c) for c in code_cells(nb)]
    if any(re.search(r'^(from|import) fastsgd\.(all\b|tools\.fastai)', o, re.M) for o in code):
        assert 'del sys.modules[module]' in code[-1]

# --- sizes -----------------------------------------------------------------------------------------

line, function, story_module, module_lines = 120, 25, 150, 200 # characters, lines
page_line, page_code, page_cell, first_result = 100, 300, 25, 15 # what a reader of a story notebook sees
first_classifier = dict(words=5000, lines=500)

def code_lines(cell):
    return [o for o in source(cell).splitlines() if o.strip() and not o.lstrip().startswith('#|')]

def is_hidden(cell):
    meta = cell['metadata']
    return bool({'hide-input', 'hide-cell', 'remove-cell', 'remove-input', 'answer'} & set(meta.get('tags', ()))
                or meta.get('jupyter', {}).get('source_hidden')
                or re.search(r'^#\|\s*(hide\b|hide_input|echo:\s*false|code-fold:\s*true|include:\s*false)',
                             source(cell), re.M))

def shown(nb): return [c for c in code_cells(nb) if not is_hidden(c)]

def long_functions(tree):
    for n in ast.walk(tree):
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if any(isinstance(o, ast.ClassDef) for o in n.body): continue # a class made in a function
            if n.end_lineno - n.lineno >= function: yield n.name

def wide(text, limit=line): return [o for o in text.splitlines() if len(o) > limit]

@pytest.mark.parametrize('file', modules, ids=lambda f: f.relative_to(package).as_posix())
def test_modules_are_short(file):
    text = file.read_text(encoding='utf-8')
    assert len(text.splitlines()) <= (story_module if file.parent == package else module_lines)
    assert not wide(text) and not list(long_functions(ast.parse(text)))

@needs_nbs
def test_lines_fit_in_tests_and_benchmarks():
    for f in [*root.glob('tests/*.py'), *root.glob('benchmarks/**/*.py')]:
        assert not wide(f.read_text(encoding='utf-8')), f

@needs_nbs
@each(notebooks)
def test_lines_fit_in_notebooks(nb):
    for c in code_cells(nb): assert not wide(source(c))

@needs_nbs
@each(story)
def test_pages_of_the_story_are_short(nb):
    lengths = [len(code_lines(c)) for c in shown(nb)]
    assert sum(lengths) <= page_code and max(lengths) <= page_cell
    for c in shown(nb): assert not wide('\n'.join(code_lines(c)), page_line)
    before = 0
    for c in shown(nb):
        before += sum(not re.match(r'\s*(import|from)\s', o) for o in code_lines(c))
        if c['outputs']: break
    assert before <= first_result

@needs_nbs
def test_a_classifier_is_trained_early():
    words = lines = 0
    for c in (c for nb in story for c in cells(nb)):
        if c['cell_type'] == 'markdown': words += len(re.findall(r"[A-Za-z][A-Za-z'’-]*", source(c)))
        elif not is_hidden(c): lines += len(code_lines(c))
        if 'first-classifier' in c['metadata'].get('tags', ()): break
    else: pytest.fail('no cell has the tag first-classifier')
    assert c['outputs'] and words <= first_classifier['words'] and lines <= first_classifier['lines']

# --- pages -----------------------------------------------------------------------------------------

@needs_nbs
def test_each_notebook_leads_to_its_neighbors():
    chain = [nbs/'index.ipynb', *story, nbs/'index.ipynb']
    for before, nb, after in zip(chain, chain[1:], chain[2:]):
        for o in (before, after):
            assert text(nb).count(f'({o.name})') >= 2, f'{nb.name} has no links to {o.name} at top and bottom'
    for nb in notebooks: assert f'({name(nb)}.ipynb)' in text(nbs/'index.ipynb'), f'index does not list {name(nb)}'
    for nb in rooms: assert '(../index.ipynb)' in text(nb), f'{name(nb)} does not lead back to index'

def headings(path):
    "The anchors of a notebook or Markdown file, as Jupyter and GitHub spell them"
    lines = text(path) if path.suffix == '.ipynb' else path.read_text(encoding='utf-8')
    titles = [re.sub(r'[`*]', '', t.strip()) for t in re.findall(r'^#+ (.*)$', lines, re.M)]
    github = {re.sub(r'[^\w\- ]', '', t.lower()).replace(' ', '-') for t in titles}
    return github | {t.replace(' ', '-') for t in titles}

@needs_nbs
def test_no_link_is_dead():
    for path in [*notebooks, nbs/'index.ipynb', *root.glob('*.md'), *nbs.glob('guides/*.md'),
                 root/'benchmarks/results.md']:
        found = text(path) if path.suffix == '.ipynb' else path.read_text(encoding='utf-8')
        found = re.sub(r'```.*?```|\$[^$\n]+\$', '', found, flags=re.S)
        for target in re.findall(r'\]\(([^)\s]+)\)', found):
            if re.match(r'https?:', target): continue
            file, _, anchor = target.partition('#')
            to = (path.parent/file).resolve() if file else path
            assert to.exists(), f'{path.name} links to {target}'
            assert not anchor or anchor in headings(to), f'{path.name} links to {target}: no such heading'

@needs_nbs
@each([*notebooks, nbs/'index.ipynb'])
def test_stored_outputs_are_clean(nb):
    outputs = [o for c in code_cells(nb) for o in c['outputs']]
    if nb not in rooms: assert any('image/png' in o.get('data', {}) for o in outputs)
    for o in outputs: assert o['output_type'] != 'error' and o.get('name') != 'stderr', ''.join(o.get('text', ''))
    machine = re.search(r'/(?:root|tmp|work|opt|home/\w+|Users/\w+)/[\w./-]+', json.dumps(outputs))
    assert not machine, machine
    ids = [c['id'] for c in cells(nb)]
    assert len(set(ids)) == len(ids)

@needs_nbs
@each([*notebooks, nbs/'index.ipynb'])
def test_pictures_are_described(nb):
    for c in code_cells(nb):
        if re.search(r'^#\| hide\b', source(c), re.M): continue
        kinds = {kind for o in c['outputs'] for kind in o.get('data', {})}
        if {'image/png', 'image/jpeg'} & kinds:
            assert re.search(r'^#\| fig-alt: \S', source(c), re.M), f'no line #| fig-alt: ... in {c["id"]} of {nb.name}'

@needs_nbs
@each(story)
def test_ends_with_exercises_and_hidden_answers(nb):
    asked = re.search(r'^## Try it\n\n(.*?)(?:\n\n|\Z)', text(nb), re.M | re.S)[1]
    questions = re.findall(r'^\d+\.', asked, re.M)
    assert 3 <= len(questions) <= 5
    start = max(i for i, c in enumerate(cells(nb)) if re.search(r'^## Answers$', source(c), re.M))
    answers = [c for c in cells(nb)[start:] if c['metadata'].get('jupyter', {}).get('source_hidden')]
    assert len(answers) == len(questions)
    for i, c in enumerate(answers, 1):
        assert source(c).startswith(f'# {i}. ')
        assert re.search(r'\bassert\b|\btest_\w+\(', source(c)), f'answer {i} of {nb.name} asserts nothing'

@needs_nbs
def test_readme_code_runs_as_it_stands():
    blocks = re.findall(r'```python\n(.*?)```', (root/'README.md').read_text(encoding='utf-8'), re.S)
    assert len(blocks) >= 2
    run('\n'.join(blocks))

@needs_nbs
def test_readme_is_the_index(tmp_path):
    pytest.importorskip('nbconvert')
    convert = [sys.executable, '-m', 'nbconvert', '--config', 'nbs/nbconvert_readme.py',
               f'--FilesWriter.build_directory={tmp_path}']
    subprocess.run(convert, cwd=root, check=True, capture_output=True)
    assert (tmp_path/'README.md').read_text() == (root/'README.md').read_text()
    pictures = sorted(f.name for f in (tmp_path/'README_files').iterdir())
    assert pictures == sorted(f.name for f in (root/'README_files').iterdir())
    for f in pictures: assert (tmp_path/'README_files'/f).read_bytes() == (root/'README_files'/f).read_bytes()
    readme = (root/'README.md').read_text()
    assert '#|' not in readme and '<style' not in readme and '![png]' not in readme and '```python' in readme
