"SGD, losses and metrics in fastai's own Learner, at whichever end of the supported versions this is"
import copy
from functools import partial

import pytest
import torch
from fastsgd.all import SGD, batch_accuracy, get_digits, mnist_loss, simple_net

@pytest.fixture(scope='module')
def fastai_dls():
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    digits = get_digits((3, 7), 'mnist_5k')
    def loader(x, y): return DataLoader(list(zip(x.flatten(1), (y == 0).float()[:, None])), bs=32)
    return DataLoaders(loader(*digits.train), loader(*digits.valid))

def learner(dls, opt_func, model):
    from fastai.learner import Learner
    learn = Learner(dls, copy.deepcopy(model), loss_func=mnist_loss, opt_func=opt_func, metrics=batch_accuracy, lr=0.5)
    learn.remove_cbs([cb for cb in learn.cbs if type(cb).__name__ == 'ProgressCallback'])
    return learn

def weights(model): return torch.cat([p.detach().flatten() for p in model.parameters()])

def test_fit_equals_a_plain_loop(fastai_dls):
    torch.manual_seed(0)
    start = simple_net()
    learn = learner(fastai_dls, SGD, start)
    with learn.no_logging(): learn.fit(2)
    plain = copy.deepcopy(start)
    opt = torch.optim.SGD(plain.parameters(), lr=0.5)
    for _ in range(2):
        for xb, yb in fastai_dls.train:
            mnist_loss(plain(xb), yb).backward(); opt.step(); opt.zero_grad()
    assert (weights(learn.model) - weights(start)).abs().max() > 0.01
    torch.testing.assert_close(weights(learn.model), weights(plain), rtol=0, atol=1e-6)

def test_one_cycle_sets_rate_and_momentum_as_in_fastai(fastai_dls):
    import fastai.callback.schedule # noqa: F401 (gives Learner its fit_one_cycle)
    from fastai.optimizer import SGD as fastai_SGD
    torch.manual_seed(0)
    start, ends, rates = simple_net(), [], []
    # fastai's leaves momentum out for good unless it starts with some
    for opt_func in (SGD, partial(fastai_SGD, mom=0.9)):
        learn = learner(fastai_dls, opt_func, start)
        with learn.no_logging(): learn.fit_one_cycle(2, lr_max=0.5)
        ends.append(weights(learn.model)); rates.append((learn.recorder.hps['lr'], learn.recorder.hps['mom']))
    torch.testing.assert_close(torch.tensor(rates[0]), torch.tensor(rates[1]), check_dtype=False)
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-5)
    assert len(set(rates[0][0])) > 10

def test_rates_by_group_as_in_fastai():
    from fastai.optimizer import SGD as fastai_SGD
    groups = [[torch.ones(1, requires_grad=True)] for _ in range(3)]
    for lr in (slice(1e-3, 1e-1), slice(1e-1)):
        ours, theirs = SGD(groups, lr=0.), fastai_SGD(groups, lr=0.)
        ours.set_hyper('lr', lr); theirs.set_hyper('lr', lr)
        assert [h['lr'] for h in ours.hypers] == pytest.approx([h['lr'] for h in theirs.hypers])
    assert copy.deepcopy(ours).frozen_idx == 0

def test_parameters_that_must_not_decay():
    w = torch.ones(2, requires_grad=True); b = torch.ones(2, requires_grad=True)
    opt = SGD([w, b], lr=0.1, wd=0.5)
    opt.state[b]['do_wd'] = False # as fastai marks biases
    for p in (w, b): p.grad = torch.zeros(2)
    opt.step()
    assert torch.equal(b, torch.ones(2)) and torch.allclose(w, torch.full((2,), 0.95))

def test_a_copy_and_a_loaded_state_go_on_alike():
    def optimizer():
        w = torch.ones(3, requires_grad=True)
        return w, SGD([w], lr=0.1, mom=0.9, wd=0.01, nesterov=True)
    def steps(w, opt, n):
        for _ in range(n):
            w.grad = w.detach()*2
            opt.step()
    w, opt = optimizer()
    steps(w, opt, 3)
    copied = copy.deepcopy(opt)
    loaded_w, loaded = optimizer()
    loaded.load_state_dict(copy.deepcopy(opt.state_dict()))
    with torch.no_grad(): loaded_w.copy_(w)
    for each in (w, opt), (copied.param_groups[0]['params'][0], copied), (loaded_w, loaded): steps(*each, 3)
    assert torch.equal(w, copied.param_groups[0]['params'][0]) and torch.equal(w, loaded_w)
