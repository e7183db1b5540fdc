// The mathematics of the course's moving figures and of its pages: the package's functions, under their names.
// An ES module; in a page of one file it is a script before those that use it.

export const sum = a => { let s = 0; for (const x of a) s += x; return s }
export const mean = a => sum(a)/a.length
export const dot = (a, b) => { let s = 0; for (let i = 0; i < a.length; i++) s += a[i]*b[i]; return s }
export const clamp = (x, lo, hi) => Math.min(hi, Math.max(lo, x))
export const argmax = a => a.reduce((best, v, i) => v > a[best] ? i : best, 0)

// --- one number, or a few ------------------------------------------------------------------------

export const mse = (preds, targets) => mean(preds.map((p, i) => (p - targets[i])**2))
export const sigmoid = x => { const e = Math.exp(-Math.abs(x)); return (x >= 0 ? 1 : e)/(1 + e) }
export const mnistLoss = (scores, targets) =>
  mean(Array.from(scores, (s, i) => targets[i] ? 1 - sigmoid(s) : sigmoid(s)))
export const batchAccuracy = (scores, targets) =>
  mean(Array.from(scores, (s, i) => (s > 0) === (targets[i] == 1) ? 1 : 0))
export function descend(gradient, start, lr, steps) {
  const path = [start]
  for (let i = 0; i < steps; i++) path.push(path[i].map((w, j) => w - lr*gradient(path[i])[j]))
  return path
}
const largest = a => { let m = -Infinity; for (let i = 0; i < a.length; i++) if (a[i] > m) m = a[i]; return m }
export function softmax(scores) {
  const top = largest(scores), e = Float64Array.from(scores, s => Math.exp(s - top)), total = sum(e)
  return e.map(v => v/total)
}

// --- numbers by chance ---------------------------------------------------------------------------

// Random numbers from 0 up to 1 that are the same for the same seed ("mulberry32", Tommy Ettinger)
export function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0)/4294967296
  }
}
// The numbers from 0 to n - 1 in an order by chance
export function shuffled(n, random) {
  const order = Array.from({length: n}, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random()*(i + 1));
    [order[i], order[j]] = [order[j], order[i]]
  }
  return order
}

// --- networks: linear layers, with a ReLU between each two ---------------------------------------

// A layer is {w, b}, as PyTorch has it: w[j*inputs + i] leads from input i to output j.
// It starts as PyTorch's does, too: weights and biases evenly spread between plus and minus 1/√inputs
export function network(sizes, random, Floats = Float32Array) {
  return sizes.slice(1).map((outputs, l) => {
    const reach = 1/Math.sqrt(sizes[l]), some = n => Floats.from({length: n}, () => (2*random() - 1)*reach)
    return {w: some(outputs*sizes[l]), b: some(outputs)}
  })
}
export const zeros = a => new a.constructor(a.length).fill(0)
export const zerosLike = net => net.map(({w, b}) => ({w: zeros(w), b: zeros(b)}))

// Numbers x, and the places `at` which they are not 0. Four of five pixels are 0, and need no work
export function sparse(x) {
  const at = []
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) at.push(i)
  return {x, at}
}
export function linear({w, b}, {x, at}) {
  const y = b.slice(), n = x.length, last = b.length - 1
  for (let j = 0; j <= last; j += 4) { // four outputs at once are much faster; the last may be done again
    const j1 = Math.min(j + 1, last), j2 = Math.min(j + 2, last), j3 = Math.min(j + 3, last)
    let s = b[j], s1 = b[j1], s2 = b[j2], s3 = b[j3]
    for (let p = 0; p < at.length; p++) {
      const i = at[p], v = x[i]
      s += v*w[j*n + i]; s1 += v*w[j1*n + i]; s2 += v*w[j2*n + i]; s3 += v*w[j3*n + i]
    }
    y[j] = s; y[j1] = s1; y[j2] = s2; y[j3] = s3
  }
  return y
}
export const relu = x => { for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0; return x }
// The input, what each hidden layer makes of it, and the scores, each as `sparse` gives it
export function forward(net, input) {
  const acts = [input]
  net.forEach((layer, l) => {
    const y = linear(layer, acts[l])
    acts.push(sparse(l + 1 < net.length ? relu(y) : y))
  })
  return acts
}
export const scoresOf = (net, input) => forward(net, input).at(-1).x

// Losses of one image, as [loss, its slope for each score]
export function mnistLossOf([score], target) {
  const p = sigmoid(score)
  return [target ? 1 - p : p, [(target ? -1 : 1)*p*(1 - p)]]
}
export function crossEntropyOf(scores, target) {
  const top = largest(scores), e = Float64Array.from(scores, s => Math.exp(s - top)), total = sum(e)
  return [Math.log(total) + top - scores[target], e.map((v, j) => v/total - (j === target))]
}

// Add one image's slopes, from the scores back to the weights. What is 0 gets none: a dark pixel, a unit asleep
export function backward(net, acts, d, slopes) {
  for (let l = net.length - 1; l >= 0; l--) {
    const {x, at} = acts[l], {w} = net[l], {w: gw, b: gb} = slopes[l], back = l ? zeros(x) : null
    for (let j = 0; j < d.length; j++) {
      const dj = d[j], from = j*x.length
      if (dj === 0) continue
      gb[j] += dj
      for (let p = 0; p < at.length; p++) gw[from + at[p]] += dj*x[at[p]]
      if (l) for (let p = 0; p < at.length; p++) back[at[p]] += dj*w[from + at[p]]
    }
    d = back
  }
}
// Add the slopes of a batch's mean loss to `slopes`; gives that loss
export function calcGrad(net, inputs, targets, lossOf, slopes) {
  let total = 0
  inputs.forEach((input, i) => {
    const acts = forward(net, input), [loss, d] = lossOf(acts.at(-1).x, targets[i])
    total += loss
    backward(net, acts, d.map(v => v/inputs.length), slopes)
  })
  return total/inputs.length
}
// A step of stochastic gradient descent with momentum; `sums` are the running sums of slopes, `slopes` become 0 again
export function sgdStep(net, slopes, sums, lr, momentum = 0) {
  net.forEach((layer, l) => {
    for (const name of ['w', 'b']) {
      const p = layer[name], g = slopes[l][name], s = sums[l][name]
      for (let i = 0; i < p.length; i++) { s[i] = momentum*s[i] + g[i]; p[i] -= lr*s[i]; g[i] = 0 }
    }
  })
}

// --- arrays in a page's data ---------------------------------------------------------------------

const arrays = {Uint8Array, Uint16Array, Int32Array, Float32Array, Float64Array}
// What `zipped` of fastsgd.tools.pages has packed, as one flat array
export async function unzipped({zipped, kind}) {
  const bytes = Uint8Array.from(atob(zipped), c => c.charCodeAt(0))
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))
  return new arrays[kind](await new Response(stream).arrayBuffer())
}

// --- any of the course's models: layers of several kinds, each with its `kind` -------------------

// Windows of `kernel` by `kernel` that slide over square maps, one map after the other; `w` and `b` as in PyTorch
export function conv({w, b, kernel}, x) {
  const inputs = w.length/(b.length*kernel*kernel), side = Math.sqrt(x.length/inputs), to = side - kernel + 1
  return Float64Array.from({length: b.length*to*to}, (_, i) => {
    const map = Math.floor(i/(to*to)), start = Math.floor(i/to)%to*side + i%to
    let s = b[map], k = map*inputs*kernel*kernel
    for (let m = 0; m < inputs; m++) for (let r = 0; r < kernel; r++) {
      for (let c = 0, at = start + (m*side + r)*side; c < kernel; c++) s += w[k++]*x[at++]
    }
    return s
  })
}
// The largest number of each square of `kernel` by `kernel`
export function maxPool({kernel, maps}, x) {
  const side = Math.sqrt(x.length/maps), to = Math.floor(side/kernel)
  return Float64Array.from({length: maps*to*to}, (_, i) => {
    const at = (Math.floor(i/(to*to))*side + Math.floor(i/to)%to*kernel)*side + i%to*kernel
    return Math.max(...Array.from({length: kernel*kernel}, (_, k) => x[at + Math.floor(k/kernel)*side + k%kernel]))
  })
}
const kinds = {Linear: (layer, x) => linear(layer, sparse(x)), Conv2d: conv, MaxPool2d: maxPool,
               ReLU: (_, x) => relu(x.slice()), Sigmoid: (_, x) => x.map(sigmoid), Tanh: (_, x) => x.map(Math.tanh)}
// The input, and what each layer makes of what it gets: the last are the scores
export function activations(layers, x) {
  const acts = [x]
  for (const layer of layers) acts.push(kinds[layer.kind](layer, acts.at(-1)))
  return acts
}
export const probabilities = scores => scores.length > 1 ? softmax(scores) : [sigmoid(scores[0]), sigmoid(-scores[0])]
