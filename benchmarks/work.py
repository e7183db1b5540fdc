"The work that every peer does, and the data it does it on"
from typing import NamedTuple
import torch
from fastsgd.data import get_digits

class Work(NamedTuple):
    "One training, described so that each peer can do it its own way"
    name: str # What it is called in the table
    splits: tuple # `((x, y), (x, y))` for training and validation: float32 `[n, 784]`, and float32 `[n, 1]` or int64 `[n]`
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

def n_right(scores, y):
    "Share of right answers, for `[n, 1]` scores or `[n, 10]` logits"
    return ((scores > 0) == (y == 1) if scores.shape[1] == 1 else scores.argmax(1) == y).float().mean().item()

def accuracy_of(model, work):
    x, y = work.splits[1]
    with torch.no_grad(): return n_right(model.eval()(x), y)
