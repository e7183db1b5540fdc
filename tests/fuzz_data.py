"""Damaged, odd and forged sets of images for `tests/fuzz.py`: whatever `get_digits` reads.

A third of the examples is whole, in some form that the data floor promises to read, and must come back as it was.
"""
import contextlib, gzip, io, json, os, random, shutil, struct, warnings, zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from fastsgd.data.digits import get_digits
from fastsgd.data.sources import read_images

words = ('seven', 'three', 'Ж', 'a b', 'x'*40, '03', '3', 'q/2')
odd_texts = ('', ' ', 'nan', 'NaN', 'NA', 'None', 'inf', '-1', '1e999', '"', "'", '256', '0x10', 'é', '\0', ' 5 ', '5;',
             '1,5',
             '=1+1', 'True', '9'*25, '9'*5000, '\x1b[31mred', 'a\nb', '\u202e', '\ud800', '٣', '²', '1_000', '07', '-0',
             '1.')
odd_names = ('x', 'y', 'x_train', 'y_train', 'x_test', 'y_test', 'train_images', 'train_labels', 'images', 'labels',
             'data',
             'target', 'arr_0', 'arr_1', 'X Train', 'idx', 'x/y', '日本', '\x1b[31mx', 'label', '', 'x_valid', 'test_x',
             'features', 'train-images-idx3', 'file', 'image', 'pixels', 'class', 'id', '__proto__')

def npz(arrays, compressed=False):
    with zipfile.ZipFile(b := io.BytesIO(), 'w', 8*compressed) as f:
        for name, a in arrays.items(): f.writestr(f'{name}.npy', npy(a))
    return b.getvalue()

def npy(a):
    np.save(b := io.BytesIO(), a)
    return b.getvalue()

def idx(a, kind=8): return struct.pack(f'>4B{a.ndim}I', 0, 0, kind, a.ndim, *a.shape) + a.tobytes()

def encoded(a, mode='L', fmt='PNG'):
    Image.fromarray(a).convert(mode).save(b := io.BytesIO(), fmt)
    return b.getvalue()

def csv(frame, **kwargs): return frame.to_csv(index=False, **kwargs).encode('utf-8', 'surrogatepass')

def write(path, raw):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path

def table(x, y, at=0, label='label'):
    "A column for each pixel, and one for the label where that is not `None`"
    frame = pd.DataFrame(x.reshape(len(x), -1)).add_prefix('pixel')
    if y is not None: frame.insert(at % (frame.shape[1] + 1), label, y)
    return frame

# ---- What has to come of it

def pairs(x, y): return sorted((str(label), a.tobytes()) for a, label in zip(x, y))

def check_digits(d, mapped=False):
    "Is it a set of digits as it should be?"
    assert len(d.labels) > 1 and len(set(map(str, d.labels))) == len(d.labels), f'labels {d.labels}'
    assert all(type(o) in (int, str) for o in d.labels), f'labels {d.labels}'
    json.dumps(d.labels), repr(d)
    for x, y in (d.train, d.valid):
        assert y.dtype == torch.int64 and x.shape == (len(y), 28, 28) and len(y), f'{x.shape} and {y.shape}'
        assert 0 <= y.min() and y.max() < len(d.labels)
        if mapped: assert isinstance(x, np.memmap) and x.dtype == np.uint8; continue
        assert x.dtype == torch.float32 and 0 <= x.min() and x.max() <= 1

def check_content(d, whole):
    "Is it what was written? `whole` are images and labels to learn from, and maybe to check with"
    label = np.array(d.labels, object)
    as_bytes = [(np.asarray(x*(1 if isinstance(x, np.memmap) else 255)).round().astype(np.uint8), label[y.numpy()])
                for x, y in (d.train, d.valid)]
    if whole[1] is None: as_bytes = [[np.concatenate(o) for o in zip(*as_bytes)], (), ]
    for found, there in zip(as_bytes, whole):
        if there is not None: assert pairs(*found) == pairs(*there), 'it is not what was written'

def check_error(e, said):
    "Is it a sentence about what was given?"
    text = str(e)
    assert type(e) in (ValueError, TypeError, FileNotFoundError), f'{type(e).__name__}: {text[:500]}'
    assert any(o in text for o in said), f'it does not say what it is about: {type(e).__name__}: {text[:500]!r}'
    assert text.isprintable(), f'it cannot be printed: {text[:500]!r}'
    assert len(text) < 1500, f'it is too long: {text[:500]}'

def try_set(r, source, said, whole=None, mapped=False):
    "Was it read? Raises `AssertionError` if it was not as it should be, or was refused otherwise than it should"
    with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter('always')
        warnings.filterwarnings('ignore', 'Reading `.npy` or `.npz` file required') # NumPy's advice on one of Python 2
        try: digits = get_digits(source=source, mapped=mapped)
        except Exception as e:
            assert whole is None, f'refused: {type(e).__name__}: {str(e)[:500]}'
            digits = check_error(e, said)
        if isinstance(source, Path) and r.random() < 0.3: try_to_predict(source, said)
    assert out.getvalue().replace('\n', '').isprintable(), f'printed: {out.getvalue()[:500]!r}'
    assert not warned, f'a warning: {warned[0].category.__name__}: {str(warned[0].message)[:300]}'
    if digits: check_digits(digits, mapped)
    if digits and whole: check_content(digits, whole)
    return digits is not None

def try_to_predict(path, said):
    try: x, y, names = read_images(path)
    except Exception as e: return check_error(e, said)
    assert x.dtype == np.uint8 and x.shape[1:] == (28, 28) and len(x) == len(names) > 0
    assert y is None or y.shape == (len(x),) and y.dtype.kind in 'iU'

class Sets:
    "Makes small sets of real digits; each kind writes them, whole or not"
    def __init__(self, folder):
        from fuzz import edited, mutated
        self.edited, self.mutated = edited, mutated
        warnings.simplefilter('ignore') # while odd things are made
        with contextlib.redirect_stdout(io.StringIO()): x, y = get_digits(source='mnist_5k').train
        self.x, self.y = (x[:300]*255).round().byte().numpy(), y[:300].numpy()
        self.x[:, 0, 0] = 0 # the whole scale is there
        self.top, self.i = Path(folder), 0

    def some(self, r, least=2):
        "Images, and labels of which each is there twice or more"
        n, k = r.choice(((4, 2), (5, 2), (8, 2), (8, 4), (12, 4)))
        images = self.x[r.sample(range(len(self.x)), n)].copy()
        if r.random() < 0.15: images = 255 - images
        images[:, 14, 14:16] = 255, 0
        names = r.choice((range(k), range(k), (3, 7, 10**15, -4), words))[:k]
        return images, [names[i % len(names)] for i in range(n)]

    def light(self, images): return np.where(images[:, 0, :1, None] > 127, 255 - images, images)

    def halves(self, r):
        "To learn from, and maybe to check with"
        train = self.some(r)
        return train, r.choice((None, (train[0][::-1].copy(), train[1][::-1])))

    def expected(self, train, valid): return [o and (self.light(o[0]), o[1]) for o in (train, valid)]

    def damaged(self, raw, r, others=()):
        for _ in range(r.choice((1, 1, 3))): raw = self.mutated(raw, [*others, raw], r) if raw else raw
        return raw

    def __call__(self, r):
        self.folder = self.top/f'{self.i}'/f'set{self.i}' # what is kept beside a set goes with it
        self.i += 1
        self.folder.mkdir(parents=True)
        try: return self.example(r)
        finally: shutil.rmtree(self.folder.parent, ignore_errors=True)

    def example(self, r):
        way = r.random()
        return self.whole(r) if way < 0.33 else self.odd(r) if way < 0.66 else self.broken(r)

dtypes = ('?', 'u1', 'i1', '<i2', '>i2', 'u2', 'i8', '>u4', 'u8', 'f2', '<f4', '>f4', 'f8', 'c8', 'U3', 'S3', 'M8[s]',
          'm8[D]', 'V4', 'O', [('a', 'u1'), ('b', 'f4')])

def odd_array(r, n, label=False):
    "An array of any type, shape and content"
    side = r.choice((28, 28, 28, 8, 3, 2, 1, 60))
    shape = r.choice(((n,), (n, 1), (n, 10), (max(n - 1, 0),), (n, n), ())) if label else r.choice((
        (n, side, side), (n, side*side), (n, side, side, 1), (n, 1, side, side), (n, side, side, 3), (n, 3, side, side),
        (n, side, side, 4), (n, side, 2*side), (n, 120, 1), (n, 0, 0), (0, 28, 28), (n,), (), (1, n, 28, 28),
        (n, 5, 3, 5, 3)))
    dtype = np.dtype(r.choice(dtypes))
    if dtype == object: return np.array([r.choice((None, 'a', object, 3)) for _ in range(n)], object)
    size = int(np.prod(shape))*dtype.itemsize
    way = r.choice(('noise', 'zeros', 'small', 'ones', 'nan'))
    if way == 'noise': a = np.frombuffer((r.randbytes(97)*(size//97 + 1))[:size], dtype).reshape(shape)
    elif way == 'zeros' or dtype.kind in 'USMmV': a = np.zeros(shape, dtype)
    else:
        g = np.random.default_rng(r.randrange(2**32))
        a = g.integers(0, r.choice((2, 10, 17, 127)), shape).astype(dtype) if way == 'small' else np.ones(shape, dtype)
        if way == 'nan' and dtype.kind == 'f' and a.size: a.flat[r.randrange(a.size)] = r.choice((np.nan, np.inf,
                                                                                                  -np.inf, 3e4))
    return a

# ---- NumPy's files

def with_other_header(raw, r):
    "An `.npy` file whose header says something else"
    n = int.from_bytes(raw[8:10], 'little')
    header = raw[10:10 + n].decode('latin1')
    header = r.choice((
        header.replace('|u1', r.choice(('|O', '<U9', '<f8', '>i4', 'V', '<M8', '[("a", "u1")]', '\\x00', '|b1',
                                        '<f16'))),
        header.replace('False', r.choice(('True', 'None', '1', '()', 'False, "x": 1'))),
        header.replace('28', r.choice(('29', '-28', '2.8', '1'*r.choice((3, 12, 400)), '0', 'True', '"28"'))),
        header.replace('(', '('*r.choice((2, 300, 5000))), header.replace('}', ''), header.replace("'shape'", "'s'"),
        '', '{}',
        '['*9000, '-'*9000 + '1', header.strip()[:-1] + ' '*9000 + '}'))
    text = header.encode('latin1')[:60_000]
    return raw[:8] + len(text).to_bytes(2, 'little') + text + raw[10 + n:]

names_of_halves = (('x_train', 'y_train', 'x_test', 'y_test'),
                   ('train_images', 'train_labels', 'val_images', 'val_labels'),
                   ('X_train', 'Y_train', 'X_valid', 'Y_valid'))
layouts = (lambda x: x, lambda x: x.reshape(len(x), -1), lambda x: x[..., None], lambda x: x[:, None],
           lambda x: np.stack([x]*3, -1), lambda x: np.stack([x]*3, 1))
scales = (lambda x: x, lambda x: x.astype(np.int64), lambda x: x.astype(np.float32), lambda x: x/255,
          lambda x: (x/127.5 - 1).astype(np.float32), lambda x: x.astype(np.uint16)*257,
          lambda x: (x/255).astype(np.float16))

class Arrays(Sets):
    "`.npz`, `.npy`, and folders of these"
    def arrays(self, r, train, valid):
        form, scale = r.choice(layouts), r.choice(scales)
        x, y, vx, vy = r.choice(names_of_halves)
        found = {x: scale(form(train[0])), y: np.array(train[1])}
        return {**found, vx: scale(form(valid[0])), vy: np.array(valid[1])} if valid else found

    def put(self, arrays, r, way):
        if way == 'npz': return write(self.folder/'a.npz', npz(arrays, r.random() < 0.3))
        for k, a in arrays.items(): write(self.folder/f'{k}.npy', npy(a))
        if way == 'npy': return self.folder/f'{next(iter(arrays))}.npy'
        return self.folder

    def whole(self, r):
        way, (train, valid) = r.choice(('npz', 'npy', 'folder', 'mapped')), self.halves(r)
        arrays = self.arrays(r, train, valid)
        if way == 'mapped':
            train, valid = ((self.light(o[0]), o[1]) for o in (train, valid or train))
            arrays = dict(zip(names_of_halves[0], (train[0], np.array(train[1]), valid[0], np.array(valid[1]))))
        if way == 'npy': valid = None
        return try_set(r, self.put(arrays, r, way), [self.folder.name], self.expected(train, valid), way == 'mapped')

    def odd(self, r):
        "Arrays of other types, shapes and names"
        n, way, mapped = r.choice((4, 8)), r.choice(('npz', 'npy', 'folder')), r.random() < 0.1
        x, y = self.some(r)
        arrays = {'x_train': x, 'y_train': np.array(y)}
        if r.random() < 0.5: arrays['x_train'] = odd_array(r, n)
        if r.random() < 0.5: arrays['y_train'] = odd_array(r, len(arrays['x_train']) if arrays['x_train'].ndim else n,
                                                           True)
        if r.random() < 0.3: arrays = {**arrays, 'x_test': odd_array(r, n), 'y_test': odd_array(r, n, True)}
        if r.random() < 0.3: arrays = {(r.choice(odd_names) if r.random() < 0.5 else k): a for k, a in arrays.items()}
        if way != 'npz': arrays = {k.replace('/', '_') or '_': a for k, a in arrays.items()}
        return try_set(r, self.put(arrays, r, way), [self.folder.name], mapped=mapped)

    def broken(self, r):
        "Damaged bytes; or a whole zip of damaged arrays"
        arrays, way = self.arrays(r, *self.halves(r)), r.choice(('npz', 'forged', 'npy', 'folder', 'mapped'))
        raw = {k: npy(a) for k, a in arrays.items()}
        name = r.choice(list(raw))
        raw[name] = with_other_header(raw[name], r) if r.random() < 0.6 else self.damaged(raw[name], r, [*raw.values()])
        if way == 'npz': path = write(self.folder/'a.npz', self.damaged(npz(arrays, r.random() < 0.3), r))
        elif way == 'forged':
            with zipfile.ZipFile(path := self.folder/'a.npz', 'w',
                                 r.choice((0, 8, 8, 12, 14))) as f, warnings.catch_warnings():
                warnings.simplefilter('ignore') # of names that are there twice
                for k, o in raw.items():
                    for _ in range(r.choice((1, 1, 1, 2))): f.writestr(k + r.choice(('.npy', '.npy', '.npy', '',
                                                                                     '.npy.npy')), o)
        else:
            for k, o in raw.items(): write(self.folder/f'{k}.npy', o)
            path = self.folder if way != 'npy' else self.folder/f'{name}.npy'
        return try_set(r, path, [self.folder.name], mapped=way == 'mapped')

# ---- MNIST's own format

idx_names = ('train-images{}idx3-ubyte', 'train-labels{}idx1-ubyte', 't10k-images{}idx3-ubyte',
             't10k-labels{}idx1-ubyte')

class Idx(Sets):
    "IDX files, zipped or not, alone or in folders"
    def files(self, r):
        train, valid = self.halves(r)
        train, valid = ((o[0], [abs(hash(str(v))) % 7 if not isinstance(v, int) else v % 250 for v in o[1]]) if o else o
                        for o in (train, valid))
        dot, arrays = r.choice('-.'), [np.asarray(a, np.uint8) for o in (train, valid) if o for a in o]
        return train, valid, {name.format(dot): idx(a) for name, a in zip(idx_names, arrays)}

    def put(self, files, r, gz):
        folder = self.folder/r.choice(('', 'raw', 'MNIST/raw'))
        for k, raw in files.items():
            write(folder/(k + '.gz'*gz), gzip.compress(raw, 1) if gz and raw[:2] != b'\x1f\x8b' else raw)
        one = folder/(next(iter(files)) + '.gz'*gz)
        return r.choice((one, self.folder)) if len(files) < 3 else self.folder

    def whole(self, r):
        train, valid, files = self.files(r)
        labels = {*train[1]}
        if len(labels) < 2 or min(map(train[1].count, labels)) < 2: return self.odd(r)
        return try_set(r, self.put(files, r, r.random() < 0.5), [self.folder.name], self.expected(train, valid))

    def odd(self, r):
        "Headers that say something else, files that are missing, renamed, or in one another's place"
        *_, files = self.files(r)
        name = r.choice(list(files))
        way, raw = r.choice(('header', 'header', 'other', 'missing', 'renamed', 'swapped', 'typed',
                             'twice')), files[name]
        if way == 'header': files[name] = struct.pack('>4B',
                                                      *(r.choice((0, 1, 3, 8, 9, 13, 14,
                                                                  255)) for _ in '1234')) + raw[4:]
        if way == 'other':
            k = 4 + 4*r.randrange(raw[3])
            files[name] = raw[:k] + struct.pack('>I',
                                                r.choice((0, 1, 2**31, 2**32 - 1, 28, 784, 7, 60_000))) + raw[k + 4:]
        if way == 'missing': del files[name]
        if way == 'renamed': files[r.choice(odd_names).replace('/',
                                                               '_') + r.choice(('.idx', '-ubyte',
                                                                                '.ubyte'))] = files.pop(name)
        if way == 'swapped': files[name] = files[r.choice(list(files))]
        if way == 'typed':
            kind, dtype = r.choice(((9, 'i1'), (11, '>i2'), (12, '>i4'), (13, '>f4'), (14, '>f8')))
            a = odd_array(r, 8, 'labels' in name)
            with np.errstate(all='ignore'):
                if a.dtype.kind in 'buif' and a.ndim: files[name] = idx(a.astype(dtype), kind)
        if way == 'twice': files[name] = gzip.compress(gzip.compress(raw))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            path = self.put(files, r, r.random() < 0.5) if files else self.folder
        return try_set(r, path, [self.folder.name])

    def broken(self, r):
        *_, files = self.files(r)
        name, gz = r.choice(list(files)), r.random() < 0.5
        files[name] = self.damaged(gzip.compress(files[name]) if gz else files[name], r, [*files.values()])
        return try_set(r, self.put(files, r, gz), [self.folder.name])

# ---- Tables

class Tables(Sets):
    "CSV and Parquet, alone or in folders"
    def __init__(self, folder):
        super().__init__(folder)
        self.can_parquet = True
        try: import pyarrow.parquet # noqa: F401
        except ImportError: self.can_parquet = False

    def parquet(self, columns, meta=None):
        import pyarrow as pa
        import pyarrow.parquet as pq
        t = pa.table(columns)
        if meta is not None: t = t.replace_schema_metadata({'huggingface': meta})
        pq.write_table(t, b := io.BytesIO())
        return b.getvalue()

    def hub(self, x, y, r):
        "As the hub keeps images"
        names = sorted(set(map(str, y)))
        images = [encoded(a) for a in x]
        meta = {'info': {'features': {'image': {'_type': 'Image'}, 'label': {'_type': 'ClassLabel', 'names': names}}}}
        if r.random() < 0.7: images = [dict(bytes=o, path=None) for o in images]
        return {'image': images, 'label': [names.index(str(o)) for o in y]}, meta

    def ends(self, r): return r.choice(('.csv', '.csv', '.csv.gz', '.tsv', '.parquet',
                                        '.parquet')[:None if self.can_parquet else 4])

    def raw(self, x, y, end, r, hub=None):
        if end == '.parquet' and (r.random() < 0.7 if hub is None else hub):
            columns, meta = self.hub(x, y, r)
            return self.parquet(columns, json.dumps(meta))
        frame = table(x, y, r.choice((0, -1)))
        if end == '.parquet': return self.parquet(dict(frame))
        raw = csv(frame, sep='\t' if end == '.tsv' else r.choice(',,;'), header=r.random() < 0.7,
                  lineterminator=r.choice(('\n', '\n', '\r\n')))
        return gzip.compress(raw, 1) if end.endswith('gz') else r.choice((b'', b'\xef\xbb\xbf')) + raw

    def whole(self, r):
        train, valid = self.halves(r)
        if '03' in train[1] or '3' in train[1]: train, valid = ((o[0], ['a' + str(v) for v in o[1]]) if o else o
                                                               for o in (train, valid))
        end, hub = self.ends(r), r.random() < 0.7
        if valid is None: path = write(self.folder/f'a{end}', self.raw(*train, end, r, hub))
        else:
            names = r.choice((('train', 'test'), ('training', 'validation')))
            if end == '.parquet' and r.random() < 0.5: names = [f'{o}-00000-of-00001' for o in names]
            for name, half in zip(names, (train, valid)): write(self.folder/f'{name}{end}',
                                                                self.raw(*half, end, r, hub))
            path = self.folder
        return try_set(r, path, [self.folder.name], self.expected(train, valid))

    def odd(self, r):
        x, y = self.some(r)
        if self.can_parquet and r.random() < 0.4: raw, end = self.odd_parquet(x, y, r), '.parquet'
        else: raw, end = self.odd_csv(x[:, ::4, ::4] if r.random() < 0.5 else x, y,
                                      r), r.choice(('.csv', '.csv', '.tsv', '.csv.gz'))
        name = r.choice(('a', 'train', 'train-00000-of-00002', 'test', 'sub/train', 'validation.train'))
        path = write(self.folder/f'{name}{end}', raw)
        if r.random() < 0.2: write(self.folder/f'test{end}', self.raw(x, y, end, r))
        return try_set(r, r.choice((path, path, self.folder)), [self.folder.name])

    def odd_csv(self, x, y, r):
        "Cells, rows and headers that are other than they should be"
        rows = csv(table(x, y), header=r.random() < 0.6).decode().splitlines()
        cells = [o.split(',') for o in rows]
        for _ in range(r.choice((1, 1, 2, 5))):
            row = r.choice(cells)
            i, way = r.choice((0, 0, r.randrange(len(row) or 1))), r.choice(('cell', 'cell', 'cell', 'add', 'drop',
                                                                             'column', 'blank'))
            if way == 'cell' and row: row[min(i, len(row) - 1)] = r.choice(odd_texts)
            if way == 'add': row.insert(i, r.choice((*odd_texts, '3')))
            if way == 'drop' and row: del row[min(i, len(row) - 1)]
            if way == 'column':
                text = r.choice((*odd_texts, '3', None))
                for one in cells:
                    if i < len(one): one[i:i + 1] = [] if text is None else [text]
            if way == 'blank': cells.insert(r.randrange(len(cells)),
                                            r.choice(([], [''], ['#', 'x'], ['']*len(row), row)))
        text = r.choice(('\n', '\n', '\r\n',
                         '\r')).join(r.choice((',', ',', ',', ';', '\t', ', ')).join(o) for o in cells)
        if r.random() < 0.1: text = r.choice((text.upper(), text*3, text + '\n"', 'sep=,\n' + text,
                                              text.replace(',', '","')))
        return text.encode(r.choice(('utf-8', 'utf-8', 'utf-8', 'utf-8-sig', 'utf-16', 'latin1')),
                           r.choice(('replace', 'ignore')))

    def odd_parquet(self, x, y, r):
        "Columns of other types, and other words about them"
        import pyarrow as pa
        n, (columns, meta) = len(x), self.hub(x, y, r)
        if r.random() < 0.3: columns, meta = dict(table(x[:, ::4, ::4], y)), {}
        odd = (lambda: [None]*n, lambda: ['a']*n, lambda: [b'']*n, lambda: [[1, 2]]*n, lambda: [[[0]*28]*28]*n,
               lambda: [1.5]*n,
               lambda: [{'bytes': None, 'path': 'a.png'}]*n, lambda: [{'a': 1}]*n,
               lambda: pd.date_range('2020', periods=n),
               lambda: pd.Categorical(list(map(str, y))), lambda: np.array([2**63 + 1]*n, np.uint64), lambda: [True]*n,
               lambda: [[]]*n, lambda: pa.nulls(n),
               lambda: [*[encoded(x[0], r.choice(('1', 'RGB', 'P', 'RGBA', 'CMYK')), 'TIFF')]*(n - 1), None],
               lambda: [self.damaged(encoded(o), r) for o in x],
               lambda: [encoded(o[:r.randint(1, 28), :r.randint(1, 28)]) for o in x],
               lambda: [o.tolist() for o in x], lambda: [o.ravel().tolist() for o in x],
               lambda: [np.nan, *[3.]*(n - 1)],
               lambda: [r.choice(odd_texts).encode('utf-8', 'ignore').decode() for _ in range(n)])
        for _ in range(r.choice((0, 1, 1, 2))):
            name = r.choice((*list(columns)[:2], r.choice(odd_names).encode('utf-8', 'replace').decode()))
            columns[name] = r.choice(odd)()
        if r.random() < 0.1: columns.pop(r.choice(list(columns)))
        if r.random() < 0.4: meta = self.edited(meta, r) if meta else meta
        text = json.dumps(meta) if r.random() < 0.95 else r.choice(('', '[', '3', '['*100_000, 'null', '{"info": []}'))
        return self.parquet(columns, text)

    def broken(self, r):
        x, y = self.some(r)
        end = self.ends(r)
        path = write(self.folder/f'{r.choice(("a", "train"))}{end}', self.damaged(self.raw(x, y, end, r), r))
        return try_set(r, r.choice((path, path, self.folder)), [self.folder.name])

# ---- Folders of images

odd_folders = ('\x1b[31m', 'a\nb', '\u202e', ' ', '.hidden', '-1', '3', '03', '٣', 'x'*200, '__MACOSX', 'train', 'CON',
               '9'*30, '%s{0}',
               os.fsdecode(b'\xff\xfe'))

class Folders(Sets):
    "Images by label, in all the usual layouts"
    def lay_out(self, half, folder, r, fmt='PNG'):
        "Images in a folder for each label; the files"
        x, y = half
        return [write(folder/str(label).replace('/', '_')/f'{i}.{fmt.lower()}', encoded(a, fmt=fmt))
                for i, (a, label) in enumerate(zip(x, y))]

    def example(self, r):
        train, valid = self.halves(r)
        train, valid = ((o[0], [str(v).replace('/', '_') for v in o[1]]) if o else o for o in (train, valid))
        way, top = r.random(), self.folder/r.choice(('', '', 'set', 'a b'))
        names = r.choice((('train', 'valid'), ('training', 'testing'), ('Train', 'Val'), ('train_set', 'test_set')))
        fmt = r.choice(('PNG', 'PNG', 'BMP', 'GIF', 'TIFF'))
        files = self.lay_out(train, top/names[0] if valid else top, r, fmt)
        if valid: files += self.lay_out(valid, top/names[1], r, fmt)
        if r.random() < 0.2: write(self.folder/'.DS_Store', b'x'), write(top/'README.txt', b'x')
        path = r.choice((top, self.folder))
        if way > 0.3: self.spoil(files, path, r) # `path` may be made to be no folder
        else:
            expected = self.expected(train, valid)
            if way < 0.1: self.spoil_cache(path, r, expected)
            return try_set(r, path, [self.folder.name], expected)
        return try_set(r, path, [path.name, self.folder.name])

    def spoil_cache(self, path, r, expected):
        "Read it once, and damage what was kept of it"
        try_set(random.Random(0), path, [self.folder.name], expected)
        cache = Path(f'{path}.fastsgd.safetensors')
        raw = cache.read_bytes()
        cache.write_bytes(self.damaged(raw, r))
        if r.random() < 0.1: cache.unlink(), cache.mkdir()

    def spoil(self, files, path, r):
        for _ in range(r.choice((1, 1, 2, 4))):
            file, way = r.choice(files), r.choice(self.ways)
            if file.is_fifo() or file.is_symlink(): continue
            with contextlib.suppress(OSError, ValueError): getattr(self, way)(file, r)

    ways = ('damage', 'damage', 'picture', 'picture', 'text', 'link', 'pipe', 'to_folder', 'rename', 'relabel',
            'remove', 'empty',
            'archive', 'more', 'table', 'loop')
    def damage(self, file, r): file.write_bytes(self.damaged(file.read_bytes(), r))
    def picture(self, file, r):
        "Another size, mode or format"
        h, w = r.choice(((r.randint(1, 70), r.randint(1, 70)), (1, 1), (3, 300), (28, 28), (200, 150)))
        g = np.random.default_rng(r.randrange(2**32))
        im = Image.fromarray(g.integers(0, r.choice((1, 256)), (h, w), np.uint8))
        if r.random() < 0.5: im = Image.fromarray(r.choice((self.x[0], 255 - self.x[1]))).resize((w, h))
        im = im.convert(r.choice(('L', '1', 'P', 'RGB', 'RGBA', 'LA', 'CMYK', 'I', 'F', 'I;16')))
        im.save(file, r.choice(('PNG', 'TIFF', 'WEBP', 'GIF', 'JPEG', 'BMP')))
    def text(self, file, r): file.write_bytes(r.choice((b'', b'hello', b'\x89PNG\r\n\x1a\n', b'<svg/>', b'GIF89a',
                                                        b'II*\0\0\0\0\0')))
    def link(self, file, r): file.unlink(), file.symlink_to(r.choice(('nowhere', file.name, '..', '/dev/null',
                                                                      '/dev/zero', '/')))
    def pipe(self, file, r): file.unlink(), os.mkfifo(file)
    def to_folder(self, file, r): file.unlink(), file.mkdir()
    def rename(self, file, r): file.rename(file.with_name(r.choice((*odd_folders, 'a')) + r.choice(('.png', '.PNG',
                                                                                                    '.jpg', '.txt',
                                                                                                    ''))))
    def relabel(self, file, r): file.parent.rename(file.parent.with_name(r.choice(odd_folders)))
    def remove(self, file, r): r.choice((lambda: file.unlink(), lambda: shutil.rmtree(file.parent),
                                         lambda: shutil.rmtree(file.parent.parent)))()
    def empty(self, file, r): (file.parent.parent/r.choice((*odd_folders, 'test', 'valid', 'validation'))).mkdir()
    def archive(self, file, r): shutil.rmtree(file.parent), write(self.folder/r.choice(('a.zip', 'a.tar.gz', 'a.npz',
                                                                                        'a.csv')), b'PK')
    def more(self, file, r): write(file.parent/'deeper'/r.choice(('a.png', 'train/3/a.png')), encoded(self.x[0]))
    def table(self, file, r): write(self.folder/r.choice(('train.csv', 'x_train.npy', 'train.parquet', 'x.npy')),
                                    r.choice((b'', csv(table(*self.some(r))))))
    def loop(self, file, r): (file.parent/r.choice(('loop', 'loop.png'))).symlink_to(r.choice(('.', '..', 'loop')))

# ---- Objects in Python

class Gives:
    "Indexed up to its length, which may be wrong"
    def __init__(self, rows, n): self.rows, self.n = rows, n
    def __len__(self): return self.n
    def __getitem__(self, i): return self.rows[i]

def odd_object(r):
    return r.choice((
        lambda: None, lambda: 3, lambda: 2.5, lambda: True, lambda: b'abc', lambda: object(), lambda: int, lambda: len,
        lambda: {1, 2}, lambda: [],
        lambda: (), lambda: {}, lambda: [()], lambda: [[]], lambda: iter(()), lambda: range(9), lambda: [None]*4,
        lambda: [1, 2, 3], lambda: ['ab', 'cd'],
        lambda: {'x': None}, lambda: {'train': None}, lambda: {'train': 3, 'test': 4}, lambda: {3: 4},
        lambda: {'x': 3, 'y': 4}, lambda: {'data': []},
        lambda: (None, None), lambda: ([], []), lambda: (1, 2), lambda: ('a', 'b'),
        lambda: {'x_train': 1, 'y_train': 2}, lambda: {None: 1}, lambda: 1j,
        lambda: torch.zeros(3).to_sparse(), lambda: torch.zeros(()),
        lambda: torch.zeros(4, 28, 28, dtype=torch.complex64), lambda: np.ma.masked_all((4, 28, 28)),
        lambda: torch.zeros(4, 28, 28).to_sparse(), lambda: torch.quantize_per_tensor(torch.rand(4, 28, 28), 0.1, 0,
                                                                                      torch.quint8),
        lambda: torch.empty(4, 28, 28, device='meta'), lambda: pd.DataFrame(), lambda: pd.Series([1, 2]),
        lambda: pd.Series([]), lambda: pd.DataFrame({'a': [1]}),
        lambda: pd.DataFrame({'label': [1, 2], 'image': [None, None]}), lambda: np.array(None),
        lambda: np.array([{}, {}]), lambda: Image.new('L', (28, 28)),
        lambda: [Image.new('L', (28, 28))]*4, lambda: [(1, 2, 3)], lambda: [{'a': 1}],
        lambda: [{'image': None, 'label': 1}], lambda: np.float32(3), lambda: zip(),
        lambda: Gives([], -1), lambda: torch.rand(4, 784, requires_grad=True),
        lambda: torch.rand(4, 784, dtype=torch.bfloat16), lambda: memoryview(b'abcd'),
        lambda: bytearray(784*4), lambda: np.recarray((4,), [('x', 'u1'), ('y', 'u1')]),
        lambda: ((np.zeros((4, 28, 28)), [0, 1]*2),)*3, lambda: [[[[[1]]]]]*3))()

class Objects(Sets):
    "Pairs, dictionaries, bunches, tables, and what is none of these"
    forms = (
        lambda x, y: list(zip(x, y)), lambda x, y: [(Image.fromarray(a), o) for a, o in zip(x, y)], lambda x, y: (x, y),
        lambda x, y: (list(x), tuple(y)),
        lambda x, y: [dict(image=Image.fromarray(a), label=o) for a, o in zip(x, y)], lambda x,
        y: (torch.from_numpy(x)/255, y), lambda x, y: (x/255, pd.Series(y)),
        lambda x, y: table(x, y), lambda x, y: table(x, y, -1, 'class'), lambda x, y: dict(x=x, y=y), lambda x,
        y: dict(images=x.tolist(), target=np.array(y)),
        lambda x, y: type('Bunch', (dict,), {})(data=x.reshape(len(x), -1)/16, images=x, target=y), lambda x,
        y: ((a, o) for a, o in zip(x, y)),
        lambda x, y: Gives(list(zip(x, y)), len(x)), lambda x,
        y: pd.DataFrame(dict(image=[encoded(a) for a in x], label=y)),
        lambda x, y: [(encoded(a), o) for a, o in zip(x, y)], lambda x,
        y: [(torch.from_numpy(a)[None], torch.tensor(i)) for i, a in enumerate(x)],
        lambda x, y: pd.DataFrame(dict(image=[Image.fromarray(a) for a in x], label=pd.Categorical(y))))
    def whole(self, r):
        (train, valid), form, i = self.halves(r), r.choice(self.forms), r.choice((0, 0, 1))
        if form is self.forms[-2]: return self.odd(r)
        if valid and isinstance(form(*train), (tuple, dict)) and not i: source = {'train': form(*train),
                                                                                  'test': form(*valid)}
        elif valid: source = train[0], train[1], *valid; source = (source[:2], source[2:])
        else: source = form(*train)
        return try_set(r, source, (), self.expected(train, valid))

    def odd(self, r):
        "Any thing in the place of the set, of a half, of images or of labels"
        x, y = self.some(r)
        odd = r.choice((lambda: odd_object(r), lambda: odd_array(r, len(x), r.random() < 0.5)))()
        form = r.choice(self.forms)
        source = r.choice((lambda: odd, lambda: (odd, y), lambda: (x, odd), lambda: {'train': odd},
                           lambda: {'train': form(x, y), 'test': odd},
                           lambda: dict(x=odd, y=y), lambda: dict(x=x, y=odd), lambda: [(odd, 3)]*4,
                           lambda: [(a, odd) for a in x],
                           lambda: [*zip(x, y), odd], lambda: dict(x_train=x, y_train=odd), lambda: [odd]*4,
                           lambda: dict(x=x, y=y, target_names=odd),
                           lambda: table(x, y).assign(pixel3=r.choice(odd_texts)), lambda: ((x, y), (odd, odd)),
                           lambda: ((x, y), (x, odd))))
        try: source = source()
        except Exception: return False # not even Python makes that
        return try_set(r, source, ['the data', 'the dictionary'])

    def broken(self, r):
        "Some rows, labels or images are odd"
        x, y = self.some(r)
        x, y = list(x), list(y)
        for _ in range(r.choice((1, 1, 3))):
            i, way = r.randrange(len(y)), r.choice(('label', 'size', 'type', 'level', 'bytes', 'more'))
            if way == 'label': y[i] = r.choice((*odd_texts, None, np.nan, 2.5, 2**70, -2**70, [1], (1, 2), True, b'3',
                                                '3', np.int8(3), 3.0, torch.tensor(3), np.array([3]), 1j))
            if way == 'size': x[i] = np.resize(np.asarray(self.x[0]),
                                               (r.choice((1, 2, 3, 4, 27, 60)), r.choice((1, 4, 28, 300))))
            if way == 'type': x[i] = odd_array(r, 28)
            if way == 'level': x[i] = self.x[i]*r.choice((-1., 2., 1/255, np.nan, 1e30, 300.))
            if way == 'bytes': x[i] = r.choice((self.damaged(encoded(self.x[i]), r), b'', 'a.png', None,
                                                Image.new('F', (28, 28)), {'bytes': None},
                                                {'bytes': encoded(self.x[i])}))
            if way == 'more': x.append(x[i])
        form = r.choice((lambda: list(zip(x, y)), lambda: (x, y), lambda: pd.DataFrame(dict(image=x, label=y)),
                         lambda: Gives(list(zip(x, y)), len(x)),
                         lambda: dict(images=x, labels=y), lambda: [dict(img=a, label=o) for a, o in zip(x, y)],
                         lambda: (np.array(x, object), y)))
        try: source = form()
        except Exception: return False
        return try_set(r, source, ['the data'])
