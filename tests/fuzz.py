"""Damaged, odd and forged input in great number: `python -m tests.fuzz models --n 10000`, and the other kinds likewise.

Each must be refused with an error that is documented, or be read as it should, in little time and memory.
Example 7 of seed 0 is always the same.
"""
import argparse, json, random, sys, tempfile, time, warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from fastsgd.data.checks import printable
from fastsgd.models import simple_net
from fastsgd.tools.store import load_digits_model, load_tensors, of_training, save_tensors

def flip(raw, r):
    for _ in range(r.choice((1, 1, 2, 10))):
        raw[r.randrange(min(len(raw), r.choice((8, 2000, len(raw)))))] ^= 1 << r.randrange(8)

def other_length(raw, r):
    "Let the header say that it has another length"
    n = int.from_bytes(raw[:8], 'little')
    n = r.choice((r.randrange(2**64), n + r.randrange(-9, 10), r.randrange(2000), 2**20, 0))
    raw[:8] = (n % 2**64).to_bytes(8, 'little')

def mutated(raw, others, r):
    "The bytes `raw`, damaged in one of many ways; `others` are other good files"
    raw, n = bytearray(raw), r.choice((1, 4, 100, 5000))
    i, j = r.randrange(len(raw) + 1), r.randrange(len(raw) + 1)
    first, last = min(i, j), max(i, j)
    way = r.choice(('flip', 'overwrite', 'insert', 'remove', 'cut', 'splice', 'swap', 'length', 'repeat'))
    if way == 'flip': flip(raw, r)
    if way == 'overwrite': raw[i:i + n] = r.choice((bytes(n), b'\xff'*n, r.randbytes(n)))[:len(raw) - i]
    if way == 'insert': raw[i:i] = r.choice((bytes(n), b' '*n, r.randbytes(n)))
    if way == 'remove': del raw[i:i + n]
    if way == 'cut': raw = r.choice((raw[:last], raw[first:], raw[first:last], raw[:r.randrange(20)]))
    if way == 'splice':
        other = r.choice(others)
        raw = raw[:i] + other[r.choice((i, r.randrange(len(other)))):]
    if way == 'swap': raw[i:i + n], raw[j:j + n] = raw[j:j + n], raw[i:i + n]
    if way == 'length': other_length(raw, r)
    return bytes(raw*2 if way == 'repeat' else raw)

# ---- Models and checkpoints

def model_files(folder):
    "A model and a checkpoint in the middle of an epoch, as a training leaves them"
    import fastsgd.schedule # noqa: F401 (gives Learner its fit_one_cycle)
    from fastsgd.dataloader import DataLoader, DataLoaders
    from fastsgd.interpret import accuracy, cross_entropy
    from fastsgd.learner import Learner
    from fastsgd.tools.resume import CheckpointCallback
    torch.manual_seed(0)
    x, y = torch.rand(60, 784), torch.arange(60) % 3
    dls = DataLoaders(DataLoader((x, y), 20, shuffle=True, seed=0), DataLoader((x, y), 60), vocab=(1, 4, 8))
    learn = Learner(dls, simple_net(784, 4, 3), cross_entropy, metrics=accuracy)
    with learn.no_bar(): learn.fit_one_cycle(2, 0.1, cbs=CheckpointCallback(folder, every_batches=5, keep=9))
    return [learn.save(Path(folder)/'model'), Path(folder)/'checkpoint_0001_000002.safetensors']

odd_values = (None, True, 0, -1, 1e308, 2**70, 0.5, '', 'x'*3000, '\0', 'BF16', 'F64', 'I64', [], [[]], {},
              {'name': 'mlp'}, [28, 28], [2**40, 2**40], [-1], 'linear', [0, 8], '"', '[1', '{"tensor": "bias"}')

def edited(o, r):
    "A copy of what JSON can hold, with one thing in it changed, removed, or added"
    if isinstance(o, dict) and o:
        k = r.choice(list(o))
        way = r.choice(('deeper', 'deeper', 'deeper', 'remove', 'rename', 'add'))
        if way == 'remove': return {x: v for x, v in o.items() if x != k}
        if way == 'rename': return {(r.choice((k + 'x', '__metadata__', '')) if x == k else x): v for x, v in o.items()}
        return {**o, k: edited(o[k], r)} if way == 'deeper' else {**o, f'{k}2': r.choice((o[k], r.choice(odd_values)))}
    if isinstance(o, list) and o and r.random() < 0.8:
        i = r.randrange(len(o))
        return o[:i] + r.choice(([edited(o[i], r)], [], [o[i]]*2)) + o[i + 1:]
    if isinstance(o, str) and o[:1] in '{["' and r.random() < 0.8:
        try: return json.dumps(edited(json.loads(o), r)) # the facts are JSON in JSON
        except ValueError: pass
    if isinstance(o, (int, float)) and r.random() < 0.5: return o + r.choice((-1, 1, 4, -4))
    return r.choice(odd_values)

def with_edited_header(raw, r):
    "A safetensors file whose header is JSON, and as long as it says, but says something else"
    n = int.from_bytes(raw[:8], 'little')
    header = json.loads(raw[8:8 + n])
    header = {k: dict(sorted(header[k].items())) for k in sorted(header)}
    for _ in range(r.choice((1, 1, 3))): header = edited(header, r)
    text = json.dumps(header).encode()
    if r.random() < 0.1:
        text = r.choice((b'['*200_000, b'{"a":'*100_000 + b'1' + b'}'*100_000, text + b' '*2**20,
                         text.replace(b'784', b'NaN'), text.replace(b'784', b'9'*5000),
                         text.replace(b'"F32"', b'"F32","dtype":"F32"')))
    text += b' '*(-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + raw[8 + n:]

other_architectures = ({'name': 'linear', 'n_in': 28, 'n_out': 3}, {'name': 'mlp', 'sizes': [784, 2, 3], 'act': 'Tanh'},
                       {'name': 'mlp', 'sizes': [784]*600, 'act': 'ReLU'}, {'name': 'small_cnn', 'n_out': 3})

def forged(t, how, r):
    "A tensor of another shape, type or size"
    if how == 'shape': return r.choice((t.flatten(), t[None], t[:0], t.t() if t.ndim == 2 else t))
    if how == 'dtype': return t.to(r.choice((torch.float64, torch.float16, torch.int8, torch.bool, torch.bfloat16)))
    if how == 'huge': return torch.full_like(t, r.choice((1e15, -1e15, 1e-40)) if t.is_floating_point() else 100)
    return t

def forge(file, tensors, facts, r):
    "Write a file whose checksum is right, and whose content is not"
    # sorted, since safetensors gives them in another order each time
    facts, tensors = {k: facts[k] for k in sorted(facts) if k != 'sha256'}, dict(tensors)
    k = r.choice(sorted(tensors))
    how = r.choice(('facts', 'facts', 'facts', 'remove', 'shape', 'dtype', 'huge', 'both'))
    if how in ('facts', 'both'): facts = {**edited(facts, r), 'fastsgd_format': facts['fastsgd_format']}
    if how == 'both': facts['architecture'] = r.choice(other_architectures)
    t = tensors.pop(k)
    if how != 'remove': tensors[k] = forged(t, how, r)
    finite = {k: t.nan_to_num() if t.is_floating_point() else t for k, t in tensors.items()} # others aren't written
    save_tensors(file, finite, facts)

def same(a, b): return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)

def check_answers(model):
    assert f'tells apart: {printable(model.labels[0])}' in repr(model)
    labels, probs = model.predict(torch.rand(2, 28, 28))
    assert len(labels) == 2 and all(label in model.labels for label in labels), 'it answers with what is no label'
    assert probs.shape == (2, len(model.labels)), 'it answers otherwise than it should'
    assert probs.isfinite().all() and ((probs.sum(1) - 1).abs() < 1e-3).all(), f'it gives {probs}'

def check_model_file(file, good, forged=False):
    "Was it read? Raises `AssertionError` if it was not what it should be"
    read = 0
    for f in (load_tensors, load_digits_model):
        try: found = f(file)
        except (ValueError, FileNotFoundError) as e:
            assert str(file) in str(e), f'{type(e)}: {str(e)[:300]}'
            continue
        read += 1
        if forged:
            if f is load_digits_model: check_answers(found)
            continue
        tensors, facts = found if f is load_tensors else (found.model.state_dict(), found.facts)
        expected = {k: t for k, t in good[0].items() if f is load_tensors or not k.startswith(of_training)}
        assert same(tensors, expected) and facts == good[1], 'it is not what was written'
    return read > 0

class Models:
    def __init__(self, folder):
        self.file, files = Path(folder)/'mutated.safetensors', model_files(folder)
        self.raw, self.good = [f.read_bytes() for f in files], [load_tensors(f) for f in files]

    def __call__(self, r):
        i, way = r.randrange(2), r.random()
        if way < 0.3: forge(self.file, *self.good[i], r)
        elif way < 0.6: self.file.write_bytes(with_edited_header(self.raw[i], r))
        else: self.file.write_bytes(mutated(self.raw[i], self.raw, r))
        return check_model_file(self.file, self.good[i], forged=way < 0.3)

# ---- Images

class Images:
    def __init__(self, folder):
        sys.path.insert(0, str(Path(__file__).parent))
        import test_photo
        from fastsgd.tools.photo import digit_from_image
        warnings.simplefilter('ignore') # Pillow's about odd tags
        self.file, self.t, self.digit_from_image = Path(folder)/'image', test_photo, digit_from_image
        pictures = test_photo.seven((30, 40), width=4), test_photo.seven((9, 30), width=2).convert('RGB')
        formats = 'PNG', 'JPEG', 'BMP', 'GIF', 'TIFF', 'WEBP'
        self.raw = [test_photo.image_bytes(im, fmt) for fmt in formats for im in pictures]

    def pixels(self, r):
        "Any pixels in any mode"
        most = r.choice(((60, 60), (3000, 3), (3, 3000), (300, 300)))
        im = Image.new(r.choice(self.t.modes), [r.randint(1, n) for n in most])
        n, some = len(im.tobytes()), r.randbytes(r.choice((1, 2, 7, 64, 5000)))
        im.frombytes((some*(n//len(some) + 1))[:n])
        return im

    def seven(self, r):
        "A 7 that is drawn well or badly"
        g, size = np.random.default_rng(r.randrange(2**32)), (r.randint(5, 150), r.randint(5, 150))
        im = self.t.seven(size, r.randrange(256), r.randrange(256), r.choice((1, 3, 10, 40)))
        noise = g.normal(0, r.choice((0, 0, 5, 60)), im.size[::-1])
        light = np.linspace(0, r.choice((0, 0, 100, -100)), im.size[0])
        im = Image.fromarray((np.asarray(im) + noise + light).clip(0, 255).astype(np.uint8))
        mode = r.choice(('L', 'RGB', 'RGBA', '1', 'P', 'LA', 'CMYK', 'F', 'I'))
        return im.rotate(r.choice((0, 0, 15, 90)), fillcolor=r.randrange(256)).convert(mode)

    def __call__(self, r):
        image = r.choice((self.pixels, self.seven))(r) if r.random() < 0.5 else self.file
        if image is self.file:
            raw = r.choice(self.raw)
            for _ in range(r.choice((1, 1, 3))): raw = mutated(raw, self.raw, r) if raw else raw
            self.file.write_bytes(raw)
        try: photo = self.digit_from_image(image)
        except (ValueError, OSError) as e:
            assert 'is not read: ' in str(e), f'{type(e)}: {e}'
            return False
        self.t.check(photo)
        return True

# ---- How it is run

sys.path.insert(0, str(Path(__file__).parent))
import fuzz_data

kinds = {'models': Models, 'images': Images, 'arrays': fuzz_data.Arrays, 'idx': fuzz_data.Idx,
         'tables': fuzz_data.Tables,
         'folders': fuzz_data.Folders, 'objects': fuzz_data.Objects}

def peak_memory():
    "The most memory this process had so far, in MB"
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/(2**20 if sys.platform == 'darwin' else 2**10)

def limit_memory(more):
    "No more address space from now on than there is, and so many bytes"
    import resource
    if not Path('/proc/self/statm').exists(): return # not Linux
    now = int(Path('/proc/self/statm').read_text().split()[0])*resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.getrlimit(resource.RLIMIT_AS)[1]))

def main(kind, n, seed=0, first=0):
    "Try so many examples; what there was to see"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        example, count, slowest = kinds[kind](folder), Counter(), 0
        for i in range(20): example(random.Random(f'warm-up {i}')) # imports what is imported late
        before = peak_memory()
        # Pillow asks for as much as a PNG's part says it has, up to 4 GB; what is never written to costs nothing
        limit_memory(6*2**30)
        for i in range(first, first + n):
            start = time.process_time()
            try: count[example(random.Random(f'{seed} {i}'))] += 1
            except BaseException as e: e.args = (f'example {i} of seed {seed}: {e}',); raise
            slowest = max(slowest, time.process_time() - start)
            assert slowest < 20, f'example {i} of seed {seed} took {slowest:.0f} s'
    grew = peak_memory() - before
    assert grew < 1000, f'peak memory grew by {grew:.0f} MB'
    return (f'{n:,} {kind}: {count[False]:,} refused, {count[True]:,} accepted, slowest {slowest:.2f} s, '
            f'peak memory grew by {grew:.0f} MB')

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Damaged, odd and forged files: '
                                     'each must be refused with the right error, or be read as it should.')
    parser.add_argument('kind', choices=kinds)
    parser.add_argument('--n', type=int, default=10_000, help='how many (10000)')
    parser.add_argument('--seed', type=int, default=0, help='for other examples (0)')
    parser.add_argument('--first', type=int, default=0, help='the first of them (0)')
    args = parser.parse_args()
    print(main(args.kind, args.n, args.seed, args.first))
