"""The training loop: one generator update and one discriminator update a step."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from medgan import __version__
from medgan.config import TrainConfig
from medgan.data.batches import WAYS, Batch, Batches, PhantomBatch, UnpairedBatch, WayName
from medgan.data.statistics import DomainStatistics, Side
from medgan.errors import TrainingError
from medgan.io.files import write_json
from medgan.methods import GeneratorPass, Losses, build_method
from medgan.models.model_file import FILE_NAME, ModelCard, save_model
from medgan.models.tensor_file import load_tensors, load_weights, prefixed, save_tensors
from medgan.training.checkpoint import optimiser_tensors, restore_optimiser
from medgan.training.history_pool import HistoryPool
from medgan.training.monitor import Monitor, Translated
from medgan.training.processes import Processes
from medgan.training.run_folder import RunFolder
from medgan.training.thread_watch import ThreadWatch
from medgan.training.tracking import Tracker
from medgan.training.validation import Validator

POOL_STREAM, METHOD_STREAM = 3, 8

Tensors = TypeVar("Tensors", UnpairedBatch, PhantomBatch)

_log = logging.getLogger(__name__)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Rate of a step, counted from 1.

    Warm-up: constant, then linear to the main rate over the second half. After it: constant, then
    linear towards zero from ``decay_from`` of the steps left, as in the published training.
    """
    training = config.training
    if step <= training.warmup_steps:
        half = training.warmup_steps / 2
        done = max(0.0, step - 1 - half) / half
        return training.warmup_learning_rate + done * (
            training.learning_rate - training.warmup_learning_rate
        )
    steps = training.steps - training.warmup_steps
    start = training.decay_from * steps
    past = max(0.0, step - training.warmup_steps - 1 - start)
    return training.learning_rate * (1.0 - past / (steps - start + 1.0))


class Trainer:
    """Trains, validates, logs and checkpoints; continues where a run stopped.

    Accelerate gives device and precision. Everything random is drawn from the seed and the step
    number, so a resumed run repeats an uninterrupted one bit for bit (CPU, fp32). Of several
    processes each takes its share of a step's samples, and gradients are averaged over them; the
    first alone validates, logs and writes.

    Args:
        config: the training.
        run: where everything is written.
        batches: what each step learns from.
        validator: scores the generators on held-out cases.
        tracker: mirrors the logs.
        provenance: facts for the model card (data fingerprint, number of scans).
        domains: figures of the scans for the model card, to know unlike ones by.
    """

    def __init__(
        self,
        config: TrainConfig,
        run: RunFolder,
        batches: Batches,
        validator: Validator,
        tracker: Tracker,
        provenance: dict[str, Any],
        domains: dict[Side, DomainStatistics] | None = None,
    ) -> None:
        self.config, self.run, self.batches = config, run, batches
        self.validator, self.tracker = validator, tracker
        self.provenance, self.domains = provenance, domains
        settings = config.training
        self.processes = Processes()
        set_seed(settings.seed)
        # its precision is fixed for the life of the process; that of a training is not
        self.accelerator = Accelerator(mixed_precision="no")
        self.method = build_method(config).to(self.accelerator.device)
        self.optimisers = {
            name: torch.optim.Adam(
                part.parameters(), settings.learning_rate, betas=(0.5, 0.999), fused=True
            )
            for name, part in self._parts().items()
        }
        self.average = None
        if settings.average_decay:
            averaging = get_ema_multi_avg_fn(settings.average_decay)
            self.average = AveragedModel(self.method.generators, multi_avg_fn=averaging)
        self.pools = {"A": HistoryPool(settings.pool), "B": HistoryPool(settings.pool)}
        self.monitor = Monitor(config)
        self.step = 0
        self.best: dict[str, Any] | None = None

    def _parts(self) -> dict[str, nn.ModuleList]:
        method = self.method
        return {
            "generators": nn.ModuleList((*method.generators, *method.helpers)),
            "discriminators": method.discriminators,
        }

    def train(self, on_step: Callable[[int, dict[str, float]], None] | None = None) -> None:
        """Run to the last step.

        Args:
            on_step: called after every logged step with the losses, for progress displays.

        Raises:
            TrainingError: diverged.
            OutputError: the disk is full.
        """
        settings, share = self.config.training, self.processes.share
        self._begin_together()
        started, first = time.perf_counter(), self.step
        watch = ThreadWatch.on(self.accelerator.device)
        with ThreadPoolExecutor(1) as loader:
            ahead = loader.submit(self.batches.at, self.step + 1, share)
            while self.step < settings.steps:
                self.step += 1
                batch = ahead.result()
                if self.step < settings.steps:
                    ahead = loader.submit(self.batches.at, self.step + 1, share)
                losses = self.update(batch)
                if remark := watch.remark(self.step - first):
                    _log.warning("%s", remark)
                last = self.step == settings.steps
                if last or self.step % settings.log_every == 0:
                    record = {k: v.item() for k, v in self.processes.mean(losses).items()}
                    if self.processes.first:
                        seconds = (time.perf_counter() - started) / (self.step - first)
                        self._log_step(record, seconds)
                        if on_step:
                            on_step(self.step, record)
                # meanwhile the others wait with their next gradients
                if self.processes.first and (last or self.step % settings.validate_every == 0):
                    self._validate()
                if last or self.step % settings.checkpoint_every == 0:
                    self.save()
        if self.processes.first:
            self._save_model(self.run.last, {"step": self.step, "reason": "end of training"})
            self.tracker.finish()
        self.processes.wait()

    def _begin_together(self) -> None:
        """See to it that all processes begin with the same.

        Raises:
            TrainingError: they would not train the same model.
        """
        self.processes.require_same(
            {
                "medgan": __version__,
                "configuration": self.config.model_dump(mode="json"),
                "scans": self.provenance,
                "step": self.step,
            }
        )
        self.processes.copy_first(self.method)
        if self.average:
            self.processes.copy_first(self.average)

    def update(self, batch: Batch) -> Losses:
        """One step on one batch: generators, then discriminators on the same fakes."""
        unpaired = batch.unpaired and self._on_device(batch.unpaired)
        phantoms = batch.phantoms and self._on_device(batch.phantoms)
        made: dict[WayName, GeneratorPass] = {}
        rng = np.random.default_rng([self.config.training.seed, METHOD_STREAM, self.step])
        self.method.let_judges_learn(False)
        passes = self._generator_passes(unpaired, phantoms, made, rng)
        # one for all passes: it rounds each weight once
        with self._autocast():
            sound, losses = self._descend("generators", passes)
        if self.average:
            self.average.update_parameters(self.method.generators)
        # fakes of a step that went wrong may be NaN, and a pool would keep them
        if sound and unpaired is not None:
            self.method.let_judges_learn(True)
            judged = self._judge_passes(unpaired, made, rng)
            with self._autocast():
                losses |= self._descend("discriminators", judged)[1]
            losses |= self._watch(unpaired, made, losses)
        return losses

    def _generator_passes(
        self,
        unpaired: UnpairedBatch | None,
        phantoms: PhantomBatch | None,
        made: dict[WayName, GeneratorPass],
        rng: np.random.Generator,
    ) -> Iterator[Losses]:
        """The terms of both generators, in parts that share no graph; fills ``made``."""
        for way in WAYS:
            if unpaired is not None:
                done = self.method.generator_pass(way, unpaired, self.step, rng)
                made[way] = done.detached()
                yield done.losses
            if phantoms is not None:
                yield self.method.phantom_losses(way, phantoms, self.step)

    def _judge_passes(
        self, batch: UnpairedBatch, made: dict[WayName, GeneratorPass], rng: np.random.Generator
    ) -> Iterator[Losses]:
        """The loss of each domain's judges, on new fakes or on older ones."""
        rank = self.processes.share.rank
        pool_rng = np.random.default_rng([self.config.training.seed, POOL_STREAM, self.step, rank])
        for way, done in made.items():
            judges = self.method.side(way)[2]
            # named after the domain of its images
            pool = self.pools["B" if way == "A" else "A"]
            seen = pool.exchange(done.seen(judges), pool_rng)
            yield self.method.discriminator_losses(way, batch, done, seen, rng)

    def _watch(
        self, batch: UnpairedBatch, made: dict[WayName, GeneratorPass], losses: Losses
    ) -> Losses:
        """Show the monitor what was made; figures for the log."""
        figures = {}
        for way, done in made.items():
            source, target = batch.ways(way)
            judges = self.method.side(way)[2].judges
            judged = losses[f"discriminator_{way}"].item() / len(judges)
            translated = Translated(source.real, done.fake, target.real, source.body)
            seen = self.monitor.look(self.step, f"G_{way}", translated, judged)
            figures[f"moved_{way}"] = torch.tensor(seen.moved)
        background = 1 - made["A"].foreground.float()
        return figures | {"background_attention": background[batch.body_A].mean()}

    def _autocast(self) -> torch.autocast:
        enabled = self.config.training.precision == "bf16"
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=enabled)

    def _descend(self, name: str, passes: Iterable[Losses]) -> tuple[bool, Losses]:
        """Update one side.

        Args:
            name: of the side.
            passes: of its objective, each differentiated before the next is made, so that the graph
                of one alone is in memory.

        Returns:
            Whether its gradients allowed an update, and the losses.
        """
        optimiser = self.optimisers[name]
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.step)
        optimiser.zero_grad(set_to_none=True)
        losses: Losses = {}
        for terms in passes:
            with torch.autocast(self.accelerator.device.type, enabled=False):
                self.accelerator.backward(torch.stack(list(terms.values())).sum())
            losses |= {term: value.detach() for term, value in terms.items()}
        parameters = list(self._parts()[name].parameters())
        self.processes.average(parameters)
        # after the mean, so that all processes find the same
        norm = nn.utils.clip_grad_norm_(parameters, self.config.training.max_gradient_norm)
        finite = self.monitor.finite(self.step, norm.item())
        if finite:
            optimiser.step()
        return finite, losses

    def _on_device(self, batch: Tensors) -> Tensors:
        device = self.accelerator.device
        moved = {name: part.to(device) for name, part in vars(batch).items()}
        return type(batch)(**moved)

    def _log_step(self, losses: dict[str, float], seconds: float) -> None:
        record = {
            "step": self.step,
            **losses,
            "learning_rate": learning_rate(self.config, self.step),
        }
        self.run.append(self.run.metrics, record)
        self.run.append(self.run.timing, {"step": self.step, "seconds_per_step": seconds})
        self.tracker.log(self.step, {k: v for k, v in record.items() if k != "step"})

    def _averaged(self) -> nn.ModuleList:
        """The generators that are judged and kept: averaged ones where averaging is on."""
        if self.average:
            return cast(nn.ModuleList, self.average.module)
        return self.method.generators

    def _validate(self) -> None:
        generators = self._averaged()
        # batch norm must neither see the other cases nor learn from them
        generators.eval()
        forward, backward = generators
        scores = self.validator.scores(forward, backward)
        self.run.append(self.run.metrics, {"step": self.step, **scores})
        self.tracker.log(self.step, scores)
        self.validator.preview(self.run.previews / f"step_{self.step:07d}.png", forward)
        generators.train()
        score = scores["validation_score"]
        if not np.isfinite(score):
            return
        if self.best is None or score < self.best["score"]:
            self.best = {"step": self.step, "score": score, "reason": self.validator.reason}
            self._save_model(self.run.best, self.best)
            write_json(self.run.best / "reason.json", self.best | {"scores": scores})
            _log.info("step %d: best so far, %s %.2f", self.step, self.validator.reason, score)

    def _save_model(self, folder: Path, chosen: dict[str, Any]) -> None:
        forward, backward = self._averaged()
        card = ModelCard(
            source=self.config.source,
            target=self.config.target,
            preparation=self.config.preparation,
            network=self.config.network,
            domains=self.domains,
            provenance={"name": self.config.name, "chosen": chosen, **self.provenance},
        )
        save_model(folder / FILE_NAME, forward, backward, card)

    def save(self) -> None:
        """Write the checkpoint that ``resume`` reads, the pools of all processes in it."""
        pools = {
            name: {key: self.processes.gathered(images) for key, images in pool.state().items()}
            for name, pool in self.pools.items()
        }
        if not self.processes.first:
            return
        tensors: dict[str, Tensor] = prefixed("method", self.method.state_dict())
        if self.average:
            tensors |= prefixed("average", self.average.state_dict())
        for name, optimiser in self.optimisers.items():
            tensors |= prefixed(name, optimiser_tensors(optimiser))
        for name, state in pools.items():
            tensors |= prefixed(f"pool_{name}", state)
        of = self.processes.share.of
        document = {"step": self.step, "best": self.best, "processes": of}
        save_tensors(self.run.state, tensors, document)
        self.tracker.flush()

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one, and forget what was logged since.

        Raises:
            ModelError: the checkpoint is damaged or of another architecture.
            TrainingError: it lies beyond the configured steps, or is of more or fewer processes.
        """
        share = self.processes.share
        if self.run.state.exists():
            file = load_tensors(self.run.state)
            _require_processes(file.document.get("processes", 1), share.of, self.run.root)
            load_weights(self.method, file.under("method"), where=self.run.state)
            if self.average:
                load_weights(self.average, file.under("average"), where=self.run.state)
            for name, optimiser in self.optimisers.items():
                restore_optimiser(optimiser, file.under(name))
            for name, pool in self.pools.items():
                state = file.under(f"pool_{name}")
                pool.restore(
                    {key: images.chunk(share.of)[share.rank] for key, images in state.items()}
                )
            self.step, self.best = file.document["step"], file.document["best"]
        if self.step > self.config.training.steps:
            raise TrainingError(
                "the checkpoint lies beyond the configured steps",
                where=self.run.root,
                measured=self.step,
                limit=self.config.training.steps,
            )
        if self.processes.first:
            _log.info("going on from step %d of %d", self.step, self.config.training.steps)
            self.run.cut_back(self.step)


def _require_processes(begun: int, now: int, run: Path) -> None:
    """Refuse to go on with another number of processes: batches would be of another size.

    Raises:
        TrainingError: it is another one.
    """
    if begun != now:
        raise TrainingError(
            "the run was begun on another number of processes",
            where=run,
            measured=now,
            limit=begun,
            remedy=f"Launch {begun}, e.g. with torchrun --nproc-per-node, or begin another run",
        )
