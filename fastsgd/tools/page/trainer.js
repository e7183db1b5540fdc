// Trains the playground's network: in a worker beside the page, or in the page where no worker may start
import {argmax, calcGrad, crossEntropyOf, forward, generator, mnistLossOf, network, probabilities, scoresOf, sgdStep,
        shuffled, sparse, zerosLike} from '../../data/figures/mathematics.js'

// A function that does what a message wants, and tells how things stand then. A message may have
// - `images` {pixels, labels, train}: 784 bytes for each image, its digit, and how many of them are there to train with
// - `start` {two, hidden, seed}: begin anew, with 3s and 7s or all digits, and so many hidden units
// - `steps`, with {lr, batch, momentum}: so many steps of SGD, or as many as there is time for in `ms`
// - `ask`: the pixels to read from now on
export function trainer() {
  let images, parts, two, net, slopes, sums, random, order, step, seen, asked = null
  let cost = 0, last = 0, measured // how long measuring took, when it ended, and after which step

  function read({pixels, labels, train}) {
    const all = Array.from(labels, (label, i) =>
      ({i, label, input: sparse(Float32Array.from(pixels.subarray(784*i, 784*(i + 1)), v => v/255))}))
    images = [all.slice(0, train), all.slice(train)]
  }
  // The target is 1 for a 3 and 0 for a 7, or with ten digits the digit
  function start(settings) {
    two = settings.two
    parts = images.map(part => part.filter(o => !two || o.label === 3 || o.label === 7)
                                   .map(o => ({...o, target: two ? +(o.label === 3) : o.label})))
    random = generator(settings.seed)
    net = network([784, ...settings.hidden ? [settings.hidden] : [], two ? 1 : 10], random)
    slopes = zerosLike(net); sums = zerosLike(net)
    order = []; step = 0; seen = 0; measured = null
  }
  const lossOf = (scores, target) => two ? mnistLossOf(scores, target) : crossEntropyOf(scores, target)
  function train({steps, ms = Infinity, lr, batch, momentum}) {
    for (const end = performance.now() + ms; steps > 0 && performance.now() < end; steps--) {
      if (!order.length) order = shuffled(parts[0].length, random)
      const some = order.splice(0, batch).map(i => parts[0][i])
      calcGrad(net, some.map(o => o.input), some.map(o => o.target), lossOf, slopes)
      sgdStep(net, slopes, sums, lr, momentum)
      step++
      seen += some.length
    }
  }
  // Loss and accuracy, and which images of the last part it gets wrong
  function measure() {
    const begun = performance.now()
    let wrong
    const [training, validation] = parts.map(part => {
      let loss = 0
      wrong = []
      for (const {i, input, label, target} of part) {
        const scores = scoresOf(net, input), said = !two ? argmax(scores) : scores[0] > 0 ? 3 : 7
        loss += lossOf(scores, target)[0]
        if (said !== label) wrong.push({i, label, said})
      }
      return {loss: loss/part.length, accuracy: 1 - wrong.length/part.length}
    })
    last = performance.now(); cost = last - begun; measured = step
    return {training, validation, wrong, total: parts[1].length}
  }
  function answer() {
    const acts = forward(net, asked), scores = acts.at(-1).x
    return {units: acts.length > 2 ? acts[1].x : [], probabilities: probabilities(scores)}
  }
  return message => {
    if (message.images) read(message.images)
    if (message.start) start(message.start)
    if (message.ask) asked = sparse(message.ask)
    // A run, which has `ms`, spends at most a quarter of its time on measuring
    const due = message.ms && measured !== step && performance.now() - last > 3*cost
    if (message.steps && !due) train(message)
    const told = measured !== step && (due || !message.ms) ? measure() : null
    return {step, epoch: seen/parts[0].length, net, measured: told, answer: asked ? answer() : null}
  }
}
