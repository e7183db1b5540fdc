"Steps in a row end where steps one by one end, on a processor and on a graphics card"
import signal, warnings

import pytest
import torch
from torch.nn.functional import cross_entropy
from fastsgd.all import (SGD, BackpropByHand, Callback, DataLoader, Learner, ParamScheduler, StepsInARow, accuracy,
                         get_digits, mlp, sched_one_cycle, simple_net)
from fastsgd.tools.rows import FixedSteps

devices = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(),
                                                                reason='there is no graphics card'))]

@pytest.fixture(scope='module')
def data():
    digits = get_digits(source='mnist_5k')
    return [(x.flatten(1), y) for x, y in (digits.train, digits.valid)]

def learner(data, by_hand, device='cpu', cbs=(), **kwargs):
    torch.manual_seed(0)
    loaders = DataLoader(data[0], 64, shuffle=True, seed=1, device=device), DataLoader(data[1], 500, device=device)
    return Learner(loaders, simple_net(n_out=10).to(device), cross_entropy, metrics=accuracy, cbs=[by_hand(), *cbs],
                   **kwargs)

def weights(learn): return torch.cat([p.detach().flatten().cpu() for p in learn.model.parameters()])

def same(a, b, atol=2e-6):
    assert torch.allclose(weights(a), weights(b), atol=atol)
    assert torch.allclose(*(torch.tensor(o.recorder.losses) for o in (a, b)), atol=1e-4)
    assert a.recorder.hps == b.recorder.hps and a.recorder.iters == b.recorder.iters

@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('device', devices)
@pytest.mark.parametrize('hypers', ({}, {'mom': 0.9, 'nesterov': True}, {'mom': 0.5, 'wd': 0.01}))
def test_a_row_ends_where_single_steps_end(data, device, hypers):
    found = []
    for by_hand in (BackpropByHand, StepsInARow, StepsInARow):
        learn = learner(data, by_hand, device, opt_func=lambda params, lr: SGD(params, lr, **hypers))
        with learn.no_bar():
            learn.fit(2, 0.05)
            learn.fit(1, 0.05, cbs=ParamScheduler({'lr': sched_one_cycle(0.1)}))
        found.append(learn)
    same(*found[:2], atol=2e-6 if device == 'cpu' else 1e-4)
    assert weights(found[1]).equal(weights(found[2])) # and repeats itself to the last bit

class Peek(Callback):
    "Looks at the batches between the stages"
    order = 70
    def __init__(self): self.seen = []
    def look(self): self.seen.append(len([*self.learn.dl]))
    before_train = after_train = after_epoch = look

def test_whoever_looks_at_the_batches_finds_all_of_them(data):
    found = []
    for by_hand in (BackpropByHand, StepsInARow):
        learn = learner(data, by_hand, cbs=[peek := Peek()])
        with learn.no_bar(): learn.fit(2)
        found.append((learn, peek.seen))
    same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1] == [63, 63, 2]*2
    learn.validate(dl=learn.dls.train)
    same(found[0][0], learn)

@pytest.mark.skipif(not hasattr(signal, 'raise_signal'), reason='needs signals')
def test_ctrl_c_amid_a_row_leaves_what_is_done(data, monkeypatch):
    look, found = FixedSteps.look, []
    def pressed(self, i):
        if i == 30: signal.raise_signal(signal.SIGINT)
        return look(self, i)
    class Press(Callback):
        order = 46 # after the schedule
        def before_batch(self):
            if self.iter == 30: signal.raise_signal(signal.SIGINT)
    for by_hand, cbs in ((BackpropByHand, [Press()]), (StepsInARow, [])):
        learn = learner(data, by_hand, opt_func=lambda params, lr: SGD(params, lr, mom=0.9))
        if by_hand is StepsInARow: monkeypatch.setattr(FixedSteps, 'look', pressed)
        with learn.no_bar(), pytest.raises(KeyboardInterrupt, match='epoch 0, batch 30'):
            learn.fit_one_cycle(1, 0.1, cbs=cbs)
        monkeypatch.undo()
        assert len(learn.recorder.losses) == 30
        with learn.no_bar(): learn.fit(1)
        found.append(learn)
    same(*found)

@pytest.mark.parametrize('change', ('create_batch', 'batches', 'new_order'))
def test_changed_batches_are_taken_as_they_are(data, change):
    found = []
    for by_hand in (BackpropByHand, StepsInARow):
        learn = learner(data, by_hand)
        dl, made = learn.dls.train, getattr(learn.dls.train, change)
        def fewer(*args):
            out = made(*args)
            return out if change != 'create_batch' else (out[0]*0.5, out[1])
        setattr(dl, change, fewer)
        with learn.no_bar(), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter('always')
            learn.fit(1)
        found.append(learn)
    same(*found)
    assert 'not, unchanged, those of a fastsgd DataLoader' in str(told[0].message)

def test_nan_ends_a_row_where_it_comes(data):
    messages, bad = [], tuple(t.clone() for t in data[0])
    bad[0][1234] = torch.nan
    for by_hand in (BackpropByHand, StepsInARow):
        learn = learner([bad, data[1]], by_hand)
        with learn.no_bar(), pytest.raises(FloatingPointError) as e: learn.fit(1)
        assert weights(learn).isfinite().all()
        messages.append((str(e.value), len(learn.recorder.losses)))
    assert messages[0] == messages[1]

def test_a_deeper_network_without_a_recorder(data):
    from fastsgd.learner import Learner as Bare
    found = []
    for by_hand in (BackpropByHand, StepsInARow):
        torch.manual_seed(0)
        learn = Bare((DataLoader(data[0], 64, shuffle=True, seed=1), None), mlp((784, 40, 20, 10)), cross_entropy)
        learn.remove_cbs([*learn.cbs]).add_cbs(by_hand())
        learn.fit(2, 0.1)
        found.append(weights(learn))
    assert torch.allclose(*found, atol=2e-6)
