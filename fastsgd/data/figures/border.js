// Two inputs: draw points, add hidden units, and see the border bend
// data: points[n,2] targets[n] hidden lr
let points, targets, color = 1, cursor = [0.5, 0.25]
function firstPoints() { points = data.points.map(p => [...p]); targets = Array.from(data.targets, Number) }
firstPoints()
let net, steps = 0, history = []

const random = generator(3) // the same in every visit
// Without hidden units the two inputs lead to the score straight away
const fresh = n => network(n ? [2, n, 1] : [2, 1], random, Array)
const score = (p, net) => scoresOf(net, sparse(p))[0]
const allScores = (net, xs = points) => xs.map(p => score(p, net))
const lossOf = (net, xs = points, ts = targets) => mnistLoss(allScores(net, xs), ts)
function slopesOf(net, xs = points, ts = targets) {
  const slopes = zerosLike(net)
  calcGrad(net, xs.map(sparse), ts, mnistLossOf, slopes)
  return slopes
}
function stepped(net, lr, xs = points, ts = targets) {
  sgdStep(net, slopesOf(net, xs, ts), zerosLike(net), lr)
  return net
}
// The line where each hidden unit wakes up: its two weights and its bias
const units = ([{w, b}]) => b.map((bias, j) => ({w: w.slice(2*j, 2*j + 2), b: bias}))

// As in the story: batches of 32, shuffled anew in every epoch
let waiting = []
function trainStep() {
  if (!waiting.length) waiting = shuffled(points.length, random)
  const batch = waiting.splice(0, 32).filter(i => i < points.length)
  if (batch.length) stepped(net, data.lr, batch.map(i => points[i]), batch.map(i => targets[i]))
  steps++
}

heading('Where is the border?', 'Press Train. Then slide to 16 hidden units (they start from new random weights), ' +
  'and train again. How few will do? If it gets stuck, try other random weights. Draw points of your own: click, or ' +
  'move the cross with the arrow keys and press Enter. Each dashed line is where a hidden unit wakes up; the border can ' +
  'bend there.')
const bar = controls()
const hidden = slider(bar, {label: 'hidden units', min: 0, max: 16, step: 1, value: data.hidden,
  text: v => fmt(v, 0), set: begin})
const most = 20000 // steps; long before, nothing moves anymore
const train = runner(bar, 'Train', () => {
  const end = performance.now() + 10
  const goesOn = i => i < 10 || i < 60 && (calm.matches || performance.now() < end)
  for (let i = 0; points.length && steps < most && goesOn(i); i++) trainStep()
  history.push([steps, lossOf(net)])
  return points.length > 0 && steps < most
}, () => draw(), {every: 0, most: 300})
button(bar, 'New random weights', () => { train.stop(); begin() })
const second = controls()
const colors = {blue: 1, red: 0, erase: -1}
choice(second, 'A click draws', Object.keys(colors), 'blue', name => { color = colors[name] })
button(second, 'Clear', () => { train.stop(); points = []; targets = []; begin() })
button(second, 'Original points', () => { train.stop(); firstPoints(); begin() })
const says = saying('short')
const row = panels()
const round = (v, up) => (up ? Math.ceil(v*5 + 1) : Math.floor(v*5 - 1))/5
const reach = i => [round(Math.min(...points.map(p => p[i])), false), round(Math.max(...points.map(p => p[i])), true)]
const plot = new Plot(row, {label: 'The plane. Arrow keys move the cross, Enter draws a point', height: 320,
  title: 'What the model says at each point', x: reach(0), y: reach(1),
  xlabel: 'first number', ylabel: 'second number'})
const lossGraph = new Plot(row, {label: 'Loss', title: 'Loss of these points', height: 320, ticks: 4,
  x: [0, 1000], y: [0, 0.5], xlabel: 'steps', ylabel: 'loss'})
const cols = 90, rows = 72, cells = html('canvas', {width: cols, height: rows}), [l, t, r, b] = plot.box
const picture = add(plot.back, svg('image', {x: l, y: t, width: r - l, height: b - t, preserveAspectRatio: 'none'}))
plot.svg.setAttribute('tabindex', 0)
plot.svg.setAttribute('role', 'application')
plot.svg.style.cursor = 'crosshair'
plot.svg.addEventListener('click', e => {
  const p = plot.at(e)
  if ([0, 1].every(i => p[i] >= [plot.x, plot.y][i][0] && p[i] <= [plot.x, plot.y][i][1])) { cursor = p; drawPoint(p) }
})
plot.svg.addEventListener('keydown', e => {
  const [dx, dy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[e.key] || [0, 0]
  if (dx || dy) { cursor = [clamp(cursor[0] + dx*0.1, ...plot.x), clamp(cursor[1] + dy*0.1, ...plot.y)]; draw() }
  else if (e.key === 'Enter' || e.key === ' ') drawPoint(cursor)
  else return
  e.preventDefault()
})

// New weights for another number of units and for other points, too: where training has been for long, the sigmoid is
// flat, and hardly a slope is left to learn anything new from
function begin() { net = fresh(hidden.value); steps = 0; waiting = []; history = [[0, lossOf(net)]]; draw() }
function drawPoint([x, y]) {
  if (color < 0) {
    const far = points.map(p => Math.hypot(p[0] - x, p[1] - y)), i = far.indexOf(Math.min(...far))
    if (far[i] < 0.25) { points.splice(i, 1); targets.splice(i, 1) }
  } else { points.push([x, y]); targets.push(color) }
  draw()
}
// The line where the score is 0, in pieces: each side of a small square whose ends differ in sign has a point of it
function border(grid, xs, ys) {
  const pieces = []
  for (let j = 0; j + 1 < ys.length; j++) for (let i = 0; i + 1 < xs.length; i++) {
    const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], found = []
    corners.forEach(([a, c], k) => {
      const [a2, c2] = corners[(k + 1) % 4], v = grid[c][a], v2 = grid[c2][a2]
      const u = v/(v - v2)
      if ((v > 0) !== (v2 > 0)) found.push([xs[a] + u*(xs[a2] - xs[a]), ys[c] + u*(ys[c2] - ys[c])])
    })
    for (let k = 0; k + 1 < found.length; k += 2) pieces.push([found[k], found[k + 1]])
  }
  return pieces
}
function draw() {
  const xs = Array.from({length: cols}, (_, i) => plot.x[0] + (i + 0.5)/cols*(plot.x[1] - plot.x[0]))
  const ys = Array.from({length: rows}, (_, j) => plot.y[1] - (j + 0.5)/rows*(plot.y[1] - plot.y[0]))
  const grid = ys.map(y => xs.map(x => score([x, y], net)))
  paint(cells, grid.flat().map(s => 0.7*(2*sigmoid(s) - 1)), weightColor)
  picture.setAttribute('href', cells.toDataURL())
  plot.clear()
  if (net.length > 1) for (const u of units(net)) { // the line w·x + b = 0, drawn long enough
    const size = u.w[0]**2 + u.w[1]**2, foot = u.w.map(v => -v*u.b/size)
    const along = [-u.w[1], u.w[0]].map(v => 20*v/Math.sqrt(size))
    plot.line([[foot[0] - along[0], foot[1] - along[1]], [foot[0] + along[0], foot[1] + along[1]]], 'wakes')
  }
  plot.marks.append(svg('path', {class: 'border', d: border(grid, xs, ys).map(piece => plot.track(piece)).join('')}))
  points.forEach((p, i) => {
    const [x, y] = plot.place(p)
    plot.marks.append(targets[i] ? svg('circle', {class: 'point plus', cx: x, cy: y, r: 4})
                                 : svg('rect', {class: 'point minus', x: x - 3.5, y: y - 3.5, width: 7, height: 7}))
  })
  const [cx, cy] = plot.place(cursor)
  plot.marks.append(svg('path', {class: 'cross', d: `M${cx - 8} ${cy}H${cx + 8}M${cx} ${cy - 8}V${cy + 8}`}))
  lossGraph.range([0, Math.max(1000, steps)], [0, Math.max(0.55, ...history.map(h => h[1]).filter(Number.isFinite))])
  lossGraph.clear()
  if (points.length) lossGraph.line(history.filter(h => Number.isFinite(h[1])), 'fall')
  const n = hidden.value, s = allScores(net)
  says(!points.length ? 'No points: draw some blue ones and some red ones.' :
    (n ? `${n} hidden unit${n > 1 ? 's' : ''}. `
       : 'No hidden units: a linear model, and its border is a straight line. ') +
    `${steps.toLocaleString('en-US')} steps: loss ${fmt(lossOf(net), 4)}, ` +
    `${sum(s.map((v, i) => (v > 0) === (targets[i] === 1)))} of ${points.length} points right.` +
    (steps < most ? '' : ' Enough steps! Press New random weights to start over.'))
}
begin()
const figure = {score, lossOf, gradient: slopesOf, stepped, get net() { return net }, get points() { return points },
                get steps() { return steps }, get targets() { return targets }}
