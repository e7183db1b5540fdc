"""Turns nbs/index.ipynb into README.md, from the root of the project:

    jupyter nbconvert --config nbs/nbconvert_readme.py
"""
import re

from nbconvert.preprocessors import Preprocessor

def from_root(text):
    "`text` with its links as they are seen from the root of the project, not from nbs/"
    return re.sub(r'\]\(((?:\w+/)?\w+\.ipynb|guides/\w+\.md|images/\w+\.png)', r'](nbs/\1', text).replace('](../', '](')

class Readme(Preprocessor):
    "Makes of a notebook what a reader on the web wants: no directives, coloured code, pictures with a description"
    def preprocess(self, nb, resources):
        nb.metadata['language_info'] = {'name': 'python'}
        nb.cells = [c for c in map(self.convert, nb.cells) if c is not None]
        return nb, resources

    def convert(self, cell):
        "`cell` as it shall stand in the README, `None` if it shall not"
        if cell.cell_type == 'markdown':
            cell.source = from_root(cell.source)
            return cell
        joined = re.sub(r'\n#\|  +', ' ', cell.source) # a long directive goes on in lines that are indented
        directives = dict(re.findall(r'^#\| *([\w-]+):? *(.*)$', joined, flags=re.M))
        if 'hide' in directives: return None
        cell.source = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M)
        for output in cell.outputs: self.describe(output, directives.get('fig-alt'))
        if directives.get('echo') != 'false': return cell
        shown = '\n\n'.join(o.data['text/markdown'] for o in cell.outputs if 'text/markdown' in o.get('data', {}))
        return type(cell)(cell_type='markdown', id=cell.id, metadata={}, source=from_root(shown))

    def describe(self, output, alt):
        "Give a picture its alternative text, and drop what a progress bar left"
        data = output.get('data', {})
        if 'image/png' in data:
            if not alt: raise ValueError('a cell of index.ipynb shows a picture and has no line `#| fig-alt: ...`')
            output.data = {'text/markdown': f"![{alt}]({output.metadata.filenames['image/png']})"}
        elif '<style>' in data.get('text/html', ''): output.data = {}

c = get_config()  # noqa: F821 (given by nbconvert)
c.NbConvertApp.notebooks = ['nbs/index.ipynb']
c.NbConvertApp.export_format = 'markdown'
c.NbConvertApp.output_base = 'README'
c.NbConvertApp.output_files_dir = 'README_files'
c.FilesWriter.build_directory = '.'
c.MarkdownExporter.preprocessors = [Readme]
