"The site: it builds without a warning, every page loads and asks nobody, search finds, what moves moves"
import configparser
import functools
import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest

root = Path(__file__).parent.parent
story = sorted(f.stem for f in (root/'nbs').glob('[0-9][0-9]_*.ipynb'))
pytestmark = pytest.mark.skipif(not (story and (root/'docs').exists()), reason='only the installed package is here')
heaviest = 1_500_000 # bytes of a page of the story, with its pictures

@pytest.fixture(scope='session')
def site(tmp_path_factory):
    "The built site; a warning is an error, a link to a place that isn't there is a warning"
    for o in ('sphinx', 'myst_nb', 'furo'): pytest.importorskip(o, reason="the site needs pip install -e '.[docs]'")
    out = tmp_path_factory.mktemp('site')/'html'
    command = [sys.executable, '-m', 'sphinx', '-W', '-n', '-q', '-c', 'docs', 'nbs', str(out)]
    built = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    return out

def names(site): return sorted(f.relative_to(site).as_posix() for f in site.rglob('*.html'))

def html(path):
    "A page without the pages that are inside of it"
    return re.sub(r'srcdoc="[^"]*"', '', path.read_text(encoding='utf-8'))

# --- as files --------------------------------------------------------------------------------------

def test_every_notebook_and_module_has_a_page(site):
    notebooks = [f.relative_to(root/'nbs').with_suffix('.html') for f in root.glob('nbs/**/*.ipynb')]
    modules = [f.relative_to(root/'fastsgd').with_suffix('.html') for f in root.glob('fastsgd/**/*.py')]
    wanted = [*notebooks, *(Path('api')/m for m in modules if not m.name.startswith(('_', 'all')))]
    assert len(wanted) > 100 and [o for o in wanted if not (site/o).exists()] == []

def test_every_public_name_has_its_place(site):
    sys.path.insert(0, str(root/'docs'))
    import site_api
    for module, found in site_api.collect().items():
        page = html(site/f'{site_api.docname(module)}.html')
        assert [n.full for n in found if f'id="{n.full}"' not in page] == []

def test_headings_are_in_order(site):
    for name in names(site):
        if name in ('playground.html', 'search.html'): continue # what they show is made by scripts
        levels = [int(o) for o in re.findall(r'<h([1-6])\b', html(site/name))]
        assert levels.count(1) == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:])), (name, levels)

def test_pictures_are_described(site):
    for name in names(site):
        for image in re.findall(r'<img\b[^>]*>', html(site/name)):
            alt = re.search(r'alt="([^"]*)"', image)
            assert alt and len(alt[1].split()) >= 5, (name, image)

def test_no_directive_is_shown(site):
    for name in names(site): assert not re.search(r'#\| ?(export|hide|default_exp|fig-alt)', html(site/name)), name

def test_nothing_comes_from_elsewhere(site):
    asked = r'<(?:script|img|iframe)\b[^>]*\bsrc="(?:https?:)?//|<link\b[^>]*"stylesheet"[^>]*href="(?:https?:)?//'
    for name in names(site): assert not re.search(asked, html(site/name)), name

def test_no_link_within_the_site_is_dead(site):
    anchors = {name: set(re.findall(r'\bid="([^"]+)"', html(site/name))) for name in names(site)}
    for name in names(site):
        for to in set(re.findall(r'<a\b[^>]*\bhref="([^"]*)"', html(site/name))):
            if re.match(r'\w+:', to) or to in ('#', ''): continue
            to, _, anchor = unquote(to).partition('#')
            at = (site/name).parent.joinpath(to).resolve() if to else site/name
            assert at.exists(), (name, to)
            assert not anchor or anchor in anchors[at.relative_to(site.resolve()).as_posix()], (name, to, anchor)

def test_pages_of_the_story_are_light(site):
    for name in story:
        page = site/f'{name}.html'
        used = re.findall(r'(?:src|href)="([^":#?]+\.(?:png|jpe?g|svg|css|js))\b', html(page))
        files = [page, *{(site/o).resolve() for o in used}]
        assert sum(f.stat().st_size for f in files) < heaviest, name

def test_notebooks_can_be_had(site):
    page = html(site/'03_slopes.html')
    for o in ('Notebook 4 of', 'colab.research.google.com/github/', '/blob/main/nbs/03_slopes.ipynb', 'minutes'):
        assert o in page

def test_addresses_are_those_of_the_settings(site):
    config = configparser.ConfigParser(delimiters=['='])
    config.read(root/'settings.ini', encoding='utf-8')
    cfg = config['DEFAULT']
    readme = (root/'README.md').read_text(encoding='utf-8')
    assert f"({cfg['doc_host']}{cfg['doc_baseurl']})" in readme and f"git+{cfg['git_url']}`" in readme

# --- in a browser ----------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def server(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=site)) as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{s.server_port}/'
        s.shutdown()

@pytest.fixture
def reader(browser, server):
    "Opens pages of the site; in the end there must have been no error, and no request that leaves it"
    wrong, context = [], browser.new_context(viewport=dict(width=1280, height=800))
    page = context.new_page()
    page.on('console', lambda m: m.type in ('error', 'warning') and wrong.append((page.url, m.text)))
    page.on('pageerror', lambda e: wrong.append((page.url, str(e))))
    ours = (server, 'data:', 'blob:', 'about:')
    page.on('request', lambda r: r.url.startswith(ours) or wrong.append((page.url, r.url)))
    def opened(name):
        page.goto(server + name)
        return page
    yield opened
    context.close()
    assert wrong == []

def test_every_page_loads(site, reader):
    for name in names(site): assert reader(name).title()

@pytest.mark.parametrize('query, first', [
    ('mnist_loss', 'api/losses.html#fastsgd.losses.mnist_loss'),
    ('Learner', 'api/learner.html#fastsgd.learner.Learner'),
    ('descend', 'api/descent.html#fastsgd.descent.descend'), ('learning rate', '03_slopes.html#index-'),
    ('overfitting', '12_recorder.html#index-')])
def test_search_finds_a_name_and_the_place_that_explains_a_term(reader, query, first):
    page = reader('search.html?q=' + query.replace(' ', '+'))
    found = page.locator('#search-results ul.search li a').first
    found.wait_for()
    assert first in found.get_attribute('href')

def test_the_playground_learns_on_the_front_page(reader):
    frame = reader('index.html').frame_locator('iframe[data-moving=playground]')
    frame.get_by_role('button', name='Run').click()
    good = frame.get_by_text(re.compile(r'^(8|9)\d\.\d % of new digits right'))
    good.first.wait_for(timeout=90_000)

def test_a_moving_figure_moves(reader):
    page = reader('03_slopes.html')
    place = page.locator('iframe[data-moving]').first
    place.scroll_into_view_if_needed()
    assert place.evaluate('e => e.dataset.on') == 'runs' and place.bounding_box()['height'] != 600
    frame = page.frame_locator('iframe[data-moving]').first
    before = frame.locator('body').inner_text()
    frame.get_by_role('button').first.click()
    page.wait_for_timeout(500)
    assert frame.locator('body').inner_text() != before

def test_code_of_the_story_needs_no_scrolling(reader):
    for name in story:
        page = reader(f'{name}.html') # 1,280 pixels wide
        wide = 'e => e.filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth).map(e => e.textContent)'
        assert page.locator('div.highlight pre').evaluate_all(wide) == [], name

@pytest.mark.parametrize('width', (400, 1024, 1280))
@pytest.mark.parametrize('name', 'index 03_slopes 17_recap api/learner api/index tools/photo genindex'.split())
def test_pages_fit_their_width(reader, name, width):
    page = reader(f'{name}.html')
    page.set_viewport_size(dict(width=width, height=800))
    assert page.evaluate('document.documentElement.scrollWidth') <= width

def test_a_reader_with_a_phone_comes_from_the_front_page_to_the_slopes(reader):
    page = reader('index.html')
    page.set_viewport_size(dict(width=400, height=800))
    page.get_by_role('link', name='Start reading').click()
    for title in ('Pixel similarity', 'A weight for every pixel', 'Slopes'):
        page.locator('a.next-page').click()
        assert page.locator('h1').inner_text().startswith(title)

contrast = '''() => {
  const rgb = s => s.match(/[\\d.]+/g).map(Number)
  const bright = c => c.slice(0, 3).map(v => v/255).map(v => v > 0.04 ? ((v + 0.055)/1.055)**2.4 : v/12.92)
    .reduce((sum, v, i) => sum + v*[0.2126, 0.7152, 0.0722][i], 0.05)
  const ground = e => {
    const c = rgb(getComputedStyle(e).backgroundColor)
    return (c[3] ?? 1) > 0.5 || !e.parentElement ? c : ground(e.parentElement)
  }
  const faint = e => {
    const style = getComputedStyle(e), [a, b] = [bright(rgb(style.color)), bright(ground(e))]
    return Math.max(a, b)/Math.min(a, b) < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)
  }
  const said = [...document.querySelectorAll('body *:not(script, style, noscript)')].filter(e => e.checkVisibility()
    && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
  return [said.length, said.filter(faint).map(e => e.outerHTML.slice(0, 80))]
}''' # WCAG's ratio for each element with text: how many there are, and those that are too faint

@pytest.mark.parametrize('scheme', ('light', 'dark'))
def test_text_is_easy_to_see(reader, scheme):
    for name in ('index', '03_slopes', '12_recorder', '17_recap', 'api/learner', 'genindex'):
        page = reader(f'{name}.html')
        page.emulate_media(color_scheme=scheme)
        many, faint = page.evaluate(contrast)
        assert many > 50 and faint == [], name

def test_the_keyboard_skips_the_menu(reader):
    page = reader('03_slopes.html')
    page.keyboard.press('Tab')
    assert page.locator(':focus').inner_text() == 'Skip to content'
    page.keyboard.press('Enter')
    page.keyboard.press('Tab')
    assert page.locator('article').evaluate('e => e.contains(document.activeElement)')
