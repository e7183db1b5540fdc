"A browser for the tests of pages and moving figures; they are skipped where there is none"
import shutil

import pytest

@pytest.fixture(scope='session')
def browser():
    api = pytest.importorskip('playwright.sync_api', reason='the browser tests need the package playwright')
    chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    if not chromium: pytest.skip('the browser tests need the program chromium (Debian: apt install chromium)')
    with api.sync_playwright() as p:
        args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking']
        started = p.chromium.launch(executable_path=chromium, args=args)
        yield started
        started.close()

@pytest.fixture
def visit(browser):
    "Opens a page that is a file; in the end there must have been no error, and no request for anything else"
    wrong, contexts = [], []
    def opened(file, width=850, height=600, after='', **kwargs):
        contexts.append(browser.new_context(viewport=dict(width=width, height=height), **kwargs))
        contexts[-1].route(lambda url: not url.startswith(('file:', 'data:')), lambda route: route.abort())
        page = contexts[-1].new_page()
        page.on('console', lambda m: wrong.append(m.text))
        page.on('pageerror', lambda e: wrong.append(str(e)))
        page.on('request', lambda r: r.url.startswith((file.as_uri(), 'data:')) or wrong.append(r.url))
        page.goto(file.as_uri() + after)
        return page
    yield opened
    for c in contexts: c.close()
    assert wrong == []
