"fastsgd's Learner, with its recorder and progress callbacks"
import torch
from torch.nn import functional as F
from fastsgd.all import DataLoader, DataLoaders, Learner, SGD, accuracy, batch_accuracy, mnist_loss, simple_net
from ..work import Result, accuracy_of

def train(work, cbs=None):
    torch.manual_seed(0)
    model = simple_net(784, work.hidden, work.n_out)
    dls = DataLoaders(DataLoader(work.splits[0], work.bs, shuffle=True), DataLoader(work.splits[1], work.bs) if work.validate else None)
    learn = Learner(dls, model, mnist_loss if work.n_out == 1 else F.cross_entropy, opt_func=SGD, metrics=batch_accuracy if work.n_out == 1 else accuracy)
    learn.fit(work.epochs, work.lr, cbs=cbs)
    return Result(len(learn.recorder.losses), accuracy_of(model, work))
