// Draw a digit, and see what the network in this page makes of it, and why
// data: labels, layers, reading, about
import {activations, argmax, clamp, probabilities, sum, unzipped} from '../../data/figures/mathematics.js'
import {add, announce, button, controls, data, digit, fmt, heading, html, inkColor, main, paint, saying, signed,
        weightColor} from '../../data/figures/common.js'
import {Sentence, findDigits, readDigits, require, toGray} from './reading.js'

const side = 280, pen = 21 // of the sheet, in pixels of the picture that is read
let layers = [], largest = 1 // the model, and the size of its first weights
let states = [{strokes: []}] // the last is on the sheet: strokes, or a picture; undo takes it away
let found = [], at = 0 // the digits read, and which of them is looked at
let asked = null // the label whose score is explained, if somebody has chosen one
const percent = p => p < 1 && p >= 0.9995 ? '>99.9 %' : `${fmt(100*p, 1)} %`

// --- the page ------------------------------------------------------------------------------------
heading('Draw a digit', 'With the mouse, a pen or a finger; or drop or paste an image. With the keys: arrows move ' +
  'the pen, the space bar sets it down and lifts it. Nothing leaves this page.')
const left = html('div'), right = html('div')
main.append(html('div', {class: 'both'}, left, right))
const pad = add(left, html('canvas', {class: 'pad', width: 2*side, height: 2*side, tabindex: 0, role: 'application',
  'aria-label': 'Sheet to draw on. Arrow keys move the pen, the space bar sets it down or lifts it'}))
const bar = controls(left)
const undo = button(bar, 'Undo', () => { down = null; if (states.length > 1) states.pop(); changed() })
button(bar, 'Clear', () => put({strokes: []}))
const file = html('input', {type: 'file', accept: 'image/*', hidden: true, onchange: () => openFirst(file.files)})
button(bar, 'Open an image', () => file.click())
const answer = add(right, html('p', {class: 'answer'})), note = add(right, html('p', {class: 'note'}))
const group = (cls, label) => add(right, html('div', {class: cls, role: 'group', 'aria-label': label}))
const reads = group('reads', 'As the network sees it'), bars = group('bars', 'Probabilities. Press one to ask why')
const rows = data.labels.map((label, j) => {
  const fill = html('b'), value = html('span'), row = button(bars, '', () => { asked = j; explain() })
  row.append(html('span', {title: label}, label), html('i', {}, fill), value)
  return {row, fill, value}
})
const question = add(main, html('h2')), says = saying('short'), why = add(main, html('div', {class: 'why'}))
main.append(html('p', {class: 'hint'}, data.about))

// --- drawing -------------------------------------------------------------------------------------
function draw(canvas, strokes, scale) {
  const c = canvas.getContext('2d', {willReadFrequently: true})
  c.fillStyle = '#fff'
  c.fillRect(0, 0, canvas.width, canvas.height)
  Object.assign(c, {lineCap: 'round', lineJoin: 'round', lineWidth: pen*scale, strokeStyle: '#000'})
  for (const points of strokes) {
    c.beginPath()
    for (const [x, y] of [points[0], ...points]) c.lineTo(x*scale, y*scale)
    c.stroke()
  }
  return c
}
function show() { // the sheet: strokes or a picture, the frames of its digits, and the pen of the keys
  const {strokes, picture} = states.at(-1), c = draw(pad, strokes, 2)
  const k = picture ? pad.width/Math.max(picture.width, picture.height) : 2
  const [x, y] = picture ? [picture.width, picture.height].map(o => (pad.width - k*o)/2) : [0, 0]
  if (picture) c.drawImage(picture, x, y, k*picture.width, k*picture.height)
  Object.assign(c, {lineWidth: 3, strokeStyle: '#2166ac'})
  if (picture || found.length > 1) found.forEach(({box: [l, u, r, b]}, i) => {
    c.setLineDash(i === at ? [] : [8, 8])
    c.strokeRect(x + k*l - 8, y + k*u - 8, k*(r - l) + 16, k*(b - u) + 16)
  })
  if (!pad.matches(':focus-visible')) return
  Object.assign(c, {lineWidth: down ? 12 : 4, strokeStyle: '#9a5fd8'}).setLineDash([])
  c.beginPath()
  c.arc(2*cursor[0], 2*cursor[1], pen, 0, 7)
  c.stroke()
}
function put(state) { states.push(state); changed() }
const stroke = points => put({strokes: [...states.at(-1).strokes, points]})
let drawn = null // the stroke under the mouse, pen or finger
const place = e => {
  const r = pad.getBoundingClientRect()
  return [(e.clientX - r.left)/r.width*side, (e.clientY - r.top)/r.height*side]
}
pad.addEventListener('pointerdown', e => {
  if (!e.isPrimary || e.button) return
  pad.setPointerCapture(e.pointerId)
  stroke(drawn = [place(e)])
})
pad.addEventListener('pointermove', e => {
  if (!drawn || !e.isPrimary) return
  const between = e.getCoalescedEvents?.() || []
  drawn.push(...(between.length ? between : [e]).map(place))
  changed()
})
for (const end of ['pointerup', 'pointercancel']) pad.addEventListener(end, () => { drawn = null })

let cursor = [side/2, side/5], down = null // the pen that the keys move, and its stroke while it is set down
pad.addEventListener('keydown', e => {
  const way = {ArrowUp: [0, -7], ArrowDown: [0, 7], ArrowLeft: [-7, 0], ArrowRight: [7, 0]}[e.key]
  if (!way && e.key !== ' ') return
  e.preventDefault()
  if (way) cursor = cursor.map((v, i) => clamp(v + way[i], 0, side))
  else if (down) down = null
  else return stroke(down = [cursor])
  if (down) down.push(cursor)
  changed()
})
for (const turn of ['focus', 'blur']) pad.addEventListener(turn, () => { down = null; show() })
addEventListener('keydown', e => { if ((e.ctrlKey || e.metaKey) && e.key === 'z') undo.click() })

// --- images --------------------------------------------------------------------------------------
async function open(image) {
  const {name, size} = image
  require(size <= 2e7, `“${name}” has ${fmt(size/1e6, 0)} MB; the page opens images of up to 20 MB`)
  const picture = await createImageBitmap(image).catch(() => null)
  require(picture, `“${name}” is no image that this browser can open`)
  require(picture.width*picture.height <= 4096*4096, `“${name}” has more pixels than 4096 × 4096`)
  put({strokes: [], picture})
}
function openFirst(files) { if (files?.length) open(files[0]).catch(e => tell([], `${e.message}.`)) }
addEventListener('paste', e => openFirst(e.clipboardData.files))
addEventListener('dragover', e => { e.preventDefault(); pad.classList.add('over') })
for (const end of ['dragleave', 'drop']) addEventListener(end, () => pad.classList.remove('over'))
addEventListener('drop', e => { e.preventDefault(); openFirst(e.dataTransfer.files) })

// --- reading and answering -----------------------------------------------------------------------
const pixelsOf = c => toGray(c.getImageData(0, 0, c.canvas.width, c.canvas.height))
function read({strokes, picture}) {
  if (!picture) return findDigits(pixelsOf(draw(html('canvas', {width: side, height: side}), strokes, 1)), true)
  const long = Math.max(picture.width, picture.height), k = Math.min(1, 1600/long)
  const [width, height] = [picture.width, picture.height].map(o => Math.max(1, Math.round(k*o)))
  const c = html('canvas', {width, height}).getContext('2d')
  c.imageSmoothingQuality = 'high'
  c.drawImage(picture, 0, 0, width, height)
  return readDigits(pixelsOf(c), data.reading).map(o => ({...o, box: o.box.map(v => v*Math.max(1, long/800))}))
}
let waiting = false, took = 0
function changed() { // a slow machine gets time to draw between two readings
  undo.disabled = states.length < 2
  show()
  if (waiting) return
  waiting = true
  setTimeout(() => requestAnimationFrame(() => {
    const state = states.at(-1), start = performance.now()
    waiting = false
    try { tell(state.strokes.length || state.picture ? read(state) : []) }
    catch (e) {
      if (!(e instanceof Sentence)) throw e
      tell([], `${state.picture ? 'The image is not read' : 'Not a digit yet'}: ${e.message}.`)
    }
    took = performance.now() - start
  }), took > 30 ? took : 0)
}
function ask(x) { // what the model makes of 28 × 28 pixels, 0 to 255
  const acts = activations(layers, Float64Array.from(x, v => v/255)), p = probabilities(acts.at(-1))
  return {acts, p, best: argmax(p)}
}
function tell(digits, problem = '') {
  if (digits.length !== found.length) at = 0
  if (!digits.length) asked = null
  found = digits.map(o => ({...o, ...ask(o.x)}))
  const names = found.map(o => data.labels[o.best]), number = names.join(names.every(o => o.length < 2) ? '' : ' ')
  answer.replaceChildren(...found.length ? ['I read ', html('b', {}, number)] : [],
    found.length === 1 ? `, probability ${percent(found[0].p[found[0].best])}` : '')
  const done = ['Cut to its ink, made 20 pixels long, centered', ...found[at]?.note.split(', ').slice(1) || []]
  note.textContent = problem || (found.length ? `${done.join(', ')}.` : 'The sheet is empty: draw a digit on it.')
  reads.replaceChildren(...found.map((o, i) => {
    const look = () => { at = i; asked = null; tell(found); reads.children[i].focus() }
    const card = html('button', {type: 'button', 'aria-pressed': String(i === at), onclick: look})
    digit(card, o.acts[0], `digit ${i + 1} as the network sees it`, 70)
    if (found.length > 1) card.append(`${names[i]}, ${percent(o.p[o.best])}`)
    return card
  }))
  show()
  explain()
}

// --- why -----------------------------------------------------------------------------------------
const scoreOf = (acts, j) => acts.at(-1).length > 1 ? acts.at(-1)[j] : (j ? -1 : 1)*acts.at(-1)[0]
function slopes(acts, j, from) { // how much the score of label j grows with each number that layer `from` gets
  const n = acts.at(-1).length
  let d = Float64Array.from({length: n}, (_, k) => n > 1 ? k === j : j ? -1 : 1)
  for (let l = layers.length - 1; l >= from; l--) {
    const {kind, w} = layers[l], a = acts[l + 1], outs = d, n = acts[l].length
    d = w ? acts[l].map((_, i) => sum(outs.map((v, k) => v*w[k*n + i])))
          : outs.map((v, i) => v*{ReLU: a[i] > 0, Sigmoid: a[i]*(1 - a[i]), Tanh: 1 - a[i]**2}[kind])
  }
  return d
}
function figure(values, most, label, ...lines) {
  const n = Math.sqrt(values.length), canvas = html('canvas', {width: n, height: n, role: 'img', 'aria-label': label})
  paint(canvas, Array.from(values, v => v/(most || 1)), weightColor)
  return html('figure', {}, canvas, html('figcaption', {}, ...lines))
}
const line = text => html('div', {}, text)
const part = v => html('b', {class: v < 0 ? 'against' : v && 'for'}, v ? signed(v) : '0')
const bySize = parts => [...parts.keys()].sort((p, q) => Math.abs(parts[q]) - Math.abs(parts[p]))

function whyLinear({acts}, j, name) {
  const [x] = acts, weights = slopes(acts, j, 0), parts = weights.map((w, i) => w*x[i])
  const [plus, minus] = [1, -1].map(sign => sum(parts.filter(v => v*sign > 0)))
  why.replaceChildren(figure(x, 1, 'ink', line('ink of each pixel')),
    figure(weights, largest, `weights for ${name}`, line(`× its weight for ${name}`)),
    figure(parts, largest, `parts of the score of ${name}`, line('= its part of the score')))
  paint(why.querySelector('canvas'), x, inkColor)
  return `Blue pixels speak for ${name} (${signed(plus)}), red ones against it (${signed(minus)}); the bias adds ` +
    `${signed(scoreOf(acts, j) - plus - minus)}.`
}
function whyHidden({acts}, j, name) {
  const h = layers[1].w ? 1 : 2, units = acts[h], d = slopes(acts, j, h), parts = d.map((v, i) => v*units[i])
  const order = bySize(parts), n = units.length, rest = sum(order.slice(16).map(i => parts[i]))
  why.replaceChildren(...order.slice(0, 16).map(i => {
    const weights = layers[0].w.subarray(784*i, 784*i + 784), times = `${fmt(units[i])} × ${fmt(d[i])}`
    const unit = figure(weights, largest, `weights of hidden unit ${i + 1}`, line(times), part(parts[i]))
    unit.classList.toggle('asleep', !parts[i])
    return unit
  }))
  return 'Each hidden unit has a weight for every pixel: blue wants ink there, red wants none. Below, how active it ' +
    `is, times ${layers.length > h + 1 ? 'how much that moves' : 'its weight in'} the score of ${name}. ` +
    (n > 16 ? `The other ${n - 16} add ${signed(rest)}, the` : 'The') + ' biases ' +
    `${signed(scoreOf(acts, j) - sum(parts))}.`
}
function whyConv({acts}, j, name) {
  const flat = layers.findIndex(o => o.kind === 'Linear')
  const d = slopes(acts, j, flat).map((v, i) => v*acts[flat][i]) // what each number of the last maps adds
  const convs = [...layers.keys()].filter(l => layers[l].kind === 'Conv2d')
  why.replaceChildren(...convs.flatMap(l => {
    const n = layers[l].b.length, after = acts[l + 1].map(v => Math.max(0, v)), most = after.reduce((a, b) => Math.max(a, b), 0)
    const cut = (a, m) => a.subarray(m*a.length/n, (m + 1)*a.length/n), size = Math.sqrt(after.length/n)
    const parts = l === convs.at(-1) && Array.from({length: n}, (_, m) => sum(cut(d, m)))
    const title = html('h3', {}, `${n} maps of ${size} × ${size}, ` +
      (parts ? 'each with its part of the score' : l ? '' : 'each with its kernel'))
    return [title, ...(parts ? bySize(parts) : [...Array(n).keys()]).map(m => figure(cut(after, m), most,
      `map ${m + 1}`, parts ? part(parts[m]) : l ? '' : figure(cut(layers[0].w, m), largest, `kernel ${m + 1}`)))]
  }))
  return 'A kernel, a small window, slides over the image. Its map is blue where it finds what it looks for. The ' +
    `next layer’s kernels look at those maps, and its maps speak for ${name} or against it. The biases add ` +
    `${signed(scoreOf(acts, j) - sum(d))}.`
}
function explain() {
  const seen = found[at], j = asked ?? seen?.best
  main.classList.toggle('idle', !seen)
  rows.forEach(({row, fill, value}, k) => {
    row.setAttribute('aria-pressed', k === j)
    fill.style.width = seen ? `${100*seen.p[k]}%` : 0
    value.textContent = seen ? percent(seen.p[k]) : ''
  })
  if (!seen) return announce(note.textContent)
  const name = `“${data.labels[j]}”`, hidden = layers[1] ? whyHidden : whyLinear
  const because = layers[0].kind === 'Conv2d' ? whyConv : hidden
  why.className = `why ${because.name}`
  question.textContent = `Why ${name}? Its score is ${fmt(scoreOf(seen.acts, j))}`
  says(because(seen, j, name))
  announce(`${answer.textContent}. ${question.textContent}.`)
}
async function load(layer) {
  const [w, b] = await Promise.all([layer.w, layer.b].map(async o => o && Float64Array.from(await unzipped(o))))
  return {...layer, w, b}
}
Promise.all(data.layers.map(load)).then(loaded => {
  layers = loaded
  const sizes = layers[0].w.map(Math.abs).sort()
  largest = sizes[Math.floor(0.995*sizes.length)]
  changed()
})
export const page = {ask, draw, tell, get states() { return states }, get found() { return found }}
