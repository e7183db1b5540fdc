"""What `fastsgd.data` makes of other people's files and objects, whole and damaged.

The notebooks arrays, objects, tables and files show how its modules are used, and test that; this file holds what is no
reading matter: every form by the same images, and damage of every kind.
"""
import gzip, io, json, os, pickle, random, struct, warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from fastsgd.data import tables
from fastsgd.data.digits import get_digits
from fastsgd.data.arrays import Part, as_part, split_off
from fastsgd.data.files import file_readers, read_csv, read_idx, read_npy, read_npz, read_parquet, reader_of
from fastsgd.data.objects import from_object, from_pairs
from fastsgd.data.tables import read_tables
from fuzz import kinds

hypothesis_settings = dict(deadline=None, database=None, derandomize=True)
x = np.random.default_rng(0).integers(0, 256, (8, 28, 28), np.uint8)
x[0, 0, 0], x[0, 0, 1] = 0, 255 # the whole scale is there
y = np.array([3, 7]*4)

def png(a, mode='L', fmt='PNG'):
    Image.fromarray(a).convert(mode).save(b := io.BytesIO(), fmt)
    return b.getvalue()

def npz(**arrays):
    np.savez(b := io.BytesIO(), **arrays)
    return b.getvalue()

def npy(a):
    np.save(b := io.BytesIO(), a)
    return b.getvalue()

def idx(a): return struct.pack(f'>4B{a.ndim}I', 0, 0, 8, a.ndim, *a.shape) + a.astype(np.uint8).tobytes()

def csv(frame, **kwargs): return frame.to_csv(index=False, **kwargs).encode()

def pixels(a=x): return pd.DataFrame(a.reshape(len(a), -1)).add_prefix('pixel')

def kaggle(labels=y, a=x): return pd.concat([pd.Series(labels, name='label'), pixels(a)], axis=1)

def parquet(columns, names=None):
    pa, pq = pytest.importorskip('pyarrow'), pytest.importorskip('pyarrow.parquet')
    features = {'image': {'_type': 'Image'}, 'label': {'_type': 'ClassLabel', 'names': names}}
    table = pa.table(columns).replace_schema_metadata({'huggingface': json.dumps({'info': {'features': features}})})
    pq.write_table(table, b := io.BytesIO())
    return b.getvalue()

def hub(**kwargs): return parquet({'image': [dict(bytes=png(o), path=None) for o in x], 'label': y}, **kwargs)

def write(path, raw):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path

def check(part, images=x, labels=y):
    assert part.x.dtype == np.uint8 and np.array_equal(part.x, images)
    if labels is None: assert part.y is None
    else: assert part.y.tolist() == list(labels) and part.y.dtype.kind in 'iU'

# ---- Arrays: layouts, scales, labels

layouts = {'n h w': x, 'n h w 1': x[..., None], 'n 1 h w': x[:, None], 'n hw': x.reshape(8, 784),
           'n h w 3': np.stack([x]*3, -1),
           'n 3 h w': np.stack([x]*3, 1)}
scales = {'bytes': lambda x: x, 'int64': lambda x: x.astype(np.int64), 'floats to 255': lambda x: x.astype(np.float32),
          'floats to 1': lambda x: x/255, 'floats from -1': lambda x: (x/127.5 - 1).astype(np.float32),
          '16 bits': lambda x: x.astype(np.uint16)*257, 'half': lambda x: (x/255).astype(np.float16)}
forms = {'array': lambda x: x,
         'tensor': lambda x: torch.from_numpy(x.astype(np.float32) if x.dtype == np.uint16 else x),
         'list': list, 'lists': lambda x: x.tolist()}

@pytest.mark.parametrize('form', forms)
@pytest.mark.parametrize('scale', scales)
@pytest.mark.parametrize('layout', layouts)
def test_layouts_and_scales(layout, scale, form):
    part = as_part(forms[form](scales[scale](layouts[layout])), y)
    check(part)
    assert ('color' in part.note) == ('3' in layout) and ('floats' in part.note) == (scale in (
        'floats to 255', 'floats to 1', 'floats from -1', 'half') or (scale, form) == ('16 bits', 'tensor'))

@settings(**hypothesis_settings, max_examples=60)
@given(st.lists(st.floats(width=32) | st.sampled_from([0., 1., 16., 255., -1.]), min_size=9, max_size=9))
def test_floats_are_read_or_refused(values):
    try: part = as_part(np.float32(values).reshape(1, 3, 3))
    except ValueError as e: assert 'pixels are floats from' in str(e)
    else: assert part.x.dtype == np.uint8 and (np.diff(part.x.ravel()[np.argsort(values)].astype(int)) >= 0).all()

any_label = st.integers(-2**63, 2**63 - 1) | st.text(max_size=3) | st.none() | st.floats() | st.booleans()

@settings(**hypothesis_settings, max_examples=60)
@given(st.lists(any_label, min_size=1, max_size=4))
def test_labels_are_read_or_refused(labels):
    images = x[:len(labels)]
    try: part = as_part(images, labels)
    except ValueError as e: assert 'label' in str(e)
    else: assert part.y.shape == (len(labels),) and part.y.dtype.kind in 'iU'

def test_a_mapped_file_stays_on_disk(tmp_path):
    for shape in ((8, 28, 28), (8, 784)):
        write(tmp_path/'x_train.npy', npy(x.reshape(shape)))
        write(tmp_path/'y_train.npy', npy(y))
        part = read_npy(tmp_path)['train']
        check(part)
        assert isinstance(part.x, np.memmap)

@settings(**hypothesis_settings, max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.floats(0, 1))
def test_split_off(labels, share):
    labels = np.array(labels)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None].repeat(3, 1).repeat(3, 2)
    part = Part(images, labels, list(range(len(labels))))
    try: halves = split_off(part, share)
    except ValueError as e:
        assert 'one image with the label' in str(e) and np.unique(labels, return_counts=True)[1].min() == 1
        return
    assert sorted(halves[0].names + halves[1].names) == part.names
    for half in halves:
        assert set(half.y) == set(labels) and half.x[:, 0, 0].tolist() == half.names
        assert labels[half.names].tolist() == half.y.tolist()

# ---- Files

npz_names = {'keras': ('x_train y_train x_test y_test', ('train', 'test')), 'x y': ('x y', ('train',)),
             'medmnist': ('train_images train_labels val_images val_labels test_images test_labels',
                          ('train', 'valid', 'test')),
             'images': ('images labels', ('train',)), 'bunch': ('data target', ('train',)),
             'no names': ('arr_0 arr_1', ('train',)),
             'capitals': ('X_train Y_train X_valid Y_valid', ('train', 'valid')), 'no labels': ('images', ('train',))}

@pytest.mark.parametrize('kind', npz_names)
def test_npz(kind, tmp_path):
    names, halves = npz_names[kind]
    path = write(tmp_path/'a.npz', npz(**dict(zip(names.split(), (x, y[:, None])*3))))
    found = reader_of(path)(path)
    assert tuple(found) == halves
    for part in found.values(): check(part, labels=None if kind == 'no labels' else y)

csv_files = {'a.csv': csv(kaggle()), 'no header.csv': csv(kaggle(), header=False),
             'a.csv.gz': gzip.compress(csv(kaggle())),
             'last.csv': csv(pixels().assign(label=y)),
             'last, no header.csv': csv(pixels().assign(label=y), header=False),
             'tab.tsv': csv(kaggle(), sep='\t'), 'not zipped.csv.gz': csv(kaggle()),
             'whole floats.csv': csv(kaggle(y*1.)),
             'other name.csv': csv(kaggle().rename(columns={'label': 'Digit'})),
             'numbered, last.csv': csv(pd.DataFrame(x.reshape(8, 784)).assign(label=y)),
             'numbered, first.csv': csv(pd.DataFrame(np.c_[y, x.reshape(8, 784)]))}

@pytest.mark.parametrize('name', csv_files)
def test_csv(name, tmp_path):
    path = write(tmp_path/name, csv_files[name])
    assert reader_of(path) == read_csv and list(read_csv(path)) == ['train']
    check(read_csv(path)['train'])

def test_csv_to_predict_with_ids(tmp_path):
    path = write(tmp_path/'a.csv', csv(pixels().assign(ImageId=range(1, 9))))
    check(part := read_csv(path)['train'], labels=None)
    assert part.names == list(range(1, 9))
    check(read_csv(write(path, csv(pixels())))['train'], labels=None)
    check(read_csv(write(path, csv(pixels(), header=False)))['train'], labels=None)

def test_a_word_is_a_label(tmp_path):
    words = np.array(['seven', 'three'])[(y == 3)*1]
    check(read_csv(write(tmp_path/'a.csv', csv(kaggle(words))))['train'], labels=words)
    check(read_csv(write(tmp_path/'a.csv', csv(kaggle(words), header=False)))['train'], labels=words)
    check(read_npz(write(tmp_path/'a.npz', npz(x=x, y=words)))['train'], labels=words)

def test_folder_of_tables(tmp_path):
    for name, frame in (('train', kaggle()), ('validation', kaggle()), ('test', pixels())):
        write(tmp_path/f'{name}.csv', csv(frame))
    write(tmp_path/'sample_submission.csv', b'ImageId,Label\n1,0\n')
    found = read_tables(tmp_path)
    assert list(found) == ['train', 'valid', 'test'] and reader_of(tmp_path) == read_tables
    for half, part in found.items(): check(part, labels=None if half == 'test' else y)

idx_names = ('train-images{}idx3-ubyte', 'train-labels{}idx1-ubyte', 't10k-images{}idx3-ubyte',
             't10k-labels{}idx1-ubyte')

def idx_folder(path, dot='-', gz=False):
    for name, a in zip(idx_names, (x, y, x[:2], y[:2])):
        write(path/(name.format(dot) + '.gz'*gz), gzip.compress(idx(a)) if gz else idx(a))
    return path

@pytest.mark.parametrize('above', ('', 'raw', 'MNIST/raw', 'FashionMNIST/raw'))
@pytest.mark.parametrize('dot,gz', (('-', False), ('.', False), ('-', True), ('.', True)))
def test_idx(above, dot, gz, tmp_path):
    folder = idx_folder(tmp_path/above, dot, gz)
    assert reader_of(tmp_path) == read_idx
    for path in (tmp_path, folder, folder.parent if above else folder):
        found = read_idx(path)
        assert list(found) == ['train', 'test']
        check(found['train'])
        check(found['test'], x[:2], y[:2])
    one = folder/(idx_names[2].format(dot) + '.gz'*gz)
    assert reader_of(one) == read_idx
    check(read_idx(one)['train'], x[:2], y[:2])

@pytest.mark.parametrize('form', ('struct', 'bytes', 'jpeg', 'color', 'pixels', 'lists'))
def test_parquet(form, tmp_path):
    made = {'struct': [dict(bytes=png(o), path='a.png') for o in x],
            'bytes': [png(o) for o in x], 'color': [png(o, 'RGB') for o in x],
            'jpeg': [png(o, fmt='JPEG') for o in x], 'lists': [o.tolist() for o in x]}
    path = tmp_path/'a.parquet'
    raw = parquet(dict(kaggle())) if form == 'pixels' else parquet({'image': made[form], 'label': y})
    part = read_parquet(write(path, raw))['train']
    if form == 'jpeg': assert abs(part.x.astype(int) - x).mean() < 12
    else: check(part)

def test_parquet_as_hugging_face_lays_it_out(tmp_path):
    for i in range(2): write(tmp_path/f'mnist/train-0000{i}-of-00002.parquet', hub())
    write(tmp_path/'mnist/test-00000-of-00001.parquet', hub(names=['a', 'b', 'c', 'three', 'd', 'e', 'f', 'seven']))
    for path in (tmp_path, tmp_path/'mnist'):
        assert reader_of(path) == read_tables
        found = read_parquet(path)
        check(found['train'], np.r_[x, x], [*y, *y])
        check(found['test'], labels=['three', 'seven']*4)
    for half in ('train', 'test'): write(tmp_path/f'other/{half}/0000.parquet', hub(names=list('0123456789')))
    check(read_parquet(tmp_path/'other')['test'])

def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, 'find_spec', lambda name: None)
    for path in (tmp_path, write(tmp_path/'train.parquet', b'PAR1')):
        says = r"train.parquet needs pyarrow to be read: pip install 'fastsgd\[parquet\]'"
        with pytest.raises(ValueError, match=says): read_parquet(path)

# ---- Objects

def test_objects():
    pairs = [(Image.fromarray(o), int(label)) for o, label in zip(x, y)]
    rows = [dict(image=im, label=label) for im, label in pairs]
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(x)[:, None]/255, torch.from_numpy(y))
    bunch = type('Bunch', (dict,), {})(data=x.reshape(8, 784)/16, images=x, target=y)
    for data in (pairs, rows, tensors, bunch, kaggle(), (x, y), (torch.from_numpy(x), torch.from_numpy(y)),
                 (pixels(), pd.Series(y)),
                  dict(x=x, y=y), pd.DataFrame(dict(image=[im for im, _ in pairs], label=y)), (o for o in pairs)):
        check(from_object(data))
    check(from_object(x), labels=None)

def test_objects_with_a_half_to_check_with():
    halves = (x, y), (x[::-1], y[::-1]) # as Keras's load_data() gives them
    named = dict(x_train=x, y_train=y, x_test=x[::-1], y_test=y[::-1])
    for data in (halves, list(halves), named, dict(train=halves[0], test=halves[1])):
        digits = get_digits(source=data)
        assert torch.equal(digits.train.x, torch.from_numpy(x)/255)
        for there, back in zip(digits.train, digits.valid): assert torch.equal(there, back.flip(0))
    with pytest.raises(ValueError, match='no images for that'): get_digits(source=dict(x_train=x, y_train=y, y_test=y))

def test_torchvision_and_fastai(tmp_path):
    folder = pytest.importorskip('torchvision.datasets').ImageFolder
    for i, (o, label) in enumerate(zip(x, y)): write(tmp_path/f'{label}/{i}.png', png(o))
    check(from_pairs(folder(tmp_path)), np.r_[x[::2], x[1::2]], [0]*4 + [1]*4)
    from fastai.vision.all import Categorize, Datasets, PILImageBW, get_image_files, parent_label
    part = from_pairs(Datasets(get_image_files(tmp_path).sorted(), [[PILImageBW.create], [parent_label, Categorize()]]))
    check(part, np.r_[x[::2], x[1::2]], [3]*4 + [7]*4)

# ---- Bad input: the error says which file, what it holds, and what was expected

def bad_files():
    short = idx(x)[:-1]
    yield 'a.csv', csv(pixels().iloc[:, :783]), 'holds 783 columns; expected a label and 784 pixels'
    yield 'a.csv', csv(kaggle().iloc[:, :-1]), r"holds 784 columns \('label' is the label\); expected"
    yield 'a.csv', csv(kaggle(y/2)), r'labels are floats such as \[1.5\]; expected whole numbers or words'
    yield 'a.csv', csv(kaggle([None, *y[1:]])), r'image 0 .* has no label'
    yield 'a.csv', csv(kaggle())[:-3000], 'row [5-8] of [5-8] has empty cells, or is cut off'
    yield 'a.csv', csv(kaggle().assign(pixel9='x')), "the column 'pixel9' holds 'x'; expected a number"
    yield 'a.csv', b'', 'is empty'
    yield 'a.csv', b'image,label\na.png,3\nb.png,7\n', "the column 'image' holds text such as .*expected images"
    yield 'a.csv.gz', gzip.compress(csv(kaggle()))[:-50], 'is damaged, or no table'
    yield 'train-images-idx3-ubyte', short, 'is cut short: its header says 8×28×28, which takes 6,272 bytes'
    yield 'train-images-idx3-ubyte.gz', gzip.compress(short), 'is cut short'
    yield 'train-images-idx3-ubyte.gz', gzip.compress(idx(x))[:-50], 'is damaged, or no IDX file'
    yield 'train-images-idx3-ubyte', idx(x) + b'\0', 'is too long'
    yield 'train-images-idx3-ubyte', idx(x)[:4] + b'\xff'*12 + x.tobytes(), 'is cut short: its header says 4294967295×'
    yield 'train-images-idx3-ubyte', idx(x)[3::-1] + idx(x)[4:], 'begins with the bytes 03 08 00 00, and is no IDX file'
    yield 'train-images-idx3-ubyte', idx(y), 'holds 8 numbers, not images'
    yield 'a.npz', npz(x=x, y=y/2), 'x: labels are floats'
    yield 'a.npz', npz(x=x, y=np.eye(8)), 'argmax'
    yield 'a.npz', npz(x=x, y=y[1:]), 'there are 8 images, but 7 labels'
    yield 'a.npz', npz(x=(x - 33.)/78, y=y), 'pixels are floats from .* standardized'
    yield 'a.npz', npz(x=x[:, 1:].reshape(8, -1)[:, :-1], y=y), '755 pixels for each image are no square'
    yield 'a.npz', npz(x=x[:, :1, :1], y=y), '1×1 pixels are too few|1 pixels'
    yield 'a.npz', npz(a=x, b=y), 'has a, b, but no images; expected x_train'
    yield 'a.npz', npz(x_train=x, x_test=x, y_test=y), 'has no labels for x_train'
    yield 'a.npz', npz(x=x, y=np.array([object()]*8)), 'it holds a pickled object'
    yield 'a.npz', pickle.dumps(x), 'it is (damaged|no)'
    yield 'a.npy', npy(np.array([object()]*8)), 'it holds a pickled object'
    yield 'a.npy', npy(x)[:-1], 'it is damaged'
    yield 'a.parquet', b'PAR1', 'it is damaged, or no Parquet file'

@pytest.mark.parametrize('name,raw,says', list(bad_files()), ids=lambda o: o if isinstance(o, str) else '')
def test_bad_input(name, raw, says, tmp_path):
    path = write(tmp_path/name, raw)
    if name.endswith('parquet'): pytest.importorskip('pyarrow')
    with pytest.raises(ValueError, match=f'{name}.*({says})') as e: reader_of(path)(path)
    assert '\n' not in str(e.value) and len(str(e.value)) < 400 + len(str(path))
    assert list(tmp_path.iterdir()) == [path]

@pytest.mark.parametrize('columns,says', (
    (lambda: {'image': [png(x[0]), b'PNG'], 'label': [3, 7]},
     r'image 1 \(counted from 0\): it is no image of a kind we read'),
    (lambda: {'image': [png(np.zeros((1, 1), np.uint8))], 'label': [3]}, '1×1 pixels are too few|1 pixels'),
    (lambda: {'image': [huge_png()], 'label': [3]}, 'image 0 .*pixels'),
    (lambda: {'image': [dict(bytes=None, path='a.png')], 'label': [3]}, "no bytes, only the path 'a.png'"),
    (lambda: {'image': [png(o) for o in x], 'label': y/2}, 'labels are floats'),
    (lambda: {'image': ['a.png'], 'label': [3]}, 'holds text'),
), ids=('no image', '1×1', 'huge', 'path', 'floats', 'text'))
def test_bad_parquet(columns, says, tmp_path):
    path = write(tmp_path/'a.parquet', parquet(columns()))
    with pytest.raises(ValueError, match=f'a.parquet.*({says})'): read_parquet(path)

def huge_png(side=40_000):
    "The head of an image of 1,600,000,000 pixels"
    raw = bytearray(png(x[0]))
    raw[16:24] = struct.pack('>II', side, side)
    from zlib import crc32
    raw[29:33] = struct.pack('>I', crc32(raw[12:29]))
    return bytes(raw)

def test_missing_parts(tmp_path):
    folder = idx_folder(tmp_path/'a')
    (folder/'train-images-idx3-ubyte').unlink()
    with pytest.raises(ValueError, match='a has train-labels-idx1-ubyte, but no images for that'): read_idx(folder)
    folder = idx_folder(tmp_path/'b')
    (folder/'train-labels-idx1-ubyte').unlink()
    with pytest.raises(ValueError, match='b has no labels for train-images'): read_idx(folder)
    for name in ('MNIST', 'KMNIST'): idx_folder(tmp_path/'c'/name/'raw')
    with pytest.raises(ValueError, match='c has IDX files in .*KMNIST.*MNIST.*; expected one'): read_idx(tmp_path/'c')
    write(tmp_path/'d'/'train-00000-of-00003.parquet', b'PAR1')
    with pytest.raises(ValueError, match='d has 1 of the 3 files for train'): read_parquet(tmp_path/'d')
    for read in (read_csv, read_npz, read_npy, read_idx):
        with pytest.raises(FileNotFoundError, match='no such file: .*nowhere'): read(tmp_path/'nowhere')
    for read in (read_csv, read_npz):
        with pytest.raises(ValueError, match='is no file'): read(tmp_path)
    (tmp_path/'empty').mkdir()
    assert [reader_of(o) for o in (tmp_path/'empty', tmp_path/'a.zip', tmp_path/'nowhere')] == [None]*3

class Touches:
    "Creates the file `path` when it is unpickled"
    def __init__(self, path): self.path = path
    def __reduce__(self): return (Path.touch, (self.path,))

@pytest.mark.parametrize('name', ('a.npy', 'x_train.npy', 'y_train.npy', 'a.npz', 'raw.npz', 'raw.npy'))
def test_pickles_do_not_run(name, tmp_path):
    objects = np.array([Touches(tmp_path/'touched')]*8)
    for k, a in (('x_train', x), ('y_train', y)): write(tmp_path/f'{k}.npy', npy(a))
    raw = pickle.dumps(objects) if 'raw' in name else npz(x=x, y=objects) if name == 'a.npz' else npy(objects)
    path = write(tmp_path/name, raw)
    with pytest.raises(ValueError, match='is not read'): reader_of(path)(tmp_path if '_train' in name else path)
    assert not (tmp_path/'touched').exists()

# ---- Damage at random

def damaged(raw, rng):
    "`raw`, cut off somewhere or with some bits turned over, more often in its head"
    if rng.random() < .3: return raw[:rng.randrange(len(raw))]
    raw = bytearray(raw)
    for _ in range(rng.choice((1, 1, 3))):
        end = rng.choice((len(raw), min(len(raw), 200)))
        raw[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(raw)

def whole_files():
    yield 'a.npz', lambda: npz(x_train=x, y_train=y, x_test=x, y_test=y)
    yield 'a.npy', lambda: npy(x)
    small = x[:, :8, :8]
    yield 'a.csv', lambda: csv(kaggle(a=small))
    yield 'b.csv', lambda: csv(kaggle(a=small), header=False)
    yield 'a.csv.gz', lambda: gzip.compress(csv(kaggle(a=small)))
    yield 'train-images-idx3-ubyte', lambda: idx(x)
    yield 'train-labels-idx1-ubyte', lambda: idx(y)
    yield 'train-images-idx3-ubyte.gz', lambda: gzip.compress(idx(x))
    yield 'a.parquet', hub

@pytest.mark.parametrize('name,make', list(whole_files()), ids=lambda o: o if isinstance(o, str) else '')
def test_damage_is_a_sentence(name, make, tmp_path):
    raw, rng, refused = make(), random.Random(name), 0
    idx_folder(tmp_path)
    for _ in range(300):
        path = write(tmp_path/name, damaged(raw, rng))
        try: parts = reader_of(path)(tmp_path if 'labels' in name else path)
        except ValueError as e:
            assert name in str(e) or 'labels' in name
            refused += 1
        else:
            for part in parts.values(): assert {o.dtype for o in part.x} == {np.dtype(np.uint8)}
    assert refused > 30

def test_every_reader_has_a_test_of_damage():
    names = [name for name, _ in whole_files()]
    assert [o for o in file_readers if o not in ('.tsv', '.idx') and not any(name.endswith(o) for name in names)] == []

# ---- Odd things of any kind: found by `python -m tests.fuzz arrays`, and the other kinds

one_of_a_label = (x[:3], [3, 7, 3])
odd_objects = {
    'nothing': [None]*4, 'no images': [(None, 3)]*4, 'words': (['a', 'b'], [3, 7]), 'types': [(int, 3)]*4,
    'sparse': torch.zeros(4, 28, 28).to_sparse(), 'meta': torch.zeros(4, 28, 28, device='meta'),
    'a number': (True, [1, 2]),
    'dates': [(np.zeros((28, 28), 'M8[s]'), 3), (x[0], 7)], 'records': [(np.zeros((28, 28), 'V4'), 3), (x[0], 7)],
    'lists of lists': ([[[1, 2], [3]], 4], y), 'halves': ((x, y), (x, [[1], [2, 3]])),
    'labels in labels': (x, [[[3]], [[7]]]*4),
    'arrays as labels': [(o, x[0]) for o in x], 'large labels': (x, np.array([3, 2**63 + 1]*4, np.uint64)),
    'no characters': (x, np.frombuffer(b'\xff\xff\xff\x7f'*8, '<U1')), 'bytes': (x, np.array([b'\xff', b'a']*4)),
    'one of a label': one_of_a_label, 'long labels': (x, ['x'*5000]*8)}

@pytest.mark.parametrize('name', odd_objects)
def test_odd_objects(name):
    with pytest.raises((ValueError, TypeError)) as e: get_digits(source=odd_objects[name])
    assert e.type in (ValueError, TypeError) and str(e.value).startswith('the data')
    assert str(e.value).isprintable() and len(str(e.value)) <= 1000

def test_one_image_with_a_label_is_said_of_the_file(tmp_path):
    path = write(tmp_path/'a.npz', npz(x=x[:3], y=y[:3]))
    with pytest.raises(ValueError, match='a.npz: there is one image with the label 7'): get_digits(source=path)

@pytest.mark.parametrize('name,raw', [('a\x1b[31m.csv', b''), ('a\n.npz', b'x'), ('\x1b/3/a.png', b'x'),
                                      ('\x1b/7/a.png', b'')])
def test_names_that_cannot_be_printed(name, raw, tmp_path):
    for o in ('3/b', '3/c', '7/b', '7/c'): write(tmp_path/f'\x1b/{o}.png', png(x[0]))
    path = write(tmp_path/name, raw)
    with pytest.raises(ValueError) as e: get_digits(source=path.parent.parent if path.suffix == '.png' else path)
    assert str(e.value).isprintable() and path.name[-4:] in str(e.value)

def test_no_file_stays_open_and_nothing_is_warned_of(tmp_path):
    huge = npy(x).replace(b"(8, 28, 28), }", b"(%d, %d), }" % (2**62, 2**62))
    odd = np.full((8, 28, 28), np.nan, np.float64)
    odd[0, 0], odd[1] = 1e300, np.inf
    files = {'a.csv.gz': gzip.compress(csv(kaggle())), 'train-images-idx3-ubyte.gz': gzip.compress(idx(x)),
             'b.npz': npz(x=x)[:-30],
             'c.npz': npz(x=x, y=np.array([np.inf, 3]*4)), 'd.npy': huge, 'e.npz': npz(x=odd, y=y),
             'f.npy': npy(odd[2:])}
    for name, raw in files.items():
        path = write(tmp_path/name, raw)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter('always')
            try: reader_of(path)(path)
            except ValueError as e: assert name in str(e)
        assert not warned, f'{name}: {warned[0].message}'

def test_nothing_is_warned_of_in_images_of_several_kinds():
    nan = np.frombuffer(b'\1\0\x80\x7f'*16, np.float32).reshape(4, 4) # of the kind that signals
    odd = [nan, np.ones((5, 5))]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with pytest.raises(ValueError, match='the data: pixels are floats'): get_digits(source=[(o, 3) for o in odd])

def test_idx_of_many_axes(tmp_path):
    path = write(tmp_path/'a.idx', b'\0\0\x08\xc8' + b'\x01'*2000)
    with pytest.raises(ValueError, match='a.idx begins with the bytes 00 00 08 c8, and is no IDX file'): read_idx(path)

@pytest.mark.skipif(os.name == 'nt', reason='needs pipes and links')
@pytest.mark.parametrize('kind,n', [('arrays', 100), ('idx', 100), ('tables', 25), ('folders', 40), ('objects', 200)])
def test_sets_are_refused_in_words_or_read_as_they_are(kind, n, tmp_path):
    example = kinds[kind](tmp_path)
    read = [example(random.Random(f'short {i}')) for i in range(n)]
    assert n/4 < sum(read) < n*3/4
