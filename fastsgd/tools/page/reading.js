// Reads the digits in a picture as the package does (fastsgd.data: marks, ink, strokes, reading), under the same names.
// A picture is a grid {h, w, a}: height, width, and its numbers row by row. Gray is 0 (black) to 255 (white).
import {clamp, mean, sum} from '../../data/figures/mathematics.js'

// --- grids ---------------------------------------------------------------------------------------
const most = a => { let m = -Infinity; for (const x of a) if (x > m) m = x; return m }
const least = a => -most(a.map(x => -x))
const even = x => { const r = Math.round(x); return r - x === 0.5 && r%2 ? r - 1 : r } // rounded, a half to even
function quantile(values, q) {
  const a = Float32Array.from(values).sort(), at = (a.length - 1)*q, i = Math.floor(at)
  return a[i] + (at - i)*((a[i + 1] ?? a[i]) - a[i])
}
const median = values => quantile(values, 0.5)
function grid(h, w, f) { // of numbers that f gives for row and column
  const a = new Float32Array(h*w)
  for (let y = 0, i = 0; y < h; y++) for (let x = 0; x < w; x++) a[i++] = f(y, x)
  return {h, w, a}
}
const each = ({h, w, a}, f) => ({h, w, a: a.map(f)})
const cut = ({h, w, a}, [left, upper, right, lower]) =>
  grid(Math.min(lower, h) - upper, Math.min(right, w) - left, (y, x) => a[(upper + y)*w + left + x])
const padded = ({h, w, a}, up, aside = up) => grid(h + 2*up, w + 2*aside, (y, x) =>
  y < up || y >= h + up || x < aside || x >= w + aside ? 0 : a[(y - up)*w + x - aside])
const every = ({h, w, a}, step) => grid(Math.ceil(h/step), Math.ceil(w/step), (y, x) => a[step*(y*w + x)])
const around = boxes => [0, 1, 2, 3].map(k => (k < 2 ? Math.min : Math.max)(...boxes.map(b => b[k])))
function boxesOf({w, a}, n) { // left, upper, right and lower edge of what has the numbers 1 to n
  const boxes = Array.from({length: n}, () => [Infinity, Infinity, 0, 0])
  a.forEach((v, i) => {
    if (!v) return
    const x = i%w, y = Math.floor(i/w), [l, u, r, b] = boxes[v - 1]
    if (x < l || y < u || x >= r || y >= b) boxes[v - 1] = around([boxes[v - 1], [x, y, x + 1, y + 1]])
  })
  return boxes
}
const boxOf = (g, faint = 0) => boxesOf(each(g, v => v > faint), 1)[0]
const trim = g => cut(g, boxOf(g, 0.02))

// --- filters: of each row, then of each column ---------------------------------------------------
function turnedRows({h, w, a}, f) { // each row becomes a column
  const rows = Array.from({length: h}, (_, y) => f(a.subarray(y*w, (y + 1)*w)))
  return grid(rows[0].length, h, (y, x) => rows[x][y])
}
const bothWays = (g, f, columns = f) => turnedRows(turnedRows(g, f), columns)
const extreme = (size, sign) => line => { // the largest (sign 1) or the smallest (sign -1) number of each window
  if (line.every(v => v === line[0])) return line // as most rows of a drawing
  const n = line.length, out = new Float32Array(n), waiting = new Int32Array(n), half = size >> 1
  for (let i = 0, next = 0, first = 0, last = 0; i < n; i++) {
    for (; next < n && next < i - half + size; next++) {
      while (last > first && sign*line[waiting[last - 1]] <= sign*line[next]) last--
      waiting[last++] = next
    }
    if (waiting[first] < i - half) first++
    out[i] = line[waiting[first]]
  }
  return out
}
const highest = (g, size) => bothWays(g, extreme(size, 1)), lowest = (g, size) => bothWays(g, extreme(size, -1))
function smooth(g, sigma) {
  const r = Math.floor(2*sigma + 0.5), bell = Array.from({length: 2*r + 1}, (_, i) => Math.exp(-(((i - r)/sigma)**2)/2))
  const all = sum(bell)
  return bothWays(g, line => line.map((_, i) => {
    let s = 0
    for (let j = -r; j <= r; j++) s += bell[j + r]*line[clamp(i + j, 0, line.length - 1)]
    return s/all
  }))
}
// How Pillow resizes: the weight of an old pixel in a new one, by its distance from the new one's middle
const box = [0.5, x => x > -0.5 && x <= 0.5 ? 1 : 0], bilinear = [1, x => Math.max(0, 1 - Math.abs(x))]
const bicubic = [2, x => (x = Math.abs(x)) < 1 ? (1.5*x - 2.5)*x*x + 1 : x < 2 ? ((2.5 - x/2)*x - 4)*x + 2 : 0]
function scaling(from, to, [support, f]) {
  const scale = from/to, wide = Math.max(scale, 1)
  const windows = Array.from({length: to}, (_, i) => {
    const middle = (i + 0.5)*scale, first = Math.max(0, Math.floor(middle - support*wide + 0.5))
    const n = Math.min(from, Math.floor(middle + support*wide + 0.5)) - first
    const weights = Array.from({length: n}, (_, j) => f((first + j - middle + 0.5)/wide)), all = sum(weights)
    return {first, weights: weights.map(w => w/all)}
  })
  return line => windows.map(o => o.weights.reduce((s, w, j) => s + w*line[o.first + j], 0))
}
const resize = (g, h, w, how) => h === g.h && w === g.w ? g : bothWays(g, scaling(g.w, w, how), scaling(g.h, h, how))
function shrunk(g, side) { // blocks of pixels become their average
  const n = Math.ceil(Math.max(g.h, g.w)/side)
  const blocks = line => Array.from({length: Math.ceil(line.length/n)}, (_, i) => mean(line.subarray(i*n, i*n + n)))
  return n > 1 ? bothWays(g, blocks) : g
}
const far = 1e9
function parabolas(line) { // the lowest of those that stand on each pixel
  const places = [], from = []
  line.forEach((v, i) => {
    if (v >= far) return
    let meet = -Infinity
    while (places.length) {
      const p = places.at(-1)
      meet = (v + i*i - line[p] - p*p)/(2*(i - p))
      if (meet > from.at(-1)) break
      places.pop(); from.pop()
    }
    places.push(i); from.push(meet)
  })
  let k = 0
  return line.map((v, i) => {
    while (from[k + 1] < i) k++
    return places.length ? (i - places[k])**2 + line[places[k]] : v
  })
}
const distance = g => each(bothWays(each(g, v => v ? far : 0), parabolas), Math.sqrt) // of each pixel to the nearest 0
function numbered(g, corners) { // what is connected gets a number, 1 to n; by their corners too?
  const {h, w} = g, out = {h, w, a: new Int32Array(h*w), n: 0}, stack = []
  g.a.forEach((v, start) => {
    if (!v || out.a[start]) return
    out.a[start] = ++out.n
    stack.push(start)
    while (stack.length) {
      const i = stack.pop(), x = i%w
      for (let dy = -w; dy <= w; dy += w) for (let dx = -1; dx < 2; dx++) {
        const j = i + dy + dx // above and below the picture there is nothing
        if (!g.a[j] || out.a[j] || dx && dy && !corners || x + dx < 0 || x + dx >= w) continue
        out.a[j] = out.n
        stack.push(j)
      }
    }
  })
  return out
}

// --- marks: what is paper, what is ink, and what belongs together --------------------------------
function withoutInk(gray, dark) {
  const side = Math.max(gray.h, gray.w), size = Math.max(11, side >> 2 | 1)
  if (side > 100) gray = smooth(gray, side/250)
  return dark ? lowest(highest(gray, size), size) : highest(lowest(gray, size), size)
}
const roughness = ({w, a}) =>
  a.reduce((s, v, i) => s + (i%w && Math.abs(v - a[i - 1])) + (i < w ? 0 : Math.abs(v - a[i - w])), 0)
function findPaper(gray, dark) {
  const small = shrunk(gray, 400), papers = {}
  for (const o of dark == null ? [true, false] : [dark]) papers[o] = withoutInk(small, o)
  if (dark == null) {
    const rough = roughness(papers[true]), other = roughness(papers[false])
    dark = rough !== other ? rough < other : median(small.a) > (least(small.a) + most(small.a))/2
  }
  return [resize(papers[dark], gray.h, gray.w, bilinear), dark]
}
function markNumbers(ink, top, faint) { // the number of its mark for each pixel, 0 for paper
  const core = each(ink, v => v > Math.max(top/2, faint)), {h, w} = ink
  const inner = i => i%w && (i + 1)%w && [-1, 1, -w, w].every(o => core.a[i + o])
  const fine = Math.max(h, w) > 100 && core.a.filter((v, i) => v && !inner(i)).length > 0.6*sum(core.a)
  const near = highest(core, 5), outer = new Set(), own = numbered(core, true)
  const soft = numbered(each(ink, (v, i) => v > Math.max(top/4, faint) || fine && near.a[i]), true)
  soft.a.forEach((v, i) => { if (i%w === 0 || (i + 1)%w === 0 || i < w || i >= w*(h - 1)) outer.add(v) })
  const joined = own.a.map((v, i) => v && !outer.has(soft.a[i]) ? own.n + soft.a[i] : v)
  const used = new Map([...new Set(joined)].filter(v => v).sort((p, q) => p - q).map((v, i) => [v, i + 1]))
  return {h, w, a: joined.map(v => v && used.get(v)), n: used.size}
}
function findMarks(ink) {
  const {h, w} = ink, some = every(ink, Math.ceil(Math.max(h, w)/200)).a, limit = Math.max(most(some)/4, 0.02)
  const rest = some.filter(v => v <= limit), middle = median(rest)
  const faint = Math.max(4*1.48*median(rest.map(v => Math.abs(v - middle))), 0.02)
  ink = each(ink, v => v - middle)
  const numbers = markNumbers(ink, most(ink.a), faint), boxes = boxesOf(numbers, numbers.n), mass = boxes.map(() => 0)
  numbers.a.forEach((v, i) => { if (v) mass[v - 1] += ink.a[i] })
  const atEdge = boxes.map(([l, u, r, b]) => !l || !u || r === w || b === h)
  const boxAround = which => around(which.map(i => boxes[i]))
  const picked = (which, crop = [0, 0, w, h]) => each(cut(numbers, crop), v => which.includes(v - 1))
  return {ink, numbers, boxes, mass, atEdge, faint, boxAround, picked}
}
function gaps(marks, which, reach) { // how far marks are from each other, ink to ink; infinitely far beyond reach
  const step = Math.max(1, Math.floor(reach/8)), numbers = every(marks.numbers, step)
  return which.map(i => {
    const [l, u, r, b] = marks.boxes[i].map((o, k) => Math.floor(Math.max(0, o + (k < 2 ? -reach : reach))/step))
    const some = cut(numbers, [l, u, r + 2, b + 2]), away = distance(each(some, v => v !== i + 1)).a
    const found = which.map(j => Math.min(...away.filter((_, p) => some.a[p] === j + 1)))
    return found.map(d => d > 0 && d*d < far/2 ? step*d : Infinity)
  })
}
function joinedOnce(boxes, gap, digit) { // the number of its digit for each mark, after one more step
  const own = digit.map(d => around(boxes.filter((_, j) => digit[j] === d)))
  const width = own.map(([l, , r]) => r - l), height = own.map(([, u, , b]) => b - u)
  const tall = Math.max(...width, ...height), low = 0.4*Math.max(...height)
  own.forEach((p, i) => own.forEach((q, j) => {
    const overlap = (Math.min(p[2], q[2]) - Math.max(p[0], q[0]))/Math.min(width[i], width[j]), near = gap[i][j]/tall
    const above = overlap >= 0.4 && Math.max(p[1], q[1]) - Math.min(p[3], q[3]) < 0.2*tall
    const nearest = near < 0.15 && gap[i][j] === Math.min(...gap[i]) && height[i] < low
    if (above || nearest || near < 0.04 || overlap >= 0.25 && near < 0.1) {
      digit = digit.map(d => d === digit[i] ? digit[j] : d)
    }
  }))
  return digit
}
function groupMarks(marks, which) { // which marks belong to one digit
  const width = i => marks.boxes[i][2] - marks.boxes[i][0], height = i => marks.boxes[i][3] - marks.boxes[i][1]
  const tall = Math.max(...which.map(height)), size = i => Math.max(width(i), height(i))
  which = which.filter(i => size(i) >= 0.15*tall && (width(i) <= 4*height(i) || width(i) <= 1.2*tall))
  if (which.length < 2) return which.map(i => [i])
  const boxes = which.map(i => marks.boxes[i]), gap = gaps(marks, which, 0.15*Math.max(...which.map(size)))
  let digit = which.map((_, i) => i)
  for (let i = 0; i < 2; i++) digit = joinedOnce(boxes, gap, digit)
  const groups = [...new Set(digit)].sort((p, q) => p - q).map(d => which.filter((_, i) => digit[i] === d))
  const high = groups.map(o => marks.boxAround(o)[3] - marks.boxAround(o)[1])
  return groups.filter((_, i) => high[i] >= 0.4*Math.max(...high))
}

// --- ink: the digits of a picture, each alone ----------------------------------------------------
export class Sentence extends Error {} // what a reader is told
export function require(ok, message) { if (!ok) throw new Sentence(message) }
function lookForMarks(gray, dark) {
  const [paper, isDark] = findPaper(each(gray, v => v/255), dark), light = v => isDark ? v : 1 - v
  const ink = each(gray, (v, i) => (light(paper.a[i]) - light(v/255))/Math.max(light(paper.a[i]), 0.25))
  const marks = findMarks(ink)
  require(marks.mass.length, 'there is no ink in it that stands out from the paper')
  return [marks, each(paper, light), isDark]
}
function digitAlone(marks, which) { // one digit, 0 to 1, cut to its ink, and its box
  const [l, u, r, b] = marks.boxAround(which), crop = [Math.max(0, l - 2), Math.max(0, u - 2), r + 2, b + 2]
  const ink = cut(marks.ink, crop), core = marks.picked(which, crop)
  const full = quantile(ink.a.filter((_, i) => core.a[i]), 0.75)
  const wider = g => { const near = highest(g, 3).a; return each(g, (v, i) => v || near[i] && ink.a[i] > marks.faint) }
  const soft = wider(wider(core)).a, digit = each(ink, (v, i) => soft[i] && clamp(v/full, 0, 1)), inner = boxOf(digit)
  return [cut(digit, inner), inner.map((o, k) => o + crop[k%2])]
}
function isWritten(marks, which, paper) { // or is it a blot, a scribble, or the edge of a shadow?
  const [l, u, r, b] = marks.boxAround(which)
  if (r - l > 2*(b - u)) return false
  const long = Math.max(r - l, b - u), step = Math.ceil(long/100), margin = Math.floor(long/10) + 3, side = long/step
  const crop = [Math.max(0, l - margin), Math.max(0, u - margin), r + margin, b + margin]
  const ink = cut(marks.ink, crop), fine = marks.picked(which, crop), full = mean(ink.a.filter((_, i) => fine.a[i]))
  const bare = every(each(ink, v => v < 0.6*full), step).a, ground = every(cut(paper, crop), step)
  const mark = every(step > 1 ? highest(fine, step) : fine, step), deepest = most(distance(padded(mark, 1)).a)
  const areas = numbered(each(padded(mark, 1), v => !v), false), sizes = new Float32Array(areas.n + 1)
  for (const v of areas.a) if (v) sizes[v]++
  const holes = sizes.filter(n => n > (side/25)**2).length - 1, away = distance(each(mark, v => !v)).a
  const ring = bare.filter((_, i) => away[i] > side/25 + 1 && away[i] < side/10 + 3), window = Math.floor(side/10) + 5
  const lightest = highest(each(ground, (v, i) => mark.a[i] ? 0 : v), window).a
  const darkest = lowest(each(ground, (v, i) => mark.a[i] ? 1 : v), window).a
  const along = lightest.filter((v, i) => mark.a[i] && v - darkest[i] > 0.3*v).length/sum(mark.a)
  return deepest < 0.32*side + 1 && holes < 6 && ring.length && mean(ring) > 0.9 && along < 0.6
}
function isBorder(marks, which) { // something at the edge of the picture, such as a table
  if (!which.some(i => marks.atEdge[i])) return false
  const mark = marks.picked(which), {h, w} = mark, [l, u, r, b] = marks.boxAround(which)
  const edges = [[0, 0, w, 1], [0, h - 1, w, h], [0, 0, 1, h], [w - 1, 0, w, h]]
  const covered = Math.max(...edges.map(o => mean(cut(mark, o).a)))
  return covered > 0.95 || Math.max((r - l)/w, (b - u)/h) < 1/3
}
function inLines(found) {
  const lines = []
  for (const o of [...found].sort((p, q) => p.box[1] - q.box[1])) {
    const line = lines.find(line => (o.box[1] + o.box[3])/2 < Math.max(...line.map(p => p.box[3])))
    line ? line.push(o) : lines.push([o])
  }
  return lines.flatMap(line => line.sort((p, q) => p.box[0] - q.box[0]))
}
// The digits in a gray picture, from left to right, the top line first: x (28 × 28 bytes), box and note of each.
// Is the ink darker than the paper? If nobody says, what it looks like
export function findDigits(gray, dark) {
  const [marks, paper, isDark] = lookForMarks(gray, dark), mass = marks.mass.map((m, i) => marks.atEdge[i] ? m/100 : m)
  const main = mass.indexOf(most(mass)), [l, u, r, b] = marks.boxes[main]
  require(Math.max(r - l, b - u) >= Math.max(gray.h, gray.w)/33, 'there is no ink in it that stands out from the paper')
  const some = [...mass.keys()].filter(i => mass[i] > 0.05*mass[main] && marks.atEdge[i] <= marks.atEdge[main])
  const groups = some.length < 100 ? groupMarks(marks, some) : []
  const few = some.length < 100 && groups.length <= 24 && groups.every(o => o.length <= 6)
  require(few, `it has ${some.length} separate marks: a page of text or a pattern, not a few digits`)
  const written = groups.filter(o => !isBorder(marks, o) && isWritten(marks, o, paper))
  require(written.length, 'what stands out from its paper is no digit, but a blot, a line, a pattern or a shadow')
  return inLines(written.map(which => {
    const [digit, box] = digitAlone(marks, which), [x, done] = toMnist(digit)
    return {x, box, note: [isDark ? 'dark on light' : 'light on dark', ...done].join(', ')}
  }))
}
function cutDigit(gray, dark) { // all ink of a picture as one digit
  const [{mass, ...marks}] = lookForMarks(gray, dark), which = [...mass.keys()].filter(i => mass[i] > 0.05*most(mass))
  return toMnist(digitAlone(marks, which)[0])[0]
}

// --- strokes: 28 × 28 pixels of a digit ----------------------------------------------------------
const centers = ({w, a}) =>
  [i => Math.floor(i/w), i => i%w].map(place => a.reduce((s, v, i) => s + v*place(i), 0)/sum(a))
function strokeDepth(digit) { // how far ink is from paper, and how wide strokes are if the digit is 20 pixels long
  const inside = padded(each(digit, v => v > 0.5), 1), depth = distance(inside)
  const width = 4*sum(depth.a)/sum(inside.a) - 2
  return [cut(depth, [1, 1, digit.w + 1, digit.h + 1]), width*20/Math.max(digit.h, digit.w)]
}
function evenStrokes(digit) {
  const side = Math.max(digit.h, digit.w), [, width] = strokeDepth(digit), window = even((2.5 - width)*side/20)
  if (width < 1.3 && window > 1) return [highest(padded(digit, window >> 1), window), 'strokes widened']
  if (width < 3.7) return [digit]
  const times = Math.ceil(60/side), large = resize(digit, times*digit.h, times*digit.w, bicubic)
  const [depth, wide] = strokeDepth(large), less = (wide - 3)*times*side/40
  return [trim(each(large, (v, i) => clamp(Math.min(v, depth.a[i] - less), 0, 1))), 'strokes narrowed']
}
function straighten(digit) {
  const {h} = digit, [y0, x0] = centers(digit), ink = (y, x) => digit.a[y*digit.w + x]
  const both = sum(grid(h, digit.w, (y, x) => ink(y, x)*(y - y0)*(x - x0)).a)
  const square = sum(grid(h, digit.w, (y, x) => ink(y, x)*(y - y0)**2).a)
  const lean = -both/Math.max(square, 1e-6), more = lean - clamp(lean, -0.1, 0.3)
  if (Math.abs(more) < 0.03) return [digit]
  const wide = padded(digit, 0, Math.floor(Math.abs(more)*h/2) + 2), {w} = wide
  return [trim(grid(h, w, (y, column) => {
    const x = column - more*(y + 0.5) + more*(h - 1)/2, left = Math.floor(x)
    const [p, q] = [left, left + 1].map(o => wide.a[y*w + clamp(o, 0, w - 1)])
    return x < -0.5 || x >= w - 0.5 ? 0 : p + (x - left)*(q - p)
  })), 'straightened']
}
function toMnist(digit) { // 28 × 28 bytes, light ink (255) on a dark ground (0), and what was done
  const [upright, straightened] = straighten(shrunk(digit, 100)), [fit, strokes] = evenStrokes(upright)
  const [h, w] = [fit.h, fit.w].map(o => Math.max(1, even(o*20/Math.max(fit.h, fit.w))))
  const small = resize(fit, h, w, box), [y, x] = centers(small), out = new Uint8Array(784)
  const top = clamp(Math.trunc(14.5 - y), 0, 28 - h), left = clamp(Math.trunc(14.5 - x), 0, 28 - w)
  small.a.forEach((v, i) => { out[(top + Math.floor(i/w))*28 + left + i%w] = even(Math.fround(clamp(v, 0, 1)*255)) })
  return [out, [straightened, strokes].filter(o => o)]
}

// --- reading: any picture ------------------------------------------------------------------------
// Gray from the pixels of a canvas, as Pillow makes it, at most `longest` pixels wide and high
export function toGray({width, height, data}, longest = 800) {
  const on = paper => grid(height, width, (y, x) => {
    const at = 4*(y*width + x), over = v => Math.round(paper + (v - paper)*data[at + 3]/255)
    return (over(data[at])*19595 + over(data[at + 1])*38470 + over(data[at + 2])*7471 + 0x8000) >> 16
  })
  const range = o => most(o.a) - least(o.a), white = on(255), black = on(0)
  const gray = range(white) < range(black) ? black : white // white ink on nothing is nothing on white
  const times = Math.max(1, Math.max(width, height)/longest), size = o => Math.max(1, even(o/times))
  return each(resize(gray, size(height), size(width), box), even)
}
function isDark({h, w, a}, otherwise) { // by its border where that is clear
  const border = a.filter((_, i) => i < w || i >= w*(h - 1) || i%w === 0 || (i + 1)%w === 0)
  const middle = Math.floor((least(a) + most(a))/2), lightOf = o => mean(o.map(v => v > middle))
  const light = lightOf(border), ink = light > 0.5 ? 1 - lightOf(a) : lightOf(a)
  return Math.max(light, 1 - light) >= 0.9 && ink <= 0.5 && most(a) - least(a) >= 64 ? light > 0.5 : otherwise
}
// The digits of a picture, by how the images were read that the model has learned from
export function readDigits(gray, {dark, size}) {
  const {h, w} = gray, small = h === 28 && w === 28
  if (!small && (h > size[0] || w > size[1])) return findDigits(gray)
  require(Math.min(h, w) > 3, `${w}×${h} pixels are too few for a digit`)
  const isSo = isDark(gray, dark), x = small ? Uint8Array.from(gray.a, v => isSo ? 255 - v : v) : cutDigit(gray, isSo)
  return [{x, box: [0, 0, w, h], note: ''}]
}
