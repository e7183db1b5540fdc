"The extension of Sphinx that puts the site together: pages that no file is behind, and what becomes of notebooks"
import json
from pathlib import Path

import site_api as api
import site_notebooks as notebooks
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx import addnodes
from sphinx.project import Project
from sphinx.util.images import get_image_size

class Pages(Project):
    "The files in nbs/, and the pages in `made`, which are written for each build"
    def discover(self, *args, **kwargs):
        super().discover(*args, **kwargs)
        for path in self.made.rglob('*.md'):
            name = path.relative_to(self.made).with_suffix('').as_posix()
            self.docnames.add(name)
            self._docname_to_path[name], self._path_to_docname[path] = path, name
        return self.docnames

def write(path, text):
    "Write a page, unless it says the same already: then Sphinx needn't read it again"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding='utf-8') != text: path.write_text(text, encoding='utf-8')

def tree(entries, caption=''):
    options = ':hidden:\n' + (f':caption: {caption}\n' if caption else '')
    return f':::{{toctree}}\n{options}\n' + '\n'.join(entries) + '\n:::'

def shelf(nbs, folder, title, sentence):
    "The page that lists the notebooks of a floor"
    found = sorted((nbs/folder).glob('*.ipynb'))
    lines = [f'- {{doc}}`/{folder}/{f.stem}`: {notebooks.titled(f)[1]}' for f in found]
    return f'# {title}\n\n{sentence}\n\n' + '\n'.join(lines) + '\n\n' + tree([f'/{folder}/{f.stem}' for f in found])

def api_index(found):
    "The page that lists the modules, floor by floor, with their names"
    parts = ['# API\n\nEvery public name, by module. `from fastsgd.all import *` brings in what you need every day.']
    for floor, what in api.floors.items():
        parts.append(f'## {floor.title()}: {what}')
        for module, names in found.items():
            if api.floor(module) != floor: continue
            links = ', '.join(f'{{py:obj}}`{n.name} <{n.full}>`' for n in names)
            parts.append(f'{{doc}}`{module} </{api.docname(module)}>`\n: {links or "adds methods to other modules"}')
    return '\n\n'.join(parts + [tree('/' + api.docname(m) for m in found)])

def make_pages(app):
    "Write the pages that no file is behind"
    app.project.__class__, app.project.made = Pages, Path(app.doctreedir)/'pages'
    nbs, blob, found = Path(app.srcdir), app.config.blob, api.collect()
    app.taught = {}
    for names in found.values():
        for n in [m for name in names for m in (name, *name.methods, *(o.before for o in name.methods if o.before))]:
            app.taught.setdefault((n.notebook, n.cell), {})[n.name] = n.full
    app.homes = {}
    for n in sum(found.values(), []): app.homes.setdefault(n.name, n.full)
    pages = {api.docname(m): api.module_page(m, names, blob) for m, names in found.items()}
    pages['api/index'] = api_index(found)
    pages['tools/index'] = shelf(nbs, 'tools', 'Tools', 'The practical part, a notebook for each job.')
    pages['data/index'] = shelf(nbs, 'data', 'Data', 'From files to tensors; nothing learns here.')
    for name, text in pages.items(): write(app.project.made/f'{name}.md', text)

# --- notebooks -------------------------------------------------------------------------------------

def story(app): return sorted(f.stem for f in Path(app.srcdir).glob('[0-9][0-9]_*.ipynb'))

def below_title(app, docname, cells):
    "Where this notebook stands, how long it takes, and where it can be had"
    course, file = story(app), f'nbs/{docname}.ipynb'
    place = [f'Notebook {course.index(docname) + 1} of {len(course)}'] if docname in course else []
    buttons = f'[Open in Colab]({app.config.colab}/{file}) [The file]({app.config.blob}/{file})'
    return '{.place}\n' + ' · '.join([*place, f'about {notebooks.minutes(cells)} minutes']) + ' ' + buttons

def front(app):
    "What stands below the title of the front page: ways in, and a network that learns"
    titles = [f'{n[:2]} {notebooks.titled(Path(app.srcdir)/f"{n}.ipynb")[0]} <{n}>' for n in story(app)]
    guides = sorted(f'guides/{f.stem}' for f in Path(app.srcdir).glob('guides/*.md'))
    trees = [tree(titles, 'The course'), *([tree(guides, 'Guides')] if guides else []),
             tree(['tools/index', 'data/index', 'api/index', 'genindex'], 'To look up')]
    here, package = Path(__file__).parent, Path(__file__).parent.parent/'fastsgd'
    frame = (package/'data/figures/frame.js').read_text(encoding='utf-8').replace('NAME', 'playground')
    return (here/'front.md').read_text(encoding='utf-8').replace('FRAME', frame) + '\n\n'.join(trees)

def read_source(app, docname, content):
    "Sphinx has read a file: if it is a notebook, hand it what is to be shown of it"
    path = Path(app.srcdir)/f'{docname}.ipynb'
    if not path.exists(): return
    nb = json.loads(content[0])
    top = front(app) if docname == 'index' else below_title(app, docname, nb['cells'])
    nb = notebooks.page(nb, docname, app.config.blob, top, app.taught)
    recap = notebooks.glossary(notebooks.read(Path(app.srcdir)/'17_recap.ipynb'))
    notebooks.with_terms(nb['cells'], [term for term, where in recap if where == docname])
    content[0] = json.dumps(nb)

def lazy(app, doctree):
    "Pictures are loaded when they come near; the page keeps their places free"
    for image in doctree.findall(nodes.image):
        image['loading'] = 'lazy'
        size = get_image_size(Path(app.srcdir)/image['uri'])
        if size and 'width' not in image: image['width'], image['height'] = map(str, size)

def link_names(app, doctree):
    "Where a page says a public name for the first time, it leads to what the name does"
    homes, seen = app.homes, {n.astext() for n in doctree.findall(addnodes.desc_name)}
    for said in list(doctree.findall(nodes.literal)):
        name = said.astext().removesuffix('()')
        if name not in homes or name in seen or not isinstance(said.parent, nodes.paragraph): continue
        seen.add(name)
        to = dict(refdomain='py', reftype='obj', reftarget=homes[name], refdoc=app.env.docname, refexplicit=True)
        link = addnodes.pending_xref('', **to, refwarn=True)
        said.replace_self(link)
        link += said

# --- formulas and the playground -------------------------------------------------------------------

def inline_math(self, node):
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode

def block_math(self, node):
    self.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode

def add_playground(app, exception):
    "Write the page in which a network learns, for the front page to show"
    if exception or app.builder.format != 'html': return
    from fastsgd.tools.playground import playground
    playground().save(Path(app.outdir)/'playground.html')

def setup(app):
    app.add_config_value('blob', '', 'env')
    app.add_config_value('colab', '', 'env')
    app.add_html_math_renderer('mathml', (inline_math, None), (block_math, None))
    app.connect('builder-inited', make_pages)
    app.connect('source-read', read_source)
    app.connect('doctree-read', lazy)
    app.connect('doctree-read', link_names)
    app.connect('build-finished', add_playground)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
