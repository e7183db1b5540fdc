"""What the text of the story says was measured stands in the code around it, or in what that has printed.

A number of a measurement in a sentence is a decimal, a percentage, or a multiple ("12 times"); with another run of the
notebook, one that no longer agrees with what is printed is found here.
"""
import json
import re
from pathlib import Path

import pytest

nbs = Path(__file__).parent.parent/'nbs'
story = sorted([*nbs.glob('[0-9][0-9]_*.ipynb'), *nbs.glob('index.ipynb')])
pytestmark = pytest.mark.skipif(not story, reason='only the installed package is here')

known_facts = { # numbers that nothing here measures, by notebook
    '03_slopes': '0.01 0.05', # worked out in the sentence itself
    '13_full_mnist': '2.718 96 90', # e; and two promises of nobody's
    'index': '3.11', # of Python
}

number = re.compile(r'(?<![\w.,/–-])[-−]?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?:e-?\d+)?')
measured = re.compile(r'(?<![\w.,/–-])(?P<n>\d[\d,]*(?:\.\d+)?)(?P<unit>\s?%| times\b| percent\b)?')

def source(cell): return ''.join(cell['source'])

def prose(cell):
    "The sentences of a Markdown cell, without code, formulas, addresses and tags"
    text = re.sub(r'```.*?```', ' ', source(cell), flags=re.S)
    text = re.sub(r'`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<[^>]+>', ' ', text, flags=re.S)
    return re.sub(r'^\s*\d+\.\s', '', text, flags=re.M) # a list's own numbers

def said(text):
    "The numbers in a text that tell of a measurement: as `(words, value, decimals, whether a percentage)`"
    for m in measured.finditer(text):
        n, unit = m['n'].rstrip(',').replace(',', ''), (m['unit'] or '').strip()
        if '.' in n or unit: yield m[0].strip(), float(n), len(n.partition('.')[2]), unit in ('%', 'percent')

def outputs(cell):
    "What a code cell has printed"
    for o in cell.get('outputs', ()):
        if o['output_type'] == 'stream': yield ''.join(o['text'])
        data = o.get('data', {})
        for kind in ('text/plain', 'text/markdown'): yield ''.join(data.get(kind, ''))
        html = ''.join(data.get('text/html', ''))
        if '<script' not in html and 'base64' not in html: yield re.sub(r'<[^>]+>', ' ', html)

def numbers(texts):
    return {float(m[0].replace(',', '').replace('−', '-')) for text in texts for m in number.finditer(text)}

def agrees(value, decimals, percent, known):
    "Is it one of the numbers, rounded? A share may be told in percent"
    scales = (1, 100, -100) if percent else (1, -1, 1000)
    half = 0.5*10**-decimals + 1e-9
    return any(abs(k*s - value) <= half for k in known for s in scales) or (
        percent and any(abs(100 - 100*k - value) <= half for k in known))

@pytest.mark.parametrize('nb', story, ids=lambda nb: nb.stem)
def test_numbers_of_the_text_were_printed(nb):
    cells, alone = json.loads(nb.read_text(encoding='utf-8'))['cells'], []
    facts = numbers([known_facts.get(nb.stem, '')])
    for i, cell in enumerate(cells):
        if cell['cell_type'] != 'markdown': continue
        near = [c for c in cells[max(i - 10, 0):i + 6] if c['cell_type'] == 'code']
        known = facts | numbers([*map(source, near), *(o for c in near for o in outputs(c))])
        alone += [f'{words!r} in {cell["id"]}' for words, *n in said(prose(cell)) if not agrees(*n, known)]
    assert not alone, f'{nb.name} has numbers in its text that no cell nearby has: {"; ".join(alone)}'

def test_a_number_of_another_run_is_found():
    known = numbers(['accuracy 0.9715, then 12 of 784 in 3,1 s; scale 1e-3'])
    def holds(text): return all(agrees(*n, known) for _, *n in said(text))
    assert holds('97% are right, 97.2% to be exact (0.97), 12 times; chapter 4, `0.5`'.replace('`0.5`', ''))
    assert holds('2.8% are wrong') and not holds('98% are right') and not holds('0.98') and not holds('13 times')
    assert list(said(prose({'source': ['`0.5` and $x^{0.5}$ in [a](b_0.5.html), 1. no', '\n1. list']}))) == []

def test_readme_counts_the_calls_that_were_compared():
    nb, index = (json.loads((nbs/f'{o}.ipynb').read_text('utf8')) for o in ('16_fastai_learner', 'index'))
    said = re.search(r'(\d+) of \1 calls give the same', '\n'.join(o for c in nb['cells'] for o in outputs(c)))
    assert f'makes {said[1]} with both, and all {said[1]} give the same' in ''.join(map(source, index['cells']))
