// A ball on a parabola: drag it, choose a learning rate, and let it step downhill
// data: lowest height curvature start lr
const {lowest, height, curvature} = data
const loss = w => curvature/2*(w - lowest)**2 + height
const slope = w => curvature*(w - lowest)
let lr = data.lr, path = [data.start]

heading('One weight, going downhill',
  'Drag the ball, or move it with the arrow keys. The green ring is where the next step would land.')
const bar = controls()
slider(bar, {label: 'learning rate', min: 0.01, max: 1.3, step: 0.01, value: lr, set: v => { lr = v; draw() }})
button(bar, 'Step', () => { walk.stop(); step(); draw() })
const walk = runner(bar, 'Run', () => step(), () => draw(), {every: 350, most: 100})
button(bar, 'Back to the start', () => { walk.stop(); restart(path[0]) })
const says = saying()
const row = panels()
const plot = new Plot(row, {label: 'Loss for each weight, with the ball', title: 'How bad each weight is',
  x: [lowest - 5, lowest + 5], y: [0, loss(lowest + 5)], xlabel: 'weight', ylabel: 'loss'})
plot.curve(loss, 'curve', plot.back)
const drawLosses = lossPlot(row)
const ball = plot.handle({label: 'Weight to start from', step: 0.1, move: ([w]) => { walk.stop(); restart(w) }})

function restart(w) { path = [clamp(w, ...plot.x)]; draw() }
function step() {
  const w = path.at(-1), next = descend(([v]) => [slope(v)], [w], lr, 1)[1][0]
  path.push(next)
  return path.length < 100 && Math.abs(next - lowest) < 1e6 && Math.abs(next - w) > 1e-4
}
function draw() {
  const w = path.at(-1), next = w - lr*slope(w)
  plot.clear()
  plot.line([-3, 3].map(d => [w + d, loss(w) + d*slope(w)]), 'dashed')
  plot.line(path.map(v => [v, loss(v)]), 'path')
  path.forEach(v => plot.spot([v, loss(v)], 'spot'))
  plot.arrow([w, loss(w)], [next, loss(next)], 'next')
  plot.spot([next, loss(next)], 'ghost', 6)
  ball.put([w, loss(w)], `weight ${fmt(w)}, loss ${fmt(loss(w))}`)
  drawLosses(path.map(loss))
  const taken = path.length - 1
  says(`${taken} step${taken === 1 ? '' : 's'}: weight ${fmt(w)}, loss ${fmt(loss(w))}, slope ${fmt(slope(w))}. ` +
    `The next step: ${fmt(w)} − ${fmt(lr)} × ${braced(slope(w))} = ${fmt(next)}. ` + verdict(w, next))
}
function verdict(w, next) {
  const [now, then] = [w, next].map(v => Math.abs(v - lowest))
  if (now < 0.005) return 'This is the lowest point: the slope is 0, and it stays here.'
  if (now > 5) return 'The ball has left the picture. Too long a step, and it never comes back.'
  if (Math.abs(then - now) < 1e-9) return 'It will jump to the same height on the other side, forever.'
  if (then > now) return 'Careful: that lands higher than where it stands!'
  return (next - lowest)*(w - lowest) < -1e-9 ? 'That jumps across the valley, and still lands lower.' : 'Downhill.'
}
draw()
const figure = {loss, slope, get path() { return path }, get lr() { return lr },
  descend: (start, rate, steps) => descend(([v]) => [slope(v)], [start], rate, steps).map(p => p[0])}
