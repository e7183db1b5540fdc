// Shared by all moving figures and pages: data, drawing, controls, keyboard. Plain JavaScript; nothing is fetched.
'use strict'

// --- data ---------------------------------------------------------------------------------------

// Numbers come as lists, or packed: `levels` are 256 steps from the first to the second, else they are 32-bit floats
function unpack(o) {
  if (Array.isArray(o)) return o.map(unpack)
  if (o === null || typeof o !== 'object') return o
  if (!('packed' in o)) return Object.fromEntries(Object.entries(o).map(([k, v]) => [k, unpack(v)]))
  const bytes = Uint8Array.from(atob(o.packed), c => c.charCodeAt(0))
  const [lo, hi] = o.levels || []
  const flat = o.levels ? Float64Array.from(bytes, b => lo + (hi - lo)*b/255)
                        : Float64Array.from(new Float32Array(bytes.buffer))
  const rows = (a, [n, ...inner]) => !inner.length ? a :
    Array.from({length: n}, (_, i) => rows(a.subarray(i*a.length/n, (i + 1)*a.length/n), inner))
  return rows(flat, o.shape)
}
const data = unpack(JSON.parse(document.getElementById('data').textContent))

// --- numbers as people write them ----------------------------------------------------------------

function fmt(x, digits = 2) {
  if (!Number.isFinite(x)) return 'beyond all numbers'
  const places = {minimumFractionDigits: digits, maximumFractionDigits: digits}
  const text = Math.abs(x) < 1e6 ? x.toLocaleString('en-US', places) : x.toExponential(1).replace('e+', ' × 10^')
  return text.replace(/^-(?=[0.,]*$)/, '').replace('-', '−')
}
const withArticle = name => (/^(8|11|18)$/.test(name) ? 'an ' : 'a ') + name
const signed = (x, digits) => (x > 0 ? '+' : '') + fmt(x, digits)
const braced = (x, digits) => x < 0 ? `(${fmt(x, digits)})` : fmt(x, digits)

// --- the page ------------------------------------------------------------------------------------

function build(make, attrs, children) {
  const e = make
  for (const [k, v] of Object.entries(attrs || {})) {
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v)
    else if (v === true) e.setAttribute(k, '')
    else if (v !== false && v != null) e.setAttribute(k, v)
  }
  e.append(...children)
  return e
}
const html = (tag, attrs, ...children) => build(document.createElement(tag), attrs, children)
const drawing = 'http://www.w3.org/2000/svg'
const svg = (tag, attrs, ...children) => build(document.createElementNS(drawing, tag), attrs, children)

const main = document.querySelector('main'), calm = matchMedia('(prefers-reduced-motion: reduce)')
const add = (parent, child) => { parent.append(child); return child }
const panels = (parent = main) => add(parent, html('div', {class: 'panels'}))
const controls = (parent = main) => add(parent, html('div', {class: 'controls'}))
function heading(title, hint) {
  main.append(html('h1', {}, title), html('p', {class: 'hint'}, hint))
}

// What the figure says is seen at once; it is read aloud when something has come to rest
let spoken
function saying(cls = '') {
  const seen = add(main, html('p', {class: `says ${cls}`}))
  spoken = add(main, html('p', {class: 'unseen', role: 'status', 'aria-live': 'polite'}))
  return text => { seen.textContent = text; if (!running) announce(text) }
}
let later
function announce(text) { clearTimeout(later); later = setTimeout(() => { spoken.textContent = text }, 400) }

function slider(parent, {label, min, max, step, value, text = fmt, set}) {
  const input = html('input', {type: 'range', min, max, step, value, 'aria-label': label})
  const shown = html('output')
  const show = () => { shown.textContent = text(+input.value); input.setAttribute('aria-valuetext', shown.textContent) }
  input.addEventListener('input', () => { show(); set(+input.value) })
  parent.append(html('label', {}, html('span', {}, label), input, shown))
  show()
  return {input, get value() { return +input.value }, set value(v) { input.value = v; show() },
          show(v) { input.value = v; shown.textContent = text(v); input.setAttribute('aria-valuetext', text(v)) },
          range(lo, hi, by) { Object.assign(input, {min: lo, max: hi, step: by}) }}
}
const button = (parent, label, click) => add(parent, html('button', {type: 'button', onclick: click}, label))

// One of several, as a row of buttons
function choice(parent, label, names, value, set) {
  const row = add(parent, html('fieldset', {role: 'group', 'aria-label': label}))
  const buttons = names.map(n => button(row, n, () => pick(n)))
  function pick(n, quiet) {
    for (const b of buttons) b.setAttribute('aria-pressed', b.textContent === n)
    if (!quiet) set(n)
  }
  pick(value, true)
  return pick
}

// --- running -------------------------------------------------------------------------------------

// A button that repeats `tick` until it returns false; where motion is not wanted, it goes to the end in one jump
let running = null
function runner(parent, label, tick, draw, {every = 180, most = 500} = {}) {
  const b = button(parent, label, () => running ? stop() : start())
  let last = 0
  function stop() { running = null; b.textContent = label; draw() }
  function start() {
    if (calm.matches) { for (let i = 0; i < most && tick() !== false; i++); return draw() }
    running = b; b.textContent = 'Stop'; last = 0
    requestAnimationFrame(frame)
  }
  function frame(now) {
    if (running !== b) return
    if (now - last >= every) { last = now; if (tick() === false) return stop(); draw() }
    requestAnimationFrame(frame)
  }
  return {button: b, stop: () => running && stop()}
}

// --- drawing -------------------------------------------------------------------------------------

function niceTicks(lo, hi, about = 5) {
  const raw = (hi - lo)/about, power = 10**Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map(m => m*power).find(s => s >= raw*0.9), ticks = []
  for (let i = Math.ceil(lo/step - 1e-9); i*step <= hi + 1e-9*step; i++) ticks.push(i*step)
  return {ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9))}
}

let clips = 0
class Plot {
  // A plane with axes, 400 units wide; `x` and `y` are [lowest, highest]
  constructor(parent, {label, title = '', x, y, xlabel = '', ylabel = '', width = 400, height = 290, left = 56,
                       bottom = 42, ticks = 5, yticks = 5, xat = null}) {
    Object.assign(this, {width, height, xlabel, ylabel, ticks, yticks, xat})
    this.box = [left, title ? 28 : 8, width - 18, height - bottom]
    this.svg = add(parent, svg('svg', {viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': label}))
    if (title) this.svg.append(svg('text', {class: 'title', x: left, y: 18}, title))
    const [l, t, r, b] = this.box, id = `clip${clips++}`
    this.svg.append(svg('clipPath', {id}, svg('rect', {x: l, y: t, width: r - l, height: b - t})))
    this.back = add(this.svg, svg('g', {'clip-path': `url(#${id})`}))
    this.grid = add(this.svg, svg('g', {'aria-hidden': true}))
    this.marks = add(this.svg, svg('g', {'clip-path': `url(#${id})`, 'aria-hidden': true}))
    this.top = add(this.svg, svg('g'))
    this.range(x, y)
  }
  range(x, y) {
    Object.assign(this, {x, y})
    const [l, t, r, b] = this.box, xs = niceTicks(...x, this.ticks), ys = niceTicks(...y, this.yticks)
    const word = (text, attrs) => svg('text', {'text-anchor': 'middle', ...attrs}, text)
    this.grid.replaceChildren(
      ...(this.xat || xs.ticks.map(v => [v, fmt(v, xs.digits)])).map(([v, text]) => svg('g', {class: 'tick'},
        svg('line', {x1: this.sx(v), x2: this.sx(v), y1: b, y2: b + 4}), word(text, {x: this.sx(v), y: b + 18}))),
      ...ys.ticks.map(v => svg('g', {class: 'tick'}, svg('line', {x1: l - 4, x2: l, y1: this.sy(v), y2: this.sy(v)}),
        word(fmt(v, ys.digits), {x: l - 7, y: this.sy(v) + 4, 'text-anchor': 'end'}))),
      svg('rect', {class: 'frame', x: l, y: t, width: r - l, height: b - t}),
      word(this.xlabel, {x: (l + r)/2, y: b + 36}),
      word(this.ylabel, {transform: `translate(12 ${(t + b)/2}) rotate(-90)`}))
  }
  sx(v) { const [l,, r] = this.box; return l + (r - l)*(v - this.x[0])/(this.x[1] - this.x[0]) }
  sy(v) { const [, t,, b] = this.box; return b - (b - t)*(v - this.y[0])/(this.y[1] - this.y[0]) }
  at(event) { // where the mouse is, in the numbers of the axes
    const r = this.svg.getBoundingClientRect(), k = this.width/r.width, [l, t, rr, b] = this.box
    return [this.x[0] + (this.x[1] - this.x[0])*((event.clientX - r.left)*k - l)/(rr - l),
            this.y[0] + (this.y[1] - this.y[0])*(b - (event.clientY - r.top)*k)/(b - t)]
  }
  clear() { this.marks.replaceChildren() }
  place([x, y]) { return [clamp(this.sx(x), -1e4, 1e4), clamp(this.sy(y), -1e4, 1e4)] }
  track(points) { return points.map((p, i) => (i ? 'L' : 'M') + this.place(p).map(v => v.toFixed(2))).join('') }
  line(points, cls, where = this.marks) {
    return add(where, svg('path', {class: cls, d: this.track(points)}))
  }
  curve(f, cls, where) {
    const [a, b] = this.x
    return this.line(Array.from({length: 121}, (_, i) => { const x = a + (b - a)*i/120; return [x, f(x)] }), cls, where)
  }
  spot(p, cls, r = 4) { const [cx, cy] = this.place(p); return add(this.marks, svg('circle', {class: cls, cx, cy, r})) }
  text(p, words, attrs) { const [x, y] = this.place(p); return add(this.marks, svg('text', {x, y, ...attrs}, words)) }
  arrow(from, to, cls) {
    const a = this.place(from), b = this.place(to), d = Math.hypot(b[0] - a[0], b[1] - a[1])
    if (d < 1) return
    const [ux, uy] = [(b[0] - a[0])/d, (b[1] - a[1])/d], h = Math.min(9, d)
    const side = s => `${b[0] - h*ux - s*h*0.55*uy} ${b[1] - h*uy + s*h*0.55*ux}`
    add(this.marks, svg('path', {class: cls, d: `M${a}L${b}M${side(1)}L${b}L${side(-1)}`}))
  }
  // A ball that can be dragged, and moved by the arrow keys; `move` gets the place asked for
  handle({label, step, move, twoWay = false}) {
    const ball = add(this.top, svg('circle', {class: 'handle', r: 9, tabindex: 0, role: 'slider', 'aria-label': label,
      'aria-valuemin': this.x[0], 'aria-valuemax': this.x[1]}))
    const state = {ball, p: [0, 0], put: (p, text) => {
      state.p = p
      const [cx, cy] = this.place(p), [l, t, r, b] = this.box
      const now = {cx: clamp(cx, l, r), cy: clamp(cy, t, b), 'aria-valuenow': p[0], 'aria-valuetext': text}
      for (const [k, v] of Object.entries(now)) ball.setAttribute(k, v)
    }}
    const keys = {ArrowLeft: [-1, 0], ArrowRight: [1, 0],
                  ArrowUp: twoWay ? [0, 1] : [1, 0], ArrowDown: twoWay ? [0, -1] : [-1, 0]}
    ball.addEventListener('keydown', e => {
      if (!(e.key in keys)) return
      e.preventDefault()
      const by = step*(e.shiftKey ? 5 : 1)
      move(state.p.map((v, i) => Math.round((v + by*(keys[e.key][i] || 0))/step)*step))
    })
    ball.addEventListener('pointerdown', e => { ball.setPointerCapture(e.pointerId); ball.focus() })
    ball.addEventListener('pointermove', e => { if (ball.hasPointerCapture(e.pointerId)) move(this.at(e)) })
    return state
  }
}

// Loss after each step, for the walks downhill
function lossPlot(parent, title = 'Loss after each step') {
  const plot = new Plot(parent, {label: title, title, x: [0, 10], y: [0, 1], xlabel: 'steps', ylabel: 'loss'})
  return losses => {
    const shown = losses.filter(Number.isFinite), most = Math.max(...shown)
    const steps = Math.max(10, losses.length - 1)
    plot.range([-0.02*steps, steps], [0, most*1.08 || 1])
    plot.clear()
    plot.line(shown.map((l, i) => [i, l]), 'path')
    if (shown.length < 60) shown.forEach((l, i) => plot.spot([i, l], 'spot', 3.5))
  }
}

// --- pictures ------------------------------------------------------------------------------------

const plus = [33, 102, 172], minus = [178, 24, 43]
function weightColor(v) { // v from -1 to 1: blue above 0, red below, white at 0
  const c = v < 0 ? minus : plus, k = clamp(Math.abs(v), 0, 1)
  return c.map(x => Math.round(255 + (x - 255)*k))
}
const inkColor = v => Array(3).fill(Math.round(255*(1 - clamp(v, 0, 1))))
function paint(canvas, values, color) {
  const c = canvas.getContext('2d'), im = c.createImageData(canvas.width, canvas.height)
  for (let i = 0; i < values.length; i++) im.data.set([...color(values[i]), 255], 4*i)
  c.putImageData(im, 0, 0)
}
function digit(parent, pixels, label, size = 48) {
  const c = add(parent, html('canvas', {width: 28, height: 28, role: 'img', 'aria-label': label}))
  c.style.width = c.style.height = `${size}px`
  if (pixels) paint(c, pixels, inkColor)
  return c
}
const flatten = rows => Float64Array.from(rows.flatMap(r => Array.from(r)))

// A map of 28 by 28 weights with a frame around one of them; `move` gets the place to which the arrow keys lead
function weightMap(parent, label, move) {
  const canvas = html('canvas', {width: 28, height: 28}), frame = html('i')
  const box = add(parent, html('div', {class: 'map', role: 'img', 'aria-label': label}, canvas, frame))
  const map = {canvas, box, place: 0, show(weights, largest) {
    paint(canvas, Array.from(weights, w => w/(largest || 1)), weightColor)
    frame.style.cssText = `left:${(map.place % 28)/0.28}%;top:${Math.floor(map.place/28)/0.28}%`
  }}
  if (!move) { frame.remove(); return map }
  box.tabIndex = 0
  box.setAttribute('role', 'application')
  map.at = e => {
    const r = canvas.getBoundingClientRect(), at = v => clamp(Math.floor(v*28), 0, 27)
    return at((e.clientY - r.top)/r.height)*28 + at((e.clientX - r.left)/r.width)
  }
  box.addEventListener('keydown', e => {
    const [dr, dc] = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[e.key] || [0, 0]
    if (!dr && !dc) return
    e.preventDefault()
    move(clamp(Math.floor(map.place/28) + dr, 0, 27)*28 + clamp(map.place % 28 + dc, 0, 27), 'key')
  })
  return map
}
function digitUrl(pixels) { // a picture for an SVG
  const c = html('canvas', {width: 28, height: 28})
  paint(c, pixels, inkColor)
  return c.toDataURL()
}

// --- the page around the figure -----------------------------------------------------------------

function report() {
  if (parent !== window) parent.postMessage({moving: Math.ceil(main.getBoundingClientRect().height)}, '*')
}
new ResizeObserver(report).observe(main)
addEventListener('message', e => {
  if (e.source !== parent || !e.data || !('theme' in e.data)) return
  document.documentElement.dataset.theme = e.data.theme
  report()
})
