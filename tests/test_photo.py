"""What `fastsgd.tools.photo` makes of any mode of picture, of damaged files, and of pictures that are hardly any.

The notebook `tools/photo` shows how the module is used, and tests that; this file holds what is no reading matter.
"""
import io, os, signal, struct, zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw

from fastsgd.tools.photo import Photo, digit_from_image, show_steps

hypothesis_settings = dict(deadline=None, database=None, derandomize=True)

def seven(size=(150, 200), ink=0, paper=255, width=14):
    "A 7 in gray"
    im = Image.new('L', (2*size[0], 2*size[1]), paper)
    w, h = size
    ImageDraw.Draw(im).line([(0.6*w, 0.5*h), (1.4*w, 0.45*h), (0.9*w, 1.6*h)], fill=ink, width=2*width)
    return im.reduce(2)

def image_bytes(im, fmt='PNG', **kwargs):
    im.save(b := io.BytesIO(), fmt, **kwargs)
    return b.getvalue()

def check(photo):
    assert isinstance(photo, Photo) and photo.x.shape == (28, 28) and photo.x.dtype is torch.float32
    assert torch.isfinite(photo.x).all() and 0 <= photo.x.min() < photo.x.max() <= 1
    left, upper, right, lower = photo.box
    assert 0 <= left < right and 0 <= upper < lower and isinstance(photo.note, str)

def with_alpha(ink, mode='RGBA'):
    "The 7 in one color on nothing"
    bands = [Image.new('L', seven().size, ink)]*(3 if mode == 'RGBA' else 1)
    return Image.merge(mode, (*bands, seven(ink=255, paper=0)))

def transparent_palette():
    im = seven().convert('P')
    im.info['transparency'] = 255
    return im

sixteen = Image.fromarray(np.asarray(seven()).astype(np.uint16)*257)
exact = dict(gray=(seven(), 'PNG'), color=(seven().convert('RGB'), 'PNG'), rgba=(seven().convert('RGBA'), 'PNG'),
             la=(seven().convert('LA'), 'PNG'), palette=(seven().convert('P'), 'PNG'),
             transparent_palette=(transparent_palette(), 'PNG'), inverted=(seven(ink=255, paper=0), 'PNG'),
             sixteen=(sixteen, 'PNG'), sixteen_tiff=(sixteen, 'TIFF'), cmyk=(seven().convert('CMYK'), 'TIFF'),
             black_on_nothing=(with_alpha(0), 'PNG'), white_on_nothing=(with_alpha(255), 'PNG'),
             gray_on_nothing=(with_alpha(0, 'LA'), 'PNG'), bmp=(seven(), 'BMP'), gif=(seven(), 'GIF'),
             webp=(seven().convert('RGB'), 'WEBP'))

@pytest.mark.parametrize('way', exact)
def test_same_digit_from_any_mode(way, tmp_path):
    im, fmt = exact[way]
    (tmp_path/'x').write_bytes(image_bytes(im, fmt, **({'lossless': True} if fmt == 'WEBP' else {})))
    found = digit_from_image(tmp_path/'x')
    check(found)
    assert (found.x - digit_from_image(seven()).x).abs().max() < 0.02
    assert ('light on dark' if way in ('inverted', 'white_on_nothing') else 'dark on light') in found.note

nearly = {'1-bit': (seven().convert('1'), 'PNG'), 'CMYK JPEG': (seven().convert('CMYK'), 'JPEG'),
          'JPEG': (seven(), 'JPEG'), 'pencil': (seven(ink=130), 'PNG'),
          'large': (seven((1500, 2000), width=140), 'PNG'), 'small': (seven((75, 100), width=7), 'PNG')}

@pytest.mark.parametrize('im,fmt', nearly.values(), ids=nearly)
def test_nearly_the_same_digit(im, fmt, tmp_path):
    (tmp_path/'x').write_bytes(image_bytes(im, fmt))
    assert (digit_from_image(tmp_path/'x').x - digit_from_image(seven()).x).abs().mean() < 0.02

@pytest.mark.parametrize('orientation', range(1, 9))
def test_camera_was_turned(orientation, tmp_path):
    turns = (None, 'FLIP_LEFT_RIGHT', 'ROTATE_180', 'FLIP_TOP_BOTTOM', 'TRANSPOSE', 'ROTATE_90',
             'TRANSVERSE', 'ROTATE_270')
    turn = turns[orientation - 1]
    im = seven() if turn is None else seven().transpose(Image.Transpose[turn])
    exif = Image.Exif()
    exif[0x112] = orientation
    im.save(tmp_path/'x.png', exif=exif)
    found = digit_from_image(tmp_path/'x.png')
    upright = digit_from_image(seven())
    assert torch.allclose(found.x, upright.x) and found.box == upright.box

def test_box_is_in_pixels_of_the_picture():
    im = Image.new('L', (3000, 2000), 255)
    im.paste(0, (1000, 500, 1200, 1100))
    assert np.abs(np.subtract(digit_from_image(im).box, (1000, 500, 1200, 1100))).max() <= 12

def test_first_frame_and_present_frame(tmp_path):
    others = [seven(ink=255, paper=0), Image.new('L', (150, 200), 9)]
    seven().save(tmp_path/'x.gif', save_all=True, append_images=others)
    found = digit_from_image(tmp_path/'x.gif')
    assert 'first of 3 frames' in found.note and 'dark on light' in found.note
    with Image.open(tmp_path/'x.gif') as im:
        im.seek(1)
        assert 'frames' not in (note := digit_from_image(im).note) and 'light on dark' in note
        assert im.tell() == 1

def test_given_image_is_left_as_it_is():
    im = seven()
    before = im.tobytes()
    digit_from_image(im)
    assert im.tobytes() == before and im.size == (150, 200)

# ---- What has no digit, and what is no picture

barely = np.where(np.asarray(seven()) < 128, 253, 255).astype(np.uint8)
noise = np.random.default_rng(0).normal(200, 12, (400, 300)).astype(np.uint8)
blank = dict(white=Image.new('L', (300, 300), 255), black=Image.new('RGB', (300, 300)),
             nothing=Image.new('RGBA', (50, 50)), one=Image.new('L', (1, 1), 9),
             barely=Image.fromarray(barely), noise=Image.fromarray(noise))

@pytest.mark.parametrize('name', blank)
def test_blank(name, tmp_path):
    blank[name].save(tmp_path/'x.png')
    for f in (digit_from_image, show_steps):
        with pytest.raises(ValueError, match='x.png is not read: there is no ink'): f(tmp_path/'x.png')
    with pytest.raises(ValueError, match='the image is not read: there is no ink'): digit_from_image(blank[name])

@pytest.mark.parametrize('size', [(1000, 1), (1, 60), (2, 2), (5000, 3), (8, 8), (28, 28)])
def test_small_and_thin(size):
    a = np.full(size[::-1], 255, np.uint8)
    h, w = a.shape
    a[h//3:h//3 + 1 + h//4, w//3:w//3 + 1 + w//4] = 0
    try: check(digit_from_image(Image.fromarray(a)))
    except ValueError as e: assert 'no ink' in str(e)

def test_not_too_many_pixels(tmp_path):
    def chunk(kind, body):
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
    for side in (4104, 20_000, 2**31 - 1): # nothing follows the header: it would be damaged if it were decoded
        header = chunk(b'IHDR', struct.pack('>2I5B', side, side, 1, 0, 0, 0, 0))
        (tmp_path/'x.png').write_bytes(b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', b''))
        with pytest.raises(ValueError, match='x.png is not read: .*pixels.* allowed'):
            digit_from_image(tmp_path/'x.png')

def test_bad_files(tmp_path):
    raw = image_bytes(seven(), 'JPEG')
    Image.fromarray(np.full((40, 40), np.nan, np.float32)).save(tmp_path/'nan.tif')
    contents = dict(cut=raw[:len(raw)//2], head=raw[:20], empty=b'', text=b'no picture')
    for name, content in contents.items(): (tmp_path/f'{name}.jpg').write_bytes(content)
    reasons = {'nan.tif': 'floats', 'cut.jpg': 'truncated', 'head.jpg': '', 'empty.jpg': 'the file is empty',
               'text.jpg': r'no image of a kind we read \(PNG, JPEG', '': 'it is no file'}
    for name, contains in reasons.items():
        with pytest.raises(ValueError, match=f'is not read: .*{contains}'): digit_from_image(tmp_path/name)
    with pytest.raises(FileNotFoundError, match='no such image: .*nowhere.png'):
        digit_from_image(tmp_path/'nowhere.png')
    for path in ('\0', 'x'*5000):
        with pytest.raises((ValueError, OSError)): digit_from_image(path)
    with Image.open(tmp_path/'cut.jpg') as im, pytest.raises(ValueError, match='the image is not read: .*truncated'):
        digit_from_image(im)
    for no_path in (7, None, np.zeros((28, 28)), torch.zeros(28, 28), io.BytesIO(raw)):
        with pytest.raises(TypeError, match=f'not {type(no_path).__name__}'): digit_from_image(no_path)

@pytest.mark.parametrize('path', [str, os.fsencode, Path], ids=['str', 'bytes', 'Path'])
def test_kinds_of_paths(path, tmp_path):
    seven().save(tmp_path/'x.png')
    check(digit_from_image(path(str(tmp_path/'x.png'))))

@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no named pipes on this system')
def test_named_pipe(tmp_path):
    os.mkfifo(tmp_path/'x.png')
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(2)
    try:
        with pytest.raises(ValueError, match='it is no file'): digit_from_image(tmp_path/'x.png')
    except KeyboardInterrupt: pytest.fail('waited for the pipe')
    finally: signal.alarm(0); signal.signal(signal.SIGALRM, before)

# ---- Anything

def result_or_value_error(image):
    try: check(digit_from_image(image))
    except ValueError as e: assert 'is not read: ' in str(e)

@settings(max_examples=150, **hypothesis_settings)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)))
def test_any_pixels(a): result_or_value_error(Image.fromarray(a))

modes = '1 L P RGB RGBA CMYK YCbCr LAB HSV I F LA PA RGBX RGBa La I;16 I;16B'.split()

@settings(max_examples=150, **hypothesis_settings)
@given(st.sampled_from(modes), st.tuples(st.integers(1, 30), st.integers(1, 30)), st.binary(min_size=1, max_size=64))
@example('I', (3, 3), b'\xff')
@example('F', (3, 3), b'\xff') # not a number
def test_any_mode(mode, size, raw):
    im = Image.new(mode, size)
    n = len(im.tobytes())
    im.frombytes((raw*(n//len(raw) + 1))[:n])
    result_or_value_error(im)

files = [image_bytes(seven((30, 40), width=4), fmt) for fmt in ('PNG', 'JPEG', 'BMP', 'GIF', 'TIFF', 'WEBP')]

@pytest.mark.filterwarnings('ignore') # Pillow's about odd tags
@settings(max_examples=150, **hypothesis_settings)
@given(st.sampled_from(files) | st.binary(max_size=100),
       st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=4), st.none() | st.integers(-3000, 3000))
def test_any_bytes(tmp_path_factory, raw, changes, end):
    path, raw = tmp_path_factory.getbasetemp()/'mutated', bytearray(raw)
    for place, byte in changes if raw else (): raw[place % len(raw)] = byte
    path.write_bytes(raw[:end])
    result_or_value_error(path)
