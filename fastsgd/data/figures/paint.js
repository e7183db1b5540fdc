// Paint a weight for every pixel, watch the scores of twelve images, then look at better weights
// data: images[n,28,28] targets[n] names[2] learned
const pixels = data.images.map(flatten), targets = data.targets.map(Number), n = pixels.length
let weights = new Float64Array(784), bias = 0, brush = 1, place = 14*28 + 14, largest = 1
const prEight = (x, w) => dot(x, w)
const scores = () => pixels.map(x => prEight(x, weights) + bias)
const [one, other] = data.names, ofA = data.names.map(withArticle)

heading('Paint the weights yourself', `Blue where ink suggests ${ofA[0]}, red where it suggests ${ofA[1]}. An ` +
  'image’s score: each pixel times its weight, added up. Paint with the mouse; or with the keys: arrows ' +
  `move the frame, space paints. Can you get all ${n} right?`)
const bar = controls()
const brushes = {[`blue: for ${ofA[0]}`]: 1, [`red: for ${ofA[1]}`]: -1, 'erase': 0}
choice(bar, 'What to paint with', Object.keys(brushes), Object.keys(brushes)[0], name => { brush = brushes[name] })
button(bar, 'Clear', () => set(new Float64Array(784), 0))
for (const [name, {weights: w, bias: b}] of Object.entries(data.learned)) button(bar, name, () => set(w, b))
const second = controls()
const shift = slider(second, {label: 'bias, added to each score', min: -20, max: 20, step: 0.5, value: 0,
  text: v => signed(v, 1), set: v => { bias = v; draw() }})
const says = saying('short')
const row = panels()
const left = add(row, html('div')), right = add(row, html('div', {class: 'scores', role: 'list'}))
const map = weightMap(left, 'The weights. Arrow keys move the frame, space paints there', (p, how) => {
  place = p
  if (how === 'key' && held) stroke(place)
  draw()
})
let held = false, painting = false
map.box.addEventListener('keydown', e => {
  if (e.key === ' ' || e.key === 'Enter') { e.preventDefault(); held = e.key === ' '; stroke(place); draw() }
})
map.box.addEventListener('keyup', () => { held = false })
map.box.addEventListener('pointerdown', e => { painting = true; map.box.setPointerCapture(e.pointerId); dab(e) })
map.box.addEventListener('pointermove', e => { if (painting) dab(e) })
for (const end of ['pointerup', 'pointercancel']) map.box.addEventListener(end, () => { painting = false })
left.append(html('p', {class: 'hint'},
  'The weights: blue above 0, red below, white at 0. Hold the space bar and move to draw a line.'))

const lines = pixels.map((x, i) => {
  const value = html('span', {class: 'value'}), bar = html('b'), line = html('div', {class: 'score', role: 'listitem'})
  digit(line, x, ofA[targets[i] ? 0 : 1], 26)
  line.append(html('div', {class: 'bar'}, bar), value)
  right.append(line)
  return {line, bar, value}
})

let last = place
function dab(e) { // also the places between this one and the last, or a quick hand leaves gaps
  const to = map.at(e), from = e.type === 'pointerdown' ? to : last
  const [r0, c0, r1, c1] = [Math.floor(from/28), from % 28, Math.floor(to/28), to % 28]
  const k = Math.max(1, Math.abs(r1 - r0), Math.abs(c1 - c0))
  for (let i = 0; i <= k; i++) stroke(Math.round(r0 + (r1 - r0)*i/k)*28 + Math.round(c0 + (c1 - c0)*i/k))
  last = place = to
  draw()
}
// A soft round brush: the middle gets the full weight, its neighbors at least half of it
function stroke(at) {
  const r = Math.floor(at/28), c = at % 28
  for (let dr = -1; dr < 2; dr++) for (let dc = -1; dc < 2; dc++) {
    const p = (r + dr)*28 + c + dc
    if (r + dr < 0 || r + dr > 27 || c + dc < 0 || c + dc > 27) continue
    const to = brush*largest*(dr || dc ? 0.5 : 1)
    if (!brush) { if (!(dr && dc)) weights[p] = 0 } else if (weights[p]*brush < Math.abs(to)) weights[p] = to
  }
}
function set(w, b) {
  weights = Float64Array.from(w); bias = b
  largest = Math.max(...weights.map(Math.abs)) || 1
  shift.value = b
  draw()
}
function draw() {
  map.place = place
  map.show(weights, Math.max(largest, ...weights.map(Math.abs)))
  const s = scores(), most = Math.max(...s.map(Math.abs)) || 1
  const right = s.map((v, i) => v !== 0 && (v > 0) === (targets[i] === 1)), count = sum(right)
  lines.forEach(({line, bar, value}, i) => {
    const [side, color] = s[i] < 0 ? ['right', 'minus'] : ['left', 'plus']
    bar.style.cssText = `width:${50*Math.abs(s[i])/most}%;${side}:50%;background:var(--${color})`
    value.textContent = `${fmt(s[i], 1)} ${right[i] ? '✓' : '✗'}`
    const verdict = right[i] ? 'right' : 'wrong'
    line.setAttribute('aria-label', `${ofA[targets[i] ? 0 : 1]}: score ${fmt(s[i], 1)}, ${verdict}`)
    line.classList.toggle('miss', !right[i])
  })
  says(`${count} of ${n} right. A score above 0 says “${one}”, below 0 “${other}”. ` +
    (count === n ? 'All right! Would your weights do as well on images that you have not seen?' : ''))
}
draw()
const figure = {prEight, scores, set, get weights() { return Array.from(weights) }, get bias() { return bias }}
