"Everything that the notebooks build, under one name: `from fastsgd.all import *`"
from fastsgd.data import *
from fastsgd.baseline import *
from fastsgd.linear import *
from fastsgd.descent import *
from fastsgd.sgd_steps import *
from fastsgd.losses import *
from fastsgd.dataloader import *
from fastsgd.training import *
from fastsgd.models import *
from fastsgd.learner import *
from fastsgd.interpret import *
from fastsgd.convnet import *
from fastsgd.speed import *
from fastsgd.photo import *
from fastsgd.store import *
