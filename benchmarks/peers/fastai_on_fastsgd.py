"fastai's Learner on fastsgd's DataLoaders: one line changes"
from fastsgd.dataloader import DataLoader, DataLoaders
from . import fastai_learner

def loaders(work):
    train, valid = work.splits
    return DataLoaders(DataLoader(train, work.bs, shuffle=True), DataLoader(valid, work.bs))

def train(work): return fastai_learner.train(work, loaders)
