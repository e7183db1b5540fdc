"A PyTorch loop tuned by hand: whole-batch indexing, one read of the loss per epoch"
import torch
from torch import nn
from torch.nn import functional as F
from ..work import Result, accuracy_of, n_right

def chapter_loss(preds, targs):
    preds = preds.sigmoid()
    return torch.where(targs == 1, 1 - preds, preds).mean()

def train(work):
    torch.manual_seed(0)
    (x, y), (valid_x, valid_y) = work.splits
    model = nn.Sequential(nn.Linear(784, work.hidden), nn.ReLU(), nn.Linear(work.hidden, work.n_out))
    opt, updates = torch.optim.SGD(model.parameters(), lr=work.lr), 0
    loss_func = chapter_loss if work.n_out == 1 else F.cross_entropy
    for _ in range(work.epochs):
        total = 0.
        for i in torch.randperm(len(y)).split(work.bs):
            xb, yb = x.index_select(0, i), y.index_select(0, i)
            loss = loss_func(model(xb), yb)
            loss.backward()
            opt.step()
            opt.zero_grad()
            total, updates = total + loss.detach(), updates + 1
        total.item()
        if work.validate:
            with torch.no_grad():
                measured = []
                for xb, yb in zip(valid_x.split(work.bs), valid_y.split(work.bs)):
                    p = model(xb)
                    measured.append((loss_func(p, yb)*len(yb), n_right(p, yb)*len(yb)))
                sum(a for a, _ in measured), sum(b for _, b in measured)
    return Result(updates, accuracy_of(model, work))
