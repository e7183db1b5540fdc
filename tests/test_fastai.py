"The same work in fastai's Learner and in ours, on whichever fastai is installed"
import re, subprocess, sys
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

# --- fastai's callbacks, and its names, in our Learner ----------------------------------------------

def train_with(module, cbs, **kwargs):
    "A learner that has trained with the callbacks of `cbs(fastai.vision.all)`"
    import fastai.vision.all as theirs
    learn = get_learner(module, **kwargs)
    torch.manual_seed(1)
    with learn.no_logging(), learn.no_bar(): learn.fit(3, cbs=cbs(theirs))
    return learn

def weights(learn): return torch.cat([p.detach().flatten() for p in learn.model.parameters()])

def agree(ours, theirs):
    "The same weights, and the same numbers in the table (fastai smooths the loss of training)"
    torch.testing.assert_close(weights(ours), weights(theirs), atol=1e-4, rtol=0)
    rows = [torch.tensor([list(row)[1:] for row in learn.recorder.values]) for learn in (ours, theirs)]
    torch.testing.assert_close(*rows, atol=1e-5, rtol=0)

@pytest.mark.parametrize('make', (
    lambda f: f.GradientClip(0.05),
    lambda f: f.GradientClip,
    lambda f: f.GradientAccumulation(100),
    lambda f: [f.GradientAccumulation(64), f.GradientClip(0.1)],
    lambda f: f.MixUp(0.4),
    lambda f: f.EarlyStoppingCallback('batch_accuracy', min_delta=0.05, patience=1),
    lambda f: f.ReduceLROnPlateau(min_delta=0.5, patience=1, factor=4.),
    lambda f: f.ParamScheduler({'lr': f.SchedLin(0.2, 0.01)}),
    lambda f: f.SkipToEpoch(1),
    lambda f: f.TerminateOnNaNCallback()),
    ids='clip class accumulate both mixup stopping plateau schedule skip nan'.split())
def test_fastais_callbacks_do_the_same_in_both_learners(fastai, make, capsys):
    ours, theirs = (train_with(m, make, lr=0.5) for m in (fastsgd.all, fastai.learner))
    if not theirs.recorder.values[0]: theirs.recorder.values[:1] = [[]]    # an epoch that was skipped
    agree(ours, theirs)
    said = re.split(r'(\d+\.\d+\S*)', capsys.readouterr().out)    # words and numbers
    said = [float(o) if i % 2 else o for i, o in enumerate(said)]
    words = ''.join(o for o in said if isinstance(o, str))    # "No improvement since epoch 0", and so on
    assert words[:len(words)//2] == words[len(words)//2:]
    numbers = said[1::2]
    assert numbers[:len(numbers)//2] == pytest.approx(numbers[len(numbers)//2:], rel=1e-4)
    assert [h['lr'] for h in ours.opt.hypers] == pytest.approx([h['lr'] for h in theirs.opt.hypers], rel=1e-4)

def test_mixup_with_a_loss_of_fastais(fastai):
    import fastai.vision.all
    ours = []
    for module in (fastsgd.all, fastai.learner):
        torch.manual_seed(42)
        learn = get_learner(module, labels=None)
        learn.loss_func = fastai.vision.all.CrossEntropyLossFlat()
        torch.manual_seed(1)
        with learn.no_logging(), learn.no_bar(): learn.fit(2, cbs=fastai.vision.all.MixUp())
        assert isinstance(learn.loss_func, fastai.vision.all.CrossEntropyLossFlat)
        ours.append(learn)
    agree(*ours)

@pytest.mark.parametrize('kwargs', ({}, {'every_epoch': True}, {'at_end': True}, {'with_opt': True}, {'fname': 'mine'}))
def test_the_best_model_is_saved_and_loaded(fastai, kwargs, tmp_path):
    done = []
    for module, ending in ((fastsgd.all, '.safetensors'), (fastai.learner, '.pth')):
        stops = lambda f: [f.SaveModelCallback('batch_accuracy', **kwargs), f.EarlyStoppingCallback('valid_loss')]
        learn = train_with(module, stops, lr=3., opt_func=partial(SGD, mom=0.9), path=tmp_path/ending)
        files = sorted(f.relative_to(tmp_path/ending) for f in (tmp_path/ending).rglob('*.*'))
        done.append((learn, [f.with_suffix('').as_posix() for f in files]))
        assert all(f.suffix == ending for f in files)
    (ours, a), (theirs, b) = done
    assert a == b and a
    agree(ours, theirs)
    for p, q in zip(ours.opt.param_groups[0]['params'], theirs.opt.param_groups[0]['params']):
        if kwargs in ({}, {'fname': 'mine'}): assert 'buf' not in ours.opt.state[p] # it was of other weights
        else: torch.testing.assert_close(ours.opt.state[p]['buf'], theirs.opt.state[q]['buf'], atol=1e-4, rtol=0)

def test_the_file_of_losses(fastai, tmp_path):
    tables = []
    for module in (fastsgd.all, fastai.learner):
        learn = get_learner(module, path=tmp_path/module.__name__)
        (tmp_path/module.__name__).mkdir()
        before = learn.logger
        for append in (False, True): quiet(learn, 'fit', 2, None, None, fastai.vision.all.CSVLogger(append=append))
        assert learn.logger == before
        lines = (learn.path/'history.csv').read_text().splitlines()
        tables.append([line.split(',') for line in lines])
    assert tables[0][0] == tables[1][0] and len(tables[0]) == len(tables[1]) == 6
    for a, b in zip(*tables):
        assert len(a) == len(b)
        if a[0] != 'epoch': assert [float(v) for v in a[2:-1]] == pytest.approx([float(v) for v in b[2:-1]], abs=1e-5)

class Bar:
    "In place of a progress bar: keeps the graphs"
    def __init__(self): self.graphs = []
    def update_graph(self, *graph): self.graphs.append(graph)
    def __getattr__(self, name): return lambda *args, **kwargs: None

def test_the_graph_while_it_trains(fastai, monkeypatch):
    import fastai.callback.progress as progress
    bars = Bar(), Bar()
    monkeypatch.setattr(progress, 'master_bar', lambda *_: bars[1])
    monkeypatch.setattr(progress, 'progress_bar', lambda *_, **__: Bar())
    ours, theirs = (get_learner(m, cbs=progress.ShowGraphCallback()) for m in (fastsgd.all, fastai.learner))
    ours.add_cb(fastsgd.all.Callback(before_fit=lambda: setattr(ours.progress, 'bar', bars[0]), order=61))
    bars[0].max_len = 0
    for learn in (ours, theirs): learn.fit(3)
    for (a, *bounds), (b, *others) in zip(*(bar.graphs for bar in bars)):
        assert [list(xs) for xs, _ in a] == [list(xs) for xs, _ in b] and bounds[0] == others[0]
        assert list(a[1][1]) == pytest.approx(list(b[1][1]), abs=1e-5)    # fastai smooths those of training
    assert len(bars[0].graphs) == len(bars[1].graphs) == 3
    assert ours.recorder.smooth_losses() == pytest.approx([float(v) for v in theirs.recorder.losses], abs=1e-5)

def test_what_a_callback_sees_in_both_learners(fastai):
    class Look(fastai.vision.all.Callback):
        order = 61
        def before_fit(self): self.rows = []
        def after_batch(self):
            self.rows.append([self.learn.smooth_loss.item() if self.training else 0, self.train_iter, self.iter,
                              self.n_iter, self.epoch, self.loss.item(), *self.x.shape, *self.y.shape])
        def after_epoch(self): self.rows.append([*self.recorder.log[2:-1], *self.learn.final_record[1:]])
    looks = []
    for module in (fastsgd.all, fastai.learner):
        look = Look()
        train_with(module, lambda _: look)
        looks.append(look.rows)
    for a, b in zip(*looks): assert [float(v) for v in a] == pytest.approx([float(v) for v in b], abs=1e-5)
    assert len(looks[0]) == len(looks[1]) > 10

def test_scaling_the_loss_of_the_backward_pass(fastai):
    "`loss_grad` is what the gradient is of; `loss` is what is written down"
    def scaled(f):
        class Scale(f.Callback):
            def after_loss(self): self.learn.loss_grad = self.loss_grad*3.
        return Scale()
    agree(*(train_with(m, scaled) for m in (fastsgd.all, fastai.learner)))

@pytest.mark.parametrize('event, name', (
    ('before_step', 'Step'), ('before_backward', 'Backward'), ('after_batch', 'Train'), ('before_validate', 'Valid'),
    ('after_pred', 'Batch'), ('before_train', 'Epoch'), ('after_loss', 'Fit')))
def test_cancelling_by_fastais_exceptions(fastai, event, name):
    results = []
    for module in (fastsgd.all, fastai.learner):
        f, seen = fastai.vision.all, []
        def note(self, e):
            seen.append(e)
            if e == event and seen.count(e) == 2: raise getattr(f, f'Cancel{name}Exception')
        events = [e for e in f.event.__dict__ if e.startswith(('before_', 'after_')) and e != 'after_create']
        cb = type('Note', (f.Callback,), {e: lambda self, e=e: note(self, e) for e in events})()
        cb.order = 40
        learn = train_with(module, lambda _: cb)
        results.append((seen, weights(learn)))
    (ours, a), (theirs, b) = results
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert [e for e in ours if 'cancel' in e] == [e for e in theirs if 'cancel' in e] and 'cancel' in ' '.join(ours)
    assert ours == theirs

def test_an_error_leaves_the_weights_as_they_are(fastai, tmp_path):
    "As in fastai, only a training that came to its end takes the best model up"
    learn = get_learner(fastsgd.all, path=tmp_path)
    class Fails(fastai.vision.all.Callback):
        def after_batch(self):
            if self.epoch == 2: raise KeyboardInterrupt
    kept = fastsgd.all.Callback(after_cancel_fit=lambda: kept.weights.append(weights(learn)), weights=[])
    log = fastai.vision.all.CSVLogger()
    with pytest.raises(KeyboardInterrupt):
        quiet(learn, 'fit', 3, 0.1, None, [fastai.vision.all.SaveModelCallback(), log, Fails(), kept])
    assert weights(learn).equal(kept.weights[0])
    assert log.file.closed and learn.logger('not written') == 'not written'
    quiet(learn, 'fit', 1)
    assert len(log.read_log()) == 2

def test_a_callback_stays_fastais_too(fastai):
    f = fastai.vision.all
    cb = f.EarlyStoppingCallback(patience=9)
    learn = get_learner(fastsgd.all, cbs=[cb, f.GradientClip])
    assert isinstance(cb, f.EarlyStoppingCallback) and learn.early_stopping is cb
    assert repr(cb) == 'EarlyStoppingCallback'
    assert [type(c).__name__ for c in learn.ordered_cbs('before_step')] == ['GradientClip']
    before = len(learn.cbs)
    quiet(learn, 'lr_find', 1e-5, 10., 60, False)
    quiet(learn, 'validate')
    quiet(learn, 'get_preds')
    assert len(learn.cbs) == before
    learn.remove_cb(f.GradientClip)
    learn.remove_cbs([cb])
    assert not hasattr(learn, 'gradient_clip') and not hasattr(learn, 'early_stopping')
    for needless in (f.Recorder, f.ProgressCallback, f.TrainEvalCallback, f.CastToTensor):
        with pytest.raises(ValueError, match='does that itself'): learn.add_cb(needless)
    with pytest.raises(ValueError, match="unknown monitor 'f1'"):
        quiet(learn, 'fit', 1, 0.1, None, f.SaveModelCallback('f1'))
    learn.dls.valid = None
    with pytest.raises(ValueError, match='without a validation set'):
        quiet(learn, 'fit', 1, 0.1, None, f.ReduceLROnPlateau())

def test_checkpoints_and_fastais_callbacks(fastai, tmp_path):
    f = fastai.vision.all
    def learner():
        cbs = [f.GradientClip(0.1), f.GradientAccumulation(64), f.EarlyStoppingCallback()]
        return get_learner(fastsgd.all, cbs=cbs)
    whole, half = learner(), learner()
    quiet(whole, 'fit', 2)
    stop = fastsgd.all.Callback(after_epoch=lambda: (_ for _ in ()).throw(fastsgd.all.CancelFitException), order=200)
    quiet(half, 'fit', 2, None, None, [fastsgd.all.CheckpointCallback(tmp_path), stop])
    again = learner()
    quiet(again, 'fit', 2, None, None, fastsgd.all.CheckpointCallback(tmp_path, resume=True))
    assert weights(again).equal(weights(whole)) and again.early_stopping.best == whole.early_stopping.best

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
