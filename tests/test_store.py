"""What is kept when a file cannot be written, and what is refused when one is damaged, forged or enormous.

The notebooks `10_learner` and `20_store` show how saving is used, and test that; this file holds what is no reading matter.
"""
import json, os, random, subprocess, sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st

from fastsgd.learner import load_tensors, save_tensors
from fastsgd.store import load_digits_model
from fuzz import Models

hypothesis_settings = dict(deadline=None, database=None, derandomize=True)
weights, facts = {'weight': torch.arange(20_000.)}, {'labels': [3, 7]}

full_disk = '''
import resource, signal, sys, torch
from fastsgd.learner import save_tensors
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
    assert p.stdout.startswith('OSError') and f'{file} could not be written' in p.stdout and not p.stderr, p.stdout + p.stderr
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before

@pytest.mark.skipif(hasattr(os, 'geteuid') and os.geteuid() == 0 or sys.platform == 'win32', reason='root may write anywhere')
def test_folder_that_must_not_be_written_to(tmp_path):
    save_tensors(file := tmp_path/'model.safetensors', weights, facts)
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match='model.safetensors could not be written'): save_tensors(file, {'weight': torch.zeros(3)}, facts)
    finally: tmp_path.chmod(0o755)
    assert load_tensors(file)[0]['weight'].equal(weights['weight'])

@pytest.mark.parametrize('step', ['write_bytes', 'fsync', 'replace'])
def test_disk_that_fails_at_any_step(tmp_path, monkeypatch, step):
    save_tensors(file := tmp_path/'model.safetensors', weights, facts)
    before = file.read_bytes()
    def fails(*args): raise OSError(28, 'No space left on device')
    with monkeypatch.context() as m:
        m.setattr(Path if step == 'write_bytes' else os, step, fails)
        with pytest.raises(OSError, match='model.safetensors could not be written: No space left'): save_tensors(file, {'weight': torch.zeros(3)}, facts)
    assert file.read_bytes() == before and os.listdir(tmp_path) == ['model.safetensors']

def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.*could not be written'): save_tensors(tmp_path/'nowhere'/'x.safetensors', weights, facts)
    for f in (load_tensors, load_digits_model):
        with pytest.raises(FileNotFoundError, match='nowhere'): f(tmp_path/'nowhere')
        with pytest.raises(FileNotFoundError, match=tmp_path.name): f(tmp_path)

def header_of(text, n=None): return (len(text) if n is None else n).to_bytes(8, 'little') + text

enormous = dict(deep_list=header_of(b'['*500_000), deep_dict=header_of(b'{"a":'*100_000 + b'1' + b'}'*100_000), deep_fact=header_of(json.dumps({'__metadata__': {'fastsgd_format': '1', 'sha256': '['*200_000}}).encode()),
                long_header=header_of(b'{' + b' '*(2**20) + b'}'), claims_much=header_of(b'{}', 2**63), claims_all=header_of(b'{}', 2**64 - 1), long_number=header_of(b'{"a": ' + b'9'*100_000 + b'}'),
                large_tensor=header_of(b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'), no_tensor=header_of(b'{"a":{"dtype":"F32","shape":[99999999999,0],"data_offsets":[0,0]}}'),
                negative=header_of(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[4,0]}}'), infinite=header_of(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,Infinity]}}'),
                no_text=header_of(b'\xff\xfe\x00\x01'), empty=b'', short=b'1234', nothing=bytes(8), list=header_of(b'[]'), number=header_of(b'7'), null=header_of(b'null'))

@pytest.mark.parametrize('name', enormous)
def test_deep_and_enormous_headers(tmp_path, name):
    (file := tmp_path/'x.safetensors').write_bytes(enormous[name])
    for f in (load_tensors, load_digits_model):
        with pytest.raises(ValueError, match='x.safetensors is not read: '): f(file)

@pytest.mark.skipif(sys.platform == 'win32', reason='no sparse files')
def test_file_that_is_too_large_is_not_read(tmp_path):
    with open(file := tmp_path/'x.safetensors', 'wb') as f: f.truncate(2**40)
    with pytest.raises(ValueError, match='1,099,511,627,776 bytes, more than'): load_tensors(file)

@pytest.fixture(scope='module')
def mutate(tmp_path_factory): return Models(tmp_path_factory.mktemp('models'))

# damaged, edited and forged models and checkpoints; `python -m tests.fuzz models` tries many more
@settings(max_examples=400, **hypothesis_settings)
@given(seed=st.integers(0, 2**32))
def test_damaged_files_are_refused_or_read_as_they_were(mutate, seed): mutate(random.Random(seed))
