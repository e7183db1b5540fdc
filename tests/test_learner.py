"What a Learner does when it is interrupted, piped, or fed with what is wrong"
import os, pty, signal, subprocess, sys, time

import pytest
import torch
from torch import nn
from fastsgd.all import *

def mse(preds, targs): return ((preds - targs)**2).mean()

def get_learner(n=200, bs=32, **kwargs):
    torch.manual_seed(0)
    x = torch.randn(n, 4)
    y = (x.sum(1, keepdim=True) > 0).float()
    dls = DataLoaders(DataLoader((x, y), bs, shuffle=True, seed=0), DataLoader((x, y), 64))
    kwargs = {'loss_func': mnist_loss, 'metrics': batch_accuracy, 'lr': 1.} | kwargs
    return Learner(dls, nn.Linear(4, 1), **kwargs)

long_run = '''
import time, torch
from fastsgd.all import *
torch.set_num_threads(1)
class Slow(Callback):
    def after_batch(self): time.sleep(0.02); print('.', end='', flush=True) if {dots} else None
x = torch.randn(320, 4)
dls = DataLoaders(DataLoader((x, x[:, :1]), 32), DataLoader((x, x[:, :1]), 320))
learn = Learner(dls, torch.nn.Linear(4, 1), lambda p, t: ((p - t)**2).mean(), lr=0.01, cbs=Slow)
try: learn.fit({epochs})
except KeyboardInterrupt as e: print(e)
print('epochs', len(learn.recorder.values), 'batches', len(learn.recorder.losses), learn.progress.bar)
learn.remove_cb(Slow); learn.fit(1); print('goes on', len(learn.recorder.values))
'''

def test_ctrl_c_says_where_and_leaves_a_usable_learner():
    p = subprocess.Popen([sys.executable, '-c', long_run.format(dots=True, epochs=1000)],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while p.stdout.read(1) != '.': pass
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 0 and not err, err
    assert 'interrupted in epoch' in out and out.split('batches')[1].split()[1] == 'None' and 'goes on 1' in out
    assert int(out.split('batches ')[1].split()[0]) > 0

def test_piped_output_is_a_plain_table():
    command = [sys.executable, '-c', long_run.format(dots=False, epochs=2)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = out.splitlines()
    assert lines[0].split() == ['epoch', 'train_loss', 'valid_loss', 'time']
    assert lines[1].split()[0] == '0' and lines[2].split()[0] == '1'
    assert '\r' not in out and '█' not in out and len({len(l) for l in lines[:3]}) == 1

def test_terminal_shows_a_bar_and_clears_it():
    master, slave = pty.openpty()
    p = subprocess.Popen([sys.executable, '-c', long_run.format(dots=False, epochs=3)],
                         stdout=slave, stderr=slave, close_fds=True)
    os.close(slave)
    out = b''
    while True:
        try: part = os.read(master, 4096)
        except OSError: break
        if not part: break
        out += part
    text = out.decode()
    assert p.wait() == 0 and '█' in text
    assert [r.split()[0] for r in on_screen(text) if r.strip()][:4] == ['epoch', '0', '1', '2']
    assert not any(c in r for r in on_screen(text) for c in '█|<[')    # nothing of the bar is left

def on_screen(text):
    "The lines of a terminal after `text`: what comes after a carriage return overwrites what stood there"
    lines = []
    for line in text.replace('\r\n', '\n').split('\n'):
        cells = ''
        for part in line.split('\r'): cells = part + cells[len(part):]
        lines.append(cells.rstrip())
    return lines

@pytest.mark.parametrize('event', [e for e in outer_events + batch_events if 'cancel' not in e and e != 'after_create'])
def test_an_error_in_any_callback_leaves_the_learner_usable(event, capsys):
    learn = get_learner()
    cbs = learn.cbs
    def fail(): raise RuntimeError('mine')
    with pytest.raises(RuntimeError, match='mine'): learn.fit(1, cbs=Callback(**{event: fail}))
    assert learn.cbs == cbs
    learn.fit(2)
    assert len(learn.recorder.values) == 2 and learn.progress.bar is None

@pytest.mark.parametrize('stop', (CancelBatchException, CancelEpochException, CancelFitException))
@pytest.mark.parametrize('event', ('before_batch', 'after_loss', 'before_step'))
def test_what_is_cancelled_is_not_counted(stop, event, capsys):
    def cancel():
        if learn.training and learn.iter == 3: raise stop
    seen = []
    notes = {f'after_cancel_{name}': lambda name=name: seen.append(name) for name in ('batch', 'epoch', 'fit')}
    learn = get_learner(cbs=[Callback(**{event: cancel}), Callback(**notes)])
    learn.fit(2)
    name = stop.__name__.replace('Cancel', '').replace('Exception', '').lower()
    assert set(seen) == {name}
    n = len(learn.dls.train)
    counted = {'batch': 2*(n - (event == 'before_batch')), 'epoch': 6, 'fit': 3}[name]
    assert len(learn.recorder.losses) == counted == len(learn.recorder.lrs)
    assert len(learn.recorder.values) == {'batch': 2, 'epoch': 2, 'fit': 0}[name]

@pytest.mark.parametrize('event', ('before_fit', 'before_epoch', 'after_backward', 'before_validate'))
def test_interrupted_anywhere(event, capsys):
    def stop(): raise KeyboardInterrupt
    learn = get_learner()
    with pytest.raises(KeyboardInterrupt, match='interrupted in epoch 0') as e:
        learn.fit(1, cbs=Callback(**{event: stop}))
    assert e.value._render_traceback_() == [str(e.value)] # all that a notebook shows
    before = learn.model.weight.detach().clone()
    # nothing is left for the next step
    assert all(p.grad is None or not p.grad.any() for p in learn.model.parameters())
    learn.add_cb(Callback(after_backward=stop))
    with pytest.raises(KeyboardInterrupt, match='as they were'): learn.lr_find(show_plot=False)
    assert torch.equal(before, learn.model.weight)

def test_measuring_in_the_middle_of_training_changes_nothing(capsys):
    plain, curious = get_learner(), get_learner()
    plain.fit(2)
    def look():
        assert len(curious.validate()) == 2 and len(curious.get_preds(1)[0]) == 200
        curious.predict(torch.zeros(4))
    curious.fit(2, cbs=[Callback(after_batch=look, run_valid=False), Callback(after_epoch=look)])
    assert curious.recorder.values == plain.recorder.values
    assert torch.equal(plain.model.weight, curious.model.weight)

def test_mixed_precision_ends_with_what_fails(capsys):
    learn = get_learner(cbs=MixedPrecision)
    with pytest.raises(RuntimeError): learn.validate(dl=[(torch.zeros(2, 9), torch.zeros(2, 1))])
    assert not torch.is_autocast_enabled('cpu')
    learn.fit(3)
    assert learn.final_record[-1] > 0.8

def test_predictions_come_in_the_order_of_the_data(capsys):
    learn = get_learner()
    x, y = learn.dls.valid.tensors
    with torch.no_grad(): expected = mnist_loss.activation(learn.model(x))
    data, torchs = list(zip(x, y)), torch.utils.data.DataLoader
    for dl in (DataLoader((x, y), 32, shuffle=True, drop_last=True), torchs(data, 32, shuffle=True),
               torchs(data, 32, drop_last=True), [(x, y)]):
        preds, targs = learn.get_preds(dl=dl)
        torch.testing.assert_close(preds, expected)
        assert torch.equal(targs, y)
    assert learn.get_preds(dl=[(x,)])[1] is None

def test_what_does_not_fit_is_refused(capsys):
    x, y = torch.randn(64, 4), torch.rand(64, 1).round()
    model, batches = nn.Linear(4, 1), [(x, y)]
    with pytest.raises(TypeError, match='pair'): Learner(DataLoader((x, y), 32), model, mnist_loss)
    with pytest.raises(TypeError, match='Callback'): Learner((batches, None), model, mnist_loss, cbs='progress')
    class Model(Callback): pass
    assert Learner((batches, None), model, mnist_loss, cbs=Model).model is model # it hides nothing
    learn = Learner((batches, None), model, mnist_loss)
    for f in (learn.validate, learn.get_preds): pytest.raises(ValueError, f).match('no validation set')
    with pytest.raises(ValueError, match='without a validation set'): learn.fit(1, cbs=EarlyStoppingCallback())
    with pytest.raises(ValueError, match='no targets'): Learner(([(x,)], None), model, mnist_loss).fit(1)
    with pytest.raises(ValueError, match='only once'): Learner((iter(batches), None), model, mnist_loss).fit(2)
    with pytest.raises(ValueError, match='n_epoch'): learn.fit(1, start_epoch=2)
    with pytest.raises(ValueError, match='n_epoch'): learn.fit(-1)
    with pytest.raises(TypeError, match='n_epoch'): learn.fit(2.5)
    with pytest.raises(ValueError, match='lr must be 0 or above'): learn.fit(1, -1)
    with pytest.raises(TypeError, match='lr must be a number'): learn.fit(1, '0.1')
    with pytest.raises(TypeError, match='functions'): Learner((batches, None), model, mnist_loss, metrics='accuracy')
    with pytest.raises(ValueError, match='num_it'): learn.lr_find(num_it=5)
    rec = get_learner().recorder
    for plot in (rec.plot_loss, rec.plot_sched): pytest.raises(ValueError, plot).match('call fit first')
    learn.fit(0)

def test_callbacks_are_kept_in_order(capsys):
    cb = Callback()
    learn = get_learner(cbs=cb)
    learn.fit(1, cbs=cb)
    assert learn.cbs.count(cb) == 1
    class MyBar(ProgressCallback): pass
    learn.remove_cb(ProgressCallback); learn.add_cb(MyBar)
    with learn.no_bar(): assert not any(isinstance(o, ProgressCallback) for o in learn.cbs)
    assert isinstance(learn.my_bar, MyBar)

def test_an_epoch_can_be_skipped_as_in_fastai(capsys):
    learn = get_learner()
    learn.fit_one_cycle(4, 1., start_epoch=2)
    assert len(learn.recorder.values) == 2
    assert learn.recorder.lrs[0] == pytest.approx(sched_one_cycle(1.)(0.5))

def test_copies(capsys):
    from copy import deepcopy
    import pickle
    learn = get_learner()
    learn.fit(1)
    learn.lr_find(show_plot=False)
    n = len(learn.recorder.values)
    for other in (deepcopy(learn), pickle.loads(pickle.dumps(learn))):
        other.fit(1)
        assert other.recorder is not learn.recorder and other.recorder.learn is other
        assert len(learn.recorder.values) == n
        assert len(vars(other)) <= 20

def test_shapes_of_losses_and_metrics(capsys):
    import numpy as np
    metrics = [batch_accuracy, lambda p, t: batch_accuracy(p, t).item(), lambda p, t: np.array([0.5]),
               lambda p, t: torch.ones(1, 1)]
    learn = get_learner(loss_func=lambda p, t: mnist_loss(p, t)[None], metrics=metrics)
    learn.fit(1)
    assert learn.final_record[2] == pytest.approx(learn.final_record[3]) and learn.final_record[4:] == [0.5, 1.]

def test_tied_weights_are_saved(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight
        def forward(self, x): return self.b(self.a(x))
    learn, other = (Learner(([], None), Tied(), mnist_loss) for _ in range(2))
    assert learn.save(tmp_path/'model.v2').name == 'model.v2.safetensors'
    other.load(tmp_path/'model.v2')
    assert all(torch.equal(p, q) for p, q in zip(learn.model.parameters(), other.model.parameters()))

def test_nan_names_the_place(capsys):
    learn = get_learner()
    learn.dls.train.tensors[0][:] = float('nan')
    with pytest.raises(FloatingPointError, match='epoch 0, batch 0, at learning rate 1'): learn.fit(1)
    assert learn.model.weight.isfinite().all()

def test_lr_find_survives_nan_and_says_so(capsys):
    learn = get_learner(loss_func=mse)
    before = learn.model.weight.detach().clone()
    found = learn.lr_find(end_lr=1e6, show_plot=False)
    assert 1e-7 < found.valley < 100 and torch.equal(before, learn.model.weight)
    learn.dls.train.tensors[0][:] = float('nan')
    with pytest.raises(ValueError, match='exploded'): learn.lr_find(show_plot=False)
    assert torch.equal(before, learn.model.weight)

torchs = [getattr(torch.optim, name) for name in 'SGD Adam AdamW RMSprop Adagrad'.split()]

@pytest.mark.parametrize('opt_func', [SGD, *torchs])
def test_any_optimizer_of_pytorchs(opt_func, capsys):
    learn = get_learner(opt_func=opt_func, lr=0.05)
    learn.fit_one_cycle(3, wd=0.01)
    assert learn.final_record[0] < 0.45 and max(learn.recorder.lrs) == pytest.approx(0.05, rel=0.01)

def test_any_batches(capsys):
    x, y = torch.randn(64, 4), torch.rand(64, 1).round()
    pairs = [(x[:32], y[:32]), [x[32:], y[32:]]]
    learn = Learner((pairs, None), nn.Linear(4, 1), mnist_loss)
    learn.fit(2)
    assert [len(row) for row in learn.recorder.values] == [1, 1]
    dls = torch.utils.data.DataLoader(list(zip(x, y)), 16), pairs
    Learner(dls, nn.Linear(4, 1), mnist_loss, metrics=[batch_accuracy, batch_accuracy]).fit_one_cycle(1)
    class NoLength:
        def __iter__(self): return iter(pairs)
    learn = Learner((NoLength(), NoLength()), nn.Linear(4, 1), mnist_loss)
    learn.fit(2)
    assert len(learn.recorder.losses) == 4
    with pytest.raises(ValueError, match='length'): learn.fit_one_cycle(1)

    class Two(nn.Module):
        def __init__(self): super().__init__(); self.layer = nn.Linear(4, 1)
        def forward(self, a, b): return self.layer(a + b)
    Learner(([(x, x, y)], [(x, x, y)]), Two(), mnist_loss).fit(1)

def test_metric_is_weighted_by_batch_size(capsys):
    learn = get_learner(n=100)
    learn.fit(1)
    x, y = learn.dls.valid.tensors
    with torch.no_grad(): assert learn.final_record[-1] == pytest.approx(batch_accuracy(learn.model(x), y).item())

def test_saving_over_a_good_file_keeps_it_if_it_fails(tmp_path, capsys):
    learn = get_learner()
    file = learn.save(tmp_path/'w')
    good = file.read_bytes()
    with pytest.raises((FileNotFoundError, NotADirectoryError)): learn.save(tmp_path/'nowhere'/'w')
    for bad in (b'', good[:-1], good + b'x', b'\x80\x04.', b'\xff'*100):
        (tmp_path/'bad.safetensors').write_bytes(bad)
        with pytest.raises(ValueError, match='is not read'): learn.load(tmp_path/'bad')
    assert file.read_bytes() == good
    assert [f.name for f in sorted(tmp_path.iterdir())] == ['bad.safetensors', 'w.safetensors']

@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu_nothing_waits_inside_an_epoch(capsys):
    learn = get_learner()
    learn.dls.to('cuda')
    class Free(Callback):
        order = 49
        def before_train(self): torch.cuda.set_sync_debug_mode('error')
        def after_train(self): torch.cuda.set_sync_debug_mode('default')
    learn.fit(2, cbs=Free())
    assert next(learn.model.parameters()).is_cuda and learn.final_record[-1] > 0.5

def test_a_part_of_the_step_is_replaced_for_a_while(capsys):
    class Frozen(Callback):
        def step(self): pass
    learn = get_learner(cbs=Frozen)
    before = learn.model.weight.detach().clone()
    learn.fit(1)
    assert torch.equal(before, learn.model.weight)
    with learn.removed_cbs(Frozen): learn.fit(1)
    assert not torch.equal(before, learn.model.weight)
    class Subclass(Learner):
        def get_loss(self): self.loss = 2*self.loss_func(self.pred, *self.yb)
    doubled = Subclass(learn.dls, learn.model, mnist_loss)
    assert doubled.validate()[0] == pytest.approx(2*learn.validate()[0])
