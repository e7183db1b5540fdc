// The playground: a network learns in the page; one may watch it, change it, and ask it what it sees
import {clamp, unzipped} from '../../data/figures/mathematics.js'
import {findDigits, toGray} from './reading.js'
import {trainer} from './trainer.js'

const ten = () => settings.labels === 'all', names = () => ten() ? [...'0123456789'] : ['3', '7']
const percent = p => `${(100*p).toFixed(1)} %`, counted = n => n.toLocaleString('en-US')

// --- settings: of the controls, and of a link such as #lr=1&hidden=30&seed=3 -----------------------

const known = {
  labels: {label: 'digits', options: {all: 'all ten', '3,7': '3 and 7'}, first: 'all', anew: true},
  hidden: {label: 'hidden units', options: [0, 3, 10, 30, 100], first: 30, range: [0, 200], whole: true, anew: true},
  lr: {label: 'learning rate', options: [0.001, 0.01, 0.03, 0.1, 0.3, 1, 3, 10], first: 0.1, range: [1e-5, 1000]},
  batch: {label: 'batch size', options: [1, 8, 16, 64, 256, 2000], first: 16, range: [1, 2000], whole: true},
  momentum: {label: 'momentum', options: [0, 0.5, 0.9, 0.99], first: 0.5, range: [0, 0.999]},
  seed: {label: 'seed', first: 3, range: [0, 999999], whole: true, anew: true},
}
const settings = Object.fromEntries(Object.entries(known).map(([name, o]) => [name, o.first]))
function problem(name, value) { // of a setting's value, as text
  if (!Object.hasOwn(known, name)) return `“${name}” is no setting; there are ${Object.keys(known).join(', ')}.`
  const {options, range, whole} = known[name], x = Number(value)
  const fits = !range ? Object.hasOwn(options, value)
    : value.trim() && x >= range[0] && x <= range[1] && !(whole && x % 1)
  const wanted = !range ? Object.keys(options).join(' or ')
    : `a ${whole ? 'whole ' : ''}number from ${range.join(' to ')}`
  return fits ? '' : `${name} must be ${wanted}, not “${value}”. It stays ${settings[name]}.`
}
function readSettings(text) { // gives what is wrong with it, in sentences
  const wrong = []
  for (const [name, o] of Object.entries(known)) settings[name] = o.first
  for (const [name, value] of new URLSearchParams(text.slice(0, 1000))) {
    const said = problem(name.slice(0, 40), value.slice(0, 40))
    if (said) wrong.push(said)
    else settings[name] = known[name].range ? Number(value) : value
  }
  return wrong.join(' ')
}
function writeSettings() {
  const text = Object.entries(settings).map(([k, v]) => `${k}=${v}`).join('&')
  if (location.protocol !== 'about:') history.replaceState(null, '', `#${text}`) // a frame has no address of its own
}

// --- the trainer, beside the page ------------------------------------------------------------------

const waiting = [] // what the trainer has been asked, and has not answered yet
const got = state => waiting.shift().done(state)
let send
try {
  const code = ['mathematics', 'trainer'].map(id => document.getElementById(id).textContent).join('\n')
  const start = 'const work = trainer(); onmessage = e => postMessage(work(e.data))'
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(`${code}\n${start}`)}`)
  worker.onmessage = e => got(e.data)
  worker.onerror = here
  send = message => worker.postMessage(message)
} catch { here() }
function here() { // no worker may start: the page computes itself
  const work = trainer()
  send = message => setTimeout(() => got(work(message)))
  waiting.forEach(o => send(o.message))
}
const ask = message => new Promise(done => { waiting.push({message, done}); send(message) })

// --- the page --------------------------------------------------------------------------------------

heading('Watch a network learn to read', 'This small network has never seen a digit. Press Run: in seconds it ' +
  `learns from ${counted(data.train)} images to read nine of ten new ones. Then draw your own.`)
const notice = add(main, html('p', {class: 'notice', role: 'alert', hidden: true}))
const bar = add(main, html('div', {class: 'controls bar'}))
const runButton = button(bar, '', () => running ? stop() : run())
runButton.className = 'run'
button(bar, 'Step', () => { stop(); train({steps: 1}) })
button(bar, 'Reset', () => { stop(); begin() })
const clock = add(bar, html('p', {class: 'clock'}))
const sofar = add(clock, html('b')), time = add(clock, html('span'))
const knobs = Object.fromEntries(Object.entries(known).map(([name, o]) => [name, knob(name, o)]))
function knob(name, {label, options, range}) {
  const change = e => {
    const said = problem(name, e.target.value)
    tell(said)
    if (!said) settings[name] = range ? Number(e.target.value) : e.target.value
    if (!said && known[name].anew) begin()
    showSettings()
  }
  const input = options ? html('select', {onchange: change})
    : html('input', {type: 'number', min: range[0], max: range[1], step: 1, onchange: change})
  bar.append(html('label', {class: 'knob'}, label, input))
  return input
}
function showSettings() {
  for (const [name, {options}] of Object.entries(known)) {
    const entries = Array.isArray(options) ? [...new Set([...options, settings[name]])].sort((a, b) => a - b)
      .map(v => [v, name === 'hidden' && !v ? '0 (linear)' : v]) : Object.entries(options || {})
    if (options) knobs[name].replaceChildren(...entries.map(([value, text]) => html('option', {value}, `${text}`)))
    knobs[name].value = settings[name]
  }
  writeSettings()
}
function tell(text) { notice.textContent = text; notice.hidden = !text }

const panel = (parent, title, cls = '') => {
  const head = html('h2', {}, title), box = html('section', {class: cls}, head)
  parent.append(box)
  return {box, head}
}
const flow = add(main, html('div', {class: 'flow'}))
const input = panel(flow, 'Draw a digit', 'input'), middle = panel(flow, '', 'middle'), output = panel(flow, 'It says')
const below = add(main, html('div', {class: 'below'}))
const curves = ['Accuracy', 'Loss'].map(title => {
  const {box, head} = panel(below, title), told = add(head, html('span', {class: 'told'}))
  const plot = new Plot(box, {label: title, x: [0, 1], y: [0, 1], height: 230, left: 44, yticks: 4, xlabel: 'epochs'})
  return {plot, told}
})
const mistakes = panel(below, 'Wrong now', 'mistakes')
spoken = add(main, html('p', {class: 'unseen', role: 'status', 'aria-live': 'polite'}))

// --- pictures, many a second -------------------------------------------------------------------------

const shades = color => Uint32Array.from({length: 511}, (_, i) => {
  const [r, g, b] = color((i - 255)/255)
  return (255 << 24 | b << 16 | g << 8 | r) >>> 0
})
const ofWeights = shades(weightColor), ofInk = shades(inkColor)
function picture(parent, label) {
  const canvas = html('canvas', {width: 28, height: 28, ...label ? {role: 'img', 'aria-label': label} : {}})
  const context = canvas.getContext('2d'), image = context.createImageData(28, 28)
  const cells = new Uint32Array(image.data.buffer)
  parent.append(canvas)
  return {canvas, show(values, from, scale, colors) {
    for (let i = 0; i < 784; i++) cells[i] = colors[255 + Math.round(255*clamp(values[from + i]*scale, -1, 1))]
    context.putImageData(image, 0, 0)
  }}
}

// --- the network: weights of its first layer, and what it answers ---------------------------------------

let units = [], answers = []
const grid = add(middle.box, html('div', {class: 'units'})), middleHint = add(middle.box, html('p', {class: 'hint'}))
function buildNetwork() {
  const n = settings.hidden, labels = names(), images = n || (ten() ? 10 : 1)
  middle.head.textContent = n ? `What its ${n} hidden unit${n > 1 ? 's look' : ' looks'} for`
    : ten() ? 'What each answer looks for' : 'What it looks for'
  middleHint.textContent = !n && !ten() ? 'Ink on blue speaks for a 3, ink on red for a 7.'
    : 'Ink on blue speaks for it, ink on red against it.' +
      (n ? ' The orange bars: how strongly this drawing wakes each unit.' : '')
  grid.replaceChildren()
  grid.style.setProperty('--columns', images <= 5 ? images : images <= 10 ? 5 : images <= 50 ? 10 : 20)
  units = Array.from({length: images}, (_, j) => {
    const cell = add(grid, html('div', {class: 'unit'}))
    const one = picture(cell, n ? `weights of hidden unit ${j + 1}` : `weights for ${withArticle(labels[j])}`)
    const meter = add(cell, n ? html('i') : html('span', {}, ten() ? labels[j] : '3 or 7'))
    return {...one, meter}
  })
  bars.replaceChildren()
  answers = labels.map(label => {
    const fill = html('b'), value = html('span', {class: 'value'})
    const row = html('div', {class: 'answer'}, html('span', {class: 'label'}, label), html('div', {}, fill), value)
    bars.append(row)
    return {row, fill, value}
  })
}
const bars = add(output.box, html('div', {class: 'answers'})), verdict = add(output.box, html('p', {class: 'hint'}))
function showNetwork({net, answer}) {
  const {w} = net[0], scale = 1/(3*Math.sqrt(w.reduce((s, v) => s + v*v, 0)/w.length) || 1)
  const loudest = Math.max(1e-6, ...answer.units)
  units.forEach((u, j) => {
    u.show(w, 784*j, scale, ofWeights)
    if (settings.hidden) u.meter.style.transform = `scaleX(${answer.units[j]/loudest || 0})`
  })
  const best = answer.probabilities.indexOf(Math.max(...answer.probabilities))
  answers.forEach(({row, fill, value}, k) => {
    const p = answer.probabilities[k] || 0
    fill.style.transform = `scaleX(${p})`
    value.textContent = `${Math.round(100*p)} %`
    row.classList.toggle('best', k === best)
  })
  const said = names()[best], truth = shownLabel
  verdict.textContent = !asked.some(v => v) ? 'There is nothing to read yet.'
    : truth === null ? `It takes your drawing for ${withArticle(said)}.`
    : `${withArticle(String(truth)).replace('a', 'A')}, and it says ${withArticle(said)}` +
      `${said === String(truth) ? ': right.' : ': wrong.'}`
}

// --- curves, and the images that it gets wrong ----------------------------------------------------------

let past = [], tiles = []
function showMeasured({step, epoch, measured}) {
  if (past.length && past.at(-1).step >= step) past = past.filter(o => o.step < step)
  past.push({step, epoch, ...measured})
  if (past.length > 400) past = past.filter((o, i) => i % 2 === 0 || i + 50 > past.length)
  const {training, validation, wrong, total} = measured
  sofar.textContent = `${percent(validation.accuracy)} of new digits right`
  curves.forEach(({plot, told}, k) => {
    const of = o => k ? o.loss : o.accuracy, text = o => k ? fmt(of(o), 3) : percent(of(o))
    const most = Math.max(...past.map(o => of(o.validation)).filter(Number.isFinite), 0.05)
    plot.range([0, Math.max(1, epoch)], [0, k ? Math.min(1.05*most, 4) : 1])
    plot.clear()
    for (const [part, cls] of [['training', 'path'], ['validation', 'curve']])
      plot.line(past.map(o => [o.epoch, of(o[part])]).filter(p => Number.isFinite(p[1])), cls)
    told.replaceChildren(html('span', {class: 'of-training'}, `training ${text(training)}`), ' ',
      html('span', {class: 'of-validation'}, `validation ${text(validation)}`))
  })
  mistakes.head.replaceChildren('Wrong now', html('span', {class: 'told'},
    html('span', {}, `${counted(wrong.length)} of ${counted(total)} new images`)))
  tiles.forEach((tile, k) => {
    const o = wrong[k]
    tile.box.hidden = !o
    if (!o) return
    if (tile.i !== o.i) tile.show(pixels, 784*o.i, 1/255, ofInk)
    tile.i = o.i
    tile.text.textContent = `${o.label} → ${o.said}`
    tile.box.setAttribute('aria-label', `${withArticle(`${o.label}`)}, taken for ${withArticle(`${o.said}`)}: show it`)
  })
}
const shelf = add(mistakes.box, html('div', {class: 'shelf'}))
for (let k = 0; k < 28; k++) {
  const box = add(shelf, html('button', {type: 'button', hidden: true, onclick: () => choose(tiles[k].i)}))
  tiles.push({box, ...picture(box), text: add(box, html('span'))})
}

// --- the drawing --------------------------------------------------------------------------------------

let pixels, labels, shown = -1, shownLabel = null, penDown = false, pen = [140, 140], asked = new Float32Array(784)
const sheet = add(input.box, html('div', {class: 'sheet'}))
const paper = add(sheet, html('canvas', {class: 'paper', width: 280, height: 280, tabindex: 0, role: 'application',
  'aria-label': 'Paper. Draw with the mouse or a finger. Arrow keys move the pen, Space puts it down and lifts it, ' +
                'Delete clears the paper'}))
const cross = add(sheet, html('i', {class: 'cross'}))
const under = add(input.box, html('div', {class: 'controls'}))
button(under, 'Clear', () => { clear(); look() })
button(under, 'Next', () => choose(null)).setAttribute('aria-label', 'Next image of the set')
const seen = picture(under, 'what the network sees')
const ink = paper.getContext('2d', {willReadFrequently: true})
function clear() {
  ink.fillStyle = '#fff'
  ink.fillRect(0, 0, 280, 280)
  shown = -1; shownLabel = null
}
function stroke(from, to) {
  Object.assign(ink, {lineWidth: 22, lineCap: 'round', strokeStyle: '#111'})
  ink.beginPath(); ink.moveTo(...from); ink.lineTo(...to); ink.stroke()
  look()
}
let soon = 0
function look() { soon ||= requestAnimationFrame(read) } // a hand is faster than the reading
function read() { // as the package reads a picture: cut to the ink, scaled, centered by mass
  let x = null
  soon = 0
  try { x = findDigits(toGray(ink.getImageData(0, 0, 280, 280)))[0].x } catch { /* there is no digit yet */ }
  asked = Float32Array.from(x || new Array(784).fill(0), v => v/255)
  seen.show(asked, 0, 1, ofInk)
  if (!running) train({})
}
function choose(i) { // show an image of the set, or the next of those for validation
  const fits = k => names().includes(String(labels[k]))
  if (i === null) {
    i = Math.max(shown, data.train - 1)
    do i = i + 1 < labels.length ? i + 1 : data.train; while (!fits(i))
  }
  clear()
  shown = i; shownLabel = labels[i]
  asked = Float32Array.from(pixels.subarray(784*i, 784*i + 784), v => v/255)
  seen.show(asked, 0, 1, ofInk)
  ink.imageSmoothingEnabled = false
  ink.drawImage(seen.canvas, 0, 0, 280, 280)
  if (!running) train({})
}
const place = e => {
  const r = paper.getBoundingClientRect()
  return [280*(e.clientX - r.left)/r.width, 280*(e.clientY - r.top)/r.height]
}
const startDrawing = () => { if (shown >= 0) clear() }
paper.addEventListener('pointerdown', e => {
  paper.setPointerCapture(e.pointerId)
  startDrawing()
  pen = place(e)
  stroke(pen, pen)
})
paper.addEventListener('pointermove', e => {
  if (!paper.hasPointerCapture(e.pointerId)) return
  const to = place(e)
  stroke(pen, to)
  pen = to
})
paper.addEventListener('keydown', e => {
  const [dx, dy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key] || [0, 0]
  if (dx || dy) {
    const to = [clamp(pen[0] + 10*dx, 10, 270), clamp(pen[1] + 10*dy, 10, 270)]
    if (penDown) stroke(pen, to)
    pen = to
  } else if (e.key === ' ') { penDown = !penDown; if (penDown) { startDrawing(); stroke(pen, pen) } }
  else if (e.key === 'Delete' || e.key === 'Backspace') { clear(); look() }
  else return
  cross.style.cssText = `left:${pen[0]/2.8}%;top:${pen[1]/2.8}%`
  cross.classList.toggle('down', penDown)
  e.preventDefault()
})

// --- running --------------------------------------------------------------------------------------------

let now = {step: 0, epoch: 0}, lost = false
const tooLong = 'The loss is no lower than it was at the start: these steps are too long. Choose a smaller learning ' +
  'rate, and press Reset.'
const most = 60 // epochs after which a run rests; in one jump, where motion is not wanted
const summary = ({step, epoch, measured: {validation}}) => `${fmt(epoch, 1)} epochs, ${counted(step)} steps. ` +
  `Validation: accuracy ${percent(validation.accuracy)}, loss ${fmt(validation.loss, 3)}.`
function show(state) {
  now = state
  time.textContent = `epoch ${fmt(state.epoch, 1)} · step ${counted(state.step)}`
  showNetwork(state)
  if (!state.measured) return
  showMeasured(state)
  const nowLost = state.epoch >= 2 && !(state.measured.training.loss < past[0].training.loss)
  if (nowLost !== lost) tell(nowLost ? tooLong : '')
  lost = nowLost
}
async function train(message) {
  const {lr, batch, momentum} = settings
  show(await ask({ask: asked, lr, batch, momentum, ...message}))
  if (!running) announce(now.measured ? summary(now) : verdict.textContent)
}
async function begin(more) {
  tell('')
  lost = false
  buildNetwork()
  past = []
  await train({...more, start: {two: !ten(), hidden: settings.hidden, seed: settings.seed}})
  if (![...names(), 'null'].includes(String(shownLabel))) choose(null)
}
async function run() {
  const end = now.epoch + most
  running = runButton; runButton.textContent = 'Pause'
  while (running && now.epoch < end) {
    await train(calm.matches ? {steps: 640} : {steps: Math.ceil(now.step/20) || 1, ms: 14})
    if (calm.matches) running = null
    await new Promise(requestAnimationFrame)
  }
  stop()
  train({})
}
function stop() { running = null; runButton.textContent = '▶ Run' }

async function follow(text, more) { // the settings of a link
  stop()
  const wrong = readSettings(text)
  showSettings()
  await begin(more)
  tell(wrong)
}
async function open() {
  [pixels, labels] = await Promise.all([data.pixels, data.labels].map(unzipped))
  clear()
  await follow(location.hash.slice(1) || data.settings, {images: {pixels, labels, train: data.train}})
  choose(data.train + 7)
}
addEventListener('hashchange', () => follow(location.hash.slice(1)))
export const playground = {settings, ask, ready: open(), get now() { return now }, get past() { return past }}
