"How the site is made of the notebooks: sphinx-build -W -n -c docs nbs docs/_build"
import sys
from configparser import ConfigParser
from pathlib import Path

root = Path(__file__).parent.parent
sys.path[:0] = [str(root/'docs'), str(root)]
config = ConfigParser(delimiters=['='])
config.read(root/'settings.ini', encoding='utf-8')
cfg = config['DEFAULT']

project, author, copyright, version = cfg['title'], cfg['author'], cfg['copyright'], cfg['version']
html_title, html_baseurl = project, cfg['doc_host'] + cfg['doc_baseurl']
blob = f"{cfg['git_url']}/blob/{cfg['branch']}"
colab = f"https://colab.research.google.com/github/{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}"

extensions = ['myst_nb', 'sphinx.ext.intersphinx', 'site_pages']
exclude_patterns = ['**/.ipynb_checkpoints', '_proc']
nb_execution_mode = 'off'                # what a notebook's author saw is what its readers see
nb_render_markdown_format = 'myst'       # tables that cells print have links, too
nb_code_prompt_show, nb_code_prompt_hide = 'Show the code', 'Hide the code'
myst_enable_extensions = ['dollarmath', 'colon_fence', 'attrs_inline', 'attrs_block', 'deflist']
myst_heading_anchors, myst_heading_slug_func = 3, 'site_notebooks.slug'
suppress_warnings = ['config.cache']
add_module_names = False
toc_object_entries_show_parents = 'hide'
python_maximum_signature_line_length = 80
html_math_renderer = 'mathml'            # by docutils, while the site is built: no script, no font from elsewhere

# Other people's names have no page here. With `-t online` they are links: their documentation is asked where they are
nitpick_ignore_regex = [('py:.*', r'(?!fastsgd\b).*')]
intersphinx_mapping = {name: (f'https://{at}/', None) for name, at in dict(
    python='docs.python.org/3', numpy='numpy.org/doc/stable', torch='docs.pytorch.org/docs/stable').items()
    } if tags.has('online') else {}  # noqa: F821 (given by Sphinx)

linkcheck_ignore = [f'{at}/.*' for at in (blob, colab)] # they are where the project is, once it is there

html_theme = 'furo'
html_static_path = ['static']
html_css_files, html_favicon = ['site.css'], 'static/icon.svg'
html_search_scorer = str(root/'docs/scorer.js')
html_copy_source = html_show_sphinx = False
html_domain_indices = False
html_theme_options = dict(source_repository=cfg['git_url'] + '/', source_branch=cfg['branch'],
                          source_directory='nbs/', top_of_page_buttons=[])
