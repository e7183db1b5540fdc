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
export function softmax(scores) {
  const top = Math.max(...scores), e = Array.from(scores, s => Math.exp(s - top)), total = sum(e)
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

// A layer is {w, b}; w[i*outputs + j] leads from input i to output j (PyTorch's `weight.T.flatten()`).
// It starts as PyTorch's does: weights and biases evenly spread between plus and minus 1/√inputs
export function network(sizes, random, Floats = Float32Array) {
  return sizes.slice(1).map((outputs, l) => {
    const reach = 1/Math.sqrt(sizes[l]), some = n => Floats.from({length: n}, () => (2*random() - 1)*reach)
    return {w: some(sizes[l]*outputs), b: some(outputs)}
  })
}
export const zeros = a => new a.constructor(a.length).fill(0)
export const zerosLike = net => net.map(({w, b}) => ({w: zeros(w), b: zeros(b)}))

export function linear({w, b}, x) {
  const y = b.slice(), n = y.length
  for (let i = 0; i < x.length; i++) {
    const v = x[i]
    if (v !== 0) for (let j = 0, k = i*n; j < n; j++, k++) y[j] += v*w[k] // most pixels are 0
  }
  return y
}
export const relu = x => { for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0; return x }
// The input, what each hidden layer makes of it, and the scores
export function forward(net, x) {
  const acts = [x]
  net.forEach((layer, l) => acts.push(l + 1 < net.length ? relu(linear(layer, acts[l])) : linear(layer, acts[l])))
  return acts
}

// Losses of one image, as [loss, its slope for each score]
export function mnistLossOf([score], target) {
  const p = sigmoid(score)
  return [target ? 1 - p : p, [(target ? -1 : 1)*p*(1 - p)]]
}
export function crossEntropyOf(scores, target) {
  const p = softmax(scores), top = Math.max(...scores)
  const loss = Math.log(sum(Array.from(scores, s => Math.exp(s - top)))) + top - scores[target]
  return [loss, p.map((v, j) => v - (j === target))]
}

// Add one image's slopes, from the scores back to the weights. What is 0 passes nothing on: a dark pixel, a unit asleep
export function backward(net, acts, d, slopes) {
  for (let l = net.length - 1; l >= 0; l--) {
    const x = acts[l], {w} = net[l], g = slopes[l], n = d.length, back = l ? zeros(x) : null
    for (let j = 0; j < n; j++) g.b[j] += d[j]
    for (let i = 0; i < x.length; i++) {
      const v = x[i], from = i*n
      if (v === 0) continue
      for (let j = 0; j < n; j++) g.w[from + j] += v*d[j]
      if (back) for (let j = 0; j < n; j++) back[i] += w[from + j]*d[j]
    }
    d = back
  }
}
// Add the slopes of a batch's mean loss to `slopes`; gives that loss
export function calcGrad(net, xs, targets, lossOf, slopes) {
  let total = 0
  xs.forEach((x, i) => {
    const acts = forward(net, x), [loss, d] = lossOf(acts.at(-1), targets[i])
    total += loss
    backward(net, acts, d.map(v => v/xs.length), slopes)
  })
  return total/xs.length
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
const kinds = {Linear: linear, Conv2d: conv, MaxPool2d: maxPool, ReLU: (_, x) => relu(x.slice()),
               Sigmoid: (_, x) => x.map(sigmoid), Tanh: (_, x) => x.map(Math.tanh)}
// The input, and what each layer makes of what it gets: the last are the scores
export function activations(layers, x) {
  const acts = [x]
  for (const layer of layers) acts.push(kinds[layer.kind](layer, acts.at(-1)))
  return acts
}
export const probabilities = scores => scores.length > 1 ? softmax(scores) : [sigmoid(scores[0]), sigmoid(-scores[0])]
