// Images on the sigmoid: slide each to another score, and watch its probability and the loss
// data: images[n,28,28] scores[n] targets[n] names[2]
const wide = main.clientWidth > 600, size = wide ? 40 : 30
const n = data.images.length, targets = data.targets.map(Number)
const widest = 6 // scores from -6 to 6
let chosen = 0, shift = 0, factor = 1, scores = [...data.scores]
const now = () => scores.map(s => factor*s + shift)
const loss = () => mnistLoss(now(), targets)
const name = i => withArticle(data.names[targets[i] ? 0 : 1])

heading('Images on the sigmoid', 'Slide an image to another score: drag it, or tab to it and use the arrow keys. The ' +
  `vertical line is its distance from the truth: 1 for ${withArticle(data.names[0])}, 0 for ` +
  `${withArticle(data.names[1])}. The mean of these distances is the loss. How low can you get it?`)
const bar = controls()
const factors = slider(bar, {label: 'multiply all scores by', min: -2, max: 1, step: 0.05, value: 0,
  text: v => fmt(10**v), set: v => { factor = 10**v; draw() }})
const shifts = slider(bar, {label: 'add to all scores', min: -6, max: 6, step: 0.1, value: 0, text: v => signed(v, 1),
  set: v => { shift = v; draw() }})
button(bar, 'Back to the start', () => {
  scores = [...data.scores]; shift = factors.value = shifts.value = 0; factor = 1; draw()
})
const says = saying()
const row = panels()
const plot = new Plot(row, {label: 'Images on the sigmoid', x: [-widest, widest], y: [-0.12, 1.12], xlabel: 'score',
  ylabel: `probability of ${withArticle(data.names[0])}`,
  ...wide ? {width: 820, height: 380, ticks: 10} : {height: 340}})
plot.curve(sigmoid, 'stroke', plot.back)
for (const y of [0, 1]) plot.line([[-widest, y], [widest, y]], 'dashed', plot.back)
plot.line([[0, -1], [0, 2]], 'dashed', plot.back)
const tokens = Array.from(data.images, (rows, i) => {
  const box = svg('rect', {width: size, height: size, rx: 5, class: 'card'})
  const image = svg('image', {href: digitUrl(flatten(rows)), x: 3, y: 3, width: size - 6, height: size - 6})
  const token = add(plot.top, svg('g', {class: 'token', tabindex: 0, role: 'slider', 'aria-valuemin': -widest,
    'aria-valuemax': widest, 'aria-label': `score of image ${i + 1}, ${name(i)}`}, box, image))
  const to = score => { chosen = i; scores[i] = (clamp(score, -widest, widest) - shift)/factor; draw() }
  token.addEventListener('focus', () => { chosen = i; draw() })
  token.addEventListener('pointerdown', e => { token.setPointerCapture(e.pointerId); token.focus() })
  token.addEventListener('pointermove', e => { if (token.hasPointerCapture(e.pointerId)) to(plot.at(e)[0]) })
  token.addEventListener('keydown', e => {
    const by = {ArrowLeft: -0.1, ArrowDown: -0.1, ArrowRight: 0.1, ArrowUp: 0.1, PageDown: -1, PageUp: 1}[e.key]
    if (by) { e.preventDefault(); to(Math.round((now()[i] + by*(e.shiftKey ? 5 : 1))*10)/10) }
  })
  return {token, box}
})

function draw() {
  const s = now()
  plot.clear()
  tokens.forEach(({token, box}, i) => {
    const p = sigmoid(s[i]), shown = clamp(s[i], 0.2 - widest, widest - 0.2), [x, y] = plot.place([shown, p])
    const right = (s[i] > 0) === (targets[i] === 1)
    plot.line([[shown, targets[i]], [shown, p]], targets[i] ? 'far plus' : 'far minus')
    token.setAttribute('transform', `translate(${x - size/2} ${y - size/2})`)
    token.setAttribute('aria-valuenow', s[i].toFixed(1))
    token.setAttribute('aria-valuetext', `score ${fmt(s[i], 1)}, probability ${fmt(p)}, ${right ? 'right' : 'wrong'}`)
    box.setAttribute('class', `card ${right ? 'right' : 'wrong'}`)
  })
  const p = sigmoid(s[chosen]), wrong = s.filter((v, i) => (v > 0) !== (targets[i] === 1)).length
  says(`Loss ${fmt(loss(), 4)}; accuracy ${fmt(batchAccuracy(s, targets), 2)} (${wrong} of ${n} wrong, with a dashed ` +
    `border). Image ${chosen + 1}, ${name(chosen)}: score ${fmt(s[chosen], 1)}, probability ${fmt(p)}, ` +
    `distance from the truth ${fmt(Math.abs(targets[chosen] - p))}.`)
}
draw()
const figure = {sigmoid, loss: mnistLoss, accuracy: batchAccuracy, now, get current() { return loss() }}
