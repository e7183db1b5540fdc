"fastsgd_train as a user meets it: its help, its messages, its exit status, and what it leaves behind"
import csv, json, os, runpy, signal, subprocess, sys
from pathlib import Path

import pytest
from safetensors import safe_open
from fastsgd.cli import fastsgd_train
from fastsgd.data import fastai_data_folder

script = Path(sys.executable).parent/'fastsgd_train'
has_mnist = (fastai_data_folder()/'mnist_sample').exists()

@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    "Runs the installed command in an empty folder, in this process: exit status, stdout, stderr"
    monkeypatch.chdir(tmp_path)
    def run(*args):
        monkeypatch.setattr(sys, 'argv', [str(script), *args])
        try: status = runpy.run_path(str(script), run_name='__main__') and 0
        except SystemExit as e: status = e.code or 0
        out, err = capsys.readouterr()
        return status, out, err
    return run

def test_help_tells_every_option(cli):
    status, out, err = cli('--help')
    assert status == 0
    for option in 'source labels model epochs lr batch_size seed device out'.split(): assert f'--{option}' in out.replace('batch-size', 'batch_size')
    assert 'Learning rate' in out and '(default: 0.1)' in out

def test_trains_and_leaves_three_files(cli, tmp_path):
    status, out, err = cli('--source', 'sklearn', '--epochs', '3', '--out', 'here')
    assert (status, err) == (0, '')
    assert sorted(f.name for f in (tmp_path/'here').iterdir()) == ['history.csv', 'model.safetensors', 'report.png']
    assert "source='sklearn'" in out and 'Baseline' in out and '\r' not in out and '█' not in out
    rows = list(csv.DictReader((tmp_path/'here/history.csv').open()))
    assert [r['epoch'] for r in rows] == ['0', '1', '2']
    for r in rows: assert f"{float(r['accuracy']):.4f}" in out and f"{float(r['valid_loss']):.4f}" in out
    with safe_open(tmp_path/'here/model.safetensors', 'pt') as f:
        facts = f.metadata()
        assert f.get_slice('0.weight').get_shape() == [30, 784]
    assert json.loads(facts['labels']) == [3, 7] and facts['source'] == 'sklearn' and facts['fastsgd']
    assert float(facts['accuracy']) == float(rows[-1]['accuracy'])
    assert len({f.stat().st_mode for f in (tmp_path/'here').iterdir()}) == 1 # readable for the same people
    assert (tmp_path/'here/report.png').read_bytes()[:8] == b'\x89PNG\r\n\x1a\n'

def test_same_seed_same_result(cli, tmp_path):
    tables = []
    for out, seed in (('a', '1'), ('b', '1'), ('c', '2')):
        cli('--source', 'sklearn', '--epochs', '2', '--seed', seed, '--out', out)
        tables.append([r[:4] for r in csv.reader((tmp_path/out/'history.csv').open())])
    assert tables[0] == tables[1] != tables[2]

def test_a_second_run_gets_its_own_folder(cli, tmp_path):
    for _ in range(2): assert cli('--source', 'sklearn', '--epochs', '1', '--model', 'linear', '--labels', 'all')[0] == 0
    assert sorted(f.name for f in tmp_path.iterdir()) == ['fastsgd_run', 'fastsgd_run_2']

@pytest.mark.parametrize('args, says', [
    (['--model', 'resnet'],         "unknown model 'resnet'"),
    (['--epochs', '0'],             'epochs must be at least 1'),
    (['--lr', '-1'],                'lr must be a number above 0'),
    (['--lr', 'nan'],               'lr must be a number above 0'),
    (['--batch_size', '0'],         'batch_size must be at least 1'),
    (['--batch-size=-1'],           'batch_size must be at least 1'),
    (['--labels', '3'],             'two or more'),
    (['--labels', '3,3'],           'each once'),
    (['--labels', '3,x'],           "no label 'x'"),
    (['--device', 'toaster'],       "device 'toaster'"),
    (['--device', 'meta'],          "device 'meta'"),
    (['--seed', '9'*20],            'seed must be'),
    (['--source', 'mnits'],         'unknown source'),
    (['--source', 'no/such'],       'no such folder'),
    (['--source', 'no/such.npz'],   'no such file'),
    (['--out', 'file/below'],       'cannot write to'),
    (['--out', 'full'],             'exists already'),
    (['--out', 'file'],             'exists already')])
def test_impossible_values_get_one_line(cli, tmp_path, args, says):
    (tmp_path/'full').mkdir(); (tmp_path/'full/mine').write_text('mine'); (tmp_path/'file').touch()
    if '--source' not in args: args = ['--source', 'sklearn', *args]
    status, out, err = cli(*args)
    assert status == 2 and says in err and err.startswith('fastsgd_train: ') and err.count('\n') == 1
    assert sorted(f.name for f in tmp_path.iterdir()) == ['file', 'full'] and (tmp_path/'full/mine').read_text() == 'mine'

@pytest.mark.parametrize('args', (['--epochs', 'many'], ['--lr', 'x'], ['--no_such_option', '1']))
def test_malformed_options_are_refused(cli, tmp_path, args):
    status, out, err = cli(*args)
    assert status == 2 and 'Traceback' not in err and args[0].strip('-').replace('_', '-') in err.replace('_', '-') and not any(tmp_path.iterdir())

def test_a_run_that_diverges_saves_nothing(cli, tmp_path):
    status, out, err = cli('--source', 'sklearn', '--labels', 'all', '--lr', '1e30', '--epochs', '2')
    assert status == 1 and 'learning rate' in err and err.count('\n') == 1
    assert not any(tmp_path.iterdir())

def test_a_folder_of_the_users_own_stays(cli, tmp_path):
    (tmp_path/'mine').mkdir()
    assert cli('--source', 'sklearn', '--labels', 'all', '--lr', '1e30', '--epochs', '1', '--out', 'mine')[0] == 1
    assert (tmp_path/'mine').is_dir() and not any((tmp_path/'mine').iterdir())

def test_two_runs_into_one_folder(cli, tmp_path):
    (tmp_path/'here').mkdir(); (tmp_path/'here/.running').touch() # as another run leaves it while it trains
    status, out, err = cli('--source', 'sklearn', '--epochs', '1', '--out', 'here')
    assert status == 2 and 'exists already' in err

def test_from_python_errors_are_exceptions(tmp_path):
    with pytest.raises(ValueError, match='epochs'): fastsgd_train(source='sklearn', epochs=0, out=str(tmp_path/'x'))
    assert not any(tmp_path.iterdir())

@pytest.mark.skipif(os.name == 'nt', reason='signals are sent otherwise there')
def test_ctrl_c_ends_with_one_line(tmp_path):
    p = subprocess.Popen([script, '--source', 'sklearn', '--epochs', '1000000', '--out', 'here'], cwd=tmp_path, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, 'PYTHONUNBUFFERED': '1'})
    for line in p.stdout:
        if line.lstrip().startswith('2 '): break # epoch 2: it is training
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 130 and err == 'fastsgd_train: interrupted, nothing was saved\n' and not (tmp_path/'here').exists()

@pytest.mark.skipif(not has_mnist, reason='needs MNIST')
def test_mnist_reaches_98_percent(cli, tmp_path):
    status, out, err = cli('--labels', '3,7', '--model', 'simple_net', '--out', 'here')
    assert status == 0 and "source='mnist_sample'" in out
    with safe_open(tmp_path/'here/model.safetensors', 'pt') as f: assert float(f.metadata()['accuracy']) >= 0.98
