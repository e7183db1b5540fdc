"What holds for every notebook and for the package as a whole"
import ast, json, re, subprocess, sys
from pathlib import Path

import pytest
import fastsgd

package = Path(fastsgd.__file__).parent
nbs = Path(__file__).parent.parent/'nbs'
notebooks = sorted(nbs.glob('[0-9]*.ipynb'))
needs_nbs = pytest.mark.skipif(not notebooks, reason='only the installed package is here')

def cells(nb): return json.loads(nb.read_text(encoding='utf-8'))['cells']
def source(cell): return ''.join(cell['source'])
def text(nb): return '\n'.join(source(c) for c in cells(nb) if c['cell_type'] == 'markdown')

@pytest.mark.parametrize('module', ('fastsgd.all', 'fastsgd.cli'))
def test_import_brings_in_nothing_slow(module):
    slow = 'fastai fastprogress sklearn scipy pandas matplotlib torchvision'.split()
    code = f'import sys, {module}; print([m for m in {slow} if m in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout == '[]\n'

def test_import_changes_no_thread_count():
    code = 'import torch; n = torch.get_num_threads(); import fastsgd.all; print(torch.get_num_threads() - n)'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout == '0\n'

def test_all_has_every_public_name():
    import fastsgd.all as everything
    for f in package.glob('*.py'):
        if f.stem.startswith('_') or f.stem in ('all', 'cli'): continue
        names = [n for n in ast.walk(ast.parse(f.read_text(encoding='utf-8'))) if isinstance(n, ast.Assign) and getattr(n.targets[0], 'id', '') == '__all__']
        for name in ast.literal_eval(names[0].value): assert hasattr(everything, name), f'{name} of {f.name}'

@needs_nbs
def test_modules_import_only_earlier_ones():
    order = {re.search(r'^#\| default_exp (\w+)', source(c), re.M)[1]: i for i, nb in enumerate(notebooks)
             for c in cells(nb) if '#| default_exp' in source(c)}
    for nb in notebooks:
        marks = '\n'.join(source(c) for c in cells(nb) if c['cell_type'] == 'code')
        assert bool(re.search(r'^#\| export\b', marks, re.M)) == ('#| default_exp' in marks), f'{nb.name} must have both export and default_exp, or neither'
    for module, place in order.items():
        tree = ast.parse((package/f'{module}.py').read_text(encoding='utf-8'))
        used = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level == 1 and n.module}
        for other in used: assert order[other] < place, f'{module} imports {other}, which comes later'

@needs_nbs
def test_each_notebook_leads_to_its_neighbours():
    chain = [nbs/'index.ipynb', *notebooks, nbs/'index.ipynb']
    for before, nb, after in zip(chain, chain[1:], chain[2:]):
        for neighbour in (before, after): assert text(nb).count(f'({neighbour.name})') >= 2, f'{nb.name} has no links to {neighbour.name} at top and bottom'
    for nb in notebooks: assert f'({nb.name})' in text(nbs/'index.ipynb')
    for nb in chain:
        for link in re.findall(r'\]\((\w+\.ipynb)', text(nb)): assert (nbs/link).exists(), f'{nb.name} links to {link}'

@needs_nbs
@pytest.mark.parametrize('nb', [*notebooks, nbs/'index.ipynb'], ids=lambda o: o.stem)
def test_stored_outputs_are_clean(nb):
    outputs = [o for c in cells(nb) if c['cell_type'] == 'code' for o in c['outputs']]
    assert any('image/png' in o.get('data', {}) for o in outputs)
    for o in outputs: assert o['output_type'] != 'error' and o.get('name') != 'stderr', ''.join(o.get('text', ''))
    machine = re.search(r'/(?:root|tmp|work|opt|home/\w+|Users/\w+)/[\w./-]+', json.dumps(outputs))
    assert not machine, machine
    ids = [c['id'] for c in cells(nb)]
    assert len(set(ids)) == len(ids)

@needs_nbs
@pytest.mark.parametrize('nb', notebooks, ids=lambda o: o.stem)
def test_ends_with_exercises_and_hidden_answers(nb):
    asked = re.search(r'^## Try it\n\n(.*?)(?:\n\n|\Z)', text(nb), re.M | re.S)[1]
    questions = re.findall(r'^\d+\.', asked, re.M)
    assert 3 <= len(questions) <= 5
    start = max(i for i, c in enumerate(cells(nb)) if re.search(r'^## Answers$', source(c), re.M)) # hidden cells before it belong to the text
    answers = [c for c in cells(nb)[start:] if c['metadata'].get('jupyter', {}).get('source_hidden')]
    assert len(answers) == len(questions)
    for i, c in enumerate(answers, 1):
        assert source(c).startswith(f'# {i}. ')
        assert re.search(r'\bassert\b|\btest_\w+\(', source(c)), f'answer {i} of {nb.name} asserts nothing'

@needs_nbs
def test_readme_code_runs_as_it_stands():
    blocks = re.findall(r'```python\n(.*?)```', (nbs.parent/'README.md').read_text(encoding='utf-8'), re.S)
    assert len(blocks) >= 2
    subprocess.run([sys.executable, '-c', '\n'.join(blocks)], check=True, capture_output=True)

@needs_nbs
def test_readme_is_the_index(tmp_path):
    pytest.importorskip('nbconvert')
    root = nbs.parent
    subprocess.run([sys.executable, '-m', 'nbconvert', '--config', 'nbs/nbconvert_readme.py', f'--FilesWriter.build_directory={tmp_path}'],
                   cwd=root, check=True, capture_output=True)
    assert (tmp_path/'README.md').read_text() == (root/'README.md').read_text()
    pictures = sorted(f.name for f in (tmp_path/'README_files').iterdir())
    assert pictures == sorted(f.name for f in (root/'README_files').iterdir())
    for f in pictures: assert (tmp_path/'README_files'/f).read_bytes() == (root/'README_files'/f).read_bytes()
    readme = (root/'README.md').read_text()
    assert '#|' not in readme and '<style' not in readme and '![png]' not in readme and '```python' in readme
    for link in re.findall(r'\]\(([\w./]+)\)', readme): assert (root/link).exists(), link
