"""What the functions that take data make of any data: other types of numbers, no rows, one row, not contiguous,
huge, tiny, and not finite.

The notebooks show how each is used, and test that; this file holds what is no reading matter.
"""
import math

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings, strategies as st
from torch.nn import functional as F

from fastsgd.all import (
    DataLoader, DataLoaders, DigitsModel, PixelSimilarity, accuracy, batch_accuracy, calibration, confusion_matrix,
    cross_entropy, label_accuracy, linear1, loss_and_slope, mnist_distance, mnist_loss, most_confused, probabilities,
    rmse_distance, show_image, show_images, show_weights, sigmoid, simple_net, softmax, top_losses)

matplotlib.use('Agg')
fast = settings(max_examples=60, deadline=None, database=None, derandomize=True)
few = settings(max_examples=12, deadline=None, database=None, derandomize=True)

# ---- Any numbers, in any order in memory

special = 0., -0., 1., -1., 0.5, 1e-45, -1e-38, 1e-7, 88.7, -103.9, 1e4, -1e4, 1e30, -1e30, 3.4e38, -3.4e38
finite = st.sampled_from(special) | st.floats(-1e3, 1e3, width=32)
# where float32 still tells probabilities from 0 and 1
calm = st.sampled_from((0., 1e-45, 1e-7, 30., -30.)) | st.floats(-30, 30, width=32)
seeds = st.integers(0, 2**16)
floats = torch.float32, torch.float64

def below(limit): return finite.filter(lambda v: abs(v) < limit)

def random_numbers(seed): return torch.Generator().manual_seed(seed)

any_number = finite | st.sampled_from((math.nan, math.inf, -math.inf))
layouts = ('plain', 'transposed', 'every other', 'expanded from more')

def laid_out(t, layout):
    "The same numbers, otherwise in memory"
    if layout == 'transposed' and t.ndim > 1: return t.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == 'every other': return torch.stack([t, torch.full_like(t, 7)], -1)[..., 0]
    if layout == 'expanded from more': return torch.cat([torch.zeros_like(t[:1]), t, t[:1]])[1:1 + len(t)]
    return t

@st.composite
def tensors(draw, shape, numbers=finite, dtypes=floats, layout=st.sampled_from(layouts)):
    "A tensor of a shape that is given, or drawn"
    shape = tuple(shape if isinstance(shape, tuple) else draw(shape))
    some = draw(st.lists(numbers, min_size=1, max_size=12))    # repeated, so that large tensors are drawn quickly
    n = math.prod(shape)
    t = torch.tensor(some, dtype=torch.float64).repeat(n//len(some) + 1)[:n].reshape(shape)
    return laid_out(t.to(draw(st.sampled_from(dtypes))), draw(layout))

shapes = st.lists(st.integers(0, 4), min_size=1, max_size=3)

def arrays_of(t): return t.detach().numpy()

# ---- Sigmoid and softmax

@fast
@given(tensors(shapes, calm | st.sampled_from((6e4, -6e4, 1e-4)), (*floats, torch.float16, torch.bfloat16)))
@example(torch.tensor([3.4e38, -3.4e38, 0.]))
@example(torch.tensor([math.inf, -math.inf]))
def test_sigmoid(x):
    x = x.requires_grad_()
    p = sigmoid(x)
    assert p.shape == x.shape and p.dtype == x.dtype and ((0 <= p) & (p <= 1)).all()
    assert torch.allclose(p.double(), x.double().sigmoid(), rtol=0, atol=torch.finfo(x.dtype).eps)
    p.sum().backward()
    assert x.grad.isfinite().all()

@fast
@given(tensors(st.lists(st.integers(1, 4), min_size=1, max_size=3)), st.data())
def test_softmax(x, data):
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    x = x.requires_grad_()
    p = softmax(x, dim)
    assert p.shape == x.shape and p.dtype == x.dtype and ((0 <= p) & (p <= 1)).all()
    assert torch.allclose(p.sum(dim), torch.ones(()).to(p), atol=1e-5) and torch.allclose(p, x.softmax(dim), atol=1e-6)
    p.max().backward()
    assert x.grad.isfinite().all()

@fast
@given(tensors(st.lists(st.integers(1, 4), min_size=1, max_size=3), any_number))
def test_what_is_no_number_stays_one(x):
    assert sigmoid(x).isnan().equal(x.isnan())
    assert softmax(x)[x.isnan().any(-1)].isnan().all()    # and is not made a probability of

# ---- Losses and metrics

@fast
@given(tensors(st.tuples(st.integers(1, 6), st.just(1)) | shapes.filter(lambda s: 0 not in s)), seeds,
       st.sampled_from((torch.float32, torch.int64, torch.bool)))
def test_losses_of_two_labels(preds, seed, dtype):
    targs = laid_out(torch.rand(preds.shape, generator=random_numbers(seed)) < 0.5, 'every other').to(dtype)
    preds = preds.requires_grad_()
    loss = mnist_loss(preds, targs)
    assert loss.shape == () and 0 <= loss <= 1
    loss.backward()
    assert preds.grad.isfinite().all()
    acc = batch_accuracy(preds, targs)
    assert acc.shape == () and abs(acc - np.mean((arrays_of(preds) > 0) == (targs.numpy() == 1))) < 1e-6

@fast
@given(shapes, shapes)
def test_losses_do_not_broadcast(a, b):
    assume(a != b)
    for f in (mnist_loss, batch_accuracy, lambda p, t: loss_and_slope(mnist_loss, p, t)):
        with pytest.raises(ValueError, match='same shape'): f(torch.zeros(a), torch.zeros(b))

rows = st.tuples(st.integers(1, 6), st.integers(2, 5))

def labels_for(preds, seed):
    return torch.randint(0, preds.shape[1], preds.shape[:1], generator=random_numbers(seed))

@fast
@given(tensors(rows, below(1e38)), seeds)
def test_losses_of_many_labels(preds, seed):
    y, preds = labels_for(preds, seed), preds.requires_grad_()
    loss = cross_entropy(preds, y)
    rounding = 4*torch.finfo(preds.dtype).eps*preds.abs().max().item()
    assert loss.shape == () and loss >= 0 and loss.isfinite()
    assert torch.allclose(loss, F.cross_entropy(preds, y), rtol=1e-4, atol=1e-6 + rounding)
    loss.backward()
    assert preds.grad.isfinite().all()
    assert accuracy(preds, y).item() == pytest.approx(np.mean(arrays_of(preds).argmax(1) == y.numpy()))

@fast
@given(shapes, shapes, st.sampled_from((torch.int64, torch.float32, torch.int32)))
def test_labels_must_fit(a, b, dtype):
    fits = len(a) == 2 and a[1] > 1 and b == a[:1] and dtype == torch.int64
    for f in (cross_entropy, accuracy, lambda p, t: loss_and_slope(cross_entropy, p, t)):
        if fits: assert f(torch.zeros(a), torch.zeros(b, dtype=dtype)) is not None
        else:
            with pytest.raises(ValueError, match='expected predictions'): f(torch.zeros(a), torch.zeros(b, dtype=dtype))

known = {'mnist_loss': mnist_loss, 'cross_entropy': cross_entropy, 'F.cross_entropy': F.cross_entropy,
         'mse': F.mse_loss}

@fast
@given(tensors(rows, calm), seeds, st.sampled_from(list(known)))
def test_slopes_are_those_of_autograd(preds, seed, name):
    y, loss_func = labels_for(preds, seed), known[name]
    if 'entropy' not in name: y = F.one_hot(y, preds.shape[1]).to(preds.dtype)
    before = preds.clone()
    loss, slope = loss_and_slope(loss_func, preds, y)
    asked = before.clone().requires_grad_()
    (wanted := loss_func(asked, y)).backward()
    assert slope.shape == preds.shape and slope.dtype == preds.dtype
    assert not slope.requires_grad and not loss.requires_grad
    assert torch.allclose(loss, wanted.detach(), rtol=1e-5, atol=1e-6)
    assert torch.allclose(slope, asked.grad, rtol=1e-4, atol=1e-6)
    assert preds.equal(before)

@fast
@given(tensors(rows), seeds)
def test_slopes_of_huge_scores_are_finite(preds, seed):
    preds = preds.clamp(-1e37, 1e37)
    y = labels_for(preds, seed)
    for f, targs in ((cross_entropy, y), (mnist_loss, F.one_hot(y, preds.shape[1]))):
        loss, slope = loss_and_slope(f, preds, targs)
        assert loss.isfinite() and slope.isfinite().all() and slope.abs().max() <= 1

# ---- Images and means

@fast
@given(tensors(st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)), below(1e15)), st.integers(1, 3),
       seeds)
def test_pixel_similarity(x, k, seed):
    y = torch.randperm(len(x), generator=random_numbers(seed)) % k
    for distance in (mnist_distance, rmse_distance):
        model = PixelSimilarity(distance).fit(x, y)
        d = model.distances(x)
        assert d.shape == (len(x), len(model.means)) and d.dtype == x.dtype and d.isfinite().all() and (d >= 0).all()
        assert model.predict(x).equal(d.argmin(1)) and model.predict(x).dtype == torch.int64
        assert 0 <= model.accuracy(x, y) <= 1
        assert model.predict(x[:0]).shape == (0,)
        for wrong in (x[:, :, :0], torch.zeros(2, *x.shape[1:]).repeat(1, 2, 1)):
            with pytest.raises(ValueError, match='expected images of'): model.predict(wrong)

@fast
@given(st.lists(st.integers(0, 3), max_size=4), st.lists(st.integers(0, 3), max_size=2))
def test_pixel_similarity_refuses(x_shape, y_shape):
    if len(x_shape) == 3 and y_shape == x_shape[:1] and x_shape[0]: return
    with pytest.raises(ValueError): PixelSimilarity().fit(torch.zeros(x_shape), torch.zeros(y_shape, dtype=torch.int64))

@fast
@given(tensors(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5)), below(1e15)), st.data())
def test_distances(a, data):
    b = data.draw(tensors(tuple(a.shape), below(1e15), (a.dtype,)))
    for f in (mnist_distance, rmse_distance):
        d = f(a, b)
        assert d.shape == a.shape[:1] and d.dtype == a.dtype and d.isfinite().all() and (d >= 0).all()
        assert torch.allclose(d, f(b, a)) and not f(a, a).any()
    assert (mnist_distance(a, b) <= rmse_distance(a, b)*(1 + 1e-4) + 1e-18).all()

# ---- Loaders

@fast
@given(st.integers(0, 20), st.integers(-1, 25), st.booleans(), st.booleans(), st.none() | st.integers(0, 99),
       st.sampled_from(layouts), st.sampled_from((torch.float32, torch.uint8, torch.int64, torch.bool)))
def test_loader_gives_each_item_once(n, batch_size, shuffle, drop_last, seed, layout, dtype):
    numbers, y = torch.arange(2*n).reshape(n, 2) % (2 if dtype is torch.bool else 99), torch.arange(n)
    x = laid_out(numbers, layout if n else 'plain').to(dtype)
    if not n or batch_size < 1 or drop_last and n < batch_size:
        with pytest.raises(ValueError): DataLoader((x, y), batch_size, shuffle, drop_last, seed=seed)
        return
    def loader(): return DataLoader((x, y), batch_size, shuffle, drop_last, seed=seed)
    dl = loader()
    batches = list(dl)
    assert len(batches) == len(dl) and all(len(yb) == batch_size for _, yb in batches[:-1])
    assert all(xb.dtype is dtype for xb, _ in batches)
    found = torch.cat([yb for _, yb in batches])
    assert len(found) == (n//batch_size*batch_size if drop_last else n) == len(found.unique())
    assert torch.cat([xb for xb, _ in batches]).equal(x[found])
    if not shuffle: assert found.equal(y[:len(found)])
    elif seed is not None: assert found.equal(torch.cat([yb for _, yb in loader()]))
    half = len(dl)//2
    assert torch.cat([yb for _, yb in dl.batches(dl.order, half)]).equal(found[half*batch_size:])

@fast
@given(st.lists(st.integers(0, 5), min_size=2, max_size=3))
def test_loader_refuses_unequal_lengths(lengths):
    if len(set(lengths)) > 1 or not lengths[0]:
        with pytest.raises(ValueError): DataLoader(tuple(torch.zeros(n) for n in lengths))

@pytest.mark.parametrize('batch_size', [1.5, '8', None, True, np.float32(4)])
def test_loader_refuses_what_is_no_batch_size(batch_size):
    with pytest.raises(TypeError, match='batch_size'): DataLoader((torch.zeros(3),), batch_size)

@fast
@given(st.sampled_from((np.float32, np.float64, np.uint8)), st.booleans(), st.booleans(), st.integers(1, 3))
def test_new_images_in_any_memory(dtype, reverse, by_column, n):
    images = (np.arange(n*784).reshape(n, 28, 28) % 256/(1 if dtype is np.uint8 else 255)).astype(dtype)
    if by_column: images = np.asfortranarray(images)
    dls = DataLoaders(DataLoader((torch.zeros(4, 784), torch.zeros(4, 1)), 2))
    if reverse: images = images[:, ::-1]
    (xb,) = next(iter(dls.test_dl(list(images))))
    assert xb.dtype is torch.float32 and xb.shape == (min(n, 2), 784)
    in_rows = np.ascontiguousarray(images).reshape(n, 784)[:2].astype(np.float32)
    assert np.allclose(xb.numpy(), in_rows/(255 if dtype is np.uint8 else 1), atol=1e-6)

# ---- What a model says

@fast
@given(tensors(st.tuples(st.integers(0, 5), st.integers(1, 5))))
def test_probabilities(preds):
    p = probabilities(preds)
    assert p.shape == (len(preds), max(preds.shape[1], 2)) and p.dtype == preds.dtype and ((0 <= p) & (p <= 1)).all()
    assert torch.allclose(p.sum(1), torch.ones(len(p)).to(p), atol=1e-5)

@fast
@given(shapes)
def test_probabilities_refuse(shape):
    if len(shape) == 2 and shape[1]: return
    with pytest.raises(ValueError, match='expected predictions'): probabilities(torch.zeros(shape))

@fast
@given(tensors(st.tuples(st.integers(0, 6), st.integers(2, 5))), seeds)
def test_confusion_matrix(preds, seed):
    y, k = labels_for(preds, seed), preds.shape[1]
    cm = confusion_matrix(preds, y)
    assert cm.shape == (k, k) and cm.dtype is torch.int64 and cm.sum() == len(y) and (cm >= 0).all()
    assert cm.sum(1).equal(y.bincount(minlength=k)) and cm.sum(0).equal(preds.argmax(1).bincount(minlength=k))
    assert label_accuracy(cm).isnan().equal(cm.sum(1) == 0)
    assert sum(n for *_, n in most_confused(cm, range(k))) + cm.diag().sum() == len(y)

@fast
@given(tensors(rows), seeds, st.integers(1, 12))
def test_of_probabilities(preds, seed, k):
    probs, y = probabilities(preds), labels_for(preds, seed)
    losses, places = top_losses(probs, y, k)
    assert len(losses) == min(k, len(y)) and losses.isfinite().all()
    assert (losses[:-1] >= losses[1:]).all() and (losses >= 0).all()
    assert torch.allclose(losses, -probs[places, y[places]].clamp(min=1e-38).log())
    sure, right, n, gap = calibration(probs, y, k)
    assert n.sum() == len(y) and (n > 0).all() and 0 <= gap <= 1.00001
    assert ((0 <= sure) & (sure <= 1.00001)).all() and ((0 <= right) & (right <= 1)).all()

torch.manual_seed(0)
def model_for(n_out):
    sizes = {'n_in': 784, 'n_hidden': 3, 'n_out': n_out}
    facts = {'labels': list(range(max(n_out, 2))), 'architecture': {'name': 'simple_net', **sizes}}
    return DigitsModel(simple_net(784, 3, n_out).eval(), facts)

ready = {n_out: model_for(n_out) for n_out in (1, 4)}
image_numbers = st.sampled_from((0., 1., 0.5, 1e-45, 1e20, -1.))
memories = {'plain': lambda a: a, 'reversed': lambda a: a[..., ::-1].copy()[..., ::-1], 'by column': np.asfortranarray,
            'every other': lambda a: np.repeat(a, 2, -1)[..., ::2], 'read-only': np.copy,
            'tensor': lambda a: laid_out(torch.from_numpy(a.copy()), 'every other')}

@pytest.mark.filterwarnings('ignore:The given NumPy array is not writable')
@fast
@given(st.sampled_from((1, 4)), st.sampled_from(((28, 28), (1, 28, 28), (3, 28, 28), (2, 784), (784,))),
       st.lists(image_numbers, min_size=1, max_size=9), st.sampled_from(('f4', 'f8', 'f2', 'u1', 'i8', '?')),
       st.sampled_from(list(memories)))
def test_predict(n_out, shape, some, dtype, layout):
    some = np.clip(some, 0, 1) if dtype in ('f2', 'u1', 'i8', '?') else np.array(some)
    a = np.resize(some, shape).astype(dtype)
    model, plain = ready[n_out], torch.from_numpy(a.copy())
    given_to = memories[layout](a)
    if layout == 'read-only': given_to.flags.writeable = False
    if a.min() >= 0 and a.max() > 1.002 and dtype != 'u1':
        with pytest.raises(ValueError, match='from 0 to 1'): model.predict(given_to)
        return
    labels, probs = model.predict(given_to)
    n = shape[0] if len(shape) == 3 or shape == (2, 784) else 1
    assert len(labels) == n and set(labels) <= set(model.labels)
    assert probs.shape == (n, len(model.labels)) and not probs.requires_grad
    assert torch.allclose(probs.sum(1), torch.ones(n), atol=1e-5) and probs.equal(model.predict(plain)[1])

@fast
@given(tensors(st.lists(st.sampled_from((0, 1, 2, 27, 28, 784)), max_size=4).filter(lambda s: math.prod(s) < 10**6),
               layout=st.just('plain')))
def test_predict_refuses_other_shapes(x):
    fits = x.numel() and (x.ndim in (2, 3) and x.shape[-2:] == (28, 28) or x.ndim in (1, 2) and x.shape[-1] == 784)
    if fits: assert ready[4].predict(x.clamp(-1, 1))
    else:
        with pytest.raises(ValueError, match='expected images'): ready[4].predict(x)

@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('place', [0, 400, 783])
def test_predict_refuses_what_is_not_finite(bad, place):
    x = np.zeros(784)
    x[place] = bad
    with pytest.raises(ValueError, match='not finite'): ready[1].predict(x.reshape(28, 28))

@fast
@given(tensors(st.tuples(st.integers(0, 4), st.just(3)), calm, (torch.float32,)))
def test_linear1(x):
    w, b = torch.tensor([[1.], [2.], [3.]]), torch.tensor([0.5])
    assert np.allclose(linear1(x, w, b).numpy(), x.numpy().astype(np.float64)@w.numpy() + 0.5, atol=1e-4)

# ---- Pictures

@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt
    plt.close('all')

def drawn(ax):
    "Draw it, and what was drawn"
    ax.figure.canvas.draw()
    import matplotlib.pyplot as plt
    plt.close(ax.figure)
    return ax.images[0].get_array()

@pytest.mark.filterwarnings('error')
@few
@given(tensors(st.sampled_from(((28, 28), (784,), (784, 1), (1, 784), (28, 28, 1), (7, 112))), below(1e30),
               (*floats, torch.float16, torch.int64)))
def test_show_weights(w):
    if w.is_floating_point(): w = w.nan_to_num(posinf=6e4, neginf=-6e4).requires_grad_()
    assert drawn(show_weights(w)).shape == (28, 28)

@fast
@given(shapes)
def test_show_weights_refuses(shape):
    if math.prod(shape) != 784:
        with pytest.raises(ValueError, match='784'): show_weights(torch.zeros(shape))

@pytest.mark.filterwarnings('error')
@few
@given(tensors(st.sampled_from(((1, 4, 5), (3, 4, 4), (2, 1, 4, 5), (2, 3, 4, 5), (5, 1, 1))),
               finite.filter(lambda v: 0 <= v <= 1), (*floats, torch.uint8, torch.bool)), st.booleans())
def test_show_images(ims, as_arrays):
    axs = show_images([im.numpy()[::-1] if im.ndim == 2 else im for im in ims] if as_arrays else ims)
    assert axs.shape == (1, len(ims))
    for ax, im in zip(axs.flat, ims): assert ax.images[0].get_array().shape[:2] == im.shape[-2:]
    drawn(axs.flat[0])

@fast
@given(st.lists(st.sampled_from((0, 1, 2, 4, 5)), max_size=4))
def test_show_image_refuses(shape):
    in_color = len(shape) == 3 and shape[0] in (1, 3, 4)    # of a tensor, colors come first
    fits = 0 not in shape and (len(shape) == 2 or in_color)
    if fits: assert show_image(torch.zeros(shape)).images
    else:
        with pytest.raises(ValueError, match='a picture is'): show_image(torch.zeros(shape))

def test_other_types_and_nothing_at_all():
    bytes_, labels = torch.zeros(2, 3, 3, dtype=torch.uint8), torch.tensor([0, 1])
    with pytest.raises(TypeError, match='floating-point'): PixelSimilarity().fit(bytes_, labels)
    with pytest.raises(TypeError, match='seed must be'): DataLoader((torch.zeros(3),), seed='a')
    for f in (calibration, top_losses):
        with pytest.raises(ValueError, match='no probabilities'): f(torch.zeros(0, 10), labels[:0])
    assert show_weights(torch.ones(784, dtype=torch.bfloat16)).images
