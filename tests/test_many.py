"Many trainings side by side: each as it would be alone, and a sentence where it couldn't be"
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fastsgd.convnet import small_cnn
from fastsgd.dataloader import DataLoader, DataLoaders
from fastsgd.interpret import accuracy, cross_entropy
from fastsgd.losses import batch_accuracy, mnist_loss
from fastsgd.models import mlp, simple_net
from fastsgd.schedule import Learner
from fastsgd.tools.many import fit_many
from fastsgd.tools.side import PlainSideBySide, SideBySide
from fastsgd.training import SGD

gen = torch.Generator().manual_seed(1)
x, y = torch.rand(50, 784, generator=gen), torch.randint(10, (50,), generator=gen)
of_two = (y < 5).float()[:, None]
smooth = partial(F.cross_entropy, label_smoothing=0.1)

def loaders(seed=None, y=y, x=x, device=None, **kwargs):
    given = dict(batch_size=16, shuffle=True, seed=seed, device=device) | kwargs
    return DataLoaders(DataLoader((x, y), **given), DataLoader((x[:20], y[:20]), 7, device=device))

def alone(t, make, dls, n_epoch, loss_func, metric, wd, one_cycle):
    "What a Learner makes of one of the trainings: rows of losses and metric, and the weights"
    torch.manual_seed(t.seed)
    learn = Learner(dls, make(), loss_func, metrics=metric, opt_func=partial(SGD, mom=t.mom or 0.), wd=wd)
    with learn.no_bar(): (learn.fit_one_cycle if one_cycle else learn.fit)(n_epoch, t.lr)
    return learn.recorder.values, learn.model.state_dict()

def check(make, loss_func=cross_entropy, metric=accuracy, wd=0., one_cycle=False, moms=None, n_epoch=3,
          columns=None, eps=1e-5, **kwargs):
    fits = fit_many(make, loaders(**kwargs), n_epoch, (0.05, 0.2), (3, 4), loss_func, metric, moms, wd, one_cycle)
    for t in fits.trainings:
        values, weights = alone(t, make, loaders(t.seed, **kwargs), n_epoch, loss_func, metric, wd, one_cycle)
        names = 'train_loss', 'valid_loss', fits.metric
        rows = [row for row in fits.rows if (row['seed'], row['lr'], row['mom']) == t]
        for o in columns or names:
            found, wanted = [row[o] for row in rows], [row[names.index(o)] for row in values]
            torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), atol=eps, rtol=eps)
        own = fits.model(*t).state_dict()
        assert own.keys() == weights.keys()
        for k in own: torch.testing.assert_close(own[k], weights[k], atol=eps, rtol=eps)
    return fits

def ten(): return simple_net(n_out=10)

@pytest.mark.parametrize('kwargs', [
    {}, dict(moms=(0., 0.9), wd=0.1), dict(one_cycle=True, wd=0.1), dict(drop_last=True), dict(shuffle=False),
    dict(batch_size=50), dict(loss_func=smooth), dict(loss_func=nn.CrossEntropyLoss(), moms=0.5)], ids=str)
def test_plain_networks(kwargs):
    assert type(check(ten, **kwargs).side) is PlainSideBySide

@pytest.mark.parametrize('how', [dict(weight=torch.arange(1., 11.)), dict(reduction='sum')], ids=str)
def test_losses_that_are_no_means_over_images(how):
    def loss_func(preds, targs): return F.cross_entropy(preds, targs, **how)/10
    check(ten, loss_func, columns=['train_loss', 'accuracy']) # that of the validation set is of all batches together

@pytest.mark.parametrize('make', [
    lambda: nn.Linear(784, 10), lambda: mlp((784, 20, 15, 10), nn.Tanh), lambda: mlp((784, 9, 10), nn.Sigmoid),
    lambda: nn.Sequential(nn.Linear(784, 9, bias=False), nn.ReLU(), nn.Linear(9, 10))])
def test_other_plain_networks(make): assert type(check(make, moms=0.9, wd=0.01).side) is PlainSideBySide

def test_two_labels():
    check(simple_net, mnist_loss, batch_accuracy, y=of_two, moms=0.9)
    check(simple_net, F.binary_cross_entropy_with_logits, batch_accuracy, y=of_two)

class Fixed(nn.Module):
    "A layer that learns on random features that stay, and images as they are"
    def __init__(self):
        super().__init__()
        self.register_buffer('features', torch.randn(784, 20)/28)
        self.norm, self.last = nn.LayerNorm(20), nn.Linear(20, 10)
    def forward(self, xb): return self.last(self.norm(xb.flatten(1)@self.features))

def frozen():
    net = mlp((784, 20, 10))
    net[0].requires_grad_(False)
    return net

def twice():
    layer = nn.Linear(10, 10)
    return nn.Sequential(nn.Linear(784, 10), nn.ReLU(), layer, nn.ReLU(), layer)

@pytest.mark.parametrize('make', [small_cnn, Fixed, twice])
def test_networks_of_any_kind(make): assert type(check(make, moms=(0., 0.9), wd=0.01).side) is SideBySide

def test_frozen_layers(): check(frozen, moms=0.9, wd=0.1)
def test_images_that_are_no_rows(): check(Fixed, x=x.view(-1, 28, 28))

@pytest.mark.parametrize('make', [small_cnn, Fixed, twice, frozen])
def test_all_at_once_as_on_a_graphics_card(make, monkeypatch):
    made = SideBySide.__init__
    def batched(self, *args): made(self, *args); self.batched = True
    monkeypatch.setattr(SideBySide, '__init__', batched)
    monkeypatch.setattr(PlainSideBySide, 'fits', lambda net: False)
    assert check(make, moms=0.9, wd=0.01).side.batched

@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no graphics card')
@pytest.mark.parametrize('make', [ten, small_cnn])
def test_on_a_graphics_card(make, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    check(make, moms=0.9, wd=0.01, device='cuda', eps=1e-4)

def test_networks_do_not_depend_on_their_neighbors():
    few, many = [fit_many(ten, loaders(), 2, lrs, seeds) for lrs, seeds in ((0.1, 5), ((0.1, 1e30, 0.2), (5, 6, 7)))]
    for k, v in few.model(5, 0.1).state_dict().items():
        torch.testing.assert_close(many.model(5, 0.1).state_dict()[k], v, atol=1e-6, rtol=1e-5)
    assert len(many.ended) == 3 and not few.ended

def test_nothing_is_touched():
    dls = loaders(7)
    orders = [batch[1].tolist() for batch in dls.train]
    dls = loaders(7)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fit_many(ten, dls, 1, 0.1, 1)
    assert torch.rand(2).equal(expected)
    assert [batch[1].tolist() for batch in dls.train] == orders

def norm(): return nn.Sequential(nn.Linear(784, 10), nn.BatchNorm1d(10))
def dice(): return nn.Sequential(nn.Linear(784, 10), nn.Dropout(0.1))
def any_width(): return simple_net(n_hidden=int(torch.randint(10, 1000, ())), n_out=10)

@pytest.mark.parametrize('change, says', [
    (dict(make_model=any_width), 'networks of one shape'), (dict(make_model=norm), 'mean.*batch norm'),
    (dict(make_model=dice), 'random numbers.*dropout'), (dict(make_model=ten()), 'function such as lambda: simple_net'),
    (dict(make_model=lambda: 5), 'must make networks'), (dict(make_model=nn.Identity), 'no parameters to train'),
    (dict(lrs=[]), 'lrs is empty'), (dict(seeds=()), 'seeds is empty'), (dict(lrs='0.1'), "a number, not '0.1'"),
    (dict(lrs=(0.1, None)), 'a number, not None'), (dict(seeds=0.5), 'a whole number'),
    (dict(lrs=(1, 1)), 'values twice'),
    (dict(n_epoch=0), 'n_epoch must be at least 1'), (dict(n_epoch='2'), 'n_epoch must be a whole number'),
    (dict(wd='much'), 'wd must be a number'), (dict(loss_func=None), 'must be functions, not None'),
    (dict(moms=0.9, one_cycle=True), 'leave out moms'), (dict(dls=None), 'fastsgd DataLoader.*not from None'),
    (dict(dls=loaders(y=of_two)), 'expected predictions'), (dict(dls=(loaders().train, None)), 'no validation batches'),
    (dict(dls=(loaders().train, iter(()))), 'no batch to validate with'),
    (dict(dls=(torch.utils.data.DataLoader(list(zip(x, y)), 16), loaders().valid)), 'fastsgd DataLoader')], ids=str)
def test_sentences(change, says):
    kwargs = dict(make_model=ten, dls=loaders(), n_epoch=1, lrs=(0.1, 0.2), seeds=(1, 2)) | change
    with pytest.raises((ValueError, TypeError), match=says): fit_many(**kwargs)
