"What the package gives, read from its modules: a page for each, with every public name and where it is taught"
import ast
import importlib
import io
import re
import tokenize
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from site_notebooks import titled

root = Path(__file__).parent.parent
floors = {'story': 'what the course builds, notebook by notebook', 'data': 'from files to tensors',
          'tools': 'what makes it dependable and handy'}

@dataclass
class Name:
    "A public name, or a method of one"
    module: str # That it belongs to, such as 'fastsgd.learner'
    name: str # Such as 'Learner' or 'Learner.fit'
    node: ast.AST # Where it is made
    path: Path # In which file
    notebook: str # From which notebook, such as '11_learner'
    cell: str # From which of its cells
    methods: list = field(default_factory=list)
    before: 'Name' = None # What it took the place of: a method of the story, of which a tool makes more

    @property
    def full(self): return f'{self.module}.{self.name}'

    @property
    def maker(self):
        "The function that is called: for a class, its `__init__`"
        if isinstance(self.node, ast.FunctionDef): return self.node
        return next((n for n in getattr(self.node, 'body', []) if getattr(n, 'name', '') == '__init__'), None)

def dotted(path): return '.'.join(path.relative_to(root).with_suffix('').parts)
def floor(module): return module.split('.')[1] if module.count('.') == 2 else 'story'
def docname(module): return 'api/' + module.removeprefix('fastsgd.').replace('.', '/')
def source(path): return path.read_text(encoding='utf-8')

# --- what there is ---------------------------------------------------------------------------------

def targets(node):
    "What a statement at the top of a module makes: names; for a method that is added to classes, `Class.method`"
    if isinstance(node, ast.FunctionDef) and any('patch' in ast.unparse(d) for d in node.decorator_list):
        return [f'{cls}.{node.name}' for cls in re.findall(r'\w+', ast.unparse(node.args.args[0].annotation))]
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)): return [node.name]
    listed = [e for t in getattr(node, 'targets', []) for e in getattr(t, 'elts', [t])]
    return [e.id for e in listed if isinstance(e, ast.Name)]

def made(path):
    "All that a module makes at its top: `Name`s"
    cells = [(source(path).count('\n', 0, m.start()), m[1], m[2])
             for m in re.finditer(r'^# %% (?:\.\./)+nbs/(.+)\.ipynb #(\w+)', source(path), re.M)]
    for node in ast.parse(source(path)).body:
        before = [c for c in cells if c[0] < node.lineno]
        for name in targets(node) if before else (): yield Name(dotted(path), name, node, path, *before[-1][1:])

def modules():
    "Each module's file, floor by floor; the story in reading order"
    files = [f for f in (root/'fastsgd').rglob('*.py') if not f.stem.startswith('_') and f.stem != 'all']
    return sorted(files, key=lambda f: (list(floors).index(floor(dotted(f))), next(made(f)).notebook))

def collect():
    "The public names of each module, with the public methods that this or any other module gives them"
    found, homes, methods = {}, {}, []
    for path in modules():
        public, found[dotted(path)] = importlib.import_module(dotted(path)).__all__, []
        for this in made(path):
            if '.' in this.name: methods.append(this)
            elif this.name in public:
                homes.setdefault(this.name, this)
                found[dotted(path)].append(this)
                methods += [Name(dotted(path), f'{this.name}.{n.name}', n, path, this.notebook, this.cell)
                            for n in getattr(this.node, 'body', []) if isinstance(n, ast.FunctionDef)]
    for m in methods:
        home, last = homes.get(m.name.split('.')[0]), m.name.split('.')[1]
        if not home or last.startswith('_') or not ast.get_docstring(m.node): continue
        m.module = home.module
        m.before = next((o for o in home.methods if o.name == m.name), None) # the last one made is what is called
        home.methods = [o for o in home.methods if o is not m.before] + [m]
    return found

# --- as text ---------------------------------------------------------------------------------------

def kind(name):
    "The directive of Sphinx for it"
    if isinstance(name.node, ast.ClassDef):
        return 'exception' if name.name.endswith(('Exception', 'Error')) else 'class'
    if not isinstance(name.node, ast.FunctionDef): return 'data'
    if '.' not in name.name: return 'function'
    return 'property' if any('prop' in ast.unparse(d) for d in name.node.decorator_list) else 'method'

def arguments(name):
    "What stands between its parentheses: names and defaults; the types are in the table"
    args = ast.parse(ast.unparse(name.maker)).body[0].args
    if args.args and args.args[0].arg in ('self', 'cls') or 'patch' in map(ast.unparse, name.node.decorator_list):
        args.args.pop(0)
    for a in ast.walk(args):
        if isinstance(a, ast.arg): a.annotation = None
    return f'({ast.unparse(args)})'

def type_of(annotation, path):
    "A type as text: a link where it is a class"
    if not annotation: return ''
    written = ast.unparse(annotation)
    try: found = eval(written, dict(vars(importlib.import_module(dotted(path)))))
    except (NameError, AttributeError): found = None
    if not isinstance(found, type): return f'`{written}`'
    home = re.sub(r'^torch\.\w.*', 'torch.nn', found.__module__)
    return f'{{py:class}}`{written} <{home}.{found.__qualname__}>`'.replace('<builtins.', '<')

@cache
def comments(path):
    "The comment on each line of a file"
    tokens = tokenize.generate_tokens(io.StringIO(source(path)).readline)
    return {t.start[0]: t.string.lstrip('# ') for t in tokens if t.type == tokenize.COMMENT}

def row(*cells): return '| ' + ' | '.join(re.sub(r'\s+', ' ', c).replace('|', r'\|') for c in cells) + ' |'

def table(name):
    "What is said of its parameters, and of what it returns: types and docments, in the columns that are needed"
    node, says = name.maker, comments(name.path)
    args = [a for a in ast.walk(node.args) if isinstance(a, ast.arg) and a.arg not in ('self', 'cls')]
    args.sort(key=lambda a: (a.lineno, a.col_offset))
    rows = [(f'`{a.arg}`', type_of(a.annotation, name.path), says.get(a.end_lineno, '')) for a in args]
    last = max([node.lineno, *(a.end_lineno for a in args)])
    after = next((says[i] for i in range(node.body[0].lineno - 1, last, -1) if i in says), '')
    rows.append(('*returns*', type_of(node.returns, name.path), after))
    rows = [r for r in rows if any(r[1:])]
    columns = [c for c in zip(('parameter', 'type', 'what it is'), ('---',)*3, *rows) if any(c[2:])]
    return '\n'.join(map(row, *columns)) if rows else ''

def described(name, blob):
    "One name as Sphinx takes it, in MyST's Markdown"
    doc = ast.get_docstring(name.node) if kind(name) != 'data' else ''
    called = name.maker and kind(name) not in ('exception', 'property')
    file = name.path.relative_to(root).as_posix()
    places = [f'{{ref}}`{titled(root/f"nbs/{n.notebook}.ipynb")[0]} <cell-{n.cell}>`' for n in (name.before, name) if n]
    where = (f'{{.where}}\nTaught in {", and more of it in ".join(places)} · '
             f'[source]({blob}/{file}#L{name.node.lineno}-L{name.node.end_lineno})')
    body = [doc, table(name) if called else '', where, *(described(m, blob) for m in name.methods)]
    fence = '::::' if '.' in name.name else ':::::'
    title = f'{{py:{kind(name)}}} {name.name}{arguments(name) if called else ""}'
    return f'{fence}{title}\n' + '\n\n'.join(b for b in body if b) + f'\n{fence}'

def module_page(module, names, blob):
    "The page of a module"
    doc = importlib.import_module(module).__doc__
    path = root.joinpath(*module.split('.')).with_suffix('.py')
    notebook = f'The notebook: {{doc}}`/{next(made(path)).notebook}`.'
    head = [f'# {module}', doc, notebook, f':::{{py:module}} {module}\n:::']
    return '\n\n'.join(head + [described(n, blob) for n in names]) + '\n'
