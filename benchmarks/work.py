"The work that every peer does, and the data it does it on"
from typing import NamedTuple
import numpy as np
import torch
from torch.nn import functional as F
from fastsgd.data.digits import get_digits

class Work(NamedTuple):
    "One training, described so that each peer can do it its own way"
    name: str # What it is called in the table
    splits: tuple # `((x, y), (x, y))` to train and validate: float32 `[n, 784]`, and float32 `[n, 1]` or int64 `[n]`
    hidden: int # Hidden units
    n_out: int # 1 with `mnist_loss`, 10 with cross-entropy
    epochs: int # How often through the training set
    bs: int # Batch size
    lr: float # Learning rate of plain SGD
    validate: bool # Measure loss and accuracy on the validation set after every epoch?

    @property
    def updates(self): return self.epochs*-(-len(self.splits[0][1])//self.bs)

class Result(NamedTuple):
    "What a peer hands back"
    updates: int # How many steps were taken
    accuracy: float # On the validation set, at the end

def chapter(epochs=40):
    "The chapter's network on 3s and 7s, with validation and a metric after every epoch"
    digits = get_digits(labels=(3, 7))
    splits = tuple((x.flatten(1).contiguous(), (y == 0).float()[:, None]) for x, y in (digits.train, digits.valid))
    return Work(f'simple_net, 3s and 7s ({digits.source}), {epochs} epochs', splits, 30, 1, epochs, 256, 0.1, True)

def one_epoch(epochs=1):
    "784-30-10 once through all training images, plain SGD"
    digits = get_digits()
    splits = tuple((x.flatten(1).contiguous(), y) for x, y in (digits.train, digits.valid))
    return Work(f'784-30-10, ten digits ({digits.source}), one epoch', splits, 30, 10, epochs, 256, 0.1, False)

def turned(x, g):
    "Images `[n, 28, 28]`, each turned by up to 15 degrees and shifted by up to 2 pixels"
    n = len(x)
    angle, shift = (torch.rand(n, generator=g)*2 - 1)*0.26, (torch.rand(n, 2, generator=g)*2 - 1)*2/14
    rows = (angle.cos(), -angle.sin(), shift[:, 0]), (angle.sin(), angle.cos(), shift[:, 1])
    turn = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(turn, (n, 1, 28, 28), align_corners=False)
    return F.grid_sample(x[:, None], grid, align_corners=False)[:, 0]

def make_images(folder, n, chunk=10_000):
    "`n` images in the four `.npy` files of `folder`: MNIST's training images over and over, turned and shifted"
    folder.mkdir()
    digits, g = get_digits(), torch.Generator().manual_seed(0)
    (x, y), (valid_x, valid_y) = digits.train, digits.valid
    out = np.lib.format.open_memmap(folder/'x_train.npy', 'w+', np.uint8, (n, 28, 28))
    places = torch.randint(len(y), (n,), generator=g)
    for i, part in zip(range(0, n, chunk), places.split(chunk)):
        out[i:i + len(part)] = (turned(x[part], g)*255).round().byte().numpy()
    np.save(folder/'y_train', y[places].numpy())
    np.save(folder/'x_test', (valid_x*255).round().byte().numpy())
    np.save(folder/'y_test', valid_y.numpy())

def n_right(scores, y):
    "Share of right answers, for `[n, 1]` scores or `[n, 10]` logits"
    return ((scores > 0) == (y == 1) if scores.shape[1] == 1 else scores.argmax(1) == y).float().mean().item()

def accuracy_of(model, work):
    x, y = work.splits[1]
    model.to(x.device) # fastai takes it to a graphics card by itself
    with torch.no_grad(): return n_right(model.eval()(x), y)
