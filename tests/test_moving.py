"Figures that move: their pages in a browser, by mouse and by keyboard, and their numbers beside the package's"
import json
from pathlib import Path

import pytest
import torch
from torch import tensor

from fastsgd import losses
from fastsgd.data.digits import get_digits
from fastsgd.data.moving import moving_figure
from fastsgd.descent import descend
from fastsgd.linear import linear1, pr_eight
from fastsgd.models import simple_net
from fastsgd.sgd_steps import apply_step, mse
from fastsgd.training import SGD

plt = pytest.importorskip('matplotlib.pyplot')
nbs = Path(__file__).parent.parent/'nbs'

def figure(name, **data): return moving_figure(name, plt.figure(figsize=(2, 1)), **data)

@pytest.fixture
def show(visit, tmp_path):
    "Opens a figure as a file"
    def opened(fig, **kwargs):
        fig.save(file := tmp_path/f'{fig.name}.html')
        return visit(file, **kwargs)
    return opened

def close(a, b, eps=1e-6):
    a, b = (torch.as_tensor(o, dtype=torch.float64) for o in (a, b))
    assert a.shape == b.shape and ((a - b).abs() <= eps*(1 + b.abs())).all(), f'{a} and {b}'

def until(page, what, seconds=5):
    "Wait until the expression `what` is true (`wait_for_function` is forbidden by the page's own policy)"
    for _ in range(int(seconds*20)):
        if page.evaluate(what): return
        page.wait_for_timeout(50)
    raise AssertionError(f'after {seconds} s still not: {what}')

def says(page): return page.locator('.says').inner_text()

# --- any figure ------------------------------------------------------------------------------------

parabola = dict(lowest=1.5, height=0.5, curvature=2, start=-1., lr=0.3)
valley = dict(curvatures=(1, 4), start=(-2.5, 1.5), lr=0.3)

def test_a_page_can_load_nothing(browser, tmp_path):
    file = tmp_path/'page.html'
    figure('valley', **valley).save(file)
    page = browser.new_page()
    page.goto(file.as_uri())
    tries = '''fetch('https://example.org').then(() => 'loaded', () => 'refused')'''
    assert page.evaluate(tries) == 'refused'
    page.close()

# VS Code shows notebooks in a page of this policy, which a frame of `srcdoc` inherits
of_vs_code = ("default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
              "img-src https: data:; child-src https: data:")

@pytest.mark.parametrize('policy', ('', of_vs_code))
@pytest.mark.parametrize('color', ('rgb(255, 255, 255)', 'rgb(20, 20, 24)'))
def test_in_a_notebook_it_takes_the_place_of_its_still_picture(browser, policy, color):
    fig = figure('valley', **valley)
    pixel = f'<img src="data:image/png;base64,{fig.still}">'
    child = '<div class="child"><div class="prompt"></div><div class="output">{}</div></div>'
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ''
    page = browser.new_page(viewport=dict(width=900, height=700))
    page.set_content(f'<html><head>{head}</head><body style="background:{color}"><div class="area">'
                     f'{child.format(pixel)}</div><div class="area">{child.format(pixel)}{child.format(fig.html())}'
                     '</div></body></html>')
    page.wait_for_selector('iframe[data-on=runs]')
    assert [o.is_visible() for o in page.locator('img').all()] == [True, False] # that of the cell before stays
    frame, element = page.frames[1], page.locator('iframe')
    frame.wait_for_selector('button')
    until(page, 'Math.abs(document.querySelector("iframe").offsetHeight - 600) > 20')
    height = frame.evaluate('document.querySelector("main").getBoundingClientRect().height')
    assert abs(element.bounding_box()['height'] - height) < 5
    frame.wait_for_selector(f'html[data-theme={"dark" if color == "rgb(20, 20, 24)" else "light"}]', state='attached')
    assert 'em>' in fig.html() and not page.locator('em').is_visible()
    frame.get_by_role('button', name='Step').click()
    assert '1 step:' in frame.locator('.says').inner_text()
    page.close()

def test_without_scripts_the_still_picture_stays(browser):
    fig = figure('valley', **valley)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(f'<img id="still" src="data:image/png;base64,{fig.still}">{fig.html()}')
    assert page.locator('#still').is_visible() and page.locator('em').is_visible()
    context.close()

@pytest.mark.skipif(not nbs.is_dir(), reason='only the installed package is here')
def test_in_the_notebooks_each_figure_follows_its_still_picture():
    found = 0
    for path in nbs.rglob('*.ipynb'):
        for c in json.loads(path.read_text(encoding='utf-8'))['cells']:
            outputs = [o.get('data', {}) for o in c.get('outputs', ())]
            for i, o in enumerate(outputs):
                if not ''.join(o.get('text/plain', '')).startswith('MovingFigure('): continue
                assert 'image/png' not in o and 'image/png' in outputs[i - 1] and i > 0, path.name
                assert len(''.join(o['text/html'])) <= 100_000
                found += 1
    assert found

# --- walks downhill --------------------------------------------------------------------------------

def test_parabola_is_that_of_the_story(show):
    page = show(figure('parabola', **parabola))
    def loss_1d(w): return (w - 1.5)**2 + 0.5
    ws = torch.linspace(-4, 7, 23, dtype=torch.float64).requires_grad_()
    close(page.evaluate('ws => ws.map(figure.loss)', ws.tolist()), loss_1d(ws).detach())
    close(page.evaluate('ws => ws.map(figure.slope)', ws.tolist()), torch.autograd.grad(loss_1d(ws).sum(), ws)[0])
    for lr in (0.02, 0.3, 0.95, 1.05):
        ours = descend(loss_1d, tensor(-1., dtype=torch.float64), lr, 10)
        close(page.evaluate(f'figure.descend(-1, {lr}, 10)'), ours)

def test_valley_is_that_of_the_story(show):
    page = show(figure('valley', **valley))
    def loss_2d(w): return 0.5*w[0]**2 + 2*w[1]**2
    for p in torch.randn(10, 2, dtype=torch.float64, generator=torch.manual_seed(0)):
        p.requires_grad_()
        close(page.evaluate('p => figure.loss(p)', p.tolist()), loss_2d(p).detach())
        close(page.evaluate('p => figure.gradient(p)', p.tolist()), torch.autograd.grad(loss_2d(p), p)[0])
    for lr in (0.05, 0.3, 0.49, 0.51):
        ours = descend(loss_2d, tensor([-2.5, 1.5], dtype=torch.float64), lr, 10)
        close(page.evaluate(f'figure.descend([-2.5, 1.5], {lr}, 10)'), ours)

@pytest.mark.parametrize('name, data', (('parabola', parabola), ('valley', valley)))
def test_walks_by_mouse_and_by_keyboard(show, name, data):
    page = show(figure(name, **data))
    ball, rate = page.locator('circle.handle'), page.get_by_label('learning rate')
    def path(): return page.evaluate('figure.path')
    first = path()[0]
    box = ball.bounding_box()
    x, y = box['x'] + box['width']/2, box['y'] + box['height']/2
    page.mouse.move(x, y); page.mouse.down(); page.mouse.move(x + 60, y + 20, steps=4); page.mouse.up()
    dragged = path()[0]
    assert dragged != first and len(path()) == 1
    ball.focus(); page.keyboard.press('ArrowLeft')
    assert path()[0] != dragged and 'loss' in ball.get_attribute('aria-valuetext')
    rate.focus(); page.keyboard.press('ArrowRight')
    assert page.evaluate('figure.lr') == pytest.approx(data['lr'] + 0.01)
    page.get_by_role('button', name='Step').focus()
    for _ in range(3): page.keyboard.press('Enter')
    assert len(path()) == 4 and says(page).startswith('3 steps')
    page.get_by_role('button', name='Run').click()
    until(page, 'figure.path.length > 5')
    page.get_by_role('button', name='Stop').click()
    page.get_by_role('button', name='Back').click()
    assert len(path()) == 1
    until(page, 'document.querySelector("[role=status]").textContent.startsWith("0 steps")')

def test_where_motion_is_not_wanted_a_run_ends_at_once(show):
    page = show(figure('parabola', **parabola), reduced_motion='reduce')
    page.get_by_role('button', name='Run').click()
    assert 'lowest point' in says(page) and page.get_by_role('button', name='Run').is_visible()

def test_every_control_has_a_name(show):
    page = show(figure('valley', **valley), width=400)
    assert page.evaluate('document.documentElement.scrollWidth') <= 400
    for o in page.locator('[tabindex], button, input').all():
        assert o.get_attribute('aria-label') or o.inner_text() or o.locator('xpath=ancestor::label').count()

# --- scores and losses -----------------------------------------------------------------------------

@pytest.fixture(scope='session')
def threes_and_sevens():
    "40 images, their targets, and random weights"
    digits = get_digits(labels=(3, 7), source='mnist_5k')
    some = torch.randperm(len(digits.train.y), generator=torch.manual_seed(0))[:40]
    weights = torch.randn(784, 1, generator=torch.manual_seed(1))*0.05
    return digits.train.x[some], (digits.train.y[some] == 0).float(), weights

@pytest.fixture
def sigmoid_data(threes_and_sevens):
    x, y, weights = (o[:8] for o in threes_and_sevens)
    return dict(images=x, scores=x.flatten(1) @ threes_and_sevens[2][:, 0], targets=y, names=('3', '7'))

@pytest.fixture
def one_weight_data(threes_and_sevens):
    x, y, weights = threes_and_sevens
    return dict(images=x, targets=y, weights=weights[:, 0], bias=0.25, place=10*28 + 14, names=('3', '7'))

def test_sigmoid_and_loss_are_those_of_the_package(show, sigmoid_data):
    page = show(figure('sigmoid', **sigmoid_data))
    s = torch.cat([torch.linspace(-9, 9, 41), tensor([-1000., 1000.])]).double()
    close(page.evaluate('s => s.map(figure.sigmoid)', s.tolist()), losses.sigmoid(s))
    targets = (torch.arange(len(s)) % 3 == 0).double()
    for js, py in (('loss', losses.mnist_loss), ('accuracy', losses.batch_accuracy)):
        close(page.evaluate(f'([s, t]) => figure.{js}(s, t)', [s.tolist(), targets.tolist()]), py(s, targets))
    close(page.evaluate('figure.current'), losses.mnist_loss(sigmoid_data['scores'], sigmoid_data['targets']))

def test_images_slide_along_the_sigmoid(show, sigmoid_data):
    page = show(figure('sigmoid', **sigmoid_data))
    token, before = page.locator('.token').nth(2), page.evaluate('figure.now()')
    token.focus(); page.keyboard.press('PageUp')
    after = page.evaluate('figure.now()')
    assert after[2] == pytest.approx(before[2] + 1, abs=0.06) and after[3:] == before[3:]
    box = token.bounding_box()
    page.mouse.move(box['x'] + 3, box['y'] + 3); page.mouse.down()
    page.mouse.move(box['x'] + 150, 300); page.mouse.up()
    assert page.evaluate('figure.now()')[2] > after[2] + 0.5
    page.get_by_label('add to all scores').focus(); page.keyboard.press('ArrowRight')
    assert page.evaluate('figure.now()')[0] == pytest.approx(before[0] + 0.1)
    page.get_by_role('button', name='Back').click()
    close(page.evaluate('figure.now()'), before)
    accuracy = page.evaluate('figure.accuracy(figure.now(), targets)')
    page.get_by_label('multiply').focus()
    for _ in range(20): page.keyboard.press('ArrowRight')
    now = page.evaluate('figure.now()')
    close(now, [10*s for s in before])
    assert page.evaluate('figure.accuracy(figure.now(), targets)') == accuracy

def test_text_can_not_leave_its_script(show, sigmoid_data):
    bad = '</script><script>document.title = "broken"</script><!--'
    page = show(figure('sigmoid', **sigmoid_data | {'names': (bad, '<img src=x>')}))
    assert page.title() != 'broken' and page.evaluate('data.names[0]') == bad and not page.locator('img').count()
    assert '</script><script>' in page.locator('.hint').inner_text()

def test_one_weight_moves_loss_and_accuracy_as_in_the_package(show, one_weight_data):
    d, page = one_weight_data, show(figure('one_weight', **one_weight_data))
    rows, y = d['images'].flatten(1).double(), d['targets'][:, None]
    for place in (d['place'], 500):
        for change in (-1.5, -0.01, 0., 0.3, 2.):
            w = d['weights'].double()[:, None].clone()
            w[place] += change
            scores = rows @ w + d['bias']
            close(page.evaluate(f'figure.lossWith({change}, {place})'), losses.mnist_loss(scores, y))
            close(page.evaluate(f'figure.accuracyWith({change}, {place})'), losses.batch_accuracy(scores, y))

def test_one_weight_by_mouse_and_by_keyboard(show, one_weight_data):
    page = show(figure('one_weight', **one_weight_data))
    page.get_by_label('change of the weight').focus()
    page.keyboard.press('ArrowRight')
    assert page.evaluate('figure.change') == 0.01
    page.get_by_role('application').focus()
    page.keyboard.press('ArrowDown'); page.keyboard.press('ArrowLeft')
    assert page.evaluate('[figure.place, figure.change]') == [11*28 + 13, 0]
    box = page.locator('.map canvas').bounding_box()
    page.mouse.click(box['x'] + box['width']*5.5/28, box['y'] + box['height']*1.5/28)
    assert page.evaluate('figure.place') == 28 + 5 and 'Row 1, column 5' in says(page)

# --- the roller coaster ----------------------------------------------------------------------------

@pytest.fixture(scope='session')
def roller_coaster_data():
    noise = torch.randn(20, generator=torch.manual_seed(42))*3
    time = torch.arange(0, 20).float()
    return dict(time=time, speed=0.75*(time - 9.5)**2 + 8 + noise, params=(0.3367, 0.1288, 0.2345), lr=(1e-5, 0.1))

def test_roller_coaster_descends_as_apply_step_does(show, roller_coaster_data):
    d, page = roller_coaster_data, show(figure('roller_coaster', **roller_coaster_data))
    time, speed = d['time'].double(), d['speed'].double()
    scaled = (time - time.mean())/time.std()
    def f(t, params): return params[0]*t**2 + params[1]*t + params[2]
    for name, t, lr in (('in seconds', time, 1e-5), ('scaled', scaled, 0.1)):
        close(page.evaluate(f'figure.kinds["{name}"].t'), t)
        params = torch.tensor(d['params'], dtype=torch.float64, requires_grad=True)
        path = page.evaluate(f'figure.descend(data.params, "{name}", {lr}, 10)')
        for p in path[:-1]:
            close(p, params.detach())
            slopes, = torch.autograd.grad(mse(f(t, params), speed), params)
            close(page.evaluate(f'p => figure.gradient(p, "{name}")', p), slopes)
            _, loss = apply_step(params, f, t, speed, lr)
            close(page.evaluate(f'p => figure.loss(p, "{name}")', p), loss)
        close(path[-1], params.detach())
        best = torch.linalg.lstsq(torch.stack([t**2, t, torch.ones_like(t)], 1), speed[:, None]).solution[:, 0]
        close(page.evaluate(f'figure.kinds["{name}"].best'), best)

def test_roller_coaster_by_hand_and_by_slopes(show, roller_coaster_data):
    page = show(figure('roller_coaster', **roller_coaster_data), reduced_motion='reduce')
    start = page.evaluate('figure.params')
    page.get_by_label('b', exact=True).focus(); page.keyboard.press('ArrowLeft')
    assert page.evaluate('figure.params')[1] < start[1]
    page.get_by_role('button', name='Back').click()
    close(page.evaluate('figure.params'), start)
    page.get_by_role('button', name='Run').click()
    assert page.evaluate('figure.taken') == 10000 and 'You can stop' not in says(page)
    page.get_by_role('button', name='scaled').focus(); page.keyboard.press('Enter')
    assert page.evaluate('figure.taken') == 0
    page.get_by_role('button', name='Step').click()
    page.get_by_role('button', name='Run').click()
    assert 20 < page.evaluate('figure.taken') < 200 and 'You can stop' in says(page)

# --- painting --------------------------------------------------------------------------------------

@pytest.fixture
def paint_data(threes_and_sevens):
    x, y, weights = threes_and_sevens
    better = dict(weights=x[y == 1].mean(0).flatten() - x[y == 0].mean(0).flatten(), bias=-1.5)
    return dict(images=x[:12], targets=y[:12] == 1, names=('3', '7'), learned={'mean 3 − mean 7': better})

def test_scores_of_painted_weights_are_those_of_pr_eight(show, paint_data):
    page, (better,) = show(figure('paint', **paint_data)), paint_data['learned'].values()
    rows = paint_data['images'].flatten(1).double()
    page.get_by_role('button', name='mean 3 − mean 7').click()
    scores = linear1(rows, better['weights'].double()[:, None], better['bias'])[:, 0]
    close(page.evaluate('figure.scores()'), scores)
    right = ((scores > 0) == paint_data['targets']).sum()
    assert says(page).startswith(f'{right} of 12 right')
    weights = torch.randn(784, generator=torch.manual_seed(0)).double()
    for row in rows[:3]:
        score = page.evaluate('([x, w]) => figure.prEight(x, w)', [row.tolist(), weights.tolist()])
        close(score, pr_eight(row, weights))

def test_paint_by_mouse_and_by_keyboard(show, paint_data):
    page = show(figure('paint', **paint_data))
    def weight(r, c): return page.evaluate('figure.weights')[r*28 + c]
    box = page.locator('.map canvas').bounding_box()
    def at(r, c): return box['x'] + box['width']*(c + 0.5)/28, box['y'] + box['height']*(r + 0.5)/28
    page.mouse.move(*at(5, 5)); page.mouse.down(); page.mouse.move(*at(5, 15)); page.mouse.up()
    assert [weight(5, c) for c in (4, 5, 10, 15, 16, 18)] == [0.5, 1, 1, 1, 0.5, 0]   # no gap, however quick
    page.get_by_role('button', name='red').focus(); page.keyboard.press('Enter')
    page.get_by_role('application').focus()
    for key in ('ArrowDown', 'ArrowDown', 'ArrowRight', 'Space'): page.keyboard.press(key)
    assert weight(7, 16) == -1 and weight(5, 15) == 1
    page.get_by_label('bias').focus(); page.keyboard.press('ArrowRight')
    assert page.evaluate('figure.bias') == 0.5
    page.get_by_role('button', name='Clear').click()
    assert set(page.evaluate('figure.weights')) == {0} and says(page).startswith('0 of 12')

# --- the film --------------------------------------------------------------------------------------

@pytest.fixture(scope='session')
def film_data(threes_and_sevens):
    x, y, weights = threes_and_sevens
    changes = torch.randn(6, 784, generator=torch.manual_seed(2)).cumsum(0)*0.1
    changes[0] = 0
    scores = (weights[:, 0] + changes) @ x.flatten(1).T
    loss, accuracy = ([f(s, y).item() for s in scores] for f in (losses.mnist_loss, losses.batch_accuracy))
    return dict(steps=[0, 1, 2, 5, 10, 20], changes=changes, loss=loss, accuracy=accuracy, scores=scores[:, :20],
                images=x[:20], targets=y[:20], names=('3', '7'), total=40)

def test_film_shows_what_was_recorded(show, film_data):
    d, page = film_data, show(figure('film', **film_data))
    close(page.evaluate('data.loss'), d['loss'])
    close(page.evaluate('data.scores.map(s => Array.from(s))'), d['scores'])
    close(page.evaluate('data.images.map(i => Array.from(flatten(i)))'), d['images'].flatten(1))
    half_a_level = d['changes'].abs().max()/255
    close(page.evaluate('data.changes.map(s => Array.from(s))'), d['changes'], eps=half_a_level)
    for t, scores in enumerate(d['scores']):
        assert page.evaluate(f'figure.wrongAt({t})') == ((scores > 0) != (d['targets'] == 1)).tolist()

def test_film_by_keyboard_and_played(show, film_data):
    page = show(figure('film', **film_data))
    page.get_by_label('step', exact=True).focus()
    page.keyboard.press('ArrowRight'); page.keyboard.press('ArrowRight')
    wrong = round(40*(1 - film_data['accuracy'][2]))
    assert page.evaluate('figure.frame') == 2 and 'After 2 steps' in says(page) and f'{wrong} of 40' in says(page)
    assert page.locator('canvas.wrong').count() == sum(page.evaluate('figure.wrongAt(2)'))
    page.get_by_role('button', name='Play').click()
    until(page, 'figure.frame === 5')
    until(page, 'running === null')
    page.get_by_role('button', name='Play').click()
    until(page, 'figure.frame === 1')
    page.get_by_role('button', name='Stop').click()
    page.get_by_role('button', name='Back').click()
    assert page.evaluate('figure.frame') == 0 and page.get_by_label('step', exact=True).input_value() == '0'

# --- the border ------------------------------------------------------------------------------------

@pytest.fixture(scope='session')
def border_data():
    points = torch.randn(60, 2, generator=torch.manual_seed(3))
    return dict(points=points, targets=(points.norm(dim=1) < 1).float(), hidden=0, lr=3.)

def in_javascript(model):
    "The parameters of linear layers, or their gradients, as the figure has them"
    params = list(model)
    return [dict(w=w.flatten().tolist(), b=b.tolist()) for w, b in zip(params[::2], params[1::2])]

def numbers(net): return [v for layer in net for v in (*layer['w'], *layer['b'])]

@pytest.mark.parametrize('hidden', (0, 1, 5))
def test_border_learns_as_the_package_does(show, border_data, hidden):
    page = show(figure('border', **border_data))
    torch.manual_seed(0)
    model = (simple_net(2, hidden, 1) if hidden else torch.nn.Linear(2, 1)).double()
    x, y, params = border_data['points'].double(), border_data['targets'][:, None].double(), list(model.parameters())
    opt = SGD(params, lr=3.)
    for _ in range(10):
        net, scores = in_javascript(params), model(x)
        loss = losses.mnist_loss(scores, y)
        close(page.evaluate('net => figure.points.map(p => figure.score(p, net))', net), scores.detach()[:, 0])
        close(page.evaluate('net => figure.lossOf(net)', net), loss.detach())
        loss.backward()
        slopes = numbers(in_javascript([p.grad for p in params]))
        close(numbers(page.evaluate('net => figure.gradient(net)', net)), slopes)
        after = page.evaluate('net => figure.stepped(net, 3)', net)
        opt.step(); opt.zero_grad()
        close(numbers(after), numbers(in_javascript(params)))

def test_border_bends_with_hidden_units(show, border_data):
    page = show(figure('border', **border_data), reduced_motion='reduce')
    def right(): return int(says(page).split(' of 60')[0].split()[-1])
    page.get_by_role('button', name='Train').click()
    straight = right()
    units = page.get_by_label('hidden units')
    units.focus(); page.keyboard.press('End')
    assert page.evaluate('[figure.net[0].b.length, figure.steps]') == [16, 0]
    page.get_by_role('button', name='Train').click()
    assert right() > max(straight + 5, 55)
    units.focus(); page.keyboard.press('ArrowLeft')
    assert page.evaluate('[figure.net[0].b.length, figure.steps]') == [15, 0]    # new weights: old ones can be stuck
    page.get_by_role('button', name='Train').click()
    assert right() > max(straight + 5, 55)

def test_border_bends_after_a_long_run_and_for_points_of_ones_own(show, border_data):
    page = show(figure('border', **border_data), reduced_motion='reduce')
    train, units = page.get_by_role('button', name='Train'), page.get_by_label('hidden units')
    def right(): return int(says(page).split(' points right')[0].split(' of ')[0].split()[-1])
    for _ in range(3): train.click()
    straight = right()
    assert page.evaluate('figure.steps') == 20000 and 'New random weights' in says(page)
    units.focus(); page.keyboard.press('End')
    train.click()
    assert right() > max(straight + 5, 55)
    for _ in range(3): train.click()
    page.get_by_role('button', name='Clear').click()
    box = page.get_by_role('application').bounding_box()
    def click(x, y): page.mouse.click(box['x'] + box['width']*x, box['y'] + box['height']*y)
    corners = [(0.3, 0.3), (0.8, 0.7)], [(0.3, 0.7), (0.8, 0.3)]          # no straight line tells them apart
    for color, places in zip(('blue', 'red'), corners):
        page.get_by_role('button', name=color).click()
        for p in places: click(*p)
    train.click()
    assert page.evaluate('figure.points.length') == 4 and right() == 4

def test_points_by_mouse_and_by_keyboard(show, border_data):
    page = show(figure('border', **border_data))
    def count(): return page.evaluate('figure.points.length')
    plane = page.get_by_role('application')
    plane.focus()
    for key in ('ArrowUp', 'ArrowRight', 'Enter'): page.keyboard.press(key)
    close(page.evaluate('figure.points.at(-1)'), [0.6, 0.35])
    page.get_by_role('button', name='red').click()
    box = plane.bounding_box()
    page.mouse.click(box['x'] + box['width']*0.5, box['y'] + box['height']*0.5)
    assert count() == 62 and page.evaluate('figure.targets.slice(-2)') == [1, 0]
    page.get_by_role('button', name='erase').click()
    page.mouse.click(box['x'] + box['width']*0.5, box['y'] + box['height']*0.5)
    assert count() == 61
    page.get_by_role('button', name='Clear').click()
    page.get_by_role('button', name='Train').click()
    assert count() == 0 and 'No points' in says(page)
    page.get_by_role('button', name='Original points').click()
    assert count() == 60
