"""How good a generator's pictures of the held-out faces are: the figures of a sample that need no critic."""

import numpy as np
import tensorflow as tf

from srez.data.samples import Batch
from srez.images.layout import GRID_FACES
from srez.metrics.perceptual import embed_with_features, squared_distance
from srez.metrics.pictures import METRICS_OF_2017, measure
from srez.metrics.sets import MIN_FOR_ALEXNET, diversity, frechet_distance, sliced_wasserstein_levels
from srez.networks.build import enlarge
from srez.options.config import Config

SWD_FACES = 100  # held-out faces whose sliced Wasserstein distance is taken: more cost seconds


class Quality:
    """Measures pictures of the held-out faces; what AlexNet makes of the true ones is computed once."""

    def __init__(self, test: Batch, config: Config):
        self.test, self.noise_input, self.label = test, config.noise_input, test.label.numpy()
        self._embedded, self._features = embed_with_features(self.label)

    def figures(self, output: np.ndarray) -> dict[str, float]:
        """Figures by name of outputs [N, S, S, 3]; beside the true faces for scaled input only."""
        clipped = np.clip(output, 0, 1)
        figures = self._measure(clipped)
        if len(output) > 1:
            varied = diversity(clipped, self.label)
            figures |= {} if varied is None else {"diversity": varied}
        if self.noise_input:
            return figures
        part = slice(GRID_FACES)  # 2017's figures are of the faces in the grid
        return figures | measure(clipped[part], self.label[part], self.test.feature, METRICS_OF_2017)

    def bicubic(self) -> dict[str, float]:
        """Figures of bicubic enlargement of the same faces, as `bicubic_...`; none for noise input."""
        if self.noise_input:
            return {}
        enlarged = enlarge(self.test.feature, self.label.shape[1] // self.test.feature.shape[1])
        figures = self._measure(np.clip(enlarged, 0, 1))
        return {f"bicubic_{name}": value for name, value in figures.items()}

    def _measure(self, clipped: np.ndarray) -> dict[str, float]:
        """Distances of the sets, and means over pictures of each beside its true face."""
        levels = sliced_wasserstein_levels(self.label[:SWD_FACES], clipped[:SWD_FACES], repeats=1)
        figures = {"swd": float(np.mean(list(levels.values())))}
        embedded, features = embed_with_features(clipped)
        least = 2 if self.noise_input else MIN_FOR_ALEXNET  # nothing but sets measures faces out of noise
        if len(clipped) >= least:
            figures["alexnet_frechet"] = frechet_distance(self._features, features)
        if not self.noise_input:
            figures |= measure(clipped, self.label, self.test.feature)
            figures["lpips"] = float(tf.reduce_mean(squared_distance(self._embedded, embedded)))
        return figures
