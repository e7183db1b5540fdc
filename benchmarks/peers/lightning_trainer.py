"PyTorch Lightning's `Trainer` on batches that are picked out of the tensors at once"
import logging, warnings
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset
from .bare_loop import chapter_loss
from ..work import Result, accuracy_of, n_right

def batches(split, bs, sampler):
    data = TensorDataset(*split)
    return DataLoader(data, sampler=BatchSampler(sampler(data), bs, drop_last=False), batch_size=None)

def train(work):
    import lightning
    logging.getLogger('lightning.pytorch').setLevel('ERROR') # which devices there are, and tips
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(784, work.hidden), nn.ReLU(), nn.Linear(work.hidden, work.n_out))
            self.loss_func = chapter_loss if work.n_out == 1 else F.cross_entropy
        def training_step(self, batch, i): return self.loss_func(self.net(batch[0]), batch[1])
        def validation_step(self, batch, i):
            preds = self.net(batch[0])
            self.log_dict({'loss': self.loss_func(preds, batch[1]), 'accuracy': n_right(preds, batch[1])},
                          batch_size=len(preds))
        def configure_optimizers(self): return torch.optim.SGD(self.parameters(), lr=work.lr)
    torch.manual_seed(0)
    module, valid = Module(), batches(work.splits[1], work.bs, SequentialSampler) if work.validate else None
    with warnings.catch_warnings():
        warnings.simplefilter('ignore') # "more workers", which would be slower here
        trainer = lightning.Trainer(accelerator='cpu', devices=1, max_epochs=work.epochs, logger=False,
                                    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
                                    num_sanity_val_steps=0)
        trainer.fit(module, batches(work.splits[0], work.bs, RandomSampler), valid)
    return Result(trainer.global_step, accuracy_of(module.net, work))
