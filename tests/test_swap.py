"Code written for fastai runs with our names on top; whatever fastai is installed"
import contextlib, io, json, random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
import fastsgd.all as ours
from fastsgd.all import DataLoaders, Learner, batch_accuracy, get_digits, mnist_loss, simple_net

pytestmark = pytest.mark.filterwarnings('ignore')    # of fastai's imports
nbs = Path(__file__).parent.parent/'nbs'

@pytest.fixture(scope='module')
def f():
    import fastai.callback.all, fastai.vision.all
    import matplotlib
    matplotlib.use('Agg')
    return fastai.vision.all

def quiet(learn, how, *args, **kwargs):
    with learn.no_bar(), learn.no_logging(): return getattr(learn, how)(*args, **kwargs)
def weights(learn): return torch.cat([p.detach().flatten() for p in learn.model.parameters()])
def get_learner(**kwargs):
    torch.manual_seed(42)
    dls = DataLoaders.from_digits(get_digits(labels=(3, 7), source='mnist_5k'), 32, seed=42)
    return Learner(dls, simple_net(), mnist_loss, **{'lr': 0.1, 'metrics': batch_accuracy, **kwargs})
def split(model): return [model[0].parameters(), model[2].parameters()]

# --- the table of the notebook -----------------------------------------------------------------------

@pytest.mark.skipif(not nbs.is_dir(), reason='only the installed package is here')
def test_the_table_of_the_notebook(f, capsys):
    "On whatever fastai is installed, the one that the notebooks aren't run with too"
    cells = [c for c in json.loads((nbs/'16_fastai_learner.ipynb').read_text(encoding='utf-8'))['cells']]
    code = [''.join(c['source']) for c in cells if 'swap' in c['metadata'].get('tags', ())]
    names = {'__name__': 'table', 'Markdown': str}
    names['capture_output'] = lambda: contextlib.redirect_stdout(io.StringIO())
    exec('''
import matplotlib.pyplot as plt, torch
from functools import partial
import fastai.learner, fastai.optimizer, fastai.vision.all, fastsgd.all
from fastcore.test import *
from torch import nn, tensor
from fastsgd.all import *''', names)
    for cell in code: exec(cell, names)
    n = len(names['table'])
    assert f'{n} of {n} calls give the same' in capsys.readouterr().out and n > 100

# --- fastai's own test helper --------------------------------------------------------------------------

cbs = {
    'none': lambda f: None, 'stopping': lambda f: f.EarlyStoppingCallback(patience=2),
    'best': lambda f: f.SaveModelCallback(with_opt=True), 'plateau': lambda f: f.ReduceLROnPlateau(min_delta=5.),
    'nan': lambda f: f.TerminateOnNaNCallback(), 'tracker': lambda f: f.TrackerCallback(),
    'schedule': lambda f: f.ParamScheduler({'lr': f.SchedLin(1e-2, 1e-3)}),
    'short': lambda f: f.ShortEpochCallback(0.3, short_valid=False), 'accumulate': lambda f: f.GradientAccumulation(32),
    'clip': lambda f: f.GradientClip(0.1), 'bn': lambda f: f.BnFreeze(), 'csv': lambda f: f.CSVLogger(),
    'mixup': lambda f: f.MixUp(), 'fp16': lambda f: f.MixedPrecision(), 'channels': lambda f: f.ChannelsLast(),
    'data': lambda f: f.CollectDataCallback(), 'stats': lambda f: f.ActivationStats(modules=[nn.Identity()]),
    'fetch': lambda f: f.FetchPredsCallback(), 'dropout': lambda f: f.MCDropoutCallback(),
    'skip': lambda f: f.SkipToEpoch(1), 'graph': lambda f: f.ShowGraphCallback(),
    'our stopping': lambda f: ours.EarlyStoppingCallback(patience=2), 'our clip': lambda f: ours.GradientClip(0.1),
    'our schedule': lambda f: ours.ParamScheduler({'lr': ours.sched_cos(1e-2, 1e-3)}),
    'our nan': lambda f: ours.TerminateOnNaNCallback()}

@pytest.mark.parametrize('name', cbs)
def test_synth_learner_with_our_learner_in_its_place(f, name, monkeypatch, tmp_path):
    import fastai.test_utils as helpers
    done = []
    for kind in (Learner, f.Learner):
        monkeypatch.setattr(helpers, 'Learner', kind)
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        learn = helpers.synth_learner(lr=1e-2, path=tmp_path)
        if name != 'graph': quiet(learn, 'fit', 4, cbs=cbs[name](f))
        else:
            with contextlib.redirect_stdout(io.StringIO()): learn.fit(4, cbs=cbs[name](f))
        done.append([weights(learn), quiet(learn, 'get_preds', with_decoded=True), quiet(learn, 'validate')])
    for a, b in zip(done[0][1], done[1][1]): torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    for i in (0, 2): torch.testing.assert_close(*(torch.as_tensor(d[i]) for d in done), atol=1e-5, rtol=0)

# --- bad input -----------------------------------------------------------------------------------------

def test_a_callback_that_needs_what_is_not_there_says_so_at_the_start(f):
    class Splits(f.Callback):
        def after_epoch(self): self.learn._split(self.xb)
    class Sums(f.Callback):
        def after_epoch(self): self.opt.all_params()
    for cb, opt_func, said in ((Splits, ours.SGD, '_split'), (Sums, torch.optim.AdamW, 'opt.all_params'),
                               (f.ReduceLROnPlateau, torch.optim.AdamW, 'opt.hypers')):
        learn = get_learner(opt_func=opt_func)
        before = weights(learn)
        with pytest.raises(TypeError, match=f'{cb.__name__} needs {said}'): quiet(learn, 'fit', 1, cbs=cb())
        assert weights(learn).equal(before)
    quiet(get_learner(opt_func=f.Adam), 'fit', 1, cbs=[f.ReduceLROnPlateau(), Sums()])
    with pytest.raises(ValueError, match='needs no LRFinder'): quiet(learn, 'fit', 1, cbs=f.LRFinder())

def test_groups_that_cannot_be(f):
    with pytest.warns(UserWarning, match='one group of parameters, so fine_tune freezes nothing'):
        quiet(get_learner(), 'fine_tune', 1)
    with pytest.raises(ValueError, match='the splitter leaves out 2.weight, 2.bias'):
        quiet(get_learner(splitter=lambda m: [m[0].parameters()]), 'fit', 1)
    quiet(get_learner(splitter=f.trainable_params), 'fit', 1)
    for lr in ([0.1, 0.2, 0.3], np.array([1., 2, 3])):
        for how in ('fit', 'fit_one_cycle', 'fit_flat_cos'):
            with pytest.raises(ValueError, match='3 values of lr for 2 parameter groups'):
                quiet(get_learner(splitter=split), how, 1, lr)
    for n in (3, -3):
        with pytest.raises(ValueError, match=f'groups from {n} on cannot be trained: there are 2'):
            get_learner(splitter=split).freeze_to(n)

def test_frozen_parameters_are_not_moved_and_nothing_is_made_anew(f, recwarn):
    for opt_func in (partial(ours.SGD, mom=0.9, wd=0.1), torch.optim.AdamW, f.Adam):
        learn = get_learner(splitter=split, opt_func=opt_func)
        learn.freeze()
        before, opt = learn.model[0].weight.clone(), learn.opt
        for reset in (False, True):
            quiet(learn, 'fit_one_cycle', 1, slice(1e-3), reset_opt=reset)
            assert learn.model[0].weight.equal(before) and (learn.opt is opt) is not reset
            assert len(learn.opt.param_groups) == 2
    assert not [w for w in recwarn if 'made anew' in str(w.message)]

def test_no_pickle_is_written_or_read(f, tmp_path):
    learn = get_learner(path=tmp_path)
    assert learn.export() == tmp_path/'export.safetensors' and learn.export('digits.pkl').suffix == '.safetensors'
    assert weights(get_learner().load(tmp_path/'export')).equal(weights(learn))
    with pytest.raises(ValueError, match='a pickle, which can run any code. Make the Learner anew'):
        ours.load_learner('export.pkl')
    with pytest.raises(ValueError, match='pickles are not written'): learn.get_preds(save_preds=tmp_path)

# --- lessons: the same cells, with one import or with both ---------------------------------------------

from_scratch = '''
dset = list(zip(x, y))
valid_dset = list(zip(vx, vy))
dls = DataLoaders(DataLoader(dset, batch_size=64), DataLoader(valid_dset, batch_size=64))
def loss_func(preds, targs):
    preds = preds.sigmoid()
    return torch.where(targs == 1, 1 - preds, preds).mean()
def right(xb, yb): return ((xb.sigmoid() > 0.5) == yb).float().mean()
learn = Learner(dls, nn.Linear(28*28, 1), opt_func=SGD, loss_func=loss_func, metrics=right)
learn.fit(4, lr=1.)
first = learn.recorder.values[-1][2]
set_seed(2)
net = nn.Sequential(nn.Linear(28*28, 30), nn.ReLU(), nn.Linear(30, 1))
learn = Learner(dls, net, opt_func=SGD, loss_func=loss_func, metrics=right)
learn.fit(8, 0.1)
result = [first, learn.recorder.values[-1][2], learn.validate()]
'''
table = '''
dls = TabularPandas(frame, splits=RandomSplitter(seed=1)(frame), procs=[Categorify, Normalize],
                    cat_names=['sex', 'deck'], cont_names=['age', 'fare'], y_names='lived',
                    y_block=CategoryBlock()).dataloaders(bs=32, num_workers=0)
class Net(nn.Module):
    def __init__(self, n_cats, n_conts):
        super().__init__()
        self.embeds = nn.ModuleList([nn.Embedding(n, 3) for n in n_cats])
        self.layers = nn.Sequential(nn.Linear(3*len(n_cats) + n_conts, 20), nn.ReLU(), nn.Linear(20, 2))
    def forward(self, cats, conts):
        return self.layers(torch.cat([*[e(cats[:, i]) for i, e in enumerate(self.embeds)], conts], 1))
learn = Learner(dls, Net([len(dls.classes[c]) for c in dls.cat_names], len(dls.cont_names)),
                loss_func=CrossEntropyLossFlat(), opt_func=Adam, lr=1e-2, metrics=error_rate)
learn.fit_one_cycle(4, 1e-2)
last = list(learn.recorder.values[-1][1:])
(cats, conts), preds, targs, answers = learn.get_preds(with_input=True, with_decoded=True)
result = [last, preds, targs, answers, cats.shape, conts]
'''
images = '''
block = DataBlock((ImageBlock, CategoryBlock), get_items=get_image_files, splitter=RandomSplitter(0.25, seed=1),
                  get_y=parent_label, item_tfms=Resize(24), batch_tfms=aug_transforms(size=24))
dls = block.dataloaders(path, bs=8, num_workers=0)
learn = vision_learner(dls, arch, pretrained=False, metrics=error_rate)
learn.fine_tune(3, 1e-2)
last = list(learn.recorder.values[-1][1:])
interp = ClassificationInterpretation.from_learner(learn)
name, place, probs = learn.predict(sorted(path.glob('*/*.png'))[0])
learn.show_results(max_n=4)
interp.plot_top_losses(4)
result = [last, interp.confusion_matrix(), place, probs, list(dls.vocab).index(name),
          learn.tta()[0]]
'''

def draw(folder, n=20, size=24):
    "Discs and squares, in two folders"
    for i in range(n):
        rng = np.random.default_rng(i)
        y, x = np.mgrid[:size, :size] - size//2
        for kind, inside in (('disc', x**2 + y**2 < 60), ('square', np.maximum(abs(x), abs(y)) < 4)):
            image = np.where(inside[..., None], rng.integers(150, 255, 3), rng.integers(0, 90, 3))
            (folder/kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.astype(np.uint8)).save(folder/kind/f'{i}.png')
    return folder

def people(n=200):
    import pandas as pd
    rng = np.random.default_rng(1)
    sex, age = rng.choice(['f', 'm'], n), rng.normal(40, 12, n)
    lived = (sex == 'f') ^ (rng.random(n) < 0.1)
    return pd.DataFrame({'sex': sex, 'deck': rng.choice([*'abc'], n), 'age': age, 'fare': rng.exponential(30, n),
                         'lived': lived*1})

def arch(pretrained=False):
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
                         nn.Flatten(), nn.Linear(32, 2))

@pytest.mark.parametrize('cells', (from_scratch, table, images), ids=('from_scratch', 'table', 'images'))
def test_a_lesson_with_the_import_swapped(f, cells, tmp_path):
    results = []
    for swapped in (True, False):
        digits = get_digits(labels=(3, 7), source='mnist_5k')
        (x, y), (vx, vy) = [(s.x.flatten(1), (s.y == 0).float()[:, None]) for s in (digits.train, digits.valid)]
        names = {'__name__': 'lesson', 'x': x, 'y': y, 'vx': vx, 'vy': vy, 'arch': arch, 'frame': people(),
                 'path': draw(tmp_path/'pictures')}
        exec('from fastai.tabular.all import *\nfrom fastai.vision.all import *\n'
             + 'from fastsgd.all import *'*swapped, names)
        assert (names['Learner'] is Learner) is swapped
        names['set_seed'](1)
        with contextlib.redirect_stdout(io.StringIO()): exec(cells, names)
        assert isinstance(names['learn'], Learner) is swapped
        results.append(names['result'])
    for a, b in zip(*results):
        a, b = (torch.as_tensor(np.array(o), dtype=torch.float64) for o in (a, b))
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    if cells is from_scratch: assert results[0][1] > 0.95

def test_rates_of_groups_go_on_in_a_resumed_run(tmp_path):
    def learner(seen, stop=None):
        class See(ours.Callback):
            order = 200
            def before_step(self): seen.append([g['lr'] for g in self.opt.param_groups])
            def after_epoch(self):
                if self.epoch == stop: raise ours.CancelFitException
        torch.manual_seed(0)
        data = torch.rand(40, 784), torch.arange(40) % 10
        dls = DataLoaders(*[ours.DataLoader(data, 8)]*2)
        def halves(model): return [[*model[0].parameters()], [*model[2].parameters()]]
        return Learner(dls, simple_net(n_out=10), ours.cross_entropy, splitter=halves, cbs=See)
    def fit(learn):
        cbs = ours.CheckpointCallback(tmp_path, resume=True)
        with learn.no_bar(): learn.fit_one_cycle(3, slice(1e-4, 1e-1), cbs=cbs)
    fit(learner(first := [], stop=0))
    fit(learner(then := []))
    assert len(first) == 5 and len(then) == 10
    for low, high in first + then: assert low == pytest.approx(high*1e-3)

def test_changes_at_test_time_are_made_each_time():
    x, changed = torch.rand(20, 784), []
    def change(batch): changed.append(1); return batch
    dls = DataLoaders(*[ours.DataLoader((x, (x[:, :1] > 0.5).float()), 20)]*2)
    learn = Learner(dls, simple_net(), mnist_loss)
    with learn.no_bar(): preds, targs = learn.tta(n=4, batch_tfms=change)
    assert len(changed) == 4 and len(preds) == 20
