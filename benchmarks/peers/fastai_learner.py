"fastai's Learner with fastai's DataLoader, as in the chapter: a list of pairs, and a Learner made from loaders"
import torch
from torch import nn
from torch.nn import functional as F
from ..work import Result, accuracy_of
from .bare_loop import chapter_loss

def chapter_accuracy(preds, targs): return ((preds > 0) == (targs == 1)).float().mean()

def loaders(work):
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    train, valid = (list(zip(*split)) for split in work.splits)
    return DataLoaders(DataLoader(train, batch_size=work.bs, shuffle=True), DataLoader(valid, batch_size=work.bs))

def train(work, get_loaders=loaders):
    from fastai.callback.core import CancelValidException, Callback
    from fastai.learner import Learner
    from fastai.metrics import accuracy
    from fastai.optimizer import OptimWrapper
    class NoValidation(Callback):
        def before_validate(self): raise CancelValidException
    class Count(Callback):
        n = 0
        def after_step(self): self.n += 1

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, work.hidden), nn.ReLU(), nn.Linear(work.hidden, work.n_out))
    loss_func, metric = (chapter_loss, chapter_accuracy) if work.n_out == 1 else (F.cross_entropy, accuracy)
    def sgd(params, lr): return OptimWrapper(params, torch.optim.SGD, lr=lr)
    learn = Learner(get_loaders(work), model, loss_func, opt_func=sgd, metrics=metric,
                    cbs=[Count()] + ([] if work.validate else [NoValidation()]))
    learn.fit(work.epochs, work.lr)
    return Result(learn.count.n, accuracy_of(model, work))
