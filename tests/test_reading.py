"""What images mean: every layout of folders, polarity, transparency and size, the same in training and in prediction.

The digits are those of the embedded set, written into files in many ways.
"""
import gzip, shutil, struct
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import fastsgd.tools.fastai # for learn.predict
from fastsgd.data.digits import Digits, get_digits
from fastsgd.data.folders import find_set
from fastsgd.data.reading import Reading, decide_reading, is_dark, read_digits, to_digit, turned
from fastsgd.data.sources import read_images
from fastsgd.dataloader import DataLoaders
from fastsgd.interpret import accuracy, cross_entropy
from fastsgd.recorder import Learner
from fastsgd.tools.store import load_digits_model

@cache
def embedded(): return get_digits(source='mnist_5k')

def some(half, step):
    "Every `step`th image of a half of the embedded digits: uint8 `[n, 28, 28]`, and its digit"
    x, y = getattr(embedded(), half)
    return (x[::step]*255).round().byte().numpy(), y[::step].numpy()

def to_rgba(gray, shade):
    "Ink of a shade on nothing: the gray levels are how opaque it is"
    return Image.merge('RGBA', [Image.new('L', gray.shape[::-1], shade)]*3 + [Image.fromarray(gray)])

def enlarge_by_far(gray, times=2): return Image.fromarray(gray).resize([times*o for o in gray.shape[::-1]], 3)

forms = { # how an image, light on dark, becomes a file, and its suffix
    'light':       (Image.fromarray, 'png'),
    'dark':        (lambda gray: Image.fromarray(255 - gray), 'png'),
    'white ink':   (lambda gray: to_rgba(gray, 255), 'png'),
    'black ink':   (lambda gray: to_rgba(gray, 0), 'webp'),
    'palette':     (lambda gray: Image.fromarray(255 - gray).convert('P'), 'gif'),
    'palette png': (lambda gray: Image.fromarray(gray).quantize(256), 'png'),
    'gray alpha':  (lambda gray: Image.fromarray(255 - gray).convert('LA'), 'png'),
    '16 bit':      (lambda gray: Image.fromarray((255 - gray).astype(np.uint16)*257), 'png'),
    '16 bit tiff': (lambda gray: Image.fromarray(gray.astype(np.uint16)*257), 'tif'),
    'cmyk tiff':   (lambda gray: Image.fromarray(255 - gray).convert('CMYK'), 'tiff'),
    'cmyk jpeg':   (lambda gray: Image.fromarray(gray).convert('CMYK'), 'jpg'),
    'bmp':         (lambda gray: Image.fromarray(255 - gray).convert('RGB'), 'bmp'),
    'large':       (lambda gray: enlarge_by_far(gray), 'png'),
    'large dark':  (lambda gray: enlarge_by_far(255 - gray), 'png'),
}

def save(gray, path, form):
    make, suffix = forms[form]
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.with_suffix(f'.{suffix}')
    make(gray).save(path, **({'quality': 95} if suffix == 'jpg' else {'lossless': True} if suffix == 'webp' else {}))
    return path

def save_half(folder, x, y, form='light'):
    "Images in folders of their labels; gives the files"
    return [save(gray, folder/str(label)/f'{i:05}', form) for i, (gray, label) in enumerate(zip(x, y.tolist()))]

def train(digits, epochs=6):
    torch.manual_seed(0)
    dls = DataLoaders.from_digits(digits, batch_size=32, seed=0)
    learn = Learner(dls, nn.Linear(784, len(digits.labels)), cross_entropy, lr=0.2, metrics=accuracy)
    with learn.no_bar(): learn.fit(epochs)
    return learn

def answers(learn, files):
    "What a model says of each file, one digit in each"
    reading, labels = Reading.of(learn.dls.facts['reading']), []
    for file in files:
        found = read_digits(file, reading)
        assert len(found) == 1, file
        labels.append(found[0].x)
    x = torch.from_numpy(np.stack(labels)).flatten(1)/255
    with torch.no_grad(): return np.array(learn.dls.vocab)[learn.model(x).argmax(1)]

# ---- The same answer in training and in prediction

round_trips = ['light', 'dark', 'white ink', 'black ink', '16 bit', 'large dark']

@pytest.mark.parametrize('form', round_trips)
def test_round_trip(form, tmp_path):
    save_half(tmp_path/'set'/'train', *some('train', 4 if form == 'dark' else 8), form)
    x, y = some('valid', 2)
    files = save_half(tmp_path/'set'/'valid', x, y, form)
    digits = get_digits(source=tmp_path/'set')
    assert digits.reading.dark == (form not in ('light', 'white ink', 'large')) and digits.reading.plain
    assert digits.train.x[:, 0, 0].max() < 0.1 # light on dark now
    learn = train(digits)
    measured = learn.recorder.values[-1][-1]
    assert measured > 0.75
    answered = (answers(learn, files) == y).mean()
    assert abs(answered - measured) < 0.005
    few = slice(0, None, 25)
    assert [learn.predict(f)[0] for f in files[few]] == answers(learn, files)[few].tolist()
    preds = torch.cat([learn.model(xb) for xb, in learn.dls.test_dl(files[::5])])
    assert np.array_equal(np.array(digits.labels)[preds.argmax(1)], answers(learn, files[::5]))

@pytest.fixture(scope='module')
def models(): # one of a set that is light on dark, one of a set that is dark on light
    x, y = some('train', 4)
    v, w = some('valid', 5)
    return [train(Digits.from_pairs((a, y), (b, w))) for a, b in ((x, v), (255 - x, 255 - v))]

@pytest.mark.parametrize('form', forms)
def test_every_form_gets_the_same_answer(form, models, tmp_path, capsys):
    x, y = some('valid', 20)
    files = save_half(tmp_path, x, y, form)
    for learn in models:
        reading = Reading.of(learn.dls.facts['reading'])
        found = [read_digits(file, reading) for file in files]
        assert all(len(o) == 1 for o in found)
        off = np.abs(np.stack([o[0].x for o in found]).astype(int) - x).mean((1, 2))
        assert off.max() <= (40 if 'large' in form else 3 if form == 'cmyk jpeg' else 1)
        plain = torch.from_numpy(x).flatten(1)/255
        same = (answers(learn, files) == learn.model(plain).argmax(1).numpy()).mean()
        assert same >= (0.9 if 'large' in form else 1)

def test_the_other_polarity_is_seen_by_the_border(models):
    x, y = some('valid', 10)
    for learn in models:
        for gray in (x[3], 255 - x[3]):
            for image in (gray, Image.fromarray(gray), torch.from_numpy(gray), gray.ravel()):
                xb, = next(iter(learn.dls.test_dl([image])))
                assert torch.equal((xb*255).round().byte().view(28, 28), torch.from_numpy(x[3]))
        floats = torch.from_numpy(x[3])/255
        for image in (floats, 1 - floats, floats.numpy(), x[3]*1., (255 - x[3]).astype(int), floats.flatten(),
                      torch.from_numpy(x[3]).long()):
            assert torch.allclose(next(iter(learn.dls.test_dl([image])))[0].view(28, 28), floats, atol=1e-6)
        odd = floats - floats.mean() # standardized, say: as it is
        assert torch.equal(next(iter(learn.dls.test_dl([odd])))[0].view(28, 28), odd)
        with pytest.raises(ValueError, match='must be from 0 to 1'): learn.dls.test_dl([floats*255])

def test_a_kept_model_turns_what_is_plainly_dark_on_light(models, tmp_path):
    x = some('valid', 10)[0]
    floats = torch.from_numpy(x)/255
    for learn in models:
        learn.save(tmp_path/'m.safetensors')
        kept = load_digits_model(tmp_path/'m.safetensors')
        expected = kept.predict(floats)[1]
        for images in (1 - floats, (1 - floats).flatten(1), torch.from_numpy(255 - x), x):
            assert torch.allclose(kept.predict(images)[1], expected, atol=1e-5)
        with pytest.raises(ValueError, match='must be from 0 to 1'): kept.predict(255*floats)

def test_facts_of_an_old_model_have_no_reading(models):
    dls = DataLoaders.from_digits(embedded())
    del dls.facts['reading']
    x = some('valid', 10)[0][0]
    assert torch.equal((next(iter(dls.test_dl([255 - x])))[0]*255).round().byte().view(28, 28), torch.from_numpy(x))

def test_two_digits_are_no_item_of_a_batch(models, monkeypatch):
    x = some('valid', 10)[0]
    sheet = Image.fromarray(255 - np.pad(np.hstack([np.pad(x[0], 10), np.pad(x[11], 10)]), 30))
    found = read_digits(sheet)
    monkeypatch.setattr(fastsgd.tools.fastai_loaders, 'read_digits', lambda *_: found[:1]*2)
    with pytest.raises(ValueError, match='2 digits in the image'): models[0].dls.test_dl([sheet])

def test_things_are_no_digits(tmp_path):
    "Images without plain borders are never turned one by one, and never cut"
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(60, 4, 4)).repeat(12, 1).repeat(12, 2) + rng.normal(size=(60, 48, 48))/8
    x = (255/(1 + np.exp(-2*waves))).astype(np.uint8)
    reading = decide_reading(x)
    assert not reading.plain and not reading.dark and reading.size == (48, 48)
    assert np.array_equal(to_digit(x[0, :28, :28], reading), x[0, :28, :28])
    Image.fromarray(x[1]).save(tmp_path/'thing.png')
    one, = read_digits(tmp_path/'thing.png', reading)
    assert one.box == (0, 0, 48, 48) and abs(one.x.mean() - x[1].mean()) < 3

def test_odd_ones_in_a_set():
    x, _ = some('train', 20)
    for reading, usual in ((Reading(), x), (Reading(True), 255 - x)):
        mixed = usual.copy()
        mixed[::10] = 255 - mixed[::10]
        assert decide_reading(mixed) == reading
        assert np.array_equal(turned(mixed, reading)[0], x)
    faint = np.full((1, 28, 28), 200, np.uint8)
    faint[0, 10:20, 13] = 180 # too faint to tell: as the set says
    assert is_dark(faint, Reading(True)).all() and not is_dark(faint, Reading()).any()

# ---- Folders

layouts = {
    'train and valid':         ('train', 'valid', None),
    'train and val':           ('train', 'val', None),
    'train and validation':    ('train', 'validation', None),
    'train and test':          ('train', 'test', None),
    'training and testing':    ('training', 'testing', None),
    'capitals':                ('TRAIN', 'Test', None),
    'three':                   ('train', 'valid', 'test'),
    'three of other names':    ('Training', 'Validation', 'Testing'),
    'sets':                    ('train_set', 'test-set', None),
    'one level deeper':        ('mnist/train', 'mnist/test', None),
    'one level between':       ('trainingSet/trainingSet', 'testSet/testSet', None),
    'beside a trace of a mac': ('train', 'test', '__MACOSX/train'),
}

@pytest.mark.parametrize('layout', layouts)
def test_layout(layout, tmp_path, capsys):
    (x, y), (xv, yv), other = some('train', 100), some('valid', 50), some('valid', 100)
    first, second, third = layouts[layout]
    save_half(tmp_path/'my set'/first, x, y)
    save_half(tmp_path/'my set'/second, xv, yv)
    if third: save_half(tmp_path/'my set'/third, 255 - other[0], other[1]) # would be seen
    for _ in range(2): # then from the cache
        digits = get_digits(source=tmp_path/'my set')
        assert digits.labels == tuple(range(10))
        assert np.array_equal((digits.train.x*255).round().byte(), x) and digits.train.y.tolist() == y.tolist()
        assert np.array_equal((digits.valid.x*255).round().byte(), xv) and digits.valid.y.tolist() == yv.tolist()
    assert capsys.readouterr().out == ''

@pytest.mark.parametrize('above', ['', 'archive'])
def test_no_split(above, tmp_path, capsys):
    x, y = some('train', 40)
    save_half(tmp_path/'mine'/above, x, y)
    first, again = get_digits(source=tmp_path/'mine'), get_digits(source=tmp_path/'mine')
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2 and out[0] == out[1]
    assert 'has no validation set, so a fifth of each label (20 of 100 images) was set aside' in out[0]
    assert first.train.y.bincount().tolist() == [8]*10 and first.valid.y.bincount().tolist() == [2]*10
    assert torch.equal(first.valid.x, again.valid.x)
    both = torch.cat([first.train.x, first.valid.x]).flatten(1)
    assert sorted(both.sum(1).round().tolist()) == sorted((torch.from_numpy(x).flatten(1)/255).sum(1).round().tolist())

def test_a_test_set_without_labels_is_no_validation_set(tmp_path, capsys):
    x, y = some('train', 40)
    save_half(tmp_path/'train', x, y)
    for i in range(3): save(x[i], tmp_path/'test'/str(i), 'light')
    assert find_set(tmp_path) == (tmp_path/'train', None)
    assert len(get_digits(source=tmp_path).valid.y) == 20

def test_labels_are_words(tmp_path):
    x, _ = some('train', 200)
    save_half(tmp_path, x, np.array(['seven', 'three'])[np.arange(len(x)) % 2])
    digits = get_digits(source=tmp_path)
    assert digits.labels == ('seven', 'three')

def test_many_kinds_of_files_in_one_folder(tmp_path, capsys):
    x, y = some('train', 100)
    for i, (gray, label) in enumerate(zip(x, y)):
        save(gray, tmp_path/str(label)/f'{i:03}', [o for o in forms if 'large' not in o][i % 12])
    digits = get_digits(source=tmp_path)
    out = capsys.readouterr().out
    for part in ('RGBA', 'CMYK', 'I;16', 'dark ink on light paper turned'): assert part in out
    assert digits.train.x[:, 0, 0].max() < 0.1 and digits.valid.x[:, 0].max() < 0.1

def test_the_line_says_what_was_done(tmp_path, capsys):
    x, y = some('train', 100)
    save_half(tmp_path/'a', x, y, 'large dark')
    get_digits(source=tmp_path/'a')
    assert '40 dark-on-light digits cut out to the ink' in capsys.readouterr().out
    rng = np.random.default_rng(0)
    save_half(tmp_path/'b', rng.integers(0, 256, (40, 40, 40)).astype(np.uint8), y)
    get_digits(source=tmp_path/'b')
    assert '40 whole images scaled' in capsys.readouterr().out

# ---- Files and objects, by the same reading

def idx(a): return struct.pack(f'>HBB{a.ndim}I', 0, 8, a.ndim, *a.shape) + a.astype(np.uint8).tobytes()

def test_dark_on_light_idx_and_a_table(tmp_path, capsys):
    (x, y), (xv, yv) = some('train', 40), some('valid', 40)
    for name, a in {'train-images-idx3-ubyte': 255 - x, 'train-labels-idx1-ubyte': y,
                    't10k-images-idx3-ubyte': 255 - xv, 't10k-labels-idx1-ubyte': yv}.items():
        (tmp_path/f'{name}.gz').write_bytes(gzip.compress(idx(a)))
    np.savetxt(tmp_path/'train.csv', np.c_[y, (255 - x).reshape(len(x), -1)], '%d', delimiter=',')
    from_idx = get_digits(source=tmp_path)
    assert from_idx.reading == Reading(True)
    assert np.array_equal((from_idx.train.x*255).round().byte(), x) and from_idx.valid.y.tolist() == yv.tolist()
    images, labels, names = read_images(tmp_path, from_idx.reading)
    assert np.array_equal(images, xv) and labels.tolist() == yv.tolist() and len(names) == len(xv)
    from_table = get_digits(source=tmp_path/'train.csv')
    assert len(from_table.train.y) == 80 and from_table.reading == Reading(True)
    assert 'train.csv has no validation set, so a fifth of each label (20 of 100 images)' in capsys.readouterr().out

def test_objects(capsys):
    (x, y), (xv, yv) = some('train', 40), some('valid', 40)
    bunch = {'images': np.ceil(x/16), 'target': y} # as of load_digits: 0 to 16
    pairs = [(Image.fromarray(255 - gray), int(label)) for gray, label in zip(x, y)]
    for given in ((x, y), bunch, pairs, (torch.from_numpy(x)[:, None]/255, torch.from_numpy(y))):
        for digits in (Digits.from_pairs(given, (xv, yv)), get_digits(source=given)):
            assert digits.labels == tuple(range(10)) and digits.reading.dark == (given is pairs)
            assert digits.train.x[:, 0, 0].max() < 0.01
        assert len(digits.valid.y) == 20
    assert get_digits((7, 3), (x, y)).labels == (7, 3)
    assert 'the data has no validation set' in capsys.readouterr().out

def test_small_images_with_ink_to_the_edge():
    from sklearn.datasets import load_digits
    digits = get_digits(source=load_digits())
    assert digits.reading == Reading(size=(8, 8))
    assert train(digits, 3).recorder.values[-1][-1] > 0.8

def test_mapped_images_have_mnists_form_already(tmp_path):
    (x, y), (xv, yv) = some('train', 40), some('valid', 40)
    for name, a in dict(x_train=x, y_train=y, x_test=xv, y_test=yv).items(): np.save(tmp_path/name, a)
    assert isinstance(get_digits(source=tmp_path, mapped=True).train.x, np.memmap)
    assert isinstance(get_digits(source=tmp_path).train.x, torch.Tensor)
    for bad, why in ((255 - x, 'dark on light'), (np.pad(x, ((0, 0), (2, 2), (2, 2))), 'another size')):
        np.save(tmp_path/'x_train.npy', bad)
        with pytest.raises(ValueError, match=f'cannot be memory-mapped: its images are .*{why}'):
            get_digits(source=tmp_path, mapped=True)
    np.save(tmp_path/'x_train.npy', x/255)
    with pytest.raises(ValueError, match='can be memory-mapped'): get_digits(source=tmp_path, mapped=True)

# ---- Bad input: one sentence, and nothing is written

def other_labels(path):
    save_half(path/'train', *some('train', 200))
    shutil.rmtree(path/'train'/'3')
    save_half(path/'valid', *some('valid', 50))

def one_label(path): save_half(path/'train', *[o[:5] for o in some('train', 40)])
def one_image(path):
    save_half(path, *some('train', 200))
    for f in [*(path/'7').iterdir()][1:]: f.unlink()
def only_an_archive(path): (path/'mnist.tar.gz').write_bytes(b'x')
def two_sets(path): [save_half(path/name/'train', *some('train', 200)) for name in 'ab']
def no_labels(path): [save(some('train', 200)[0][i], path/'train'/str(i), 'light') for i in range(3)]
def a_blank_one(path):
    save_half(path, *some('train', 100), 'large')
    Image.new('L', (56, 56)).save(path/'3'/'blank.png')
def a_dot(path):
    save_half(path, *some('train', 100), 'large')
    Image.new('L', (1, 1)).save(path/'3'/'blank.png')

bad_folders = {
    other_labels:    'train has folders for the labels 0, 1, 2, 4, 5, 6, 7, 8, 9, valid for 0, 1, 2, 3',
    one_label:       'train has one label only, 0: at least two are needed',
    one_image:       'has one image only with the label 7',
    only_an_archive: 'holds an archive, mnist.tar.gz: unpack it',
    two_sets:        'holds several sets: name one of them',
    no_labels:       'has no folder for any label',
    a_blank_one:     'blank.png is not read: ',
    a_dot:           'blank.png is not read: 1×1 pixels',
}

@pytest.mark.parametrize('make', bad_folders, ids=lambda o: o.__name__)
def test_bad_folder(make, tmp_path):
    path = tmp_path/'mine'
    path.mkdir()
    make(path)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(ValueError, match=bad_folders[make]) as e: get_digits(source=path)
    assert str(path) in str(e.value) and '\n' not in str(e.value)
    assert sorted(tmp_path.rglob('*')) == before

@pytest.mark.parametrize('name', ['mnist.zip', 'mnist.tar.gz', 'MNIST.TGZ', 'mnist.7z'])
def test_archive(name, tmp_path):
    (tmp_path/name).write_bytes(b'x')
    with pytest.raises(ValueError, match=f'{name} is an archive: unpack it'): get_digits(source=tmp_path/name)

@pytest.mark.parametrize('name', ['nowhere.npz', 'nowhere.csv', 'nowhere-ubyte', 'nowhere'])
def test_what_is_not_there(name, tmp_path):
    kind = 'folder' if name == 'nowhere' else 'file'
    with pytest.raises(FileNotFoundError, match=f'no such {kind}: .*{name}'): get_digits(source=tmp_path/name)
    assert not list(tmp_path.iterdir())

def test_a_picture_is_no_set(tmp_path):
    Image.new('L', (28, 28)).save(tmp_path/'three.png')
    with pytest.raises(ValueError, match='three.png is neither a folder nor a file we read'):
        get_digits(source=tmp_path/'three.png')
    with pytest.raises((ValueError, FileNotFoundError)): read_images(tmp_path/'three.png')

@pytest.mark.parametrize('size', [(28, 28), (20, 20), (90, 90)])
def test_nothing_on_it(size, tmp_path):
    Image.new('L', size, 255).save(tmp_path/'blank.png')
    if size == (28, 28): assert read_digits(tmp_path/'blank.png')[0].x.min() == 255 # taken as it is
    else:
        with pytest.raises(ValueError, match='blank.png is not read'): read_digits(tmp_path/'blank.png')
