"fastsgd_train as a user meets it: its help, its messages, its exit status, and what it leaves behind"
import csv, json, os, re, runpy, signal, subprocess, sys, time
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image, ImageDraw
from fastsgd.tools.cli import fastsgd_train
from fastsgd.data.sources import fastai_data_folder
from fastsgd.tools.store import load_tensors

script, predict = (Path(sys.executable).parent/name for name in ('fastsgd_train', 'fastsgd_predict'))
has_mnist = (fastai_data_folder()/'mnist_sample').exists()

@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    "Runs the installed command in an empty folder, in this process: exit status, stdout, stderr"
    monkeypatch.chdir(tmp_path)
    def run(*args, script=script):
        monkeypatch.setattr(sys, 'argv', [str(script), *args])
        try: status = runpy.run_path(str(script), run_name='__main__') and 0
        except SystemExit as e: status = e.code or 0
        out, err = capsys.readouterr()
        return status, out, err
    return run

def test_help_tells_every_option(cli):
    status, out, err = cli('--help')
    assert status == 0
    options = re.sub(r'(?<=\w)-(?=\w)', '_', out)
    for option in 'source labels model epochs lr batch_size seed device out checkpoint_every resume'.split():
        assert f'--{option}' in options
    assert 'Learning rate' in out and '(default: 0.1)' in out

def test_trains_and_leaves_three_files(cli, tmp_path):
    status, out, err = cli('--source', 'mnist_5k', '--epochs', '3', '--out', 'here')
    assert (status, err) == (0, '')
    assert sorted(f.name for f in (tmp_path/'here').iterdir()) == ['history.csv', 'model.safetensors', 'report.png']
    assert "source='mnist_5k'" in out and 'Baseline' in out and '\r' not in out and '█' not in out
    rows = list(csv.DictReader((tmp_path/'here/history.csv').open()))
    assert [r['epoch'] for r in rows] == ['0', '1', '2']
    for r in rows: assert f"{float(r['accuracy']):.4f}" in out and f"{float(r['valid_loss']):.4f}" in out
    tensors, facts = load_tensors(tmp_path/'here/model.safetensors')
    assert tensors['0.weight'].shape == (30, 784)
    assert facts['labels'] == [3, 7] and facts['source'] == 'mnist_5k' and facts['versions']['fastsgd']
    assert facts['metrics']['batch_accuracy'] == float(rows[-1]['accuracy'])
    assert len({f.stat().st_mode for f in (tmp_path/'here').iterdir()}) == 1 # readable for the same people
    assert (tmp_path/'here/report.png').read_bytes()[:8] == b'\x89PNG\r\n\x1a\n'

def test_same_seed_same_result(cli, tmp_path):
    tables = []
    for out, seed in (('a', '1'), ('b', '1'), ('c', '2')):
        cli('--source', 'mnist_5k', '--epochs', '2', '--seed', seed, '--out', out)
        tables.append([r[:4] for r in csv.reader((tmp_path/out/'history.csv').open())])
    assert tables[0] == tables[1] != tables[2]

def test_a_second_run_gets_its_own_folder(cli, tmp_path):
    settings = '--source', 'mnist_5k', '--epochs', '1', '--model', 'linear', '--labels', 'all'
    for _ in range(2): assert cli(*settings)[0] == 0
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
    (['--checkpoint_every', '0'],   'checkpoint_every must be'),
    (['--resume', 'nowhere'],       'no folder nowhere'),
    (['--resume', 'full'],          'no checkpoint in full'),
    (['--resume', 'full', '--out', 'x'], 'leave out --out'),
    (['--out', 'file/below'],       'cannot write to'),
    (['--out', 'full'],             'exists already'),
    (['--out', 'file'],             'exists already')])
def test_impossible_values_get_one_line(cli, tmp_path, args, says):
    (tmp_path/'full').mkdir(); (tmp_path/'full/mine').write_text('mine'); (tmp_path/'file').touch()
    if '--source' not in args: args = ['--source', 'mnist_5k', *args]
    status, out, err = cli(*args)
    assert status == 2 and says in err and err.startswith('fastsgd_train: ') and err.count('\n') == 1
    assert sorted(f.name for f in tmp_path.iterdir()) == ['file', 'full']
    assert (tmp_path/'full/mine').read_text() == 'mine'

@pytest.mark.parametrize('args', (['--epochs', 'many'], ['--lr', 'x'], ['--no_such_option', '1']))
def test_malformed_options_are_refused(cli, tmp_path, args):
    status, out, err = cli(*args)
    assert status == 2 and 'Traceback' not in err and not any(tmp_path.iterdir())
    assert args[0].strip('-').replace('_', '-') in err.replace('_', '-')

def test_a_run_that_diverges_saves_nothing(cli, tmp_path):
    status, out, err = cli('--source', 'mnist_5k', '--labels', 'all', '--lr', '1e30', '--epochs', '2')
    assert status == 1 and 'learning rate' in err and err.count('\n') == 1
    assert not any(tmp_path.iterdir())

def test_a_folder_of_the_users_own_stays(cli, tmp_path):
    (tmp_path/'mine').mkdir()
    assert cli('--source', 'mnist_5k', '--labels', 'all', '--lr', '1e30', '--epochs', '1', '--out', 'mine')[0] == 1
    assert (tmp_path/'mine').is_dir() and not any((tmp_path/'mine').iterdir())

def test_two_runs_into_one_folder(cli, tmp_path):
    (tmp_path/'here').mkdir()
    with FileLock(tmp_path/'here/.running'): # as another run holds it while it trains
        status, out, err = cli('--source', 'mnist_5k', '--epochs', '1', '--out', 'here')
    assert status == 2 and 'another run is at work' in err
    assert cli('--source', 'mnist_5k', '--epochs', '1', '--out', 'here')[0] == 0 # one that was killed locks nobody out

def test_from_python_errors_are_exceptions(tmp_path):
    with pytest.raises(ValueError, match='epochs'): fastsgd_train(source='mnist_5k', epochs=0, out=str(tmp_path/'x'))
    assert not any(tmp_path.iterdir())

def started(tmp_path, *args):
    "A run as a process of its own, in its second epoch or later"
    def listen(): signal.signal(signal.SIGINT, signal.default_int_handler) # a shell's background jobs ignore it
    p = subprocess.Popen([script, *args], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env={**os.environ, 'PYTHONUNBUFFERED': '1'}, preexec_fn=listen)
    for line in p.stdout:
        if re.match(r' +[1-9]\d* ', line): return p
    raise AssertionError(p.communicate()[1])

@pytest.mark.skipif(os.name == 'nt', reason='signals are sent otherwise there')
def test_stopped_and_taken_up_ends_as_if_never_stopped(cli, tmp_path):
    settings = '--source', 'mnist_5k', '--labels', 'all', '--epochs', '100'
    assert cli(*settings, '--out', 'whole')[0] == 0
    p = started(tmp_path, *settings, '--out', 'here')
    status, out, err = cli('--resume', 'here') # while it runs
    assert status == 2 and 'another run is at work' in err
    p.send_signal(signal.SIGINT); time.sleep(0.001); p.send_signal(signal.SIGINT)
    says = r'fastsgd_train: stopped in epoch \d+; to go on: fastsgd_train --resume here\n$'
    assert re.search(says, p.communicate(timeout=60)[1]) and p.returncode == 130
    status, out, err = cli(*settings, '--out', 'here')
    assert status == 2 and '--resume here' in err
    p = started(tmp_path, '--resume', 'here')
    p.terminate()
    assert 'to go on: fastsgd_train --resume here' in p.communicate(timeout=60)[1] and p.returncode == 143
    p = started(tmp_path, '--resume', 'here')
    p.kill(); p.communicate(timeout=60)
    status, out, err = cli('--resume', 'here', '--seed', '3')
    assert status == 2 and 'seed is 3 here, but the run has 42' in err
    status, out, err = cli('--resume', 'here', '--labels', '3,7') # what it would be if nothing were asked for
    assert status == 2 and 'labels is 3,7 here, but the run has all' in err
    status, out, err = cli('here', script=predict)
    assert status == 2 and 'has not finished yet; to go on with it: fastsgd_train --resume here' in err
    status, out, err = cli('--resume', 'here')
    assert status == 0 and 'Going on from the last checkpoint' in out
    assert sorted(f.name for f in (tmp_path/'here').iterdir()) == ['history.csv', 'model.safetensors', 'report.png']
    weights, again = (load_tensors(tmp_path/o/'model.safetensors')[0] for o in ('whole', 'here'))
    assert all(weights[k].equal(again[k]) for k in weights)
    tables = [[r[:4] for r in csv.reader((tmp_path/o/'history.csv').open())] for o in ('whole', 'here')]
    assert tables[0] == tables[1] and len(tables[0]) == 101

@pytest.mark.skipif(os.name == 'nt', reason='signals are sent otherwise there')
def test_other_images_are_noticed(cli, tmp_path):
    for half in ('train', 'valid'):
        for label in ('a', 'b'):
            (tmp_path/'own'/half/label).mkdir(parents=True)
            for i in range(4):
                image = Image.new('L', (28, 28), 50*i + 40*(label == 'a'))
                image.save(tmp_path/'own'/half/label/f'{i}.png')
    settings = '--source', 'own', '--labels', 'all', '--epochs', '100000', '--checkpoint_every', '50', '--out', 'here'
    p = started(tmp_path, *settings)
    p.send_signal(signal.SIGINT); p.communicate(timeout=60)
    assert p.returncode == 130
    Image.new('L', (28, 28), 255).save(tmp_path/'own/train/a/0.png')
    status, out, err = cli('--resume', 'here')
    assert status == 2 and 'are not those' in err

def test_read_only_folder_fails_before_training(cli, tmp_path, monkeypatch):
    def refuse(*args, **kwargs): raise PermissionError(13, 'Permission denied')
    monkeypatch.setattr(FileLock, 'acquire', refuse)
    status, out, err = cli('--source', 'mnist_5k', '--out', 'here')
    assert status == 2 and 'cannot write to here: Permission denied' in err and 'epoch' not in out

@pytest.fixture
def trained(cli):
    cli('--source', 'mnist_5k', '--epochs', '20', '--out', 'run')
    return 'run/model.safetensors'

def draw_seven(file, paper=255, ink=0):
    im = Image.new('L', (300, 400), paper)
    ImageDraw.Draw(im).line([(80, 100), (200, 105), (165, 200), (130, 330)], fill=ink, width=16, joint='curve')
    im.save(file)

def test_predict_answers_for_each_image(cli, trained, tmp_path):
    (tmp_path/'in/deep').mkdir(parents=True)
    draw_seven(tmp_path/'in/a.png'); draw_seven(tmp_path/'in/deep/b.jpg', 0, 255)
    (tmp_path/'in/c.png').write_text('none')
    (tmp_path/'in/notes.txt').touch(); (tmp_path/'in/.hidden.png').touch(); (tmp_path/'in/d.png').mkdir()
    status, out, err = cli(trained, 'in', script=predict)
    lines = out.splitlines()
    assert status == 1 and err == '' and len(lines) == 4
    assert [line.split()[0] for line in lines[1:]] == ['7', '-', '7']
    assert 'in/c.png is not read' in lines[2] and 'light on dark' in lines[3]
    status, out, err = cli(trained, '--json', 'in/a.png', '--show', 'seen.png', script=predict)
    row, = json.loads(out)
    assert status == 0 and row['label'] == 7 and row['runner_up'] == 3
    assert abs(row['probability'] + row['runner_up_probability'] - 1) < 1e-5
    assert (tmp_path/'seen.png').read_bytes()[:4] == b'\x89PNG'

def test_predict_never_writes_over_a_file(cli, trained, tmp_path):
    draw_seven(tmp_path/'a.jpg'); draw_seven(tmp_path/'seen.png')
    files = [tmp_path/o for o in ('a.jpg', 'seen.png', trained)]
    before = [f.read_bytes() for f in files]
    for args, says in ((['a.jpg', '--show', 'seen.png'], 'seen.png exists already'),
                       (['a.jpg', '--show', trained], 'must end in .png'),
                       (['seen.png', '--show', 'a.jpg'], 'must end in .png'),
                       (['--show', 'new.png'], 'none is named')):
        status, out, err = cli(trained, *args, script=predict)
        assert status == 2 and says in err and out == ''
    assert before == [f.read_bytes() for f in files]

def test_predict_says_what_a_model_is(cli, trained):
    status, out, err = cli(trained, script=predict)
    assert status == 0
    made = 'simple_net(n_in=784, n_hidden=30, n_out=1)'
    for says in (made, 'tells apart: 3, 7', 'learned from: mnist_5k', 'epochs 20'):
        assert says in out
    assert cli('run', script=predict)[1] == out
    assert json.loads(cli(trained, '--json', script=predict)[1])['labels'] == [3, 7]

@pytest.mark.parametrize('args, says', [
    (['nothing'],              'no file nothing'),
    (['pickle'],               'it is a pickle'),
    (['MODEL', 'nowhere.png'], None),
    (['MODEL', 'empty'],       'no image in empty'),
    ([],                       None)])
def test_predict_refuses(cli, trained, tmp_path, args, says):
    (tmp_path/'pickle').write_bytes(b'\x80\x04K\x01.'); (tmp_path/'empty').mkdir()
    status, out, err = cli(*(trained if a == 'MODEL' else a for a in args), script=predict)
    assert status == (1 if args[-1:] == ['nowhere.png'] else 2) and 'Traceback' not in err
    if says: assert err.startswith('fastsgd_predict: ') and says in err and err.count('\n') == 1

def test_a_reader_that_has_gone(trained, tmp_path):
    draw_seven(tmp_path/'a.png')
    args = [predict, trained, *['a.png']*200]
    p = subprocess.Popen(args, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.readline(); p.stdout.close()
    assert p.stderr.read() == b'' and p.wait(timeout=60) == 141

@pytest.mark.skipif(not has_mnist, reason='needs MNIST')
def test_mnist_reaches_98_percent(cli, tmp_path):
    status, out, err = cli('--labels', '3,7', '--model', 'simple_net', '--out', 'here')
    assert status == 0 and "source='mnist_sample'" in out
    assert load_tensors(tmp_path/'here/model.safetensors')[1]['metrics']['batch_accuracy'] >= 0.98
