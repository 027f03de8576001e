"""Fine-tune the network on FER2013, with a checkpoint and a row of history after every epoch."""

from __future__ import annotations

import hashlib
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from serenbox.results import EMOTIONS
from training.augment import TrainingBatches
from training.checkpoint import ORIGIN, load_checkpoint, save_checkpoint
from training.cluster import ALONE, Cluster
from training.commit import git_commit
from training.data import Faces, training_faces
from training.distill import Teachers
from training.distribute import agree, spread
from training.errors import RunError
from training.fit_settings import FitSettings
from training.fused import fuse
from training.loss import BalancedCrossEntropy
from training.metrics import measure
from training.network import build_network, load_backbone, with_size
from training.origin import check_teacher, origin_of
from training.predict import keras_logits, model_inputs
from training.quiet import quiet
from training.sharpness import SharpnessAware, check_backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["FitSettings", "History", "Run"]

History = list[dict[str, float]]

_SAMPLE = 1280
"""Number of faces for the statistics of a backbone that is published without them."""


class Run:
    """One training run in one folder."""

    def __init__(
        self, faces: Faces, settings: FitSettings, folder: Path, cluster: Cluster = ALONE
    ) -> None:
        """Prepare the data and the compiled network; nothing is read from `folder` yet.

        On several machines, each creates the same run once they have joined.

        Raises:
            DataError: a class is missing.
            RunError: the batches cannot be divided among the machines, a teacher was trained with
                other labels or another balance, or sharpness is wanted on another back-end than
                TensorFlow.

        """
        if settings.sharpness:
            check_backend()
        with quiet():  # if TensorFlow is installed, it is seeded, too, and prints messages
            keras.utils.set_random_seed(settings.seed)
        self.settings, self.folder, self.cluster = settings, folder, cluster
        train = training_faces(faces, settings.label_set)
        self._images = train.images
        self._targets = targets = train.targets(settings.label_set)
        data = hashlib.sha256(train.images.tobytes() + targets.tobytes()).hexdigest()
        for teacher in settings.teacher:
            check_teacher(Path(teacher), settings)
        # What must be unchanged when a run is resumed.
        self._beginning = {**asdict(settings), **origin_of(settings), "data": data}
        self.prior: NDArray[np.float64] = targets.mean(axis=0, dtype=np.float64)
        self._loss = BalancedCrossEntropy(self.prior, settings.balance)
        validation = faces.select("PublicTest")
        if settings.label_set == "ferplus":
            validation = validation[validation.usable]
        self._validation = validation
        self.training_faces = len(train)
        self._check_batches()
        self.commit = git_commit()
        self.network = fuse(
            build_network(
                None, backbone=settings.backbone, alpha=settings.alpha, dropout=settings.dropout
            )
        )
        if settings.sharpness:
            self.network = SharpnessAware(self.network, settings.sharpness)
        self._compile()
        self._teach: Teachers | None = None
        self.history: History = []

    @property
    def origin(self) -> dict[str, Any]:
        """SHA-256 of the initial weights and the teachers; None where unknown."""
        return {name: self._beginning[name] for name in ORIGIN}

    def _check_batches(self) -> None:
        batch, machines = self.settings.batch_size, self.cluster.size
        if machines > 1 and (batch % machines or batch > self.training_faces):
            msg = (
                f"--batch-size is {batch}, and must be a multiple of the {machines} machines and "
                f"no more than the {self.training_faces} training faces"
            )
            raise RunError(msg)

    def _compile(self) -> None:
        settings = self.settings
        steps = max(1, len(self._images) // settings.batch_size)
        schedule = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=settings.learning_rate / 100,
            warmup_target=settings.learning_rate,
            warmup_steps=steps,
            decay_steps=max(1, steps * (settings.epochs - 1)),
        )
        optimizer = keras.optimizers.AdamW(
            schedule, weight_decay=settings.weight_decay, use_ema=True, ema_momentum=settings.ema
        )
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        self.network.compile(
            optimizer,
            loss=self._loss,
            metrics=[self._loss.accuracy],
            # JAX relies on XLA; TensorFlow trains this network several times faster without it.
            jit_compile=keras.backend.backend() == "jax",
        )
        # Build loss and metrics now: if they were built while the first step is traced, TensorFlow
        # would trace that step a second time.
        answers = np.zeros((1, len(EMOTIONS)), np.float32)
        self.network.compute_loss(y=answers, y_pred=answers)
        self.network.compute_metrics(None, answers, answers)
        self.network.reset_metrics()

    def start(self) -> None:
        """Start from the given backbone."""
        settings = self.settings
        sample = model_inputs(self._images[:_SAMPLE], settings.size).astype(np.float32)
        load_backbone(
            self.network,
            settings.weights,
            sample,
            backbone=settings.backbone,
            alpha=settings.alpha,
        )

    def resume(self) -> None:
        """Resume after the last whole epoch in the folder.

        Raises:
            RunError: there is no checkpoint, or it does not fit this run.

        """
        self.history = load_checkpoint(self.folder, self.network, self._beginning)

    def train(self, report: Callable[[str], None]) -> None:
        """Train the remaining epochs; save a checkpoint and `report` a line after each.

        Raises:
            RunError: a teacher cannot be read, the loss is no longer finite, the checkpoint cannot
                be written, or the machines of the cluster were not started alike.

        """
        agree(
            self.cluster,
            {
                "settings": asdict(self.settings),
                "data": self._beginning["data"],
                "the files of --weights and --teacher": self.origin,
                "epochs done in --out": len(self.history),
            },
        )
        if self.settings.teacher:
            settings = self.settings
            self._teach = Teachers(settings.teacher, self._loss.shift, settings.teacher_share)
        network = self.network
        network.optimizer.build(network.trainable_variables)
        state = [*network.variables, *network.metrics_variables, *network.optimizer.variables]
        with spread(self.cluster, state):
            self._train(report)

    def _train(self, report: Callable[[str], None]) -> None:
        began, first = time.monotonic(), len(self.history)
        for epoch in range(first, self.settings.epochs):
            started = time.monotonic()
            row = {"epoch": epoch + 1, **self._epoch(epoch)}
            if not math.isfinite(row["loss"]):
                msg = (
                    f"the loss of epoch {epoch + 1} is no longer a number: start again with a "
                    f"--learning-rate below {self.settings.learning_rate:g}"
                )
                raise RunError(msg)
            row |= self._validate(epoch)
            row["seconds"] = round(time.monotonic() - started, 1)
            self.history.append(row)
            if self.cluster.chief:
                save_checkpoint(self.folder, self.network, self.history, self._beginning)
            done = epoch + 1 - first
            left = (time.monotonic() - began) / done * (self.settings.epochs - epoch - 1)
            report(_line(row, self.settings.epochs, left))

    def _input_size(self, epoch: int) -> int:
        settings = self.settings
        return settings.small_size if epoch < settings.small_epochs else settings.size

    def _epoch(self, epoch: int) -> dict[str, float]:
        settings = self.settings
        batches = TrainingBatches(
            self._images,
            self._targets,
            size=self._input_size(epoch),
            batch_size=settings.batch_size,
            augmentation=settings.augmentation,
            seed=settings.seed,
            epoch=epoch,
            part=(self.cluster.index, self.cluster.size),
            teach=self._teach,
        )
        # `fit` replaces the network's weights with the averaged ones at its end.
        trained = _TrainedWeights()
        fitted = self.network.fit(
            batches,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0 if not self.cluster.chief else 1 if sys.stdout.isatty() else 2,
            callbacks=[trained],
        )
        trained.restore()
        return {name: float(values[-1]) for name, values in fitted.history.items()}

    def _validate(self, epoch: int) -> dict[str, float]:
        """Measure the averaged weights on PublicTest, then put the trained ones back."""
        trained = _TrainedWeights()
        trained.keep(self.network)
        self.average()
        faces = self._validation
        logits = keras_logits(self.network, faces.images, self._input_size(epoch))
        trained.restore()
        shifted = logits + self.settings.balance * np.log(self.prior)
        targets = faces.targets(self.settings.label_set)
        log_scores = shifted - np.logaddexp.reduce(shifted, axis=1, keepdims=True)
        truth = faces.truth(self.settings.label_set)
        with_prior = measure(np.exp(log_scores), truth, EMOTIONS)
        balanced = measure(logits, truth, EMOTIONS) if self.settings.balance else with_prior
        return {
            "val_loss": float(-(targets * log_scores).sum(axis=1).mean()),
            "val_accuracy": with_prior.accuracy,
            "val_macro_recall": with_prior.macro_recall,
            "val_accuracy_balanced": balanced.accuracy,
            "val_macro_recall_balanced": balanced.macro_recall,
        }

    def average(self) -> None:
        """Put the averaged weights into the network."""
        self.network.optimizer.finalize_variable_values(self.network.trainable_variables)
        for variable in self.network.trainable_variables:
            # A copy: on JAX the network would share the optimizer's arrays, and donate them.
            variable.assign(keras.ops.copy(variable))

    def finished_network(self) -> keras.Model:
        """Return the averaged network at its fixed size, without optimizer state."""
        self.average()
        settings = self.settings
        return with_size(
            self.network, settings.size, backbone=settings.backbone, alpha=settings.alpha
        )


class _TrainedWeights(keras.callbacks.Callback):  # type: ignore[misc] # keras ships no types
    """Keeps the weights after the last step while the network holds the averaged ones."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the weights of the network that is being trained."""
        del epoch, logs
        self.keep(self.model)

    def keep(self, network: keras.Model) -> None:
        """Copy the weights of a network."""
        self._variables = network.trainable_variables
        self._values = [keras.ops.copy(variable) for variable in self._variables]

    def restore(self) -> None:
        """Put the kept weights back."""
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)


def _line(row: dict[str, Any], epochs: int, left: float) -> str:
    minutes, seconds = divmod(round(left), 60)
    return (
        f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.4f}, PublicTest loss "
        f"{row['val_loss']:.4f}, accuracy {row['val_accuracy']:.2%}, macro-recall "
        f"{row['val_macro_recall']:.2%} (without prior {row['val_accuracy_balanced']:.2%}, "
        f"{row['val_macro_recall_balanced']:.2%}); {minutes}:{seconds:02d} left"
    )
