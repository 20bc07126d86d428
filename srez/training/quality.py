"""How good a generator's pictures of the held-out faces are: the figures of a sample that need no critic."""

import numpy as np
import tensorflow as tf

from srez.data.samples import Batch
from srez.images.layout import GRID_FACES
from srez.metrics.perceptual import embed, features, lpips_to
from srez.metrics.pictures import METRICS_OF_2017, measure
from srez.metrics.sets import diversity, frechet_distance, sliced_wasserstein_levels
from srez.options.config import Config

SWD_FACES = 100  # held-out faces whose sliced Wasserstein distance is taken: more cost seconds


class Quality:
    """Measures pictures of the held-out faces; what it needs of the true ones is computed once."""

    def __init__(self, test: Batch, config: Config):
        self.test, self.noise_input, self.label = test, config.noise_input, test.label.numpy()
        self._true = features(self.label) if self.noise_input else embed(self.label)

    def figures(self, output: np.ndarray) -> dict[str, float]:
        """Figures by name of outputs [N, S, S, 3]; beside the true faces for scaled input only."""
        clipped = np.clip(output, 0, 1)
        figures = {"swd": self._swd(clipped)}
        if len(output) > 1:
            varied = diversity(clipped, self.label)
            figures |= {} if varied is None else {"diversity": varied}
        if not self.noise_input:
            part = slice(GRID_FACES)  # 2017's figures are of the faces in the grid
            of_2017 = measure(clipped[part], self.label[part], self.test.feature, METRICS_OF_2017)
            return figures | of_2017 | self._beside_truth(clipped)
        if len(output) > 1:
            figures["alexnet_frechet"] = frechet_distance(self._true, features(clipped))
        return figures

    def bicubic(self) -> dict[str, float]:
        """Figures of bicubic enlargement of the same faces, as `bicubic_...`; none for noise input."""
        if self.noise_input:
            return {}
        enlarged = tf.image.resize(self.test.feature, self.label.shape[1:3], method="bicubic").numpy()
        clipped = np.clip(enlarged, 0, 1)
        figures = self._beside_truth(clipped) | {"swd": self._swd(clipped)}
        return {f"bicubic_{name}": value for name, value in figures.items()}

    def _beside_truth(self, clipped: np.ndarray) -> dict[str, float]:
        """Means over pictures, each beside its true face."""
        similar = float(tf.reduce_mean(lpips_to(self._true, clipped)))
        return measure(clipped, self.label, self.test.feature) | {"lpips": similar}

    def _swd(self, clipped: np.ndarray) -> float:
        levels = sliced_wasserstein_levels(self.label[:SWD_FACES], clipped[:SWD_FACES], repeats=1)
        return float(np.mean(list(levels.values())))
