"The same work in fastai's Learner and in ours, on whichever fastai is installed"
import subprocess, sys
from functools import partial

import pytest
import torch
from torch import nn
from fastsgd.data import get_digits
from fastsgd.dataloader import DataLoaders
from fastsgd.losses import accuracy, batch_accuracy, cross_entropy, mnist_loss
from fastsgd.models import mlp, simple_net
from fastsgd.training import SGD
import fastsgd.learner

pytestmark = pytest.mark.filterwarnings('ignore')    # of fastai's imports

@pytest.fixture(scope='module')
def fastai():
    import fastai.vision.all, fastai.learner
    return fastai

def get_learner(module, labels=(3, 7), **kwargs):
    torch.manual_seed(42)
    digits = get_digits(labels=labels, source='sklearn')
    ten = labels is None
    return module.Learner(DataLoaders.from_digits(digits, 32, seed=42), mlp([784, 20, 10]) if ten else simple_net(), loss_func=cross_entropy if ten else mnist_loss,
                          **{'opt_func': SGD, 'lr': 0.1, 'metrics': accuracy if ten else batch_accuracy, **kwargs})

def run(module, how, args, **kwargs):
    class Notes(module.Callback):
        order = 65
        def before_fit(self): self.notes = []
        def before_step(self): self.notes.append([self.loss.item(), self.opt.hypers[-1]['lr'], self.opt.hypers[-1]['mom']])
    learn = get_learner(module, cbs=Notes(), **kwargs)
    with learn.no_bar(), learn.no_logging(): getattr(learn, how)(*args)
    return torch.tensor(learn.notes.notes), torch.tensor([list(row)[1:] for row in learn.recorder.values]), torch.cat([p.detach().flatten() for p in learn.model.parameters()])

@pytest.mark.parametrize('labels', ((3, 7), None))
@pytest.mark.parametrize('how, args, opt', (('fit', (2, 0.5), SGD), ('fit', (2,), partial(SGD, mom=0.9, wd=0.01)), ('fit_one_cycle', (2, 0.3), SGD)))
def test_both_learners_agree(fastai, how, args, opt, labels):
    ours, theirs = (run(m, how, args, opt_func=opt, labels=labels) for m in (fastsgd.learner, fastai.learner))
    for a, b, atol in zip(ours, theirs, (1e-5, 1e-5, 1e-4)):    # batches, epochs, weights
        assert a.shape == b.shape and a.numel()
        torch.testing.assert_close(a, b, atol=atol, rtol=0)

def test_fastai_asks_for_nothing_that_our_loaders_lack(fastai):
    import matplotlib
    matplotlib.use('Agg')
    results = {}
    for module in (fastsgd.learner, fastai.learner):
        learn = get_learner(module)
        with learn.no_bar(), learn.no_logging():
            learn.fit(2, 1.)
            found = learn.lr_find(num_it=60, show_plot=False)
            assert 'Linear' in learn.summary()
            learn.show_results()
            probs, targs, decoded = learn.get_preds(with_decoded=True)
            label, answer, prob = learn.predict(learn.dls.valid.tensors[0][0].view(28, 28))
            results[module] = *learn.validate(), found.valley, probs, targs, decoded, answer, prob
            assert label == 3
    for a, b in zip(*results.values()): torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), atol=1e-5, rtol=0, check_dtype=False)

@pytest.mark.parametrize('first, second', (('fastai.vision.all', 'fastsgd.all'), ('fastsgd.all', 'fastai.vision.all')))
def test_star_imports_in_either_order_break_neither_library(first, second):
    code = f'''
import warnings; warnings.simplefilter('ignore')
from {first} import *
from {second} import *
import torch, fastai.learner, fastsgd.learner, fastsgd.all as ours
digits = ours.get_digits(labels=(3, 7), source='sklearn')
for Learner in (fastai.learner.Learner, fastsgd.learner.Learner):
    learn = Learner(ours.DataLoaders.from_digits(digits, 32, seed=1), ours.simple_net(), ours.mnist_loss, opt_func=ours.SGD, lr=0.1, metrics=ours.batch_accuracy)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1)
        learn.fit(1)
        assert learn.get_preds()[0].shape == (len(digits.valid.y), 1)
import {second}
assert SGD is {second}.SGD
print('fine')'''
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert out.stdout.strip().endswith('fine'), out.stderr
