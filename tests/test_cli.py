"fastsgd_train as a user meets it: its help, its messages, its exit status, and what it leaves behind"
import csv, io, json, os, re, runpy, shutil, signal, struct, subprocess, sys, time
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image, ImageDraw
from fastsgd.tools.cli import fastsgd_train
from fastsgd import __version__
from fastsgd.data.digits import get_digits
from fastsgd.data.sources import fastai_data_folder
from fastsgd.interpret import confusion_matrix, plot_confusion_matrix, plot_top_losses
from fastsgd.tools.store import load_digits_model, load_tensors, save_tensors

script, predict = (Path(sys.executable).parent/name for name in ('fastsgd_train', 'fastsgd_predict'))
small = '--source', 'mnist_5k', '--labels', '3,7', '--model', 'simple_net'
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
    assert 'Learning rate' in out and '(default: small_cnn)' in out and '12 for 4,000' in ' '.join(out.split())

@pytest.mark.parametrize('command', (script, predict))
def test_version(cli, command): assert cli('--version', script=command) == (0, f'fastsgd {__version__}\n', '')

def test_the_main_job_is_all_ten_digits(cli, tmp_path):
    status, out, err = cli('--source', 'mnist_5k')
    assert (status, err) == (0, '')
    assert 'small_cnn, one cycle, epochs 12, lr 0.1, batch size 32' in out
    says = re.fullmatch(r'mnist_5k, 1,000 validation images: baseline (\S+), trained (\S+), in [\d.]+ s',
                        out.splitlines()[-1])
    baseline, trained = map(float, says.groups())
    assert baseline == 0.819 and trained >= 0.97
    facts = load_tensors(tmp_path/'fastsgd_run/model.safetensors')[1]
    assert facts['labels'] == list(range(10)) and round(facts['metrics']['accuracy'], 4) == trained
    assert 0 < facts['calibration']['ece'] < 0.03 and 0.5 < facts['calibration']['sure_from'] < 1
    assert facts['reading'] == {'dark': False, 'plain': True, 'size': [28, 28]}

def test_a_small_step_goes_to_the_processor_and_says_why(cli, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True) # as if there were a card
    status, out, err = cli(*small, '--epochs', '1')
    assert (status, err) == (0, '')
    assert '\ncpu (0.8 million multiplications in a step: quicker without the graphics card), simple_net, one' in out
    assert '\ncpu (0.8 million' in cli(*small, '--epochs', '1', '--device', 'cpu')[1]
    asked = cli(*small, '--epochs', '1', '--batch-size', '2000', '--device', 'cpu')[1]
    assert '\ncpu, simple_net, one cycle' in asked # against the rule: no reason is made up

@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a graphics card')
def test_a_card_that_is_not_there(cli):
    status, out, err = cli(*small, '--device', 'cuda')
    assert status and "device 'cuda' cannot be used, here is: cpu (" in err and len(err.splitlines()) == 1

@pytest.mark.parametrize('model', ('linear', 'mlp', 'small_cnn'))
def test_other_models(cli, tmp_path, model):
    assert cli(*small[:4], '--model', model, '--epochs', '3')[0] == 0
    assert load_tensors(tmp_path/'fastsgd_run/model.safetensors')[1]['architecture']['name'] == model

def test_trains_and_leaves_three_files(cli, tmp_path):
    status, out, err = cli(*small, '--epochs', '3', '--out', 'here')
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
        cli(*small, '--epochs', '2', '--seed', seed, '--out', out)
        tables.append([r[:4] for r in csv.reader((tmp_path/out/'history.csv').open())])
    assert tables[0] == tables[1] != tables[2]

def test_a_second_run_gets_its_own_folder(cli, tmp_path):
    settings = *small, '--epochs', '1', '--model', 'linear', '--labels', 'all'
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
    status, out, err = cli('--source', 'mnist_5k', '--model', 'simple_net', '--lr', '1e30', '--epochs', '2')
    assert status == 1 and 'learning rate' in err and err.count('\n') == 1
    assert not any(tmp_path.iterdir())

def test_a_folder_of_the_users_own_stays(cli, tmp_path):
    (tmp_path/'mine').mkdir()
    assert cli(*small[:2], *small[4:], '--lr', '1e30', '--epochs', '1', '--out', 'mine')[0] == 1
    assert (tmp_path/'mine').is_dir() and not any((tmp_path/'mine').iterdir())

def test_two_runs_into_one_folder(cli, tmp_path):
    (tmp_path/'here').mkdir()
    with FileLock(tmp_path/'here/.running'): # as another run holds it while it trains
        status, out, err = cli(*small, '--epochs', '1', '--out', 'here')
    assert status == 2 and 'another run is at work' in err
    assert cli(*small, '--epochs', '1', '--out', 'here')[0] == 0 # one that was killed locks nobody out

def test_from_python_errors_are_exceptions(tmp_path):
    with pytest.raises(ValueError, match='epochs'): fastsgd_train(source='mnist_5k', epochs=0, out=str(tmp_path/'x'))
    assert not any(tmp_path.iterdir())

def started(tmp_path, *args):
    "A run as a process of its own, in its second epoch or later"
    def listen(): signal.signal(signal.SIGINT, signal.default_int_handler) # a shell's background jobs ignore it
    p = subprocess.Popen([script, *args], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env={**os.environ, 'PYTHONUNBUFFERED': '1'}, preexec_fn=listen)
    for line in p.stdout:
        if re.match(r' +[1-9]\d* ', line):
            p.send_signal(signal.SIGSTOP) # or it might be done before we are
            return p
    raise AssertionError(p.communicate()[1])

@pytest.mark.skipif(os.name == 'nt', reason='signals are sent otherwise there')
def test_stopped_and_taken_up_ends_as_if_never_stopped(cli, tmp_path):
    settings = '--source', 'mnist_5k', '--model', 'simple_net', '--batch_size', '20', '--epochs', '40'
    assert cli(*settings, '--out', 'whole')[0] == 0
    p = started(tmp_path, *settings, '--out', 'here')
    status, out, err = cli('--resume', 'here') # while it runs
    p.send_signal(signal.SIGCONT)
    assert status == 2 and 'another run is at work' in err
    p.send_signal(signal.SIGINT); time.sleep(0.001); p.send_signal(signal.SIGINT)
    says = r'fastsgd_train: stopped in epoch \d+; to go on: fastsgd_train --resume here\n$'
    assert re.search(says, p.communicate(timeout=60)[1]) and p.returncode == 130
    status, out, err = cli(*settings, '--out', 'here')
    assert status == 2 and '--resume here' in err
    p = started(tmp_path, '--resume', 'here')
    p.terminate(); p.send_signal(signal.SIGCONT)
    assert 'to go on: fastsgd_train --resume here' in p.communicate(timeout=60)[1] and p.returncode == 143
    p = started(tmp_path, '--resume', 'here')
    p.kill(); p.communicate(timeout=60)
    status, out, err = cli('--resume', 'here', '--seed', '3')
    assert status == 2 and 'seed is 3 here, but the run has 42' in err
    status, out, err = cli('--resume', 'here', '--model', 'small_cnn') # what it would be if nothing were asked for
    assert status == 2 and 'model is small_cnn here, but the run has simple_net' in err
    status, out, err = cli('here', script=predict)
    assert status == 2 and 'has not finished yet; to go on with it: fastsgd_train --resume here' in err
    status, out, err = cli('--resume', 'here')
    assert status == 0 and 'Going on from the last checkpoint' in out
    assert sorted(f.name for f in (tmp_path/'here').iterdir()) == ['history.csv', 'model.safetensors', 'report.png']
    weights, again = (load_tensors(tmp_path/o/'model.safetensors')[0] for o in ('whole', 'here'))
    assert all(weights[k].equal(again[k]) for k in weights)
    tables = [[r[:4] for r in csv.reader((tmp_path/o/'history.csv').open())] for o in ('whole', 'here')]
    assert tables[0] == tables[1] and len(tables[0]) == 41

@pytest.mark.skipif(os.name == 'nt', reason='signals are sent otherwise there')
def test_other_images_are_noticed(cli, tmp_path):
    for half in ('train', 'valid'):
        for label in ('a', 'b'):
            (tmp_path/'own'/half/label).mkdir(parents=True)
            for i in range(4):
                image = Image.new('L', (28, 28), 50*i + 40*(label == 'a'))
                image.save(tmp_path/'own'/half/label/f'{i}.png')
    settings = '--source', 'own', '--model', 'linear', '--epochs', '100000', '--checkpoint_every', '50'
    p = started(tmp_path, *settings, '--out', 'here')
    p.send_signal(signal.SIGINT); p.send_signal(signal.SIGCONT); p.communicate(timeout=60)
    assert p.returncode == 130
    Image.new('L', (28, 28), 255).save(tmp_path/'own/train/a/0.png')
    status, out, err = cli('--resume', 'here')
    assert status == 2 and 'are not those' in err

def test_read_only_folder_fails_before_training(cli, tmp_path, monkeypatch):
    def refuse(*args, **kwargs): raise PermissionError(13, 'Permission denied')
    monkeypatch.setattr(FileLock, 'acquire', refuse)
    status, out, err = cli('--source', 'mnist_5k', '--out', 'here')
    assert status == 2 and 'cannot write to here: Permission denied' in err and 'epoch' not in out

@pytest.fixture(scope='module')
def trained_once(tmp_path_factory):
    out = tmp_path_factory.mktemp('trained')/'run'
    fastsgd_train(source='mnist_5k', labels='3,7', model='simple_net', out=str(out))
    return out

@pytest.fixture
def trained(cli, trained_once, tmp_path):
    shutil.copytree(trained_once, tmp_path/'run')
    return 'run/model.safetensors'

def draw_seven(file, paper=255, ink=0):
    im = Image.new('L', (300, 400), paper)
    ImageDraw.Draw(im).line([(80, 100), (200, 105), (165, 200), (130, 330)], fill=ink, width=16, joint='curve')
    im.save(file, None if file.suffix else 'PNG')

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
    row = json.loads(out) # one line
    assert status == 0 and row['label'] == 7 and row['runner_up'] == 3
    assert abs(row['probability'] + row['runner_up_probability'] - 1) < 1e-5
    assert row['digits'][0]['label'] == 7 and 70 < row['digits'][0]['box'][0] < 90 # on the sheet
    assert (tmp_path/'seen.png').read_bytes()[:4] == b'\x89PNG'

def test_predict_never_writes_over_a_file(cli, trained, tmp_path):
    draw_seven(tmp_path/'a.jpg'); draw_seven(tmp_path/'seen.png')
    (tmp_path/'there.csv').write_text('mine')
    files = [tmp_path/o for o in ('a.jpg', 'seen.png', 'there.csv', trained)]
    before = [f.read_bytes() for f in files]
    for args, says in ((['a.jpg', '--show', 'seen.png'], 'seen.png exists already'),
                       (['a.jpg', '--show', trained], 'must end in .png'),
                       (['seen.png', '--show', 'a.jpg'], 'must end in .png'),
                       (['--show', 'new.png'], 'none is named'),
                       (['a.jpg', '--csv', 'there.csv'], 'there.csv exists already'),
                       (['a.jpg', '--csv', 'seen.png'], 'must end in .csv'),
                       (['a.jpg', '--csv', 'new.csv', '--columns', 'digit'], "unknown column 'digit'"),
                       (['a.jpg', '--columns', 'label'], 'name one with --csv')):
        status, out, err = cli(trained, *args, script=predict)
        assert status == 2 and says in err and out == ''
    assert before == [f.read_bytes() for f in files]

def test_predict_says_what_a_model_is(cli, trained):
    status, out, err = cli(trained, script=predict)
    assert status == 0
    made = 'simple_net(n_in=784, n_hidden=30, n_out=1)'
    for says in (made, 'tells apart: 3, 7', 'learned from: mnist_5k', 'how sure: from', 'light ink on dark paper'):
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

def test_a_reader_of_the_table_that_has_gone(tmp_path):
    args = '--source', 'mnist_5k', '--model', 'simple_net', '--batch_size', '20', '--epochs', '40', '--out', 'here'
    p = started(tmp_path, *args)
    p.stdout.close(); p.send_signal(signal.SIGCONT)
    assert p.stderr.read() == '' and p.wait(timeout=60) == 141

@pytest.fixture
def images():
    "A hundred 3s and 7s as gray bytes, and their labels"
    x, y = get_digits((3, 7), 'mnist_5k').valid
    return (x[50:150]*255).round().byte().numpy(), np.where(y[50:150] == 0, 3, 7)

def write_set(kind, x, y, tmp_path):
    "The images in a file or folder of that kind, and its name"
    header = ','.join(['label', *(f'pixel{i}' for i in range(784))])
    if kind == 'npz': np.savez(tmp_path/'set.npz', x_test=x, y_test=y)
    elif kind == 'csv':
        rows = np.hstack([y[:, None], x.reshape(len(x), -1)])
        np.savetxt(tmp_path/'set.csv', rows, '%d', ',', header=header, comments='')
    elif kind == 'idx':
        (tmp_path/'set.idx').mkdir()
        for name, a in (('train', x[:9]), ('t10k', x)):
            labels = y[:len(a)].astype(np.uint8).tobytes()
            pixels = struct.pack('>4i', 2051, len(a), 28, 28) + a.tobytes()
            (tmp_path/f'set.idx/{name}-images-idx3-ubyte').write_bytes(pixels)
            (tmp_path/f'set.idx/{name}-labels-idx1-ubyte').write_bytes(struct.pack('>2i', 2049, len(a)) + labels)
    else:
        for i, (image, label) in enumerate(zip(x, y)):
            (tmp_path/f'set.folder/{label}').mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path/f'set.folder/{label}/{i}.png')
    return f'set.{kind}'

@pytest.mark.parametrize('kind', ('npz', 'csv', 'idx', 'folder'))
def test_predict_answers_sets_and_counts_what_is_right(cli, trained, images, tmp_path, kind):
    status, out, err = cli(trained, write_set(kind, *images, tmp_path), '--csv', 'out.csv', script=predict)
    assert (status, err) == (0, '')
    first, last = out.splitlines()
    assert first == '100 answers in out.csv'
    rows = list(csv.DictReader((tmp_path/'out.csv').open()))
    right = sum(r['label'] == r['truth'] for r in rows)
    assert len(rows) == 100 and right >= 94 and last == f'accuracy {right/100:.4f}: {right} of 100 are right'
    assert {r['sure'] for r in rows} <= {'True', 'False'} and all(0.5 <= float(r['probability']) <= 1 for r in rows)

def test_predict_takes_the_test_part_of_a_set(cli, trained, images, tmp_path):
    x, y = images
    for half, places in (('train', range(0, 4)), ('valid', range(4, 6)), ('test', range(6, 9))):
        for i in places:
            (folder := tmp_path/'set'/half/str(int(y[i]))).mkdir(parents=True, exist_ok=True)
            Image.fromarray(x[i]).save(folder/f'{i}.png')
    status, out, _ = cli(trained, 'set', script=predict)
    assert status == 0 and len(out.splitlines()) == 5 and re.search(r'accuracy .* of 3 are right', out)

def test_predict_answers_files_in_the_order_of_their_numbers(cli, trained, images, tmp_path):
    (tmp_path/'numbered').mkdir()
    for i in (1, 2, 10, 11): Image.fromarray(images[0][i]).save(tmp_path/f'numbered/{i}.png')
    (tmp_path/'numbered/3.png').write_bytes(b'none')
    status, out, _ = cli(trained, 'numbered', '--csv', 'a.csv', '--columns', 'ImageId,image', '--json', script=predict)
    rows = (tmp_path/'a.csv').read_text().splitlines()[1:]
    assert [re.sub(r',.*?(\d+)\.png', r' \1', o) for o in rows] == ['1 1', '2 2', '3 3', '4 10', '5 11']

def test_predict_tells_of_labels_that_the_model_does_not_know(cli, trained, images, tmp_path):
    for name in ('3', '7', 'nine'):
        (folder := tmp_path/'some'/name).mkdir(parents=True)
        Image.fromarray(images[0][0]).save(folder/'a.png')
    assert '1 more have a label that the model doesn\'t know' in cli(trained, 'some', script=predict)[1]

def test_predict_writes_what_kaggle_takes(cli, trained, images, tmp_path):
    x, y = images
    header = ','.join(f'pixel{i}' for i in range(784))
    np.savetxt(tmp_path/'test.csv', x.reshape(100, 784), '%d', ',', header=header, comments='')
    status, out, err = cli(trained, 'test.csv', '--csv', 'out.csv', '--columns', 'ImageId,Label', script=predict)
    assert (status, err, out) == (0, '', '100 answers in out.csv\n') # no labels, no accuracy
    header, *rows = csv.reader((tmp_path/'out.csv').open())
    assert header == ['ImageId', 'Label'] and [r[0] for r in rows] == [str(i) for i in range(1, 101)]
    assert np.mean([int(r[1]) for r in rows] == y) >= 0.94

def test_predict_answers_in_lines_of_json(cli, trained, images, tmp_path):
    np.savez(tmp_path/'set.npz', x=images[0][:5], y=images[1][:5])
    (tmp_path/'bad.png').write_text('none')
    status, out, err = cli('--json', trained, 'set.npz', 'bad.png', script=predict)
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 1 and err.startswith('accuracy ') and len(rows) == 6
    assert set(rows[-1]) == {'image', 'error'} and rows[0]['truth'] in (3, 7)
    assert rows[0]['digits'][0]['sure'] in (True, False)

@pytest.mark.parametrize('text', (b'', b'none'))
def test_predict_reads_standard_input(cli, trained, tmp_path, monkeypatch, text):
    draw_seven(tmp_path/'a.png')
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO((tmp_path/'a.png').read_bytes())))
    status, out, err = cli(trained, '-', '--json', script=predict)
    assert status == 0 and json.loads(out)['label'] == 7 and json.loads(out)['image'] == '-'
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(text)))
    status, out, err = cli(trained, '-', script=predict)
    assert status == 1 and 'standard input is not read' in out and str(tmp_path) not in out and 'tmp' not in out

def test_predict_takes_names_that_begin_with_a_minus(cli, trained, tmp_path):
    for name in ('-rf.png', '--json', '--no'): draw_seven(tmp_path/name)
    status, out, err = cli(trained, '-rf.png', '--json', script=predict) # an option stays one
    assert status == 0 and json.loads(out)['label'] == 7
    status, out, err = cli(trained, '--no', '--', '--json', script=predict)
    assert status == 0 and [line.split()[0] for line in out.splitlines()[1:]] == ['7', '7']
    assert cli(trained, '--nothing', script=predict)[0] == 2

def test_predict_finds_several_digits(cli, trained, tmp_path):
    sheet = Image.new('L', (700, 400), 255)
    for left in (60, 380):
        line = [(left + x, y) for x, y in ((0, 100), (120, 105), (85, 200), (50, 330))]
        ImageDraw.Draw(sheet).line(line, fill=0, width=16, joint='curve')
    sheet.save(tmp_path/'a.png')
    status, out, err = cli(trained, 'a.png', '--json', '--show', 'seen.png', script=predict)
    row = json.loads(out)
    assert status == 0 and row['label'] == '77' and [d['label'] for d in row['digits']] == [7, 7]
    p, q = (d['probability'] for d in row['digits'])
    assert abs(row['probability'] - p*q) < 1e-9 and row['digits'][0]['box'][2] < 350 < row['digits'][1]['box'][0]
    status, out, err = cli(trained, 'a.png', '--csv', 'a.csv', script=predict)
    assert list(csv.DictReader((tmp_path/'a.csv').open()))[0]['digits'] == f'7:{p:.4f} 7:{q:.4f}'
    assert f'7 {p:.1%}, 7 {q:.1%}' in cli(trained, 'a.png', script=predict)[1]

def with_facts(file, new, **changes):
    tensors, facts = load_tensors(file)
    save_tensors(new, tensors, {k: v for k, v in {**facts, **changes}.items() if k != 'sha256' and v is not ...})

def test_predict_says_where_it_is_not_sure(cli, trained, tmp_path):
    draw_seven(tmp_path/'a.png')
    for sure_from, sure in ((1.01, False), (0.5, True), (None, None)):
        known = ... if sure_from is None else {'ece': 0.01, 'sure_from': sure_from} # an older file has none
        with_facts(trained, tmp_path/'m.safetensors', calibration=known)
        assert json.loads(cli('m.safetensors', 'a.png', '--json', script=predict)[1])['sure'] is sure
        assert ('not sure' in cli('m.safetensors', 'a.png', script=predict)[1]) is (sure is False)

def test_predict_prints_nothing_that_moves_the_cursor(cli, trained, tmp_path):
    with_facts(trained, tmp_path/'m.safetensors', labels=['\x1b[2J', 'b\n\ud800'], source='\x1b]0;x')
    draw_seven(tmp_path/'a\x1b[1m.png')
    for args in ([], ['--json'], ['a\x1b[1m.png'], ['a\x1b[1m.png', '--json'], ['a\x1b[1m.png', '--csv', 'a.csv']):
        status, out, err = cli('m.safetensors', *args, script=predict)
        assert status == 0 and '\x1b' not in out + err
    status, out, err = cli('m.safetensors', 'no\x1b\udcff.csv', script=predict)
    assert '\x1b' not in out + err

def test_words_from_outside_move_no_cursor_anywhere(cli, trained, tmp_path, capsys):
    with_facts(trained, tmp_path/'m.safetensors', labels=['\x1b[2J', 'b\n\ud800'], source='\x1b]0;x')
    draw_seven(tmp_path/'a.png')
    assert cli('m.safetensors', 'a.png', '--show', 'b.png', script=predict)[0] == 0 # matplotlib draws no surrogates
    assert (tmp_path/'b.png').exists()
    model = load_digits_model(tmp_path/'m.safetensors')
    assert '\x1b' not in repr(model) and '\ud800' not in repr(model) and len(repr(model).splitlines()) > 3
    tensors, facts = load_tensors(trained)
    del facts['sha256']
    for file, new, changed in (('a\x1b[1m.safetensors', tensors, dict(labels='x')),
                               ('b.safetensors', {**tensors, '\x1b[2J': torch.zeros(2)}, {}),
                               ('c.safetensors', tensors, dict(architecture='\x1b[2J'))):
        save_tensors(tmp_path/file, new, {**facts, **changed})
        with pytest.raises(ValueError) as e: load_digits_model(tmp_path/file)
        assert str(e.value).isprintable()
    for f in (load_tensors, lambda o: get_digits(source=o)):
        with pytest.raises(FileNotFoundError) as e: f('no\x1b[2J')
        assert str(e.value).isprintable()
    digits = get_digits(source=(np.random.rand(20, 28, 28), ['a\x1b[2J', 'b\ud800']*10))
    assert '\x1b' not in capsys.readouterr().out
    with pytest.raises(ValueError) as e: get_digits(['\x1b'], source=(digits.train.x.numpy(), digits.train.y.numpy()))
    assert str(e.value).isprintable()

def test_pictures_name_any_label():
    x, probs, y, labels = torch.rand(3, 28, 28), torch.eye(3)[[1, 0, 2]], torch.arange(3), ['a\ud800', '$b', 'x$\n$']
    fig = plot_top_losses(x, probs, y, labels)[0].figure
    conf = plot_confusion_matrix(confusion_matrix(probs, y), labels)
    for f in (fig, conf.figure): f.savefig(io.BytesIO())
    assert [t.get_text() for t in conf.get_xticklabels()] == ['a\ufffd', '\\$b', 'x\\$\ufffd\\$']

def interrupt(*args, **kwargs): raise KeyboardInterrupt
@pytest.mark.parametrize('where, said', [('plot_report', 'the model is saved in here; for its report: '),
                                         ('calibration_facts', 'to go on: ')])
def test_ctrl_c_after_the_training_says_what_is_there(where, said, cli, tmp_path, monkeypatch):
    args = '--labels', '3,7', '--source', 'mnist_5k', '--model', 'linear', '--epochs', '1', '--out', 'here'
    with monkeypatch.context() as m:
        m.setattr(f'fastsgd.tools.train.{where}', interrupt)
        status, out, err = cli(*args)
    assert status == 130 and err == f'fastsgd_train: interrupted; {said}fastsgd_train --resume here\n'
    assert cli('--resume', 'here')[0] == 0
    assert {f.name for f in (tmp_path/'here').iterdir()} == {'model.safetensors', 'history.csv', 'report.png'}

def test_odd_facts_of_a_run_are_told_in_a_sentence(cli, tmp_path, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr('fastsgd.tools.train.plot_report', interrupt)
        args = '--labels', '3,7', '--source', 'mnist_5k', '--model', 'linear', '--epochs', '1', '--out', 'run'
        assert cli(*args)[0] == 130
    file, = (tmp_path/'run').glob('checkpoint*')
    tensors, facts = load_tensors(file)
    settings, training = facts['settings'], facts['training']
    for name in ('model', 'seed', 'wd', 'epochs', 'lr', 'batch_size'):
        for value in ('\x1bx', None, [], {}): # all that could not be computed with
            with_facts(file, file, settings={**settings, name: value})
            status, out, err = cli('--resume', 'run')
            assert status == 2 and 'is of no run of fastsgd_train' in err
    for name in ('epoch', 'batch', 'trained', 'data', 'asked'):
        for value in ('\x1bx', None, []):
            with_facts(file, file, settings=settings, training={**training, name: value})
            assert 'holds a model but no training to go on with' in cli('--resume', 'run')[2]
    for value in ('x', [], None, 3):
        with_facts(file, file, training=value, settings=settings)
        assert 'no training to go on with' in cli('--resume', 'run')[2]

def test_a_picture_in_place_of_the_model(cli, tmp_path):
    draw_seven(tmp_path/'a.PNG')
    said = 'fastsgd_predict: a.PNG is an image: name the model first, as in fastsgd_predict fastsgd_run a.PNG\n'
    assert cli('a.PNG', script=predict) == (2, '', said)

def test_ctrl_c_while_pictures_are_drawn(cli, trained, tmp_path, monkeypatch):
    draw_seven(tmp_path/'a.png')
    monkeypatch.setattr('fastsgd.tools.cli.plot_answers', interrupt)
    status, out, err = cli(trained, 'a.png', '--csv', 'a.csv', '--show', 'b.png', script=predict)
    assert status == 130 and err == 'fastsgd_predict: interrupted; the answers are in a.csv\n'
    assert (tmp_path/'a.csv').exists() and not (tmp_path/'b.png').exists()
    status, out, err = cli(trained, 'a.png', '--show', 'b.png', script=predict)
    assert status == 130 and err == 'fastsgd_predict: interrupted, nothing was saved\n'

def test_dark_on_light_images_are_answered_as_they_were_learned(cli, tmp_path):
    digits = get_digits((3, 7), 'mnist_5k')
    for half, (x, y) in (('train', digits.train), ('valid', digits.valid)):
        for label in 'ab': (tmp_path/'own'/half/label).mkdir(parents=True)
        for i, (image, k) in enumerate(zip(x, y.tolist())):
            Image.fromarray(255 - (image*255).round().byte().numpy()).save(tmp_path/'own'/half/'ab'[k]/f'{i}.png')
    status, out, err = cli('--source', 'own', '--model', 'linear', '--out', 'run')
    assert (status, err) == (0, '')
    trained = float(re.search(r'trained (\S+),', out)[1])
    assert trained >= 0.96 and 'dark ink on light paper' in cli('run', script=predict)[1]
    status, out, err = cli('run', 'own/valid', '--csv', 'out.csv', script=predict)
    assert abs(float(re.search(r'accuracy (\S+):', out)[1]) - trained) <= 0.005

def test_a_bar_from_200_images_on_where_no_lines_are_printed(cli, trained, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr('fastsgd.tools.cli.progress', lambda items, show: shown.append(show) or items)
    line = np.eye(28, dtype=np.uint8)*200
    for n in (199, 200): np.savez(tmp_path/f'{n}.npz', x=np.tile(line, (n, 1, 1)))
    for n, out in ((199, 'a.csv'), (200, 'b.csv')): cli(trained, f'{n}.npz', '--csv', out, script=predict)
    cli(trained, '200.npz', script=predict)
    assert shown == [False, True, False]

def test_ten_thousand_images(cli, trained, images, tmp_path):
    np.savez(tmp_path/'set.npz', x=np.tile(images[0], (100, 1, 1)))
    status, out, err = cli(trained, 'set.npz', '--csv', 'out.csv', script=predict)
    assert status == 0 and out.startswith('10,000 answers') and len(open('out.csv').readlines()) == 10_001

@pytest.mark.skipif(not has_mnist, reason='needs MNIST')
def test_mnist_reaches_98_percent(cli, tmp_path):
    status, out, err = cli('--labels', '3,7', '--model', 'simple_net', '--out', 'here')
    assert status == 0 and "source='mnist_sample'" in out
    assert load_tensors(tmp_path/'here/model.safetensors')[1]['metrics']['batch_accuracy'] >= 0.98
