"""What is kept when a file cannot be written, and what is refused when one is damaged, forged or enormous.

The notebook `tools/store` shows how saving is used, and tests that; this file holds what is no reading matter.
"""
import json, os, random, signal, subprocess, sys, tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import fastsgd.schedule # noqa: F401 (gives Learner its fit_one_cycle)
from fastsgd.callback import Callback
from fastsgd.dataloader import DataLoader, DataLoaders
from fastsgd.learner import Learner
from fastsgd.losses import batch_accuracy, mnist_loss
from fastsgd.tools.callbacks import EarlyStoppingCallback
from fastsgd.tools.mapped import MappedDataLoader
from fastsgd.tools.resume import CheckpointCallback
from fastsgd.tools.store import load_digits_model, load_tensors, save_tensors
from fastsgd.training import SGD
from fuzz import Models

hypothesis_settings = dict(deadline=None, database=None, derandomize=True)
weights, facts = {'weight': torch.arange(20_000.)}, {'labels': [3, 7]}

full_disk = '''
import resource, signal, sys, torch
from fastsgd.tools.store import save_tensors
if hasattr(signal, 'SIGXFSZ'): signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try: save_tensors(sys.argv[1], {'weight': torch.zeros(20_000)}, {})
except OSError as e: print(type(e).__name__, e)
'''

@pytest.mark.skipif(sys.platform == 'win32', reason='no limits of this kind')
@pytest.mark.parametrize('there', [True, False], ids=['over an old file', 'a new file'])
def test_no_room_in_the_middle_of_a_save(tmp_path, there):
    file = tmp_path/'model.safetensors'
    if there: save_tensors(file, weights, facts)
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    p = subprocess.run([sys.executable, '-c', full_disk, file], capture_output=True, text=True, timeout=120)
    said = p.stdout + p.stderr
    assert p.stdout.startswith('OSError') and f'{file} could not be written' in p.stdout and not p.stderr, said
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before

may_write_anywhere = hasattr(os, 'geteuid') and os.geteuid() == 0 or sys.platform == 'win32'

@pytest.mark.skipif(may_write_anywhere, reason='root may write anywhere')
def test_folder_that_must_not_be_written_to(tmp_path):
    save_tensors(file := tmp_path/'model.safetensors', weights, facts)
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match='model.safetensors could not be written'):
            save_tensors(file, {'weight': torch.zeros(3)}, facts)
    finally: tmp_path.chmod(0o755)
    assert load_tensors(file)[0]['weight'].equal(weights['weight'])

@pytest.mark.parametrize('step', ['write_bytes', 'fsync', 'replace'])
def test_disk_that_fails_at_any_step(tmp_path, monkeypatch, step):
    save_tensors(file := tmp_path/'model.safetensors', weights, facts)
    before = file.read_bytes()
    def fails(*args): raise OSError(28, 'No space left on device')
    with monkeypatch.context() as m:
        m.setattr(Path if step == 'write_bytes' else os, step, fails)
        with pytest.raises(OSError, match='model.safetensors could not be written: No space left'):
            save_tensors(file, {'weight': torch.zeros(3)}, facts)
    assert file.read_bytes() == before and os.listdir(tmp_path) == ['model.safetensors']

def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.*could not be written'):
        save_tensors(tmp_path/'nowhere'/'x.safetensors', weights, facts)
    for f in (load_tensors, load_digits_model):
        with pytest.raises(FileNotFoundError, match='nowhere'): f(tmp_path/'nowhere')
        with pytest.raises(FileNotFoundError, match=tmp_path.name): f(tmp_path)

def header_of(text, n=None): return (len(text) if n is None else n).to_bytes(8, 'little') + text

def tensor_of(shape, offsets):
    return header_of(f'{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}'.encode())

deep = {'__metadata__': {'fastsgd_format': '1', 'sha256': '['*200_000}}
enormous = dict(
    deep_list=header_of(b'['*500_000), deep_dict=header_of(b'{"a":'*100_000 + b'1' + b'}'*100_000),
    deep_fact=header_of(json.dumps(deep).encode()), long_header=header_of(b'{' + b' '*(2**20) + b'}'),
    claims_much=header_of(b'{}', 2**63), claims_all=header_of(b'{}', 2**64 - 1),
    long_number=header_of(b'{"a": ' + b'9'*100_000 + b'}'),
    large_tensor=tensor_of('[1099511627776]', '[0,4398046511104]'), no_tensor=tensor_of('[99999999999,0]', '[0,0]'),
    negative=tensor_of('[-1]', '[4,0]'), infinite=tensor_of('[1]', '[0,Infinity]'),
    no_text=header_of(b'\xff\xfe\x00\x01'), empty=b'', short=b'1234', nothing=bytes(8),
    list=header_of(b'[]'), number=header_of(b'7'), null=header_of(b'null'))

@pytest.mark.parametrize('name', enormous)
def test_deep_and_enormous_headers(tmp_path, name):
    (file := tmp_path/'x.safetensors').write_bytes(enormous[name])
    for f in (load_tensors, load_digits_model):
        with pytest.raises(ValueError, match='x.safetensors is not read: '): f(file)

@pytest.mark.skipif(sys.platform == 'win32', reason='no sparse files')
def test_file_that_is_too_large_is_not_read(tmp_path):
    with open(file := tmp_path/'x.safetensors', 'wb') as f: f.truncate(2**40)
    with pytest.raises(ValueError, match='1,099,511,627,776 bytes, more than'): load_tensors(file)

@pytest.mark.parametrize('labels', [[[], 7], [3, None], [{}, 7], [3], 37, None])
def test_labels_that_are_none(tmp_path, labels):
    model, made = torch.nn.Linear(784, 1), {'name': 'linear', 'n_in': 784, 'n_out': 1}
    save_tensors(file := tmp_path/'x.safetensors', model.state_dict(), {'architecture': made, 'labels': labels})
    with pytest.raises(ValueError, match='x.safetensors is not read: it does not say what its answers'):
        load_digits_model(file)

@pytest.fixture(scope='module')
def mutate(tmp_path_factory): return Models(tmp_path_factory.mktemp('models'))

# damaged, edited and forged models and checkpoints; `python -m tests.fuzz models` tries many more
@settings(max_examples=400, **hypothesis_settings)
@given(seed=st.integers(0, 2**32))
def test_damaged_files_are_refused_or_read_as_they_were(mutate, seed): mutate(random.Random(seed))

class Counts(Callback):
    "Has a state of its own, and draws random numbers at every turn"
    order = 30
    def before_fit(self): self.n, self.drawn = 0, []
    def before_epoch(self): self.drawn.append(torch.rand(1).item())
    def before_train(self): self.in_epoch = random.random()
    def after_batch(self):
        self.n += self.training
        self.drawn.append(float(np.random.rand()) + self.in_epoch)
    def state_dict(self): return {k: getattr(self, k) for k in ('n', 'drawn', 'in_epoch')}
    def load_state_dict(self, state): vars(self).update(state)

class Stops(Callback):
    "Ends a training after so many batches, those of validation included, as if nothing could be done any more"
    order = 101
    def __init__(self, after): self.after = after
    def after_batch(self):
        self.after -= 1
        if not self.after: raise RuntimeError('stopped')

class Presses(Callback):
    "Presses Ctrl-C in a batch, counted with those of validation, and has the model measured before the batch ends"
    order = 20
    def __init__(self, at): self.at, self.busy = at, False
    def after_batch(self):
        if self.busy: return
        self.at -= 1
        if self.at: return
        os.kill(os.getpid(), signal.SIGINT)
        self.busy = True
        with self.learn.removed_cbs((Counts, EarlyStoppingCallback)): self.learn.validate()

class Dropped(torch.nn.Sequential):
    def __init__(self): super().__init__(torch.nn.Linear(6, 4), torch.nn.Dropout(0.3), torch.nn.Linear(4, 1))

def told(make, seed, *cbs):
    "All that comes of a training; only what is in the checkpoints may matter, not `seed`"
    torch.manual_seed(seed); random.seed(seed); np.random.seed(seed)
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 6, generator=g), torch.rand(50, 1, generator=g).round()
    dls = DataLoaders(make((x, y), seed), DataLoader((x[:20], y[:20]), 8))
    learn = Learner(dls, Dropped(), mnist_loss, partial(SGD, mom=0.9), metrics=batch_accuracy)
    noting = [Counts(), Counts(), EarlyStoppingCallback(patience=9)]
    with learn.no_bar(): learn.fit_one_cycle(3, 0.3, cbs=[*noting, *cbs])
    rec = learn.recorder
    return [[p.tolist() for p in learn.model.parameters()], rec.values, rec.losses, rec.iters, rec.hps,
            [cb.state_dict() for cb in noting], torch.rand(3).tolist(), random.random(), np.random.rand()]

def in_order(data, seed): return DataLoader(data, 8)
def shuffled(data, seed): return DataLoader(data, 8, shuffle=True, seed=seed)
def shuffled_by_the_global_state(data, seed): return DataLoader(data, 8, shuffle=True)
def of_items(data, seed): return DataLoader([*zip(*data)], 8, shuffle=True, seed=seed, drop_last=True)
def mapped(data, seed):
    x = np.memmap(tempfile.TemporaryFile(), np.float32, 'w+', shape=data[0].shape)
    x[:] = data[0].numpy()
    loader = MappedDataLoader((x, data[1]), 8, shuffle=True, seed=seed)
    loader.block, loader.window = 4, 24
    return loader

@pytest.mark.parametrize('make', [shuffled, in_order, shuffled_by_the_global_state, of_items, mapped])
def test_a_training_goes_on_wherever_it_was_stopped(tmp_path, make):
    whole = told(make, 0)
    assert told(make, 0, CheckpointCallback(tmp_path/'whole', every_batches=4)) == whole
    for after in range(1, 22) if make is shuffled else (3, 7, 9, 10, 16, 26):
        folder = tmp_path/str(after)
        with pytest.raises(RuntimeError, match='stopped'):
            told(make, 0, CheckpointCallback(folder, every_batches=1), Stops(after))
        assert told(make, 1, CheckpointCallback(folder, resume=True)) == whole, after

@pytest.mark.parametrize('at', [1, 3, 7, 8, 10, 11, 30])
def test_ctrl_c_while_it_is_measured_in_between(tmp_path, at):
    with pytest.raises(KeyboardInterrupt, match='go on with CheckpointCallback'):
        told(shuffled, 0, CheckpointCallback(tmp_path), Presses(at))
    assert told(shuffled, 1, CheckpointCallback(tmp_path, resume=True)) == told(shuffled, 0)

def test_two_stops_one_after_the_other(tmp_path):
    for seed, at in enumerate((3, 4, 9)):
        with pytest.raises(KeyboardInterrupt):
            told(shuffled, seed, CheckpointCallback(tmp_path, resume=True), Presses(at))
    assert told(shuffled, 9, CheckpointCallback(tmp_path, resume=True)) == told(shuffled, 0)
