// A training run as a movie: weights, loss and mistakes, with a slider over the steps
// data: steps[t] changes[t,784] loss[t] accuracy[t] scores[t,n] images[n,28,28] targets[n] names[2] total
const frames = data.steps.length, pixels = data.images.map(flatten), targets = data.targets.map(Number)
const largest = Math.max(...data.changes.at(-1).map(Math.abs))
let frame = 0
const wrongAt = t => Array.from(data.scores[t], (s, i) => (s > 0) !== (targets[i] === 1))
const where = step => Math.log10(step + 1) // the first steps matter most, so they get most of the room
const count = x => x.toLocaleString('en-US')

heading('The training run as a movie', 'Press Play, or drag the slider over the steps (arrow keys: one frame forward ' +
  'or back). Most of it happens in the first few.')
const bar = controls()
const steps = slider(bar, {label: 'step', min: 0, max: frames - 1, step: 1, value: 0, text: t => count(data.steps[t]),
  set: t => { play.stop(); frame = t; draw() }})
const play = runner(bar, 'Play', () => { frame = (frame + 1) % frames; return frame < frames - 1 }, () => draw(),
  {every: 300, most: frames})
button(bar, 'Back to the start', () => { play.stop(); frame = 0; draw() })
const says = saying('short')
const row = panels()
const left = add(row, html('div')), right = add(row, html('div'))
const map = weightMap(left, 'What the training has added to the weights')
left.append(html('p', {class: 'hint'}, `What the training has added to each weight: blue where ink came to count for ` +
  `${withArticle(data.names[0])}, red for ${withArticle(data.names[1])}.`))
const last = data.steps.at(-1)
const plot = new Plot(right, {label: 'Loss and accuracy after each step', height: 250,
  title: 'Validation: accuracy (blue), loss (red)', x: [0, where(last)], y: [0, 1], xlabel: 'steps',
  xat: [0, 1, 3, 10, 30, 100, 300, 1000, 3000].filter(s => s <= last).map(s => [where(s), count(s)])})
for (const [values, cls] of [[data.accuracy, 'curve'], [data.loss, 'fall']])
  plot.line(Array.from(values, (v, t) => [where(data.steps[t]), v]), cls, plot.back)
right.append(html('p', {class: 'hint'},
  `${pixels.length} of the harder validation images. A dashed border: wrong at this step.`))
const shown = add(right, html('div', {class: 'digits'}))
const cards = pixels.map(p => digit(shown, p, '', 34))

function draw() {
  steps.value = frame
  map.show(data.changes[frame], largest)
  plot.clear()
  const x = where(data.steps[frame])
  plot.line([[x, 0], [x, 1]], 'dashed')
  plot.spot([x, data.accuracy[frame]], 'spot', 6)
  plot.spot([x, data.loss[frame]], 'spot', 6)
  const wrong = wrongAt(frame)
  cards.forEach((card, i) => {
    card.classList.toggle('wrong', wrong[i])
    card.setAttribute('aria-label', `${withArticle(data.names[targets[i] ? 0 : 1])}, ${wrong[i] ? 'wrong' : 'right'}`)
  })
  const step = data.steps[frame], accuracy = data.accuracy[frame], mistakes = Math.round(data.total*(1 - accuracy))
  says(`After ${count(step)} step${step === 1 ? '' : 's'}: loss ${fmt(data.loss[frame], 4)}, accuracy ` +
    `${fmt(accuracy, 4)}; it gets ${count(mistakes)} of ${count(data.total)} images wrong.`)
}
draw()
const figure = {wrongAt, get frame() { return frame }}
