"The page to draw on: it reads drawings and computes as the package does, by mouse, keyboard and dropped files"
import base64
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fastsgd.convnet import small_cnn
from fastsgd.data.digits import get_digits
from fastsgd.data.grounds import grounds, pen_strokes
from fastsgd.data.images import read_gray
from fastsgd.data.ink import find_digits
from fastsgd.data.reading import Reading, read_digits
from fastsgd.dataloader import DataLoaders
from fastsgd.interpret import accuracy, cross_entropy
from fastsgd.losses import batch_accuracy, mnist_loss
from fastsgd.models import mlp, simple_net
from fastsgd.recorder import Learner
from fastsgd.tools.draw import draw_main, draw_page, page_layers
from fastsgd.tools.store import DigitsModel, load_digits_model

models = {'linear': (lambda: nn.Linear(784, 10), 1), 'simple_net': (lambda: simple_net(784, 30, 10), 3),
          'mlp': (lambda: mlp([784, 40, 20, 10], nn.Tanh), 3), 'small_cnn': (small_cnn, 3)}

@pytest.fixture(scope='session')
def digits(): return get_digits(source='mnist_5k')

@pytest.fixture(scope='session')
def saved(digits, tmp_path_factory):
    "Files of trained models, by name; `two` tells 3 from 7 with a single score"
    folder = tmp_path_factory.mktemp('models')
    def train(name, model, epochs, part=digits, **kwargs):
        torch.manual_seed(42)
        learn = Learner(DataLoaders.from_digits(part, seed=42), model(), **kwargs)
        learn.fit(epochs)
        return learn.save(folder/name)
    ten = dict(loss_func=cross_entropy, lr=0.1, metrics=accuracy)
    files = {name: train(name, model, epochs, **ten) for name, (model, epochs) in models.items()}
    two = dict(part=get_digits(labels=(3, 7), source='mnist_5k'), loss_func=mnist_loss, lr=1., metrics=batch_accuracy)
    return {**files, 'two': train('two', lambda: nn.Linear(784, 1), 3, **two)}

@pytest.fixture
def page(saved, visit, tmp_path):
    "Opens the page of a model"
    def opened(name='simple_net', **kwargs):
        model = name if isinstance(name, DigitsModel) else load_digits_model(saved[name])
        draw_page(model, file := tmp_path/'draw.html')
        page = visit(file, **{'width': 1280, 'height': 900, **kwargs})
        until(page, "document.querySelector('.note').textContent")
        return page
    return opened

def until(page, what, seconds=10):
    "Wait until the expression `what` is true (`wait_for_function` is forbidden by the page's own policy)"
    for _ in range(int(seconds*20)):
        if found := page.evaluate(what): return found
        page.wait_for_timeout(50)
    raise AssertionError(f'after {seconds} s still not: {what}, but {note(page)}')

def curves(digit, steps=12):
    "The strokes of a digit, each `[n, 2]`, 0 to 1"
    for stroke in pen_strokes[digit]:
        at = np.linspace(0, len(stroke) - 1, steps)
        yield np.stack([np.interp(at, range(len(stroke)), [p[i] for p in stroke]) for i in (0, 1)], 1)

def draw(page, digits):
    "Draw one or several digits with the mouse"
    box = page.locator('.pad').bounding_box()
    side, n = box['width'], len(digits)
    w, h = (0.45*side, 0.6*side) if n == 1 else (0.7*side/n, 0.5*side)
    for i, digit in enumerate(digits):
        corner = np.array([box['x'] + side*(i + 0.5)/n - w/2, box['y'] + 0.2*side])
        for stroke in curves(digit):
            (x, y), *rest = (corner + stroke*(w, h)).tolist()
            page.mouse.move(x, y); page.mouse.down()
            for x, y in rest: page.mouse.move(x, y)
            page.mouse.up()

def answer(page): return page.locator('.answer').inner_text()
def note(page): return page.locator('.note').inner_text()
def answered(page, text): until(page, f'document.querySelector(".answer").textContent.startsWith("I read {text}")')

# --- drawing ---------------------------------------------------------------------------------------

@pytest.mark.parametrize('name', models)
def test_reads_what_the_mouse_draws(page, name):
    page = page(name)
    assert note(page) == 'The sheet is empty: draw a digit on it.' and not answer(page)
    right = 0
    for digit in (0, 2, 3, 7):
        draw(page, [digit])
        until(page, 'page.found.length === 1')
        page.wait_for_timeout(500)
        right += answer(page).startswith(f'I read {digit}, probability ')
        page.get_by_role('button', name='Clear').click()
        until(page, 'page.found.length === 0')
    assert right >= 3 # drawn by a program that has never seen a hand

def test_two_digits_are_read_as_two(page):
    page = page('two')
    draw(page, [3, 7])
    answered(page, '37')
    cards = page.locator('.reads button')
    assert [o.split(',')[0] for o in cards.all_inner_texts()] == ['3', '7']
    first = page.locator('.bars').inner_text()
    cards.nth(1).click()
    assert cards.nth(1).get_attribute('aria-pressed') == 'true' and page.locator('.bars').inner_text() != first
    assert page.locator('h2').inner_text().startswith('Why “7”?')

def test_undo_and_clear(page):
    page = page('two')
    undo = page.get_by_role('button', name='Undo')
    assert undo.is_disabled()
    draw(page, [3]); draw(page, [7])
    page.get_by_role('button', name='Clear').click()
    until(page, 'page.found.length === 0')
    undo.click() # brings back what was cleared
    until(page, 'page.found.length > 0')
    strokes = page.evaluate('page.states.at(-1).strokes.length')
    page.keyboard.press('Control+z')
    assert page.evaluate('page.states.at(-1).strokes.length') == strokes - 1

def test_a_digit_by_keyboard(page):
    page = page('two')
    page.locator('.pad').focus()
    press = lambda key, n=1: [page.keyboard.press(key) for _ in range(n)]
    press('ArrowLeft', 7); press(' '); press('ArrowRight', 14)
    for _ in range(10): press('ArrowDown', 2), press('ArrowLeft')
    press(' '); press('ArrowRight', 5)
    answered(page, '7')
    assert page.evaluate('page.states.at(-1).strokes.length') == 1
    press('Tab', 5) # Undo, Clear, Open an image, the digit, the first label
    assert page.evaluate('document.activeElement.textContent').startswith('3')
    press('Enter')
    assert page.locator('h2').inner_text().startswith('Why “3”?')

def test_a_finger_draws_and_does_not_scroll(page):
    page = page('two', width=400, has_touch=True, is_mobile=True)
    assert page.evaluate('getComputedStyle(document.querySelector(".pad")).touchAction') == 'none'
    page.locator('.pad').dispatch_event('pointerdown', dict(isPrimary=False, button=0, pointerId=2)) # a second finger
    assert page.evaluate('page.states.length') == 1

# --- the same numbers ------------------------------------------------------------------------------

read = '''([h, w, bytes, dark]) => {
  const gray = {h, w, a: Float32Array.from(atob(bytes), c => c.charCodeAt(0))}
  try {
    const found = dark === null ? readDigits(gray, {dark: false, size: [28, 28]}) : findDigits(gray, dark)
    return JSON.stringify(found.map(({x, box, note}) => ({x: [...x], box, note})))
  } catch (e) { return JSON.stringify(e.message) }
}''' # text, since Playwright is slow with long lists

def in_the_page(page, gray, dark=None):
    return json.loads(page.evaluate(read, [*gray.shape, base64.b64encode(gray.tobytes()).decode(), dark]))

def same(theirs, ours):
    "Do the page and the package find the same digits, or say the same?"
    if isinstance(theirs, str) or isinstance(ours, str): return theirs == ours
    close = (np.abs(np.subtract(p['x'], q.x.flatten().astype(int))).max() <= 1 for p, q in zip(theirs, ours))
    places = [(tuple(p['box']), p['note']) for p in theirs] == [(q.box, q.note) for q in ours]
    return len(theirs) == len(ours) and places and all(close)

def or_sentence(f, *args):
    try: return f(*args)
    except ValueError as e: return str(e).removeprefix('the image is not read: ')

def test_200_drawings_become_the_same_pixels(page):
    "Drawings by the page's own pen, of one to three digits, leaning and shaken"
    page, rng, several = page(), np.random.default_rng(42), 0
    pixels = '''text => {
      const c = page.draw(html('canvas', {width: 280, height: 280}), JSON.parse(text), 1)
      return btoa(String.fromCharCode(...toGray(c.getImageData(0, 0, 280, 280)).a))
    }'''
    for i in range(200):
        n, strokes = rng.choice([1, 1, 2, 3]), []
        for k in range(n):
            size = rng.uniform(0.5, 0.85)*280/(n if n > 1 else 1.2)
            corner = (280*(k + 0.12)/n, rng.uniform(15, 265 - size))
            lean, shake = rng.uniform(-0.3, 0.3), rng.normal(0, 0.015, (100, 2))
            for s in curves(rng.integers(10)):
                s = s + shake[:len(s)]
                s = np.stack([s[:, 0]*0.75 - lean*(s[:, 1] - 0.5), s[:, 1]], 1)*size + corner
                strokes.append(s.tolist())
        raw = base64.b64decode(page.evaluate(pixels, json.dumps(strokes)))
        gray = np.frombuffer(raw, np.uint8).reshape(280, 280)
        ours = or_sentence(find_digits, gray, True)
        assert same(in_the_page(page, gray, True), ours), f'drawing {i}'
        several += len(ours) > 1
    assert several > 50

def test_photos_and_small_images_too(page, digits):
    page, rng, x = page(), np.random.default_rng(42), (digits.valid.x*255).round().byte().numpy()
    for name, photograph in grounds.items():
        gray = read_gray(photograph(x[rng.integers(len(x))], rng)).x
        assert same(in_the_page(page, gray), or_sentence(read_digits, gray)), name
    for side in (28, 28, 20, 40, 100):
        for paper in (0, 255):
            gray = np.asarray(Image.fromarray(abs(paper - x[rng.integers(len(x))])).resize((side, side)))
            assert same(in_the_page(page, gray), or_sentence(read_digits, gray, Reading())), side
    for gray in (np.full((280, 280), 255, np.uint8), rng.integers(0, 255, (200, 150), np.uint8)):
        assert in_the_page(page, gray) == or_sentence(read_digits, gray)

@pytest.mark.parametrize('name', [*models, 'two'])
def test_probabilities_are_those_of_predict(page, saved, digits, name):
    x = (digits.valid.x[:200]*255).round().byte()
    _, ours = load_digits_model(saved[name]).predict(x)
    ask = 'text => JSON.stringify(JSON.parse(text).map(x => Array.from(page.ask(x).p)))'
    theirs = json.loads(page(name).evaluate(ask, json.dumps(x.flatten(1).tolist())))
    assert np.abs(np.array(theirs) - ours.numpy()).max() <= 1e-5

def test_parts_add_up_to_the_score(page, digits):
    "What a page says of a hidden layer or of feature maps is all there is"
    x = (digits.valid.x[3]*255).round().byte().flatten().tolist()
    for name in ('simple_net', 'small_cnn'):
        there = page(name)
        there.evaluate('x => page.tell([{x, box: [0, 0, 28, 28], note: ""}])', x)
        number = lambda text: float(text.replace('−', '-'))
        parts = sum(number(o) for o in there.locator('.why > figure > figcaption > b').all_inner_texts())
        score = number(re.search(r'score is (\S+)', there.locator('h2').inner_text())[1])
        said = re.findall(r'add (\S+), the biases (\S+)\.', there.locator('.says').inner_text())
        if name == 'simple_net': assert abs(parts + sum(map(number, said[0])) - score) < 0.1
        else: assert abs(parts - score) < 0.3 # the bias and rounding

# --- images ----------------------------------------------------------------------------------------

def png(image): image.save(out := io.BytesIO(), 'PNG'); return out.getvalue()

drop = '''([bytes, name, how]) => {
  const data = new DataTransfer()
  data.items.add(new File([typeof bytes === 'string' ? Uint8Array.from(atob(bytes), c => c.charCodeAt(0))
    : new Uint8Array(bytes)], name))
  const event = how === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
    : new ClipboardEvent('paste', {clipboardData: data, bubbles: true})
  document.querySelector('.pad').dispatchEvent(event)
}'''
def give(page, raw, name='seven.png', how='drop'):
    page.evaluate(drop, [raw if isinstance(raw, int) else base64.b64encode(raw).decode(), name, how])

@pytest.mark.parametrize('how', ('drop', 'paste', 'open'))
def test_an_image_file_is_read(page, digits, how):
    page, rng = page('two'), np.random.default_rng(1)
    seven = (digits.valid.x[digits.valid.y == 7][0]*255).round().byte().numpy()
    raw = png(grounds['clean'](seven, rng))
    if how != 'open': give(page, raw, how=how)
    else:
        with page.expect_file_chooser() as chooser: page.get_by_role('button', name='Open an image').click()
        chooser.value.set_files(dict(name='a.png', mimeType='image/png', buffer=raw))
    answered(page, '7')
    page.get_by_role('button', name='Undo').click()
    until(page, 'page.found.length === 0')

def test_white_ink_on_nothing_and_a_large_photo(page, digits):
    page, rng = page('two'), np.random.default_rng(1)
    seven = (digits.valid.x[digits.valid.y == 7][0]*255).round().byte().numpy()
    ink = Image.fromarray(seven).resize((200, 200))
    give(page, png(Image.merge('RGBA', [Image.new('L', ink.size, 255)]*3 + [ink])))
    answered(page, '7')
    give(page, png(grounds['clean'](seven, rng).resize((2400, 3000))))
    until(page, 'page.found[0].box[2] > 800')
    answered(page, '7')
    left, upper, right, lower = page.evaluate('page.found[0].box')
    assert 300 < right - left < 2400 and right <= 2400 and lower <= 3000

def test_what_is_no_image_of_a_digit_gets_a_sentence(page):
    page = page('two')
    for raw, name, says in ((b'no image', 'a.png', '“a.png” is no image that this browser can open.'),
                            (30_000_000, 'big.png', '“big.png” has 30 MB; the page opens images of up to 20 MB.'),
                            (png(Image.new('L', (300, 300))), 'blank.png', 'The image is not read: there is no ink'),
                            (png(Image.new('L', (4100, 4100))), 'b.png', '“b.png” has more pixels than 4096 × 4096.')):
        give(page, raw, name)
        until(page, f'document.querySelector(".note").textContent.startsWith("{says}")', 30)
        assert not answer(page)
    draw(page, [7]) # and it goes on
    answered(page, '7')

def test_a_first_stroke_is_not_a_digit_yet(page):
    page, box = page(), None
    box = page.locator('.pad').bounding_box()
    page.mouse.move(box['x'] + 40, box['y'] + 50); page.mouse.down()
    page.mouse.move(box['x'] + 200, box['y'] + 50, steps=5)
    until(page, 'document.querySelector(".note").textContent.startsWith("Not a digit yet: ")')
    page.mouse.up()

# --- the page itself -------------------------------------------------------------------------------

def test_it_can_load_nothing(saved, browser, tmp_path):
    draw_page(load_digits_model(saved['two']), file := tmp_path/'draw.html')
    page = browser.new_page()
    page.goto(file.as_uri())
    assert page.evaluate("fetch('https://example.org').then(() => 'loaded', () => 'refused')") == 'refused'
    page.close()

def test_bad_labels_stay_labels(page):
    bad = ['</script><script>document.title = "broken"</script><img src=x>', 'a\x00b\x1b[31m\u202e', 'x'*500]
    model = DigitsModel(nn.Linear(784, 3), {'labels': bad, 'source': '<b>\x07', 'metrics': {'accuracy': 0.5}})
    page = page(model, width=400)
    assert page.title() == 'Draw a digit' and not page.locator('img').count()
    assert page.evaluate('data.labels[0]') == bad[0] and page.evaluate('data.labels[1]') == 'a\ufffdb\ufffd[31m\ufffd'
    assert page.evaluate('document.documentElement.scrollWidth') <= 400
    assert 'learned from <b>\ufffd; accuracy 0.5' in page.locator('main').inner_text()

@pytest.mark.parametrize('name', [*models, 'two'])
@pytest.mark.parametrize('look', (dict(width=400, color_scheme='dark', reduced_motion='reduce'), dict(width=1280)))
def test_every_control_has_a_name_and_nothing_sticks_out(page, name, look):
    page = page(name, **look)
    draw(page, [3, 7])
    answered(page, '')
    assert page.evaluate('document.documentElement.scrollWidth') <= look['width']
    until(page, 'page.found.length === 2')
    for o in page.locator('[tabindex], button, [role=img]').all():
        assert o.get_attribute('aria-label') or o.inner_text()
    until(page, 'document.querySelector("[role=status]").textContent.startsWith("I read ")')
    moves = page.evaluate('getComputedStyle(document.querySelector(".bars i b")).transitionDuration')
    assert (moves == '0s') == ('reduced_motion' in look)

def test_in_a_notebook_it_is_in_a_frame(saved, browser):
    there = browser.new_page(viewport=dict(width=900, height=700))
    there.set_content(draw_page(load_digits_model(saved['two']))._repr_html_())
    frame = there.wait_for_selector('iframe').content_frame()
    frame.wait_for_selector('.note')
    until(frame, 'page.states.length')
    frame.evaluate('page.tell([{x: new Uint8Array(784).fill(99), box: [0, 0, 28, 28], note: ""}])')
    assert frame.locator('.answer').inner_text().startswith('I read ')
    there.close()

# --- from the command line -------------------------------------------------------------------------

@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr('webbrowser.open', lambda url: opened.append(url) or True)
    def run(*args):
        monkeypatch.setattr(sys, 'argv', ['fastsgd_draw', *map(str, args)])
        try: status = draw_main() and 0
        except SystemExit as e: status = e.code
        return status or 0, *capsys.readouterr(), opened
    return run

def test_the_command_opens_the_page(saved, command, tmp_path):
    status, out, err, opened = command(saved['two'], '--out', 'mine.html')
    assert (status, out, err) == (0, 'the page is in mine.html\n', '') and opened == [(tmp_path/'mine.html').as_uri()]
    assert 'Draw a digit' in (tmp_path/'mine.html').read_text(encoding='utf-8')
    status, out, err, _ = command(saved['two'], '--out', 'mine.html')
    assert (status, out) == (2, '') and err.endswith('mine.html exists already; name another file for the page\n')
    status, out, err, opened = command(saved['two'], '--no-open')
    assert status == 0 and Path(re.search('is in (.*)', out)[1]).exists() and len(opened) == 1
    assert command('nothing')[0] == 2 and 'there is no file nothing' in command('nothing')[2]

def test_models_that_no_page_can_run():
    def facts(n): return {'labels': [*range(n)]}
    for model, labels, says in (
        (mlp([784, 1600, 10]), 10, 'the model has 5.1 MB of weights, and a page takes up to 5 MB'),
        (nn.Sequential(nn.Linear(784, 30), nn.Dropout(), nn.Linear(30, 10)), 10, 'does not know the layer Dropout'),
        (nn.Linear(784, 10), 3, 'a label for each score'), (nn.Linear(100, 10), 10, '784 pixels'),
        (nn.Sequential(nn.Unflatten(1, (1, 28, 28)), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(49, 2)), 2, '784 pixels'),
        (nn.Sequential(nn.Unflatten(1, (1, 28, 28)), nn.Linear(28, 2)), 2, '784 pixels'),
        (nn.Sequential(), 2, '784 pixels')):
        with pytest.raises(ValueError, match=says): draw_page(DigitsModel(model, facts(labels)))
    whole = facts(2) | {'reading': {'dark': False, 'plain': False, 'size': [28, 28]}}
    with pytest.raises(ValueError, match='whole images'): draw_page(DigitsModel(nn.Linear(784, 1), whole))

def test_a_layer_that_is_used_twice_is_there_twice():
    act = nn.ReLU()
    layers = page_layers(nn.Sequential(nn.Flatten(), nn.Linear(784, 5), act, nn.Linear(5, 5), act, nn.Linear(5, 2)))
    assert [o['kind'] for o in layers] == ['Linear', 'ReLU', 'Linear', 'ReLU', 'Linear']
