"""Fine-tunes the int8 model to answer as the float model does."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from convert.simulate import Simulation
from training.augment import TrainingBatches
from training.fit_settings import Augmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from convert.graph import Graph

_BATCH = 64
_WARM_UP = 30
"""Steps until the learning rate is at its peak."""

_PEAK_RATE = 1e-3
"""Learning rate of Adam, relative to the largest weight of a channel; a cosine takes it to zero."""

_NOISE = 1.0
"""Uniform noise added to every activation, up to this many quantisation steps to either side:
weights that tolerate it also tolerate how differently the runtimes round."""

_VARIED = Augmentation(
    rotation=15, scale=0.18, shift=0.08, brightness=30, blur=0.15, noise=0.2, mixup=0
)
"""How faces are augmented: without mixup, and with smaller changes of brightness than in `fit`, so
that the int8 weights are best on clear faces (docs/experiments.md has the cost of more noise)."""

_REPORT = 100
"""Steps between two lines of progress."""


def fine_tune(
    graph: Graph,
    faces: NDArray[np.uint8],
    to_input: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    steps: int,
    say: Callable[[str], None],
) -> None:
    """Train the weights so that int8 answers like the float model, whatever the labels say.

    The loss is the Kullback-Leibler divergence between the answers of the two to the same augmented
    faces (distillation: Hinton et al. 2015, arXiv 1503.02531).

    Args:
        graph: Its weights are replaced in place; its ranges stay.
        faces: (n, 48, 48) faces of the Training split.
        to_input: Turns (b, size, size, 1) pixels, 0 to 255, into (b, size, size, channels) inputs.
        steps: Batches of 64 faces.
        say: Called with a line of progress from time to time.

    """
    tf.random.set_seed(0)
    simulation = Simulation(graph)
    variables = simulation.variables
    rate = keras.optimizers.schedules.CosineDecay(
        _PEAK_RATE / 10,
        max(1, steps - _WARM_UP),
        warmup_target=_PEAK_RATE,
        warmup_steps=min(_WARM_UP, steps),
    )
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(variables)

    @tf.function  # type: ignore[untyped-decorator] # TensorFlow ships no types
    def step(pixels: Any) -> Any:
        wanted = tf.nn.log_softmax(simulation.exact(pixels))
        with tf.GradientTape() as tape:
            found = tf.nn.log_softmax(simulation.rounded(pixels, _NOISE))
            loss = tf.reduce_mean(tf.reduce_sum(tf.exp(wanted) * (wanted - found), axis=-1))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    losses = []
    for number, pixels in enumerate(itertools.islice(_batches(faces, graph), steps), 1):
        losses.append(float(step(tf.constant(to_input(pixels)))))
        if number % _REPORT == 0 or number == steps:
            mean = np.mean(losses[-_REPORT:])
            say(f"fine-tuned for {number} of {steps} steps: divergence {mean:.5f}")
    simulation.write_back()


def _batches(faces: NDArray[np.uint8], graph: Graph) -> Iterator[NDArray[np.float32]]:
    """Yield (64, size, size, 1) batches of augmented faces, endlessly."""
    size = graph.input_side
    unused = np.zeros((len(faces), 1), np.float32)
    for epoch in itertools.count():
        batches = TrainingBatches(
            faces,
            unused,
            size=size,
            batch_size=min(_BATCH, len(faces)),
            augmentation=_VARIED,
            seed=0,
            epoch=epoch,
        )
        for index in range(len(batches)):
            yield batches[index][0]
