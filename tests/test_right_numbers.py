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

def rare(loss=cross_entropy, **kwargs):
    "A learner that predicts what it is given; in many of its batches of 8, one label does not occur"
    gen = torch.Generator().manual_seed(42)
    y = (torch.rand(200, generator=gen) < .06).long()
    x = torch.randn(200, 2, generator=gen) + torch.stack([1 - y, y], 1)*2
    if loss is not cross_entropy: x, y = x[:, 1:] - 1, y.float()[:, None]
    dl = DataLoader((x, y), 8)
    return x, y, Learner(DataLoaders(dl, dl), nn.Sequential(nn.Identity()), loss, **kwargs)

@pytest.mark.parametrize('loss', [cross_entropy, F.binary_cross_entropy_with_logits])
def test_metrics_of_the_whole_set(loss):
    from sklearn import metrics as sk
    measures = [WholeSetMetric(sk.f1_score), WholeSetMetric(sk.precision_score, zero_division=0),
                WholeSetMetric(sk.fbeta_score, beta=2), WholeSetMetric(sk.matthews_corrcoef),
                WholeSetMetric(sk.roc_auc_score, 'probabilities'), WholeSetMetric(sk.log_loss, 'probabilities'),
                WholeSetMetric(lambda p, t: loss(p if loss is cross_entropy else p[:, None],
                                                 t if loss is cross_entropy else t[:, None]).exp(), 'scores')]
    x, y, learn = rare(loss, metrics=measures)
    row, y = learn.validate(), y.flatten().numpy()
    called = (x.argmax(1) if x.shape[1] == 2 else x[:, 0] > 0).numpy()
    p = (x.softmax(1)[:, 1] if x.shape[1] == 2 else x[:, 0].sigmoid()).numpy()
    right = [sk.f1_score(y, called), sk.precision_score(y, called), sk.fbeta_score(y, called, beta=2),
             sk.matthews_corrcoef(y, called), sk.roc_auc_score(y, p), sk.log_loss(y, p)]
    assert row[1:] == pytest.approx([*right, torch.tensor(row[0]).exp().item()], abs=1e-5)
    assert learn.validate() == row # begins anew

def test_metrics_of_the_whole_set_in_a_training(capsys):
    from sklearn.metrics import f1_score
    learn = learner(cross_entropy, metrics=[WholeSetMetric(f1_score, average='macro'), accuracy], lr=.1)
    learn.fit(2)
    assert learn.recorder.metric_names[3:5] == ['f1_score', 'accuracy']
    preds, y = learn.get_preds()
    assert learn.final_record[2:] == pytest.approx([f1_score(y, preds.argmax(1), average='macro'),
                                                    accuracy(preds, y).item()], abs=1e-6)

def test_fastais_metrics():
    pytest.importorskip('fastai')
    from fastai.metrics import F1Score, Perplexity, RocAucBinary
    from sklearn.metrics import f1_score, roc_auc_score
    x, y, learn = rare(metrics=[F1Score(), RocAucBinary(), Perplexity()])
    loss, f1, auc, perplexity = learn.validate()
    assert f1 == pytest.approx(f1_score(y, x.argmax(1)))
    assert auc == pytest.approx(roc_auc_score(y, x.softmax(1)[:, 1]))
    assert perplexity == pytest.approx(torch.tensor(loss).exp().item(), abs=1e-5)
    with pytest.raises(ValueError, match='one score only'): rare(mnist_loss, metrics=F1Score())[2].validate()

def test_what_a_metric_cannot_do():
    from sklearn.metrics import f1_score
    with pytest.raises(ValueError, match=r'give WholeSetMetric\(f1_score\)'): rare(metrics=f1_score)[2].validate()
    with pytest.raises(ValueError, match=r'give WholeSetMetric\(f1_score\)'):
        rare(metrics=partial(f1_score, average='macro'))[2].validate()
    with pytest.raises(ValueError, match="own_loss does not say how .* take of='scores'"):
        learn = rare(metrics=WholeSetMetric(f1_score))[2]
        learn.loss_func = own_loss
        learn.validate()

less = ('valid_loss error_rate perplexity Perplexity mse rmse mae cross_entropy max_error brier_score_loss exp_rmspe '
        'nll').split()
more = 'accuracy batch_accuracy F1Score f1_score roc_auc_score AUC precision recall Dice r2_score'.split()
@pytest.mark.parametrize('name', [*less, *more])
def test_which_way_is_better(name):
    import operator
    import numpy as np
    sign = -1 if name in less else 1
    assert better_sign(name) == sign
    for way in (dict(mode='min'), dict(comp=np.less), dict(comp=operator.lt)): assert better_sign(name, **way) == -1
    for way in (dict(mode='max'), dict(comp=np.greater)): assert better_sign(name, **way) == 1

def mse(preds, targs): return ((preds - targs)**2).mean()
def beauty(preds, targs): return -mse(preds, targs)
def two_labels(**kwargs): return learner(mnist_loss, 1, lr=.5, metrics=[mse, beauty], **kwargs)

@pytest.mark.parametrize('monitor, way', [('mse', {}), ('beauty', dict(mode='max')),
                                          ('beauty', dict(comp=lambda a, b: a > b))])
def test_best_and_early_stopping_know_the_way(monitor, way, tmp_path, capsys):
    class Planned(Callback): # the first epochs get better, the later ones worse
        order = 55
        def after_epoch(self): self.recorder.values[-1] = [9., 9., m := abs(self.epoch - 2.), -m]
    learn = two_labels(cbs=Planned)
    learn.fit(9, cbs=[CheckpointCallback(tmp_path, monitor=monitor, **way),
                      EarlyStoppingCallback(monitor, patience=3, **way)])
    assert len(learn.recorder.values) == 6
    assert load_tensors(tmp_path/'best.safetensors')[1]['metrics']['mse'] == 0

@pytest.mark.parametrize('make', [EarlyStoppingCallback, lambda monitor: CheckpointCallback('x', monitor=monitor)])
def test_nobody_guesses_the_way(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="Its name does not tell: say mode='max'"):
        two_labels().fit(1, cbs=make('beauty'))
    with pytest.raises(ValueError, match='expected'): two_labels().fit(1, cbs=make('beuaty'))
    with pytest.raises(ValueError, match='unknown mode'): better_sign('mse', 'less')

def test_images_from_0_to_255_are_not_taken_for_0_to_1(tmp_path):
    x, y = torch.rand(60, 28, 28), torch.arange(60)%3
    with pytest.raises(ValueError, match='train: pixels are floats from .* to 25.*, where 0 .* to 1 .* are meant'):
        Digits((255*x, y), (x, y), 'abc', 'noise')
    with pytest.raises(ValueError, match='valid: pixels are floats'): Digits((x, y), (x - .5, y), 'abc', 'noise')
    digits = get_digits(source=((255*x, y), (255*x, y))) # it knows the scale
    assert .99 < digits.train.x.max() <= 1
    learn = Learner(DataLoaders.from_digits(digits, 32), mlp((784, 8, 3)), cross_entropy)
    learn.remove_cb(ProgressCallback)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        learn.fit(1)
    model = load_digits_model(learn.save(tmp_path/'model'))
    for ask in (learn.predict, model.predict):
        with pytest.raises(ValueError, match='must be from 0 to 1'): ask(255*x[0])
    for flat in (True, False):
        images = (255*x).flatten(1) if flat else 255*x
        dls = DataLoaders(DataLoader((images, y), 32))
        learn = Learner(dls, nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), cross_entropy)
        learn.remove_cb(ProgressCallback)
        with pytest.warns(UserWarning, match='the images to learn from go from .* to 25.*, where 0 to 1 is usual'):
            learn.fit(1)

def test_targets_of_another_shape_give_no_number():
    scores, y = torch.randn(6, 3), torch.arange(6)%3
    probs, column = softmax(scores), (torch.arange(6)%3)[:, None]
    for f in (accuracy, cross_entropy, confusion_matrix):
        with pytest.raises(ValueError, match=r'labels \[n\], got \[6, 3\] and torch.int64 \[6, 1\]'): f(scores, column)
    for f in (top_losses, calibration, sure_from, calibration_facts):
        f(probs, y)
        with pytest.raises(ValueError, match=r'labels \[n\], got \[6, 3\] and torch.int64 \[6, 1\]'): f(probs, column)
    for f in (mnist_loss, batch_accuracy, mse_of_the_course):
        with pytest.raises(ValueError, match='same shape'): f(scores[:, :1], y)

def mse_of_the_course(*args):
    from fastsgd.sgd_steps import mse
    return mse(*args)

def test_fastais_metrics_of_a_column_of_labels():
    vision = pytest.importorskip('fastai.metrics')
    learn = learner(cross_entropy, metrics=[vision.accuracy, vision.error_rate])
    right, wrong = learn.validate()[1:]
    x, y = learn.dls.valid.tensors
    learn.loss_func = lambda p, t: cross_entropy(p, t[:, 0])
    assert learn.validate(dl=DataLoader((x, y[:, None]), 32))[1:] == pytest.approx([right, wrong])
    assert right + wrong == pytest.approx(1)

def test_arrays_pair_up():
    x, y = torch.rand(70, 784), torch.arange(70)%3
    for data in ((x.numpy(), y.numpy()), (x, y.numpy()), (x.numpy(), y.tolist()), (x.numpy()[::-1][::-1], y)):
        dl = DataLoader(data, 32)
        assert dl.n == 70 and len(dl) == 3
        for got, right in zip(dl, DataLoader((x, y), 32)):
            assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(got, right))
    learn = Learner(DataLoaders(DataLoader((x.numpy(), y.numpy()), 32, shuffle=True)), nn.Linear(784, 3), cross_entropy)
    learn.remove_cb(ProgressCallback)
    learn.fit(1)
    with pytest.raises(ValueError, match='equal length'): DataLoader((x.numpy(), y.numpy()[1:]))
    with pytest.raises(TypeError, match='no tensor can be made'): DataLoader((x.numpy(), ['a']*70))
    assert len(DataLoader(((1., 2), (3., 4), (5., 6)), 2)) == 2 # pairs are items

class Named(torch.utils.data.Dataset):
    def __init__(self, n): self.x, self.y = torch.rand(n, 4), torch.arange(n)%3
    def __len__(self): return len(self.y)
    def __getitem__(self, i): return {'image': self.x[i], 'label': self.y[i]}

class OfNames(Callback):
    def predict_batch(self): self.learn.pred = self.model(self.batch['image'])
    def get_loss(self): self.learn.loss = cross_entropy(self.pred, self.batch['label'])

class NamedLearner(Learner):
    def predict_batch(self):
        self.pred = self.model(self.batch['image'])
        self.yb = self.batch['label'], # for metrics
    def get_loss(self): self.loss = self.loss_func(self.pred, *self.yb)

@pytest.mark.parametrize('loader', [DataLoader, torch.utils.data.DataLoader])
def test_batches_that_are_dictionaries(loader, capsys):
    data = Named(50)
    for make in (lambda *args: Learner(*args, cbs=OfNames), lambda *args: NamedLearner(*args, metrics=accuracy)):
        torch.manual_seed(0)
        learn = make(DataLoaders(loader(data, 32), loader(data, 32)), nn.Linear(4, 3), cross_entropy)
        torch.manual_seed(0)
        dls = DataLoaders(*[DataLoader((data.x, data.y), 32)]*2)
        plain = Learner(dls, nn.Linear(4, 3), cross_entropy, metrics=accuracy)
        plain.model.load_state_dict(learn.model.state_dict())
        for o in (plain, learn): o.fit(2)
        assert learn.final_record == pytest.approx(plain.final_record[:len(learn.final_record)])
        torch.testing.assert_close(learn.get_preds()[0], plain.get_preds()[0])
        assert '32 × 3' in learn.summary() and '32 × 3' in plain.summary()
    class Half(Callback):
        def predict_batch(self): self.learn.pred = self.model(self.batch['image'])
    for cbs in (None, Half):
        learn = Learner(DataLoaders(loader(data, 32)), nn.Linear(4, 3), cross_entropy, cbs=cbs)
        with pytest.raises(TypeError, match='dictionaries of image, label: replace predict_batch and get_loss'):
            learn.fit(1)

def test_means_and_images_of_two_scales_are_not_compared():
    x, y = torch.rand(10, 28, 28), torch.arange(10)%2
    for fitted, asked in ((x, x*255), (x*255, x), (x, (x*255).byte())):
        with pytest.raises(ValueError, match='one scale'): PixelSimilarity().fit(fitted, y).predict(asked)
    assert (PixelSimilarity().fit(x*255, y).predict(x*255) == PixelSimilarity().fit(x, y).predict(x)).all()
