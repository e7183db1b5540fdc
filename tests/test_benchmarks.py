"The peers of the benchmarks do the same work"
import sys
from pathlib import Path

import pytest
import torch

root = Path(__file__).parent.parent
pytestmark = [pytest.mark.skipif(not (root/'benchmarks').exists(), reason='only the installed package is here'),
              pytest.mark.filterwarnings('ignore')]

@pytest.fixture(scope='module')
def tasks():
    sys.path.insert(0, str(root))
    import benchmarks.tasks
    yield benchmarks.tasks
    sys.path.remove(str(root))

def small_work(n_out):
    from benchmarks.work import Work
    g = torch.Generator().manual_seed(0)
    x = torch.randn(600, 784, generator=g)
    y = x[:, 0] > 0
    x[y] += 0.2
    split = x, y.float()[:, None] if n_out == 1 else y.long()
    return Work('small', (split, split), 8, n_out, 3, 64, 3. if n_out == 1 else 0.1, n_out == 1)

both = 'bare_loop', 'fastsgd_by_hand', 'fastsgd_learner', 'torch_dataloader', 'fastai_learner'

@pytest.mark.parametrize('n_out, names', ((1, (*both, 'fastai_on_fastsgd', 'lightning_trainer')),
                                          (10, (*both, 'sklearn_mlp', 'jax_scan', 'keras_on_jax'))))
def test_peers_take_as_many_updates_and_learn(tasks, n_out, names, capsys):
    found, missing = tasks.peers(*names)
    assert set(found) | set(missing) == set(names) and len(found) >= 5
    for name, train in found.items():
        result = train(small_work(n_out))
        assert result.updates == 30 and result.accuracy > 0.9, f'{name}: {result}'

def test_times_are_medians_of_turns():
    from benchmarks.measure import middle, side_by_side
    order = []
    times, results, _ = side_by_side({k: (lambda k=k: order.append(k) or k) for k in 'ab'}, 3)
    assert order == list('abababab') or len(order) > 8    # a disturbed turn is repeated
    assert {k: len(t) for k, t in times.items()} == {'a': 3, 'b': 3} and results == {'a': 'a', 'b': 'b'}
    assert middle([3, 1, 100]) == 3

def test_larger_sets_are_made_of_mnist(tasks, tmp_path):
    import numpy as np
    from benchmarks.work import make_images
    from fastsgd.data.digits import get_digits
    make_images(tmp_path/'big', 300, chunk=128)
    big, digits = get_digits(source=tmp_path/'big', mapped=True), get_digits()
    assert big.train.x.shape == (300, 28, 28)
    assert abs(big.train.x.mean()/255 - digits.train.x.mean().item()) < 0.03
    assert torch.equal(torch.from_numpy(np.array(big.valid.x)), (digits.valid.x*255).round().byte())

def test_goals_are_ratios_within_a_task(tasks):
    from benchmarks.__main__ import goals_table, ratio_of
    times = {'bare_loop, one epoch': [2, 2.2, 1.8], 'ours, two': [5, 4, 9]}
    rows = [tasks.row('to 98%', who, t, 2.) for who, t in times.items()]
    assert ratio_of(rows, 'to', 'ours', 'bare_loop') == 2.5 and ratio_of(rows, 'to', 'ours', 'theirs') is None
    found = [tasks.row('import', who, [s], 1.) for who, s in (('torch', 1.), ('fastsgd.all', 1.04))]
    assert goals_table(rows + found).splitlines()[2:] == [
        '| times `import torch` that `import fastsgd.all` takes | ≤ 1.05 | 1.04 | reached |']

def test_what_a_card_is_asked_runs_anywhere(tasks, capsys):
    "The script for a graphics card does the same work on a processor"
    from benchmarks import card
    from fastsgd.data.digits import get_digits
    digits, cpu = get_digits(source='mnist_5k'), torch.device('cpu')
    ms = card.epochs(digits, cpu, True)
    assert {*card.ways} < {*ms} and min(ms.values()) > 0
    n, ratio = card.many(digits, cpu, True)
    assert n == 8 and 0 < ratio
    found = card.devices(digits, cpu, True)
    assert {d['model'] for d in found} == {*card.recipes} and all(d['quicker'] == 'cpu' for d in found)
    assert {*card.batch_sizes(digits, cpu, True)['cpu']} == {256, 4096}
    trained = {name: way(tuple(t for t in (digits.train.x.flatten(1), digits.train.y)), 256)
               for name, way in card.ways.items()}
    first, *others = [torch.cat([p.detach().flatten() for p in net.parameters()]) for net in trained.values()]
    for w in others: assert torch.allclose(first, w, atol=1e-5)

def test_what_is_said_of_a_card(tasks, tmp_path, monkeypatch):
    from benchmarks import card
    rows = card.goals_table({'epoch': 5., 'many': 4.}).splitlines()[2:]
    assert len(rows) == len(card.goals) and rows[0].endswith('| 5.00 | reached |')
    assert rows[-1].endswith('| 4.00 | not reached |') and sum('| not measured |' in r for r in rows) == len(rows) - 2
    assert 'NVIDIA H200' in card.section() and card.section() in (root/'benchmarks/results.md').read_text('utf-8')
    said = tmp_path/'nvidia-smi'
    said.write_text('#!/bin/sh\necho "NVIDIA H100, 570.1"\n')
    said.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path))
    assert card.the_card(torch.device('cuda:0')) == 'NVIDIA H100, driver 570.1'
    said.unlink()
    assert card.the_card(torch.device('cuda:0')) == 'cuda:0'

@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a graphics card')
def test_without_a_card_a_sentence_says_so(tasks, monkeypatch):
    from benchmarks import card
    with pytest.raises(SystemExit, match="'cuda' cannot be used, here is: cpu .*--device cpu does the same work"):
        card.main([])
