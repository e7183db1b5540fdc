// Loss against accuracy while one weight moves: one is a slope, the other a staircase
// data: images[n,28,28] targets[n] weights[784] bias place names[2]
const n = data.images.length, targets = data.targets.map(Number)
const pixels = data.images.map(flatten)
const start = pixels.map(p => dot(p, data.weights) + data.bias)
let place = data.place, change = 0
const scoresWith = (c, p = place) => start.map((s, i) => s + c*pixels[i][p])
const lossWith = (c, p) => mnistLoss(scoresWith(c, p), targets)
const accuracyWith = (c, p) => batchAccuracy(scoresWith(c, p), targets)
const widest = 2

heading('One weight moves', 'Slide the change of a weight, and see what it does to the accuracy and to the loss of ' +
  `${n} images. Then choose another of the 784 weights: click in the map, or use the arrow keys there.`)
const bar = controls()
const changes = slider(bar, {label: 'change of the weight', min: -widest, max: widest, step: 0.01, value: 0,
  text: v => signed(v), set: v => { change = v; draw() }})
const says = saying()
const row = panels()
const left = add(row, html('div')), right = add(row, html('div'))
const options = {x: [-widest, widest], y: [0, 1], xlabel: 'change of the weight', height: 210}
const stairs = new Plot(left, {...options, label: 'Accuracy for each change', title: 'Accuracy: a staircase',
  ylabel: 'accuracy'})
const slope = new Plot(left, {...options, label: 'Loss for each change', title: 'Loss: a slope', ylabel: 'loss'})
const map = weightMap(right, 'Map of the weights. Arrow keys choose a weight', choose)
map.canvas.addEventListener('click', e => choose(map.at(e)))
right.append(html('p', {class: 'hint'}, 'The weights: blue above 0, red below; the black frame is around the one ' +
  'that moves. The images: it gets those with a dashed border wrong.'))
const shown = add(right, html('div', {class: 'digits'}))
const cards = pixels.map((p, i) => digit(shown, p, withArticle(data.names[targets[i] ? 0 : 1]), 28))

function choose(p) { place = p; change = changes.value = 0; draw() }
function around(values) {
  const lo = Math.min(...values), hi = Math.max(...values), gap = Math.max(0.02, (hi - lo)*0.15)
  return [lo - gap, hi + gap]
}
// The places where an image crosses from wrong to right or back: between them, the accuracy doesn't move
function crossings() {
  const at = start.map((s, i) => -s/pixels[i][place]).filter(c => Math.abs(c) < widest).sort((a, b) => a - b)
  return [-widest, ...at, widest]
}
function draw() {
  const weights = Array.from(data.weights)
  weights[place] += change
  const largest = Math.max(...weights.map(Math.abs))
  map.place = place
  map.show(weights, largest)
  const edges = crossings(), steps = edges.slice(1).flatMap((b, i) => {
    const a = edges[i], y = accuracyWith((a + b)/2)
    return [[a, y], [b, y]]
  })
  const grid = Array.from({length: 161}, (_, i) => -widest + widest*i/80), losses = grid.map(v => [v, lossWith(v)])
  stairs.range(stairs.x, around(steps.map(p => p[1]))); slope.range(slope.x, around(losses.map(p => p[1])))
  const both = [[stairs, steps, 'curve', accuracyWith(change)], [slope, losses, 'fall', lossWith(change)]]
  for (const [plot, line, cls, y] of both) {
    plot.clear()
    plot.line([[change, plot.y[0]], [change, plot.y[1]]], 'dashed')
    plot.line(line, cls)
    plot.spot([change, y], 'spot', 7)
  }
  const scores = scoresWith(change)
  cards.forEach((card, i) => card.classList.toggle('wrong', (scores[i] > 0) !== (targets[i] === 1)))
  const ink = pixels.filter(p => p[place] > 0).length
  says(`Row ${Math.floor(place/28)}, column ${place % 28}: ${ink} of the ${n} images have ink there. Changed by ` +
    `${signed(change)}: accuracy ${fmt(accuracyWith(change), 3)}, loss ${fmt(lossWith(change), 5)}. ` +
    (ink ? `The accuracy has ${edges.length - 2} steps in this range.` : 'No ink there: no stairs, and no slope.'))
  const titled = (plot, text) => { plot.svg.querySelector('.title').textContent = text }
  titled(stairs, ink ? 'Accuracy: a staircase' : 'Accuracy: flat')
  titled(slope, ink ? 'Loss: a slope' : 'Loss: flat')
}
draw()
const figure = {lossWith, accuracyWith, choose, start, get place() { return place }, get change() { return change }}
