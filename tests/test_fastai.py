"The same work in fastai's Learner and in ours, on whichever fastai is installed"
import subprocess, sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import fastsgd.all
from fastsgd.all import (SGD, DataLoaders, accuracy, batch_accuracy, cross_entropy, get_digits, mlp, mnist_loss,
                         simple_net)
import fastsgd.tools.fastai

pytestmark = pytest.mark.filterwarnings('ignore')    # of fastai's imports

@pytest.fixture(scope='module')
def fastai():
    import fastai.vision.all, fastai.learner
    return fastai

def get_learner(module, labels=(3, 7), **kwargs):
    torch.manual_seed(42)
    dls = DataLoaders.from_digits(get_digits(labels=labels, source='mnist_5k'), 32, seed=42)
    if labels is None: model, loss_func, metrics = mlp([784, 20, 10]), cross_entropy, accuracy
    else: model, loss_func, metrics = simple_net(), mnist_loss, batch_accuracy
    kwargs = {'opt_func': SGD, 'lr': 0.1, 'metrics': metrics, **kwargs}
    return module.Learner(dls, model, loss_func=loss_func, **kwargs)

def quiet(learn, how, *args):
    "Do something with a learner, without bar and table"
    with learn.no_bar(), learn.no_logging(): return getattr(learn, how)(*args)

def run(module, how, args, **kwargs):
    "Losses and hyperparameters of the batches, what the epochs gave, and the weights at the end"
    class Notes(module.Callback):
        order = 65
        def before_fit(self): self.notes = []
        def before_step(self):
            hypers = self.opt.hypers[-1]
            self.notes.append([self.loss.item(), hypers['lr'], hypers['mom']])
    learn = get_learner(module, cbs=Notes(), **kwargs)
    quiet(learn, how, *args)
    epochs = torch.tensor([list(row)[1:] for row in learn.recorder.values])
    return torch.tensor(learn.notes.notes), epochs, torch.cat([p.detach().flatten() for p in learn.model.parameters()])

@pytest.mark.parametrize('labels', ((3, 7), None))
@pytest.mark.parametrize('how, args, opt', (
    ('fit', (2, 0.5), SGD),
    ('fit', (2,), partial(SGD, mom=0.9, wd=0.01)),
    ('fit_one_cycle', (2, 0.1), SGD)))
def test_both_learners_agree(fastai, how, args, opt, labels):
    ours, theirs = (run(m, how, args, opt_func=opt, labels=labels) for m in (fastsgd.all, fastai.learner))
    for a, b, atol in zip(ours, theirs, (1e-5, 1e-5, 1e-4)):    # batches, epochs, weights
        assert a.shape == b.shape and a.numel()
        torch.testing.assert_close(a, b, atol=atol, rtol=0)

def test_fastai_asks_for_nothing_that_our_loaders_lack(fastai):
    import matplotlib
    matplotlib.use('Agg')
    results = []
    for module in (fastsgd.all, fastai.learner):
        learn = get_learner(module)
        with learn.no_bar(), learn.no_logging():
            learn.fit(2, 1.)
            found = learn.lr_find(num_it=60, show_plot=False)
            assert 'Linear' in learn.summary()
            learn.show_results()
            probs, targs, decoded = learn.get_preds(with_decoded=True)
            trained = learn.get_preds(0)[1]    # in the order of the data, though training shuffles
            label, answer, prob = learn.predict(learn.dls.valid.tensors[0][0].view(28, 28))
            results.append((*learn.validate(), found.valley, probs, targs, decoded, trained, answer, prob))
            assert label == 3 and trained.equal(learn.dls.train.tensors[1])
    for a, b in zip(*results):
        torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), atol=1e-5, rtol=0, check_dtype=False)

def test_groups_of_parameters_in_fastai(fastai):
    def split(model): return [list(model[0].parameters()), list(model[2].parameters())]
    learn = get_learner(fastai.learner, splitter=split)
    quiet(learn, 'fit', 1, slice(0.01, 0.1))
    assert [g['lr'] for g in learn.opt.hypers] == pytest.approx([0.01, 0.1])
    assert [len(g['params']) for g in learn.opt.param_groups] == [2, 2]
    quiet(learn, 'fit_one_cycle', 1, slice(0.01, 0.1))
    first, last = (g['lr'] for g in learn.opt.hypers)
    assert first == pytest.approx(last/10)

def test_fastais_loaders_and_optimizer_in_our_learner(fastai):
    digits = get_digits(labels=(3, 7), source='mnist_5k')
    train, valid = (list(zip(*dl.tensors)) for dl in DataLoaders.from_digits(digits))
    dls = fastai.vision.all.DataLoaders.from_dsets(train, valid, bs=32, device='cpu', num_workers=0)
    learn = fastsgd.all.Learner(dls, simple_net(), mnist_loss, fastai.vision.all.Adam, 1e-2, metrics=batch_accuracy)
    quiet(learn, 'fit_one_cycle', 2)
    assert learn.final_record[-1] > 0.95
    assert learn.get_preds(0)[1].equal(torch.stack([y for _, y in train]))

@pytest.mark.parametrize('first, second', (('fastai.vision.all', 'fastsgd.all'), ('fastsgd.all', 'fastai.vision.all')))
def test_star_imports_in_either_order_break_neither_library(first, second):
    code = f'''
import warnings; warnings.simplefilter('ignore')
from {first} import *
from {second} import *
import torch, fastai.learner, fastsgd.learner, fastsgd.all as ours
digits = ours.get_digits(labels=(3, 7), source='mnist_5k')
for Learner in (fastai.learner.Learner, fastsgd.learner.Learner):
    dls = ours.DataLoaders.from_digits(digits, 32, seed=1)
    learn = Learner(dls, ours.simple_net(), ours.mnist_loss, opt_func=ours.SGD, lr=0.1, metrics=ours.batch_accuracy)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1)
        learn.fit(1)
        assert learn.get_preds()[0].shape == (len(digits.valid.y), 1)
import {second}
assert SGD is {second}.SGD
print('fine')'''
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert out.stdout.strip().endswith('fine'), out.stderr

# --- its names and callbacks in our Learner --------------------------------------------------------

def weights(learn): return torch.cat([p.detach().flatten() for p in learn.model.parameters()])

def agree(ours, theirs):
    "The same weights, and the same numbers in the table (fastai smooths the loss of training)"
    torch.testing.assert_close(weights(ours), weights(theirs), atol=1e-4, rtol=0)
    rows = [torch.tensor([list(row)[1:] for row in learn.recorder.values]) for learn in (ours, theirs)]
    torch.testing.assert_close(*rows, atol=1e-5, rtol=0)

@pytest.mark.parametrize('n', (1, 1., np.int64(1), np.float64(1)))
def test_epochs_of_any_kind_of_number(fastai, n):
    learn = get_learner(fastsgd.all)
    quiet(learn, 'fit', n)
    assert len(learn.recorder.values) == 1
    for bad in (1.5, '1', True, float('nan'), float('inf')):
        with pytest.raises(TypeError, match='n_epoch must be a whole number'): learn.fit(bad)

def test_a_learner_made_as_fastais(fastai, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    def split(m): return [list(m[0].parameters()), list(m[2].parameters())]
    learns = [get_learner(m, splitter=split, wd_bn_bias=True, train_bn=True, wd=0.1, model_dir='kept') for m in
              (fastsgd.all, fastai.learner)]
    for learn in learns:
        quiet(learn, 'fit', 1)
        quiet(learn, 'one_batch', 2, next(iter(learn.dls.valid)))
        assert learn.iter == 2 and learn.path/learn.model_dir == Path('kept')
        file = learn.save('x')
        assert file.is_file() and file.parent == learn.path/'kept'
        learn.load('x')
        assert [len(g['params']) for g in learn.opt.param_groups] == [2, 2]
    agree(*learns)
    by_torch = get_learner(fastsgd.all, splitter=split, opt_func=torch.optim.SGD)
    by_fastai = get_learner(fastsgd.all, splitter=split, opt_func=fastai.vision.all.SGD)
    for learn in (by_torch, by_fastai):
        quiet(learn, 'fit', 1)
        assert len(learn.opt.param_groups) == 2
    own, plain = fastsgd.all.Callback(), fastsgd.all
    assert plain.Learner(learn.dls, learn.model, mnist_loss, SGD, 0.1, None, own, default_cbs=False).cbs == [own]

def test_the_loss_that_comes_with_the_data(fastai):
    x, y = torch.randn(64, 4), torch.randn(64, 1)
    dataset = torch.utils.data.TensorDataset(x, y)
    dls = DataLoaders(fastsgd.all.DataLoader(dataset), fastsgd.all.DataLoader((x, y)))
    for module, error in ((fastsgd.all, TypeError), (fastai.learner, AssertionError)):
        with pytest.raises(error, match='loss'): module.Learner(dls, torch.nn.Linear(4, 1))
    dataset.loss_func = torch.nn.functional.mse_loss
    for module in (fastsgd.all, fastai.learner):
        assert module.Learner(dls, torch.nn.Linear(4, 1)).loss_func is dataset.loss_func
    assert dls.valid_ds[3][0].equal(x[3]) and DataLoaders(dls.train).valid_ds is None

def test_vision_learner_takes_our_loaders(fastai):
    from torchvision.models import resnet18
    x, y = torch.rand(32, 1, 28, 28), torch.arange(32) % 10
    dls = DataLoaders(fastsgd.all.DataLoader((x, y), 16), fastsgd.all.DataLoader((x, y), 16), vocab=range(10))
    with pytest.raises(AssertionError, match='loss'):
        fastai.vision.all.vision_learner(dls, resnet18, pretrained=False, n_in=1, opt_func=SGD)
    learn = fastai.vision.all.vision_learner(dls, resnet18, pretrained=False, n_in=1, opt_func=SGD,
                                              loss_func=cross_entropy)
    quiet(learn, 'fit', 1, 0.01)
    assert learn.get_preds()[0].shape == (32, 10)
