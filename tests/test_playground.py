"The playground: it learns in a browser, with the package's numbers, and does as its controls and its links say"
import json

import pytest
import torch

from fastsgd.data.digits import get_digits
from fastsgd.interpret import accuracy, cross_entropy
from fastsgd.losses import batch_accuracy, mnist_loss
from fastsgd.models import mlp
from fastsgd.tools.playground import playground
from fastsgd.training import SGD

@pytest.fixture(scope='session')
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp('pages')/'playground.html'
    playground().save(path)
    return path

@pytest.fixture
def show(visit, file):
    def opened(after='', width=1280, **kwargs):
        page = visit(file, width=width, height=800, after=after, **kwargs)
        page.evaluate('playground.ready')
        return page
    return opened

def until(page, what, seconds=60):
    "Wait until the expression `what` is true (`wait_for_function` is forbidden by the page's own policy)"
    for _ in range(int(seconds*10)):
        if page.evaluate(what): return
        page.wait_for_timeout(100)
    raise AssertionError(f'after {seconds} s still not: {what}')

def press(page, name): page.get_by_role('button', name=name, exact=True).click()
def settings(page): return page.evaluate('playground.settings')
def said(page): return page.locator('.answer.best .label').inner_text()
def notice(page): return page.locator('.notice').inner_text()

# --- it learns -------------------------------------------------------------------------------------

def test_one_press_and_it_reads_nine_of_ten_new_digits(show):
    page = show()
    assert page.evaluate('playground.past.at(-1).validation.accuracy') < 0.3
    page.get_by_role('button', name='Run').click()
    until(page, 'playground.past.at(-1).validation.accuracy > 0.9', seconds=120)
    press(page, 'Pause')
    until(page, 'playground.past.at(-1).step === playground.now.step && !running')
    wrong = page.evaluate('playground.past.at(-1).wrong.length')
    assert wrong <= 110 and f'{wrong} of 1,000' in page.locator('.mistakes').inner_text()
    assert f'validation {100 - wrong/10:.1f} %' in page.locator('.told').first.inner_text()

# --- the same numbers ------------------------------------------------------------------------------

def generator(seed):
    "The page's random numbers"
    def imul(a, b): return a*b & 0xffffffff
    while True:
        seed = (seed + 0x6d2b79f5) & 0xffffffff
        t = imul(seed ^ seed >> 15, 1 | seed)
        t = ((t + imul(t ^ t >> 7, 61 | t)) & 0xffffffff) ^ t
        yield (t ^ t >> 14)/2**32

def shuffled(n, random):
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = int(next(random)*(i + 1))
        order[i], order[j] = order[j], order[i]
    return order

def start(model, random):
    "Weights and biases, layer by layer, between plus and minus one over the root of the inputs"
    for layer in model:
        if not isinstance(layer, torch.nn.Linear): continue
        for p in (layer.weight, layer.bias):
            values = [(2*next(random) - 1)/layer.in_features**0.5 for _ in range(p.numel())]
            p.data = torch.tensor(values).view_as(p)

def images(two):
    "Training and validation images as the page has them: 0, 1, … 9, 0, 1, …"
    digits = get_digits(source='mnist_5k')
    for part, n in ((digits.train, 200), (digits.valid, 100)):
        order = torch.stack([(part.y == k).nonzero()[:n, 0] for k in ((3, 7) if two else range(10))], 1).flatten()
        y = part.y[order]
        yield part.x[order].flatten(1), (y == 3).float()[:, None] if two else y

@pytest.mark.parametrize('two', (False, True))
@pytest.mark.parametrize('hidden, lr, batch, momentum', ((30, 0.1, 16, 0.5), (0, 0.3, 33, 0.), (7, 0.05, 64, 0.9)))
def test_a_hundred_steps_are_those_of_the_package(show, two, hidden, lr, batch, momentum):
    random, model = generator(3), mlp([784, *[hidden]*bool(hidden), 1 if two else 10])
    start(model, random)
    loss_func, metric = (mnist_loss, batch_accuracy) if two else (cross_entropy, accuracy)
    (x, y), valid = images(two)
    page, params = show(), list(model.parameters())
    def ask(**message):
        state = page.evaluate('''async message => { const {net, measured} = await playground.ask(message)
            return {net: net.flatMap(({w, b}) => [Array.from(w), Array.from(b)]), measured} }''', message)
        for p, values in zip(params, state['net']):
            assert len(values) == p.numel()
            assert (torch.tensor(values).view_as(p) - p).abs().max() < 1e-4
        for name, part in (('training', (x, y)), ('validation', valid)):
            with torch.no_grad(): scores = model(part[0])
            got = state['measured'][name]
            assert got['loss'] == pytest.approx(loss_func(scores, part[1]).item(), abs=1e-4)
            assert got['accuracy'] == pytest.approx(metric(scores, part[1]).item(), abs=2e-3)
    ask(start=dict(two=two, hidden=hidden, seed=3))
    opt, order = SGD(params, lr=lr, mom=momentum), []
    for _ in range(100):
        order = order or shuffled(len(x), random)
        some, order = order[:batch], order[batch:]
        loss_func(model(x[some]), y[some]).backward()
        opt.step(); opt.zero_grad()
    ask(steps=100, lr=lr, batch=batch, momentum=momentum)

# --- controls and links ----------------------------------------------------------------------------

def test_a_link_carries_the_settings(show):
    page = show('#labels=3,7&hidden=12&lr=0.25&batch=20&momentum=0&seed=7')
    wanted = dict(labels='3,7', hidden=12, lr=0.25, batch=20, momentum=0, seed=7)
    assert settings(page) == wanted and page.locator('.unit').count() == 12 and page.locator('.answer').count() == 2
    assert page.get_by_label('learning rate').input_value() == '0.25'
    page.get_by_label('momentum').select_option('0.9')
    page.get_by_label('hidden units').select_option('0')
    page.get_by_label('seed').fill('8'); page.keyboard.press('Enter')
    until(page, 'location.hash.includes("seed=8")')
    assert page.evaluate('location.hash') == '#labels=3,7&hidden=0&lr=0.25&batch=20&momentum=0.9&seed=8'
    until(page, 'playground.now.net.length === 1')
    page.evaluate('location.hash = "lr=1&seed=4"')
    until(page, 'playground.settings.lr === 1 && playground.now.net[1]?.b.length === 10')
    assert settings(page) == dict(labels='all', hidden=30, lr=1, batch=16, momentum=0.5, seed=4)

@pytest.mark.parametrize('link, says', (
    ('lr=0', 'lr must be a number from 0.00001 to 1000, not “0”. It stays 0.1.'),
    ('lr=fast', 'not “fast”'), ('lr=', 'lr must be'), ('lr=Infinity', 'not “Infinity”'), ('lr=NaN', 'not “NaN”'),
    ('hidden=2.5', 'hidden must be a whole number from 0 to 200'), ('hidden=1e9', 'hidden must'),
    ('batch=-1', 'batch must be a whole number from 1 to 2000'), ('momentum=1', 'from 0 to 0.999'),
    ('seed=</script><script>alert(1)</script>', 'seed must be'), ('labels=4', 'labels must be all or 3,7, not “4”'),
    ('constructor=1', '“constructor” is no setting; there are labels, hidden'), ('labels=toString', 'not “toString”'),
    ('speed=%F0%9F', '“speed”'), ('lr=' + '9'*5000, 'lr must be')))
def test_a_link_may_be_wrong(show, link, says):
    page = show('#' + link + '&batch=8' if link[:5] != 'batch' else '#' + link)
    expected = dict(labels='all', hidden=30, lr=0.1, batch=16 if link[:5] == 'batch' else 8, momentum=0.5, seed=3)
    assert says in notice(page)
    if len(link) < 1000: assert settings(page) == expected
    press(page, 'Step')
    until(page, 'playground.now.step === 1')

def test_controls_by_keyboard_and_by_name(show):
    page = show(width=400)
    assert page.evaluate('document.documentElement.scrollWidth') <= 400
    for o in page.locator('[tabindex], button:visible, input, select').all():
        assert o.get_attribute('aria-label') or o.inner_text() or o.locator('xpath=ancestor::label').count()
    page.get_by_role('button', name='Step').focus()
    for _ in range(3): page.keyboard.press('Enter')
    until(page, 'playground.now.step === 3')
    page.get_by_role('button', name='Reset').focus(); page.keyboard.press('Enter')
    until(page, 'playground.now.step === 0 && playground.past.length === 1')
    page.get_by_label('seed').fill('-1'); page.keyboard.press('Tab')
    assert 'seed must be' in notice(page) and page.get_by_label('seed').input_value() == '3'
    until(page, 'document.querySelector("[role=status]").textContent.startsWith("0.0 epochs, 0 steps")')

def test_steps_that_are_too_long(show):
    page = show('#lr=1000&hidden=10')
    page.get_by_role('button', name='Run').click()
    until(page, '!document.querySelector(".notice").hidden')
    assert 'smaller learning rate' in notice(page)
    press(page, 'Pause')
    page.get_by_label('learning rate').select_option('0.1')
    press(page, 'Reset')
    until(page, 'playground.now.step === 0')
    press(page, 'Step')
    until(page, 'playground.now.step === 1')
    assert not page.locator('.notice').is_visible()

def test_where_motion_is_not_wanted_a_run_ends_in_one_jump(show):
    page = show('#hidden=10', reduced_motion='reduce')
    page.get_by_role('button', name='Run').click()
    until(page, 'playground.now.step > 0')
    assert page.evaluate('playground.past.length') <= 3 and page.evaluate('playground.now.epoch') > 5

# --- the drawing -----------------------------------------------------------------------------------

def stroke(page, *points):
    box = page.locator('.paper').bounding_box()
    def at(x, y): return box['x'] + x*box['width'], box['y'] + y*box['height']
    page.mouse.move(*at(*points[0])); page.mouse.down()
    for p in points[1:]: page.mouse.move(*at(*p), steps=5)
    page.mouse.up()

def test_it_reads_a_drawing_at_every_moment(show):
    page = show(reduced_motion='reduce')
    page.get_by_role('button', name='Run').click()
    until(page, 'playground.past.at(-1).epoch > 4')
    assert said(page) == '7' and 'right' in page.locator('.hint').last.inner_text()     # the image it begins with
    stroke(page, (0.5, 0.15), (0.5, 0.85))
    until(page, 'document.querySelector(".answer.best .label").textContent === "1"')
    assert 'your drawing' in page.locator('.flow').inner_text()
    press(page, 'Clear')
    stroke(page, (0.25, 0.2), (0.75, 0.2), (0.4, 0.85))
    until(page, 'document.querySelector(".answer.best .label").textContent === "7"')

def test_it_reads_a_drawing_by_keyboard(show):
    page = show(reduced_motion='reduce')
    page.get_by_role('button', name='Run').click()
    until(page, 'playground.past.at(-1).epoch > 4')
    page.locator('.paper').focus()
    for _ in range(9): page.keyboard.press('ArrowUp')
    page.keyboard.press('Space')
    for _ in range(18): page.keyboard.press('ArrowDown')
    until(page, 'document.querySelector(".answer.best .label").textContent === "1"')
    page.keyboard.press('Delete')
    press(page, 'Step')

def test_a_mistake_can_be_looked_at(show):
    page = show()
    tile = page.locator('.shelf button:visible').nth(3)
    label, taken_for = tile.inner_text().split(' → ')
    tile.click()
    until(page, f'document.querySelector(".answer.best .label").textContent === "{taken_for}"')
    assert f'{label}, and it says' in page.locator('.flow').inner_text()

# --- where it stands -------------------------------------------------------------------------------

of_vs_code = ("default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
              "img-src https: data:; child-src https: data:")

@pytest.mark.parametrize('policy', ('', of_vs_code, of_vs_code.replace('child-src https: data:', "child-src 'none'")))
def test_it_runs_in_the_frame_of_a_notebook(browser, policy):
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ''
    page = browser.new_page(viewport=dict(width=900, height=700))
    page.set_content(f'<html><head>{head}</head><body>{playground("hidden=4&lr=0.5")._repr_html_()}</body></html>')
    page.wait_for_selector('iframe[data-on=runs]')
    frame = page.frames[1]
    frame.evaluate('playground.ready')
    assert frame.evaluate('playground.settings.lr') == 0.5
    frame.get_by_role('button', name='Step').click()
    for _ in range(100):
        if frame.evaluate('playground.now.step') == 1: break
        page.wait_for_timeout(50)
    assert frame.evaluate('playground.now.step') == 1 and frame.locator('.unit').count() == 4
    assert abs(page.locator('iframe').bounding_box()['height'] - frame.locator('main').bounding_box()['height']) < 5
    page.close()

def test_text_can_not_leave_its_place(visit, tmp_path):
    bad = '</script><script>document.title = "broken"</script><!--'
    playground(bad).save(tmp_path/'bad.html')
    page = visit(tmp_path/'bad.html')
    page.evaluate('playground.ready')
    assert page.title() == 'Watch a network learn to read' and 'is no setting' in notice(page)
    assert json.dumps(bad)[1:-1].replace('<', r'\u003c') in (tmp_path/'bad.html').read_text(encoding='utf-8')
