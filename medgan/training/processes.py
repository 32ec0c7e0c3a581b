"""Several processes that train one model, each on a device and a share of the samples of its own.

Launchers such as ``torchrun`` and ``accelerate launch`` start them; otherwise there is one.
"""

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, distributed, nn

from medgan.data.batches import Share
from medgan.errors import TrainingError

PATIENCE = timedelta(days=1)
"""How long processes wait for each other: preparing a thousand scans takes hours.

A process that has died is noticed at once, by its launcher and by its closed connections.
"""


class Processes:
    """All processes of this training. Every method but ``leave`` is to be called by all of them.

    Attributes:
        share: the samples that are this process's.

    Raises:
        TrainingError: the device cannot be one of several; in methods, another process has ended.
    """

    def __init__(self) -> None:
        # one for the whole program, whoever asks first; untold, it overlooks processes on CPUs
        cpu = not torch.accelerator.is_available() or parse_flag_from_env("ACCELERATE_USE_CPU")
        self._state = PartialState(cpu=cpu, timeout=PATIENCE)
        self.share = Share(self._state.process_index, self._state.num_processes)
        launched = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
        if launched != self.share.of:
            raise TrainingError(
                "the processes that were launched do not find each other on this device",
                where=self._state.device,
                measured=self.share.of,
                limit=launched,
                remedy="Train in one process, or launch them on CPUs: accelerate launch --cpu",
            )

    @property
    def several(self) -> bool:
        """Whether there is more than this process."""
        return self.share.of > 1

    @property
    def first(self) -> bool:
        """Whether this is the one that validates, writes and reports."""
        return self.share.rank == 0

    def wait(self) -> None:
        """Wait until every process is here."""
        with _others():
            self._state.wait_for_everyone()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first process go first, then one of every other node, then the rest.

        What the earlier ones put into a cache is there for the later ones, and never two write the
        same, wherever the cache lies.
        """
        turn = 0 if self.first else 1 if self._state.local_process_index == 0 else 2
        for _ in range(turn):
            self.wait()
        yield
        for _ in range(2 - turn):
            self.wait()

    def require_same(self, facts: Mapping[str, object]) -> None:
        """Refuse to go on where processes would train different things.

        Args:
            facts: what must be the same everywhere, by name; compared as it is printed.

        Raises:
            TrainingError: some differ; they are named.
        """
        if not self.several:
            return
        sums = [zlib.crc32(repr(value).encode()) for value in facts.values()]
        # the largest and, negated, the smallest of each
        limits = torch.tensor([sums, [-value for value in sums]], device=self._state.device)
        with _others():
            distributed.all_reduce(limits, distributed.ReduceOp.MAX)
        differing = [
            name for name, high, low in zip(facts, *limits.tolist(), strict=True) if high != -low
        ]
        if differing:
            raise TrainingError(
                "the processes of this training differ",
                measured=f"other {', '.join(differing)}",
                remedy="Give every node the same medgan, configuration, scans and run folder",
            )

    def copy_first(self, module: nn.Module) -> None:
        """Replace weights by those of the first process; unlike processors round unlike."""
        if self.several:
            with _others(), torch.no_grad():
                for tensor in module.state_dict().values():
                    # a counter may lie elsewhere than the weights
                    shared = tensor.to(self._state.device)
                    distributed.broadcast(shared, 0)
                    tensor.copy_(shared)

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over the processes, the same bits in each of them.

        Args:
            parameters: those without a gradient must be the same ones in every process.
        """
        if not self.several:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        # in one message: hundreds of small ones would each wait for the network
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with _others():
            distributed.all_reduce(flat)
        parts = (flat / self.share.of).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Figures, each the mean over the processes; all must name the same ones."""
        if not self.several or not values:
            return dict(values)
        device = self._state.device
        figures = torch.stack([value.detach().to(device).float() for value in values.values()])
        with _others():
            distributed.all_reduce(figures)
        return dict(zip(values, figures / self.share.of, strict=True))

    def gathered(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, (N, ...) each, one after the other.

        Returns:
            (processes * N, ...) on the CPU in the first process; this one's own in the others.
        """
        if not self.several:
            return tensor
        own = tensor.to(self._state.device).contiguous()
        parts = [torch.empty_like(own) for _ in range(self.share.of)] if self.first else None
        with _others():
            distributed.gather(own, parts)
        return torch.cat([part.cpu() for part in parts]) if parts else own

    def leave(self) -> None:
        """Take leave of the others at the end of the program."""
        self._state.destroy_process_group()


@contextmanager
def _others() -> Iterator[None]:
    """Say what an error of the connection means.

    Raises:
        TrainingError: another process has ended.
    """
    try:
        yield
    # torch has no narrower kind that all its backends raise
    except RuntimeError as error:
        raise TrainingError(
            "another process of this training has ended",
            measured=str(error).splitlines()[0],
            remedy="Its own message says why; `medgan train --resume RUN`, launched in the same "
            "way, goes on from the last checkpoint",
        ) from error
