"What a Learner does when it is interrupted, piped, or fed with what is wrong"
import os, pty, signal, subprocess, sys, time

import pytest
import torch
from torch import nn
from fastsgd.dataloader import DataLoader, DataLoaders
from fastsgd.learner import *
from fastsgd.losses import batch_accuracy, mnist_loss
from fastsgd.models import simple_net
from fastsgd.training import SGD

def mse(preds, targs): return ((preds - targs)**2).mean()

def get_learner(n=200, bs=32, **kwargs):
    torch.manual_seed(0)
    x = torch.randn(n, 4)
    y = (x.sum(1, keepdim=True) > 0).float()
    return Learner(DataLoaders(DataLoader((x, y), bs, shuffle=True, seed=0), DataLoader((x, y), 64)), nn.Linear(4, 1), **{'loss_func': mnist_loss, 'metrics': batch_accuracy, 'lr': 1., **kwargs})

long_run = '''
import time, torch
from fastsgd.all import *
torch.set_num_threads(1)
class Slow(Callback):
    def after_batch(self): time.sleep(0.02); print('.', end='', flush=True) if {dots} else None
x = torch.randn(320, 4)
learn = Learner(DataLoaders(DataLoader((x, x[:, :1]), 32), DataLoader((x, x[:, :1]), 320)), torch.nn.Linear(4, 1), lambda p, t: ((p - t)**2).mean(), lr=0.01, cbs=Slow)
learn.fit({epochs})
print('epochs', len(learn.recorder.values), 'batches', len(learn.recorder.losses), learn.interrupted)
learn.remove_cb(Slow); learn.fit(1); print('goes on', len(learn.recorder.values))
'''

def test_ctrl_c_ends_the_training_and_not_the_program():
    p = subprocess.Popen([sys.executable, '-c', long_run.format(dots=True, epochs=1000)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while p.stdout.read(1) != '.': pass
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 0 and not err, err
    assert 'Interrupted in epoch' in out and out.split('batches')[1].split()[1] == 'True' and 'goes on 1' in out
    assert int(out.split('batches ')[1].split()[0]) > 0

def test_piped_output_is_a_plain_table():
    out = subprocess.run([sys.executable, '-c', long_run.format(dots=False, epochs=2)], capture_output=True, text=True, check=True).stdout
    lines = out.splitlines()
    assert lines[0].split() == ['epoch', 'train_loss', 'valid_loss', 'time'] and lines[1].split()[0] == '0' and lines[2].split()[0] == '1'
    assert '\r' not in out and '█' not in out and len({len(l) for l in lines[:3]}) == 1

def test_terminal_shows_a_bar_and_clears_it():
    master, slave = pty.openpty()
    p = subprocess.Popen([sys.executable, '-c', long_run.format(dots=False, epochs=3)], stdout=slave, stderr=slave, close_fds=True)
    os.close(slave)
    out = b''
    while True:
        try: part = os.read(master, 4096)
        except OSError: break
        if not part: break
        out += part
    text = out.decode()
    assert p.wait() == 0 and '█' in text and 'train_loss' in text
    rows = [l.split('\r')[-1] for l in text.replace('\r\n', '\n').split('\n')]
    assert [r.split()[0] for r in rows if 's' == r.strip()[-1:] and r.split()[0].isdigit()][:3] == ['0', '1', '2']

@pytest.mark.parametrize('event', 'before_fit before_epoch before_train before_batch after_pred after_loss before_backward after_backward before_step after_step after_batch after_train before_validate after_validate after_epoch after_fit'.split())
def test_an_error_in_any_callback_leaves_the_learner_usable(event, capsys):
    learn = get_learner()
    def fail(): raise RuntimeError('mine')
    with pytest.raises(RuntimeError, match='mine'): learn.fit(1, cbs=Callback(**{event: fail}))
    assert len(learn.cbs) == 3
    learn.fit(2)
    assert len(learn.recorder.values) == 2 and learn.progress.bar is None

@pytest.mark.parametrize('stop', (CancelBatchException, CancelEpochException, CancelFitException))
@pytest.mark.parametrize('event', ('before_batch', 'after_loss', 'before_step'))
def test_what_is_cancelled_is_not_counted(stop, event, capsys):
    def cancel():
        if learn.training and learn.iter == 3: raise stop
    seen = []
    learn = get_learner(cbs=[Callback(**{event: cancel}), Callback(after_cancel_batch=lambda: seen.append('batch'), after_cancel_epoch=lambda: seen.append('epoch'), after_cancel_fit=lambda: seen.append('fit'))])
    learn.fit(2)
    name = stop.__name__.replace('Cancel', '').replace('Exception', '').lower()
    assert set(seen) == {name}
    n = len(learn.dls.train)
    counted = {'batch': 2*(n - (event == 'before_batch')), 'epoch': 6, 'fit': 3}[name]
    assert len(learn.recorder.losses) == counted == len(learn.recorder.lrs)
    assert len(learn.recorder.values) == {'batch': 2, 'epoch': 2, 'fit': 0}[name]

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

@pytest.mark.parametrize('opt_func', (SGD, torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad))
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
    Learner((torch.utils.data.DataLoader(list(zip(x, y)), 16), pairs), nn.Linear(4, 1), mnist_loss, metrics=[batch_accuracy, batch_accuracy]).fit_one_cycle(1)
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
    with torch.no_grad(): whole = batch_accuracy(learn.model(learn.dls.valid.tensors[0]), learn.dls.valid.tensors[1])
    assert learn.final_record[-1] == pytest.approx(whole.item())

def test_saving_over_a_good_file_keeps_it_if_it_fails(tmp_path, capsys):
    learn = get_learner()
    file = learn.save(tmp_path/'w')
    good = file.read_bytes()
    with pytest.raises((FileNotFoundError, NotADirectoryError)): learn.save(tmp_path/'nowhere'/'w')
    for bad in (b'', good[:-1], good + b'x', b'\x80\x04.', b'\xff'*100):
        (tmp_path/'bad.safetensors').write_bytes(bad)
        with pytest.raises(ValueError, match='damaged'): learn.load(tmp_path/'bad')
    assert file.read_bytes() == good and [f.name for f in sorted(tmp_path.iterdir())] == ['bad.safetensors', 'w.safetensors']

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
