"fastsgd's Learner, with its recorder and progress callbacks"
import torch
from torch.nn import functional as F
from fastsgd.all import DataLoader, DataLoaders, Learner, SGD, accuracy, batch_accuracy, mnist_loss, simple_net
from ..work import Result, accuracy_of

def train(work, cbs=None):
    torch.manual_seed(0)
    model = simple_net(784, work.hidden, work.n_out)
    valid = DataLoader(work.splits[1], work.bs) if work.validate else None
    dls = DataLoaders(DataLoader(work.splits[0], work.bs, shuffle=True), valid)
    loss_func, metric = (mnist_loss, batch_accuracy) if work.n_out == 1 else (F.cross_entropy, accuracy)
    learn = Learner(dls, model, loss_func, opt_func=SGD, metrics=metric)
    learn.fit(work.epochs, work.lr, cbs=cbs)
    return Result(len(learn.recorder.losses), accuracy_of(model, work))
