"Keras's `fit`, computed by JAX (ten digits only; compiled once, before it is measured)"
import functools, os
from ..work import Result

@functools.cache
def compiled(hidden, n_out, lr, n, bs):
    "A model, and the weights that it begins with"
    os.environ['KERAS_BACKEND'] = 'jax'
    import keras
    keras.utils.set_random_seed(0)
    def dense(n_in, units, act=None): # starts as nn.Linear does
        start = keras.initializers.RandomUniform(-n_in**-0.5, n_in**-0.5)
        return keras.layers.Dense(units, act, kernel_initializer=start)
    model = keras.Sequential([keras.Input((784,)), dense(784, hidden, 'relu'), dense(hidden, n_out)])
    model.compile(keras.optimizers.SGD(lr), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, model.get_weights()

def train(work):
    if work.n_out == 1: return None
    (x, y), (valid_x, valid_y) = [(x.numpy(), y.numpy()) for x, y in work.splits]
    model, start = compiled(work.hidden, work.n_out, work.lr, len(y), work.bs)
    model.set_weights(start)
    before = int(model.optimizer.iterations)
    model.fit(x, y, batch_size=work.bs, epochs=work.epochs, verbose=0)
    right = (model.predict(valid_x, batch_size=1000, verbose=0).argmax(1) == valid_y).mean()
    return Result(int(model.optimizer.iterations) - before, float(right))
