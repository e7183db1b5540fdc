// A roller coaster's curve: bend it by hand against the loss, then let the slopes do it
// data: time[n] speed[n] params[3] lr[2]
const {time, speed} = data, n = time.length
const middle = mean(time), spread = Math.sqrt(sum(time.map(t => (t - middle)**2))/(n - 1))
const kinds = {'in seconds': {t: time, lr: data.lr[0], every: 30, steps: 100},
               'scaled': {t: time.map(t => (t - middle)/spread), lr: data.lr[1], every: 120, steps: 1}}
let kind = kinds['in seconds'], params = [...data.params], taken = 0, losses = []
const f = (t, [a, b, c]) => a*t*t + b*t + c
const columns = [t => t*t, t => t, () => 1]
const loss = (p, k = kind) => mse(k.t.map(t => f(t, p)), speed)
const gradient = (p, k = kind) => columns.map(column => mean(k.t.map((t, i) => 2*(f(t, p) - speed[i])*column(t))))
// The best parabola: where all three slopes are 0, which is three equations
for (const k of Object.values(kinds)) {
  const m = columns.map(r => [...columns.map(c => sum(k.t.map(t => r(t)*c(t)))), sum(k.t.map((t, i) => r(t)*speed[i]))])
  for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) if (i !== j) {
    const by = m[j][i]/m[i][i]
    for (let c = 0; c < 4; c++) m[j][c] -= by*m[i][c]
  }
  k.best = m.map((row, i) => row[3]/row[i])
  k.ranges = k.best.map((v, i) => {
    const room = 60/Math.sqrt(mean(k.t.map(t => columns[i](t)**2)))
    return [Math.min(v, data.params[i]) - room, Math.max(v, data.params[i]) + room]
  })
}

heading('The speed of a roller coaster: a·t² + b·t + c', 'Bend the curve with the three sliders until the loss is ' +
  'as low as you can get it. Then press Run and let the slopes do it: with time in seconds, then scaled.')
const knobs = controls()
const sliders = ['a', 'b', 'c'].map((name, i) => slider(knobs, {label: name, min: -1, max: 1, step: 'any', value: 0,
  set: v => { walk.stop(); params[i] = v; taken = 0; losses = []; draw() }}))
const bar = controls()
bar.append(html('span', {}, 'time:'))
choice(bar, 'How the time is measured', Object.keys(kinds), 'in seconds', name => {
  walk.stop(); kind = kinds[name]; ranges(); restart()
})
button(bar, 'Step', () => { walk.stop(); step(); draw() })
const walk = runner(bar, 'Run', () => { for (let i = 0; i < kind.steps; i++) if (!step()) return false }, () => draw(),
  {every: 60, most: 2000})
button(bar, 'Back to the start', () => { walk.stop(); restart() })
const says = saying()
const row = panels()
const left = add(row, html('div')), right = add(row, html('div'))
const plot = new Plot(left, {label: 'Measured speeds, and the curve', title: 'Measured and predicted',
  x: [-0.5, 19.5], y: [-30, 160], xlabel: 'time (seconds)', ylabel: 'speed (km/h)', height: 330})
const small = ['a', 'b', 'c'].map(name => new Plot(right, {label: `Loss if only ${name} moves`, x: [-1, 1], y: [0, 1],
  height: 128, bottom: 22, yticks: 3}))
const titles = small.map(p => { p.box[1] = 22; return add(p.svg, svg('text', {class: 'title', x: 56, y: 15})) })

function ranges() {
  sliders.forEach((s, i) => { const [lo, hi] = kind.ranges[i]; s.range(lo, hi, (hi - lo)/400) })
}
function restart() { params = [...data.params]; taken = 0; losses = []; draw() }
// One step of the descent; no more when twenty steps together bring less than one part in 100,000
function step() {
  losses.push(loss(params))
  params = descend(gradient, params, kind.lr, 1)[1]
  taken++
  const now = loss(params), gain = losses[Math.max(0, losses.length - 20)] - now
  return taken < 10000 && !(losses.length >= 20 && gain < 1e-5*now) && Number.isFinite(now)
}
function draw() {
  plot.clear()
  const pointOf = (t, i) => [time[i], f(t, params)]
  kind.t.forEach((t, i) => plot.line([[time[i], speed[i]], pointOf(t, i)], 'far minus thin'))
  const [first, last] = [kind.t[0], kind.t.at(-1)]
  plot.line(Array.from({length: 81}, (_, i) => {
    const u = i/80
    return [time[0] + u*(time.at(-1) - time[0]), f(first + u*(last - first), params)]
  }), 'path')
  time.forEach((t, i) => plot.spot([t, speed[i]], 'dot', 4))
  const now = loss(params), slopes = gradient(params), best = loss(kind.best)
  sliders.forEach((s, i) => s.show(params[i]))
  small.forEach((p, i) => {
    const [lo, hi] = kind.ranges[i], along = v => loss(params.map((w, j) => j === i ? v : w))
    const most = Math.max(along(lo), along(hi), now)
    p.range([lo, hi], [-0.08*most, 1.08*most])
    p.clear()
    p.curve(along, 'fall')
    p.line([-1, 1].map(s => [params[i] + s*(hi - lo)/5, now + s*slopes[i]*(hi - lo)/5]), 'dashed')
    p.spot([params[i], now], 'spot', 6)
    titles[i].textContent = `Loss if only ${'abc'[i]} moves: slope ${fmt(slopes[i])}`
  })
  const many = `${taken.toLocaleString('en-US')} step${taken > 1 ? 's' : ''}`
  const rate = kind.lr.toFixed(7).replace(/0+$/, '')
  says((taken ? `After ${many} with learning rate ${rate}: the` : 'The') +
    ` loss (mean squared error) is ${fmt(now)}; the best parabola has ${fmt(best)}. ` +
    (fmt(now) === fmt(best) ? 'You can stop: no parabola is better.'
      : now < 1.02*best ? 'You can stop: the best is hardly better.'
      : 'The red lines are the errors; the loss is the mean of their squares.'))
}
ranges()
draw()
const figure = {kinds, loss: (p, name) => loss(p, kinds[name]), gradient: (p, name) => gradient(p, kinds[name]),
  descend: (p, name, lr, steps) => descend(q => gradient(q, kinds[name]), p, lr, steps),
  get params() { return params }, get taken() { return taken }}
