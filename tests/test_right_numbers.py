"Numbers that come out are the right ones, or a sentence says why there are none"
import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from fastsgd.all import *

def learner(loss_func, n_out=3, n=90, **kwargs):
    torch.manual_seed(0)
    x = torch.rand(n, 784)
    y = torch.arange(n)%n_out if n_out > 1 else (x[:, :1] > .5).float()
    dls = DataLoaders(DataLoader((x, y), 32), DataLoader((x, y), 32), vocab='abc'[:max(n_out, 2)])
    learn = Learner(dls, nn.Linear(784, n_out), loss_func, **kwargs)
    learn.remove_cb(ProgressCallback)
    return learn

smoothed = partial(F.cross_entropy, label_smoothing=.1)
@pytest.mark.parametrize('loss', [smoothed, partial(smoothed, reduction='mean'), F.cross_entropy,
                                  partial(cross_entropy), nn.CrossEntropyLoss(label_smoothing=.1)])
def test_activation_and_answer_travel_with_the_loss(loss):
    learn = learner(loss)
    scores = learn.get_preds(act=lambda p: p)[0]
    probs, _, answers = learn.get_preds(with_decoded=True)
    torch.testing.assert_close(probs, scores.softmax(1))
    assert answers.tolist() == scores.argmax(1).tolist()
    label, answer, p = learn.predict(learn.dls.valid.dataset[0][0])
    assert label == 'abc'[answer] and abs(p.sum() - 1) < 1e-5

@pytest.mark.parametrize('loss', [F.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss(), partial(mnist_loss),
                                  partial(F.binary_cross_entropy_with_logits, pos_weight=torch.tensor(2.))])
def test_so_for_two_labels(loss):
    learn = learner(loss, 1)
    scores = learn.get_preds(act=lambda p: p)[0]
    probs, _, answers = learn.get_preds(with_decoded=True)
    torch.testing.assert_close(probs, scores.sigmoid())
    assert answers.tolist() == (scores > 0).float().tolist()
    assert learn.get_preds(act=lambda p: p, with_decoded=True)[2].tolist() == answers.tolist() # whatever `act` is

def test_regression_and_log_probabilities():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for loss in (F.mse_loss, nn.L1Loss()): assert learner(loss, 1).get_preds()[0].min() < 1
        learn = learner(F.nll_loss)
        learn.model = nn.Sequential(learn.model, nn.LogSoftmax(1))
        assert (learn.get_preds()[0].sum(1) - 1).abs().max() < 1e-5

def own_loss(preds, targs): return F.cross_entropy(preds, targs)
@pytest.mark.parametrize('loss', [own_loss, lambda p, t: own_loss(p, t), partial(own_loss)])
def test_scores_are_called_scores(loss):
    learn = learner(loss)
    item = learn.dls.valid.dataset[0][0]
    for f in (learn.get_preds, lambda: learn.predict(item)):
        with pytest.warns(UserWarning, match='does not say .* these are the scores; give act='): f()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert (learn.get_preds(act=softmax)[0].sum(1) - 1).abs().max() < 1e-5
        label, scores, p = learn.predict(item, act=softmax)
    assert label == 'abc'[scores.argmax()] and abs(p.sum() - 1) < 1e-5
    learn = learner(lambda p, t: F.binary_cross_entropy_with_logits(p, t), 1)
    label, score, p = learn.predict(item, act=sigmoid) # a probability is above 0, whatever the label
    assert label == 'ba'[int(score > 0)] and p == sigmoid(score)
