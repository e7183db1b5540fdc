// A valley of two weights seen from above: drag the start, choose a learning rate, and walk down
// data: curvatures[2] start[2] lr
const [ca, cb] = data.curvatures
const loss = ([a, b]) => (ca*a**2 + cb*b**2)/2
const gradient = ([a, b]) => [ca*a, cb*b]
let lr = data.lr, path = [[...data.start]]

heading('Two weights, going downhill', 'Drag the ball to another start, or move it with the arrow keys. ' +
  'The lines join places of equal loss; the green arrow is the next step.')
const bar = controls()
slider(bar, {label: 'learning rate', min: 0.01, max: 0.6, step: 0.01, value: lr, set: v => { lr = v; draw() }})
button(bar, 'Step', () => { walk.stop(); step(); draw() })
const walk = runner(bar, 'Run', () => step(), () => draw(), {every: 250, most: 100})
button(bar, 'Back to the start', () => { walk.stop(); restart(path[0]) })
const says = saying()
const row = panels()
const plot = new Plot(row, {label: 'Map of the loss for two weights, with the ball', title: 'The valley from above',
  x: [-3, 3], y: [-2, 2], xlabel: 'first weight', ylabel: 'second weight', height: 287})
const highest = loss([3, 2])
for (let i = 14; i > 0; i--) {
  const l = highest*i/15, [cx, cy] = plot.place([0, 0])
  plot.back.append(svg('ellipse', {cx, cy, rx: plot.sx(Math.sqrt(2*l/ca)) - cx, ry: cy - plot.sy(Math.sqrt(2*l/cb)),
    style: 'fill:var(--plus);fill-opacity:.045;stroke:var(--plus);stroke-opacity:.55'}))
}
const drawLosses = lossPlot(row)
const ball = plot.handle({label: 'Start: two weights', step: 0.1, twoWay: true, move: p => { walk.stop(); restart(p) }})

function restart([a, b]) { path = [[clamp(a, ...plot.x), clamp(b, ...plot.y)]]; draw() }
function step() {
  const w = path.at(-1)
  path.push(descend(gradient, w, lr, 1)[1])
  return path.length < 100 && loss(path.at(-1)) < 1e6 && loss(path.at(-1)) > 1e-5
}
function draw() {
  const w = path.at(-1), g = gradient(w), next = w.map((v, i) => v - lr*g[i])
  plot.clear()
  plot.line(path, 'path')
  path.forEach(p => plot.spot(p, 'spot', 3.5))
  plot.arrow(w, next, 'next')
  ball.put(w, `first weight ${fmt(w[0])}, second weight ${fmt(w[1])}, loss ${fmt(loss(w))}`)
  drawLosses(path.map(loss))
  const taken = path.length - 1, pair = v => `(${v.map(x => fmt(x)).join(', ')})`
  says(`${taken} step${taken === 1 ? '' : 's'}: weights ${pair(w)}, loss ${fmt(loss(w), 3)}, gradient ${pair(g)}. ` +
    `The next step leads to ${pair(next)}. ` + verdict(w, next))
}
function verdict(w, next) {
  const away = Math.abs(w[0]) > 3 || Math.abs(w[1]) > 2
  if (away) return 'The walk has left the map. Too long a step, and it never comes back.'
  if (loss(w) < 0.001) return 'The bottom, or as good as.'
  if (loss(next) > loss(w)) return 'Careful: that lands higher than where it stands!'
  const across = w[1]*next[1] < -1e-9
  return across ? 'That jumps across the valley, and still lands lower.' : 'Downhill.'
}
draw()
const figure = {loss, gradient, descend: (start, rate, steps) => descend(gradient, start, rate, steps),
                get path() { return path }, get lr() { return lr }}
