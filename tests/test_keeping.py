"What a training trains, what is kept of it, and how it goes on: each test is a report of someone who lost something"
import copy
import os
import signal
import warnings
from contextlib import ExitStack

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

class Fakes(Callback):
    "Puts other numbers into the table, as if they had been measured"
    order = 55
    def __init__(self, values, column=1): self.fakes, self.column = values, column
    def after_epoch(self): self.recorder.values[-1][self.column] = self.fakes[self.epoch]

nan, inf = float('nan'), float('inf')

@pytest.mark.parametrize('values, best', [([nan, 3., 2., nan], 2), ([nan, nan, 1., nan], 2), ([4., nan, 5., 6.], 0)])
def test_nan_is_never_best(tmp_path, values, best, capsys):
    stop = EarlyStoppingCallback(patience=3)
    get_learner().fit(4, cbs=[Fakes(values), stop, CheckpointCallback(tmp_path, monitor='valid_loss')])
    assert (stop.best, stop.best_epoch) == (-values[best], best)
    assert facts_of(tmp_path/'best.safetensors')['metrics']['valid_loss'] == values[best]

def test_nothing_but_nan(tmp_path, capsys):
    learn = get_learner()
    learn.fit(9, cbs=[Fakes([nan]*9), EarlyStoppingCallback(patience=2),
                      CheckpointCallback(tmp_path, monitor='valid_loss')])
    assert len(learn.recorder.values) == 2 and 'valid_loss has not been a number so far' in capsys.readouterr().out
    assert not (tmp_path/'best.safetensors').exists()

class Ends(Callback):
    "Ends the training in some way in its third epoch, in a batch or after the epoch"
    def __init__(self, how, event, order): self.how, self.order = how, order; setattr(self, event, self.end)
    def end(self):
        if self.epoch != 2: return
        if isinstance(self.how, int): os.kill(os.getpid(), self.how)
        else: raise self.how

caught = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

@pytest.mark.parametrize('event, order, done', [('after_epoch', 70, 3), ('after_epoch', 110, 3), ('after_batch', 0, 2),
                                                ('before_validate', 0, 2), ('after_epoch', 40, 2)])
@pytest.mark.parametrize('how', [CancelFitException(), RuntimeError(), KeyboardInterrupt(), SystemExit(),
                                 *caught], ids=repr)
@pytest.mark.parametrize('every', [1, 5])
def test_every_end_leaves_the_last_whole_epoch(tmp_path, event, order, done, how, every):
    whole, saver = get_learner(), CheckpointCallback(tmp_path, every_epochs=every, monitor='train_loss')
    whole.fit(6)
    learn, handlers = get_learner(), [*map(signal.getsignal, caught)]
    signals = signal.SIGTERM, signal.SIGHUP
    error = SystemExit if how in signals else KeyboardInterrupt if how == signal.SIGINT else type(how)
    with ExitStack() as stack:
        if error is not CancelFitException: stack.enter_context(pytest.raises(error))
        learn.fit(6, cbs=[Ends(how, event, order), saver])
    facts = facts_of(checkpoints(tmp_path)[-1])
    at = facts['training']['epoch'], facts['training']['batch']
    assert at >= (done, 0) if isinstance(how, int) else at == (done, 0)
    assert not at[1] and facts['metrics']['valid_loss'] == whole.recorder.values[at[0] - 1][1] or isinstance(how, int)
    best = facts_of(tmp_path/'best.safetensors')['metrics']['train_loss']
    assert best == min(row[0] for row in whole.recorder.values[:max(done, at[0])])
    assert handlers == [*map(signal.getsignal, caught)]
    torch.manual_seed(7)
    other = get_learner()
    other.fit(6, cbs=CheckpointCallback(tmp_path, resume=True, monitor='train_loss'))
    for p, q in zip(whole.model.parameters(), other.model.parameters()): assert torch.equal(p, q)

def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN) # as `nohup` does
    try: get_learner().fit(4, cbs=[Ends(signal.SIGHUP, 'after_batch', 0), CheckpointCallback(tmp_path)])
    finally: signal.signal(signal.SIGHUP, before)
    assert facts_of(checkpoints(tmp_path)[-1])['training']['epoch'] == 4

def contents(folder): return {f.name: f.read_bytes() if f.is_file() else None for f in folder.iterdir()}

def test_a_folder_belongs_to_one_run(tmp_path):
    get_learner().fit(3, cbs=CheckpointCallback(tmp_path, monitor='valid_loss'))
    kept = contents(tmp_path)
    for kwargs in ({'monitor': 'valid_loss'}, {}):
        with pytest.raises(FileExistsError, match='of another training run: name another folder'):
            get_learner().fit(3, cbs=CheckpointCallback(tmp_path, **kwargs))
        assert contents(tmp_path) == kept
    get_learner().fit(2, cbs=CheckpointCallback(tmp_path/'other'))
    with pytest.raises(FileExistsError, match='of another'):
        get_learner().fit(3, cbs=CheckpointCallback(tmp_path, resume=tmp_path/'other'))
    assert {k: v for k, v in contents(tmp_path).items() if k != 'other'} == kept
    (tmp_path/'new').mkdir()
    (tmp_path/'new'/'best.safetensors').write_bytes(b'somebody\'s')
    get_learner().fit(1, cbs=CheckpointCallback(tmp_path/'new'))
    with pytest.raises(FileExistsError, match='best.safetensors is of another'):
        get_learner().fit(2, cbs=CheckpointCallback(tmp_path/'new', resume=True, monitor='valid_loss'))

def test_files_of_the_user_are_left_alone(tmp_path):
    mine = [tmp_path/name for name in ('checkpoint_mine.safetensors', 'checkpoint_1.safetensors', 'checkpoint_0001.pt',
                                       'checkpoint.safetensors', 'best.pt')]
    for f in mine: f.write_bytes(b'mine')
    get_learner().save(tmp_path/'checkpoint_of_before')
    saver = CheckpointCallback(tmp_path, monitor='valid_loss', keep=1)
    get_learner().fit(3, cbs=saver)
    assert {f.read_bytes() for f in mine} == {b'mine'} and len(checkpoints(tmp_path)) == 1
    get_learner().fit(4, cbs=CheckpointCallback(tmp_path, resume=True, keep=1))
    assert len([*tmp_path.iterdir()]) == 8

def test_two_trainings_with_one_callback_are_one_run(tmp_path):
    saver = CheckpointCallback(tmp_path, monitor='valid_loss', keep=1)
    learn = get_learner(cbs=saver)
    learn.fit(3)
    low = facts_of(tmp_path/'best.safetensors')['metrics']['valid_loss']
    learn.model[0].weight.data.zero_()
    learn.model[2].bias.data.fill_(-20.)
    learn.fit(1, lr=0.)
    assert facts_of(tmp_path/'best.safetensors')['metrics']['valid_loss'] == low
    assert facts_of(checkpoints(tmp_path)[-1])['training']['epoch'] == 1 and len(checkpoints(tmp_path)) == 1

def test_one_training_at_a_time(tmp_path):
    def other(): get_learner().fit(1, cbs=CheckpointCallback(tmp_path, resume=True))
    def begin_another():
        with pytest.raises(FileExistsError, match='another training is at work'): other()
    get_learner().fit(1, cbs=[CheckpointCallback(tmp_path), Callback(after_train=begin_another)])
    other()

def test_killed_before_the_first_checkpoint(tmp_path):
    saver = CheckpointCallback(tmp_path, monitor='valid_loss')
    get_learner().fit(1, cbs=saver)
    for f in checkpoints(tmp_path): f.unlink()
    get_learner().fit(2, cbs=CheckpointCallback(tmp_path, monitor='valid_loss', resume=True))
    assert len(checkpoints(tmp_path)) == 2

def test_what_cannot_be_kept_or_measured_is_refused_at_once(tmp_path):
    learn = get_learner(cbs=CheckpointCallback(tmp_path/'x', monitor='batch_accuracy'))
    learn.dls.valid = None
    with pytest.raises(ValueError, match='batch_accuracy cannot be monitored without a validation set'): learn.fit(1)
    for vocab in ([object(), 7], {3: {1, 2}}.values()):
        learn = get_learner(cbs=CheckpointCallback(tmp_path/'x'))
        learn.dls.vocab = vocab
        with pytest.raises(TypeError, match="'labels' cannot be kept"): learn.fit(1)
        assert not learn.recorder.losses
    learn.dls.vocab, learn.dls.facts = np.array([3, 7]), {'share': np.float32(0.5), 'n': np.int64(3)}
    learn.fit(1)

def test_two_that_stop_early_keep_apart(tmp_path):
    def both(): return EarlyStoppingCallback('train_loss', patience=9), EarlyStoppingCallback(patience=9)
    get_learner().fit(2, cbs=[*(first := both()), CheckpointCallback(tmp_path)])
    b, a = both()[::-1]
    get_learner().fit(2, cbs=[b, a, CheckpointCallback(tmp_path, resume=True)])
    assert [a.best, b.best] == [cb.best for cb in first]

# --- how it goes on --------------------------------------------------------------------------------

def weighted(g): return torch.utils.data.WeightedRandomSampler([1.]*32, 32, generator=g)
def at_random(g): return torch.utils.data.RandomSampler([*range(32)], generator=g)
class Own:
    "A sampler of the user's, with a generator of numpy's"
    def __init__(self, g): self.rng = np.random.default_rng(0)
    def __iter__(self): return iter(self.rng.permutation(32).tolist())
    def __len__(self): return 32
class Counting(Own):
    "One whose order depends on what nobody can know"
    def __init__(self, g): self.epoch = 0
    def __iter__(self):
        self.epoch += 1
        return iter(torch.randperm(32, generator=torch.Generator().manual_seed(self.epoch)).tolist())

def theirs(sampler, g=True):
    g = torch.Generator().manual_seed(5) if g else None
    return torch.utils.data.DataLoader([*zip(*data())], 8, sampler=sampler(g))

@pytest.mark.parametrize('g', [True, False])
@pytest.mark.parametrize('sampler', [weighted, at_random, Own])
def test_the_order_of_any_sampler_goes_on(tmp_path, sampler, g):
    whole = get_learner(train=theirs(sampler, g))
    whole.fit(4)
    with pytest.raises(RuntimeError):
        ends = [Ends(RuntimeError(), 'after_batch', 0), CheckpointCallback(tmp_path)]
        get_learner(train=theirs(sampler, g)).fit(4, cbs=ends)
    other = get_learner(train=theirs(sampler, g))
    torch.rand(3)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        other.fit(4, cbs=CheckpointCallback(tmp_path, resume=True))
    for p, q in zip(whole.model.parameters(), other.model.parameters()): assert torch.equal(p, q)

def test_an_order_that_cannot_be_known_is_named(tmp_path):
    with pytest.warns(UserWarning, match='it is not known what the order of .* depends on'): # before anything is lost
        get_learner(train=theirs(Counting)).fit(1, cbs=CheckpointCallback(tmp_path))
    with pytest.warns(UserWarning, match='may get other batches'):
        get_learner(train=theirs(Counting)).fit(2, cbs=CheckpointCallback(tmp_path, resume=True))

def test_the_newest_is_what_is_written_in_it(tmp_path):
    get_learner().fit(4, cbs=CheckpointCallback(tmp_path, keep=9))
    for i, f in enumerate(checkpoints(tmp_path)): os.utime(f, (10**9 - i*1000,)*2) # a clock that is set back
    learn = get_learner()
    learn.fit(5, cbs=CheckpointCallback(tmp_path, resume=True, keep=9))
    assert len(learn.recorder.values) == 5 and learn.recorder.values[3][0] < learn.recorder.values[0][0]
    assert [facts_of(f)['training']['epoch'] for f in checkpoints(tmp_path)] == [1, 2, 3, 4, 5]
    branch = CheckpointCallback(tmp_path, resume=tmp_path/'checkpoint_0002_000000.safetensors', keep=9)
    get_learner().fit(3, cbs=branch) # what was made last is the newest, too, if its epoch is an earlier one
    assert facts_of(checkpoints(tmp_path)[-1])['training']['epoch'] == 3

@pytest.mark.parametrize('train', [lambda: DataLoader(data(), 8, shuffle=True, seed=0),
                                   lambda: DataLoader(data(), 8, shuffle=True), lambda: theirs(Own)])
def test_lr_find_leaves_no_trace(train, capsys):
    def told(find):
        learn = get_learner(train=train(), opt_func=lambda ps, lr: SGD(ps, lr=lr, mom=0.9))
        learn.model.eval()
        if find: learn.lr_find(show_plot=False)
        assert not learn.model.training
        learn.fit(2)
        record = copy.deepcopy(vars(learn.recorder)['values'])
        if find: learn.lr_find(show_plot=False)
        assert learn.recorder.values == record
        learn.fit(1)
        return [p.tolist() for p in learn.model.parameters()], torch.rand(1).item(), np.random.rand()
    np.random.seed(0); first = told(False)
    np.random.seed(0); assert told(True) == first

def test_lr_find_says_which_of_the_two_it_is(capsys):
    learn = get_learner()
    learn.dls.train.tensors[0][3] = nan
    with pytest.raises(ValueError, match='data that is not finite'):
        learn.lr_find(show_plot=False)
    learn = get_learner(train=[(x, y) for x, y in DataLoader(data(), 4)])
    learn.loss_func = lambda p, t: ((p - p.detach()).sum() + next(losses))
    losses = iter([1e-6, 1e-6, 1e-2]*99)
    with pytest.raises(ValueError, match='the model is trained already'): learn.lr_find(show_plot=False)
    losses = iter([1e-6, 1e-6, 1e-2]*99)
    with pytest.raises(ValueError, match='try less than 0.1'): learn.lr_find(start_lr=0.1, show_plot=False)

class Stream(torch.utils.data.IterableDataset):
    "Forty items, whatever its length is"
    def __init__(self, said): self.said = said
    def __len__(self): return self.said
    def __iter__(self): return iter([*zip(*data(40))])

@pytest.mark.parametrize('said', [16, 32, 48, 120])
@pytest.mark.filterwarnings('ignore:Length of IterableDataset')
def test_a_wrong_length_makes_no_schedule_jump(tmp_path, said):
    learn = get_learner(train=torch.utils.data.DataLoader(Stream(said), 4))
    line = ParamScheduler({'lr': lambda p: 1. - p})
    with pytest.warns(UserWarning, match=f'are 10, not {said//4} as their length says') as said_so:
        learn.fit(4, cbs=line)
    assert len([w for w in said_so if 'as their length says' in str(w.message)]) == 1
    lrs = learn.recorder.lrs
    steps = [a - b for a, b in zip(lrs, lrs[1:])]
    assert len(lrs) == 40 and -1e-9 < min(steps) and max(steps) < 0.08 and 0 < lrs[-1] < 0.05
    with pytest.raises(RuntimeError):
        get_learner(train=learn.dls.train).fit(4, cbs=[line, Ends(RuntimeError(), 'after_batch', 0),
                                                       CheckpointCallback(tmp_path)])
    again = get_learner(train=learn.dls.train)
    with pytest.warns(UserWarning): again.fit(4, cbs=[line, CheckpointCallback(tmp_path, resume=True)])
    assert again.recorder.lrs == lrs

def test_an_error_between_two_epochs_ends_none(tmp_path):
    "It was taken for the end of the epoch that it had kept from beginning"
    learn = get_learner()
    def fail():
        if learn.epoch == 2: raise OSError('the disk is gone')
    with pytest.raises(OSError, match='gone'):
        learn.fit(4, cbs=[CheckpointCallback(tmp_path), Callback(before_epoch=fail)])
    assert [o.name for o in checkpoints(tmp_path)][-1] == 'checkpoint_0002_000000.safetensors'
