"A plain PyTorch loop over `DataLoader(TensorDataset)`, as in PyTorch's tutorials"
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from .bare_loop import chapter_loss
from ..work import Result, accuracy_of, n_right

def train(work):
    torch.manual_seed(0)
    train_dl = DataLoader(TensorDataset(*work.splits[0]), work.bs, shuffle=True)
    valid_dl = DataLoader(TensorDataset(*work.splits[1]), work.bs)
    model = nn.Sequential(nn.Linear(784, work.hidden), nn.ReLU(), nn.Linear(work.hidden, work.n_out))
    opt, updates = torch.optim.SGD(model.parameters(), lr=work.lr), 0
    loss_func = chapter_loss if work.n_out == 1 else F.cross_entropy
    for _ in range(work.epochs):
        for xb, yb in train_dl:
            opt.zero_grad()
            loss_func(model(xb), yb).backward()
            opt.step()
            updates += 1
        if work.validate:
            with torch.no_grad(): [(loss_func(p, yb), n_right(p, yb)) for xb, yb in valid_dl for p in [model(xb)]]
    return Result(updates, accuracy_of(model, work))
