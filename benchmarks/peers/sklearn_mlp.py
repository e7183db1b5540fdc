"scikit-learn's MLPClassifier with plain SGD (ten digits only: it has no `mnist_loss`)"
import warnings
from ..work import Result

def train(work):
    if work.n_out == 1: return None
    from sklearn.neural_network import MLPClassifier
    (x, y), (valid_x, valid_y) = [(x.numpy(), y.numpy()) for x, y in work.splits]
    model = MLPClassifier((work.hidden,), solver='sgd', alpha=0, batch_size=work.bs, learning_rate_init=work.lr,
                          momentum=0, nesterovs_momentum=False, max_iter=work.epochs, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore') # "has not converged": it was not asked to
        model.fit(x, y)
    return Result(work.epochs*-(-len(y)//work.bs), model.score(valid_x, valid_y))
