"""The detector's training loop: sample, descend, mine, validate, save; and go on after a stop."""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from medgan.config import load_as
from medgan.data.luna16_scan import Luna16Scan
from medgan.detection.config import DetectorConfig, DetectorTraining
from medgan.detection.detector import FILE_NAME, Detector, DetectorCard
from medgan.detection.losses import heatmap_loss, regression_losses
from medgan.detection.network import HeatmapNetwork
from medgan.detection.sampling import PatchBatch, PatchSampler, Sites
from medgan.detection.scans import TrainingScan, prepare_scans
from medgan.detection.validation import Scores, false_positives, score
from medgan.errors import TrainingError
from medgan.io.files import write_json
from medgan.models.tensor_file import load_tensors, load_weights, prefixed, save_tensors
from medgan.training.checkpoint import optimiser_tensors, restore_optimiser
from medgan.training.run_folder import RunFolder
from medgan.training.thread_watch import ThreadWatch

WEIGHT_DECAY = 1e-4

OnStep = Callable[[int, dict[str, float]], None]

_log = logging.getLogger(__name__)


def train_detector(
    scans: Iterable[Luna16Scan],
    config: DetectorConfig,
    out: Path,
    *,
    validation: Iterable[Luna16Scan] = (),
    on_step: OnStep | None = None,
) -> RunFolder:
    """Train a detector.

    Args:
        scans: to learn from.
        config: the training.
        out: run folder to make.
        validation: scans that the best state is chosen by; without any it is the last.
        on_step: called after every logged step with the losses.

    Raises:
        OutputError: the folder already holds a run, or the disk is full.
        DataError: no scan can be used.
        TrainingError: diverged.
    """
    run = RunFolder(Path(out))
    run.require_free("detect train")
    trainer = DetectorTrainer(config, run, *_material(scans, validation, config))
    run.create(config)
    trainer.train(on_step)
    return run


def resume_detector(
    scans: Iterable[Luna16Scan],
    out: Path,
    *,
    validation: Iterable[Luna16Scan] = (),
    on_step: OnStep | None = None,
) -> RunFolder:
    """Continue a training from its last checkpoint, with the same scans as before.

    Raises:
        TrainingError: not a run folder, or other scans than it was begun with.
        ModelError: the checkpoint is damaged.
    """
    run = RunFolder(Path(out))
    if not run.config_path.is_file():
        raise TrainingError("not a run folder: no config.yaml", where=run.root)
    config = load_as(DetectorConfig, run.config_path)
    trainer = DetectorTrainer(config, run, *_material(scans, validation, config))
    trainer.resume()
    trainer.train(on_step)
    return run


def _material(
    scans: Iterable[Luna16Scan], validation: Iterable[Luna16Scan], config: DetectorConfig
) -> tuple[list[TrainingScan], list[TrainingScan]]:
    held_out = list(validation)
    judges = prepare_scans(held_out, config.input) if held_out else []
    if judges and not any(len(scan.nodules.diameter_mm) for scan in judges):
        _log.warning(
            "the scans of the validation hold no nodule: the last state is kept, not the best. "
            "Choose others to validate on"
        )
    return prepare_scans(scans, config.input), judges


def learning_rate(settings: DetectorTraining, step: int) -> float:
    """Rate of a step, counted from 1: linear from 0 upwards, then half a cosine down to 0."""
    rising = settings.warmup * settings.steps
    if step <= rising:
        return settings.learning_rate * step / rising
    past = (step - rising) / (settings.steps - rising + 1)
    return settings.learning_rate * (1 + math.cos(math.pi * past)) / 2


class DetectorTrainer:
    """Everything random is drawn from the seed and the step number, nothing from what ran before.

    Args:
        config: the training.
        run: where everything is written.
        scans: to learn from.
        validation: to choose the best state by.
    """

    def __init__(
        self,
        config: DetectorConfig,
        run: RunFolder,
        scans: Sequence[TrainingScan],
        validation: Sequence[TrainingScan],
    ) -> None:
        self.config, self.run, self.scans, self.validation = config, run, scans, validation
        set_seed(config.training.seed)
        self.accelerator = Accelerator(mixed_precision="no")
        self.network = HeatmapNetwork(config.network).to(self.accelerator.device)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), weight_decay=WEIGHT_DECAY)
        self.sampler = PatchSampler(scans, config)
        self.hard: Sites = np.zeros((0, 4))
        self.step = 0
        self.best: dict[str, Any] | None = None
        self.provenance = {
            "name": config.name,
            "data_sha256": fingerprint(scans),
            "scans": len(scans),
            "nodules": sum(len(scan.nodules.diameter_mm) for scan in scans),
            "validation_scans": len(validation),
        }

    def train(self, on_step: OnStep | None = None) -> None:
        """Run to the last step."""
        settings = self.config.training
        started, first = time.perf_counter(), self.step
        watch = ThreadWatch.on(self.accelerator.device)
        ahead: Future[PatchBatch] | None = None
        with ThreadPoolExecutor(1) as loader:
            while self.step < settings.steps:
                self.step += 1
                batch = ahead.result() if ahead else self.sampler.at(self.step, self.hard)
                last = self.step == settings.steps
                # what is mined after this step changes what the next one draws
                ahead = None
                if not last and not self._mines(self.step):
                    ahead = loader.submit(self.sampler.at, self.step + 1, self.hard)
                losses = self.update(batch.to(self.accelerator.device))
                if remark := watch.remark(self.step - first):
                    _log.warning("%s", remark)
                if last or self.step % settings.log_every == 0:
                    seconds = (time.perf_counter() - started) / (self.step - first)
                    self._log_step(losses, seconds)
                    if on_step:
                        on_step(self.step, losses)
                if not last and self._mines(self.step):
                    self._mine()
                if last or self.step % settings.validate_every == 0:
                    self._validate()
                if last or self.step % settings.checkpoint_every == 0:
                    self.save()
        self._save_model(self.run.last, {"step": self.step, "reason": "end of training"})

    def update(self, batch: PatchBatch) -> dict[str, float]:
        """One step; the losses.

        Raises:
            TrainingError: the gradient is not finite.
        """
        settings = self.config.training
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(settings, self.step)
        device = self.accelerator.device
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            maps = self.network(batch.image)
        place, size = regression_losses(maps, batch.heatmap, batch.offset, batch.log_diameter)
        losses = {
            "heatmap": heatmap_loss(maps.logit, batch.heatmap, batch.counts),
            "place": settings.regression_weight * place,
            "diameter": settings.regression_weight * size,
        }
        self.optimiser.zero_grad(set_to_none=True)
        self.accelerator.backward(torch.stack(list(losses.values())).sum())
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), settings.max_gradient_norm)
        if not torch.isfinite(norm):
            raise TrainingError(
                "diverged: the gradient is not finite",
                where=f"step {self.step}",
                remedy="Lower training.learning_rate",
            )
        self.optimiser.step()
        return {name: value.item() for name, value in losses.items()}

    def _mines(self, step: int) -> bool:
        every = self.config.sampling.mine_every
        return every > 0 and step > 0 and step % every == 0

    def _mine(self) -> None:
        """Look through the next scans in turn; what was known of them is forgotten."""
        settings = self.config.sampling
        turn = self.step // settings.mine_every - 1
        count = min(settings.mine_scans, len(self.scans))
        numbers = [(turn * count + i) % len(self.scans) for i in range(count)]
        self.network.eval()
        found = [self.hard[~np.isin(self.hard[:, 0], numbers)]]
        for number in numbers:
            voxels = false_positives(
                self.network, self.scans[number], self.config, settings.mine_marks
            )
            found.append(np.insert(voxels, 0, number, axis=1))
        self.network.train()
        self.hard = np.concatenate(found)

    def _validate(self) -> None:
        if not self.validation:
            return
        self.network.eval()
        scores = score(self.network, self.validation, self.config)
        self.network.train()
        record = {f"validation_{name}": value for name, value in vars(scores).items()}
        self.run.append(self.run.metrics, {"step": self.step, **record})
        _log.info("step %d: CPM %.3f", self.step, scores.cpm)
        if math.isfinite(scores.cpm) and (self.best is None or scores.cpm >= self.best["cpm"]):
            self._keep_best(scores)

    def _keep_best(self, scores: Scores) -> None:
        self.best = {"step": self.step, "reason": "validation CPM", **vars(scores)}
        self._save_model(self.run.best, self.best)
        write_json(self.run.best / "reason.json", self.best)

    def _log_step(self, losses: dict[str, float], seconds: float) -> None:
        rate = learning_rate(self.config.training, self.step)
        record = {"step": self.step, **losses, "learning_rate": rate, "hard": len(self.hard)}
        self.run.append(self.run.metrics, record)
        self.run.append(self.run.timing, {"step": self.step, "seconds_per_step": seconds})

    def _save_model(self, folder: Path, chosen: dict[str, Any]) -> None:
        provenance = {**self.provenance, "chosen": chosen}
        card = DetectorCard(config=self.config, provenance=provenance)
        Detector(self.network, card).save(folder / FILE_NAME)

    def save(self) -> None:
        """Write the checkpoint that ``resume`` reads."""
        tensors: dict[str, Tensor] = prefixed("network", self.network.state_dict())
        tensors |= prefixed("optimiser", optimiser_tensors(self.optimiser))
        tensors["hard"] = torch.from_numpy(self.hard)
        document = {
            "step": self.step,
            "best": self.best,
            "data_sha256": self.provenance["data_sha256"],
        }
        save_tensors(self.run.state, tensors, document)

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one, and forget what was logged since.

        Raises:
            ModelError: the checkpoint is damaged or of another architecture.
            TrainingError: it was made with other scans.
        """
        if self.run.state.exists():
            file = load_tensors(self.run.state)
            if file.document["data_sha256"] != self.provenance["data_sha256"]:
                raise TrainingError(
                    "the scans are not those that the training began with",
                    where=self.run.root,
                    remedy="Give the same scans and annotations in the same order",
                )
            load_weights(self.network, file.under("network"), where=self.run.state)
            restore_optimiser(self.optimiser, file.under("optimiser"))
            self.hard = file.tensors["hard"].numpy()
            self.step, self.best = file.document["step"], file.document["best"]
        self.run.cut_back(self.step)


def fingerprint(scans: Iterable[TrainingScan]) -> str:
    """Hash of the scans' UIDs, their findings and where these lie in their grids."""
    digest = hashlib.sha256()
    for scan in scans:
        digest.update(f"{scan.uid} {scan.image.hu.shape}".encode())
        for findings in (scan.nodules, scan.excluded):
            digest.update(findings.centre.tobytes())
            digest.update(findings.diameter_mm.tobytes())
    return digest.hexdigest()
