"What a training trains, what is kept of it, and how it goes on: each test is a report of someone who lost something"
import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from fastsgd.all import *

def data(n=32):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=g)
    return x, (x.sum(1, keepdim=True) > 0).float()

def get_learner(model=None, train=None, **kwargs):
    torch.manual_seed(0)
    dls = DataLoaders(train or DataLoader(data(), 8, shuffle=True, seed=0), DataLoader(data(), 16))
    model = model or nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    learn = Learner(dls, model, mnist_loss, **{'metrics': batch_accuracy, 'lr': 1.} | kwargs)
    return learn.remove_cb(ProgressCallback)

def held(opt):
    "The parameters in an optimizer of whatever library"
    return [p for part in getattr(opt, 'param_lists', None) or [g['params'] for g in opt.param_groups] for p in part]

def fastai_adam(params, lr):
    from fastai.optimizer import Adam
    return Adam(params, lr=lr)

# --- the optimizer and what it trains --------------------------------------------------------------

def other_model(learn): learn.model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
def other_head(learn): learn.model[2] = nn.Linear(3, 1)
def unfrozen(learn): learn.model[0].requires_grad_(True)
def frozen(learn): learn.model[2].requires_grad_(False)
def one_more(learn): learn.model.append(nn.Linear(1, 1))

@pytest.mark.parametrize('change', [other_model, other_head, unfrozen, frozen, one_more])
@pytest.mark.parametrize('opt_func', [partial_sgd := lambda ps, lr: SGD(ps, lr=lr, mom=0.9), torch.optim.Adam,
                                      torch.optim.Adagrad, fastai_adam], ids=['SGD', 'Adam', 'Adagrad', 'fastai'])
def test_what_wants_training_is_trained(change, opt_func):
    learn = get_learner(opt_func=opt_func, lr=0.1)
    if change is unfrozen: learn.model[0].requires_grad_(False)
    learn.fit(1)
    before, opt = {p: copy.deepcopy(learn.opt.state[p]) for p in held(learn.opt)}, learn.opt
    change(learn)
    start = copy.deepcopy(learn.model)
    with pytest.warns(UserWarning, match='optimizer'): learn.fit(0, lr=0.05, wd=0.01)
    wanted = [p for p in learn.model.parameters() if p.requires_grad]
    assert {*map(id, held(learn.opt))} == {*map(id, wanted)} and learn.opt is not opt
    for p in wanted:
        if p in before: assert str(dict(learn.opt.state[p])) == str(dict(before[p]))
    group = (getattr(learn.opt, 'hypers', None) or learn.opt.param_groups)[-1]
    assert group['lr'] == 0.05 and group.get('wd', group.get('weight_decay')) == 0.01
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        learn.fit(1)
    for p, old in zip(learn.model.parameters(), start.parameters()):
        assert torch.equal(p, old) == (not p.requires_grad)

def test_nothing_is_said_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        learn = get_learner()
        for _ in range(2): learn.fit(1)
        learn.opt = SGD([{'params': m.parameters(), 'lr': 0.1} for m in (learn.model[0], learn.model[2])], lr=1.)
        learn.fit(1)
        assert len(learn.opt.param_groups) == 2
        learn.lr_find(num_it=10, show_plot=False)

@pytest.mark.parametrize('opt_func', [partial_sgd, torch.optim.Adam, torch.optim.Adagrad, fastai_adam])
def test_loaded_weights_have_no_momentum_of_others(tmp_path, opt_func):
    learn = get_learner(opt_func=opt_func, lr=0.1)
    file = learn.save(tmp_path/'start')
    learn.fit(2)
    opt = learn.opt
    learn.load(file)
    assert learn.opt is opt
    again = get_learner(opt_func=opt_func, lr=0.1)
    for one in (learn, again):
        for b in ([x, y] for x, y in DataLoader(data(), 8)):
            one.opt or one.create_opt()
            mnist_loss(one.model(b[0]), b[1]).backward()
            one.opt.step(), one.opt.zero_grad()
    for p, q in zip(learn.model.parameters(), again.model.parameters()): torch.testing.assert_close(p, q)

def test_weights_are_loaded_whatever_the_optimizer_is(tmp_path):
    learn = get_learner(lr=0.1)
    file = learn.save(tmp_path/'start')
    learn.opt = torch.optim.Adam(learn.model.parameters(), lr=0.1) # not what `opt_func` makes
    learn.fit(1)
    learn.load(file).fit(1)
    learn.model.requires_grad_(False)
    learn.load(file)

# --- what is kept of it ----------------------------------------------------------------------------

def facts_of(file): return load_tensors(file)[1]

def test_metrics_are_those_of_the_weights(tmp_path):
    learn = get_learner()
    learn.fit(1)
    first = facts_of(learn.save(tmp_path/'first'))['metrics']
    assert set(first) == {'train_loss', 'valid_loss', 'batch_accuracy'}
    learn.fit(3)
    assert facts_of(learn.save(tmp_path/'last'))['metrics'] != first
    learn.load(tmp_path/'first')
    assert facts_of(learn.save(tmp_path/'again'))['metrics'] == first
    learn.fit(1)
    assert facts_of(learn.save(tmp_path/'more'))['metrics']['valid_loss'] == learn.final_record[1]
    fresh = get_learner().load(tmp_path/'first')
    assert facts_of(fresh.save(tmp_path/'fresh'))['metrics'] == first

def test_numbers_of_numpy_are_kept(tmp_path):
    learn = get_learner()
    learn.dls.facts, learn.dls.vocab = {'share': np.float32(0.5), 'n': np.int64(3)}, np.array([3, 7])
    facts = facts_of(learn.save(tmp_path/'model', extra=torch.tensor(2.)))
    assert (facts['share'], facts['n'], facts['labels'], facts['extra']) == (0.5, 3, [3, 7], 2.)
    for facts in ({'odd': object()}, {'odd': {(1, 2): 3}}, {'odd': {np.int64(1): 3}}):
        learn.dls.facts = facts
        with pytest.raises(TypeError, match="'odd' cannot be kept"): learn.save(tmp_path/'model')
