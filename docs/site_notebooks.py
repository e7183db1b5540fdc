"From a notebook as it is stored to the page that a reader sees"
import json
import posixpath
import re

step_words, step_lines = 200, 15 # read in a minute: words of text, or lines of code

def source(cell): return ''.join(cell['source'])
def markdown(text): return dict(cell_type='markdown', metadata={}, source=text)
def slug(title): return title.replace(' ', '-') # as Jupyter spells the address of a heading

def directives(code):
    "What a cell's `#|` lines say; a long one goes on in lines that are indented"
    joined = re.sub(r'\n#\|  +', ' ', code)
    return {k: v.strip() for k, v in re.findall(r'^#\| *([\w-]+):? *(.*)$', joined, re.M)}

def without_directives(code): return re.sub(r'^#\|.*\n?', '', code, flags=re.M)

def folded(cell): return cell['metadata'].get('jupyter', {}).get('source_hidden') or {
    'hide-input', 'answer'} & set(cell['metadata'].get('tags', []))

def minutes(cells):
    "How long a notebook takes to read"
    words = sum(len(source(c).split()) for c in cells if c['cell_type'] == 'markdown')
    lines = sum(len(source(c).splitlines()) for c in cells if c['cell_type'] == 'code' and not folded(c))
    return max(round(words/step_words + lines/step_lines), 1)

def text(cell, docname, blob):
    "A cell of text without its line to the next notebook; links to what isn't on the site lead to the repository"
    def outward(m):
        at = posixpath.normpath(posixpath.join('nbs', posixpath.dirname(docname), m[1]))
        return m[0] if at.startswith('nbs/') else f']({blob}/{at})'
    shown = re.sub(r'^\[← .*\n*', '', source(cell), flags=re.M)
    return markdown(re.sub(r'\]\(((?:\.\./)[^)#]*)\)', outward, shown))

def output(out, docname, blob):
    "An output without what progress bars leave; the same links as in text"
    data = out.get('data', {})
    html = ''.join(data.get('text/html', ''))
    if html.lstrip().startswith('<style>') and 'progress' in html: return None
    if 'text/markdown' in data and not html:
        data['text/markdown'] = source(text(dict(source=data['text/markdown']), docname, blob))
    return out

def code(cell, docname, blob):
    "A cell of code without its directives: hidden, folded or open; `None` if nothing of it is to be seen"
    says, tags = directives(source(cell)), set(cell['metadata'].get('tags', []))
    shown = without_directives(source(cell))
    if 'hide' in says or not shown.strip(): return None
    options = cell['metadata'].setdefault('mystnb', {})
    if 'fig-alt' in says: options['image'] = dict(alt=says['fig-alt'])
    if 'answer' in tags:
        tags = tags - {'hide-input'} | {'hide-cell'}
        number = re.match(r'# (\d+)\. ', shown)
        options['code_prompt_show'] = options['code_prompt_hide'] = f'Answer {number[1]}' if number else 'The answer'
    elif folded(cell): tags.add('hide-input')
    if says.get('echo') == 'false': tags = tags - {'hide-input'} | {'remove-input'}
    outputs = [o for o in (output(o, docname, blob) for o in cell['outputs']) if o]
    return {**cell, 'source': shown, 'outputs': outputs, 'metadata': {**cell['metadata'], 'tags': sorted(tags)}}

def mark(docname, cell, names):
    "The line above a cell that is exported: which names of the package it makes"
    links = ', '.join(f'{{py:obj}}`{short} <{full}>`' for short, full in names.items())
    return markdown(f"(cell-{cell['id']})=\n{{.exported}}\nIn the package: {links}")

def page(nb, docname, blob, below_title, names):
    "The notebook as it is shown, with the text `below_title`; `names` are those that each of its exported cells makes"
    cells = []
    for i, cell in enumerate(nb['cells']):
        made = names.get((docname, cell['id']))
        if made: cells.append(mark(docname, cell, made))
        cells.append((text if cell['cell_type'] == 'markdown' else code)(cell, docname, blob))
        if i == 0: cells.append(markdown(below_title))
    cells = [c for c in cells if c]
    for i, c in enumerate(cells): c.setdefault('id', f'added-{i}')
    return {**nb, 'cells': cells}

def glossary(nb):
    "Each term of the last notebook's tables, and the notebook that explains it"
    row = r'^\| \*\*(.+?)\*\* \| .+? \| \[\w+\]\(([\w/]+)\.ipynb(?:#[\w-]+)?\) \|$'
    return re.findall(row, '\n'.join(source(c) for c in nb['cells']), re.M)

def with_terms(cells, terms):
    "Make each term an entry of the index where it is first explained: in bold type, or else where it first stands"
    for term in terms:
        for wanted in (rf'\*\*{re.escape(term)}', rf'\b{re.escape(term)}'):
            if enter(cells, term, wanted): break

def enter(cells, term, wanted):
    for cell in cells:
        if cell['cell_type'] != 'markdown': continue
        parts = source(cell).split('\n\n')
        for i, part in enumerate(parts):
            if re.search(wanted, part, re.I) and not part.startswith(('#', '```', '|', ':::', '(')):
                parts.insert(i, f'```{{index}} ! single: {term}\n```')
                cell['source'] = '\n\n'.join(parts)
                return True

def read(path): return json.loads(path.read_text(encoding='utf-8'))

def titled(path):
    "A notebook's title and its sentence"
    title, sentence = re.match(r'# (.+)\n+> (.+)', source(read(path)['cells'][0])).groups()
    return title, sentence
