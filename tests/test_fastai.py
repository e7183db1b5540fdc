"The same work in fastai's Learner and in ours, on whichever fastai is installed"
import subprocess, sys
from functools import partial

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
