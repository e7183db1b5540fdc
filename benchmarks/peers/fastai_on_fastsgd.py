"fastai's Learner on fastsgd's DataLoaders: one line changes"
from fastsgd.dataloader import DataLoader, DataLoaders
from . import fastai_learner

def loaders(work): return DataLoaders(DataLoader(work.splits[0], work.bs, shuffle=True), DataLoader(work.splits[1], work.bs))

def train(work): return fastai_learner.train(work, loaders)
