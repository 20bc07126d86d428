"""The trained generator for use elsewhere: SavedModel, TFLite, ONNX, Keras, weights; each tried out first."""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import keras
import numpy as np
import tensorflow as tf

from srez.errors import EXIT_DONE, UserError
from srez.inference.network import Network, load
from srez.networks.layers import BATCH_NORM_EPSILON, Conv, Deconv, GeneratorNorm, UpscaleConv
from srez.options.config import Config
from srez.runs.trained import CONFIG, HALF_WEIGHTS, WEIGHTS
from srez.system import files
from srez.system.screen import quiet_stderr

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-4  # largest difference from the network itself, of values 0..1
HALF_TOLERANCE = 1e-2  # the same for weights in half precision, 11 significant bits
# the ends of an ONNX file and their first three axes; the fourth are three channels
ONNX_INPUT = ("input", "batch", "height", "width")
ONNX_OUTPUT = ("output", "batch", "output_height", "output_width")
TRIALS = ((2, 16, 16), (1, 24, 19))  # batch, height, width of the random pictures
INSTALL = "pip install 'srez[onnx]', in a checkout pip install '.[onnx]'"

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Format:
    """One kind of file. write(network, the same in plain layers, path); load(path, network, rounds)."""

    file: str
    write: Callable[[Network, keras.Model, str], object]
    load: Callable[[str, Network, int], Predict]
    packages: tuple[str, ...] = ()
    tolerance: float = TOLERANCE

    @property
    def missing(self) -> str:
        """Packages that are needed and not there."""
        return ", ".join(package for package in self.packages if find_spec(package) is None)


def export(config: Config) -> int:
    """Write --export_formats into --output; the exit code."""
    network = load(config.checkpoint_dir, config.checkpoint)
    rounds = 0 if network.config.noise_input else config.back_projection
    chosen = config.export_formats or tuple(name for name, form in FORMATS.items() if not form.missing)
    check_formats(chosen, config)
    inputs = "noise in -1..1" if network.config.noise_input else "pictures of any size, values 0..1"
    print(f"{network.name}: takes {inputs}; {rounds} rounds of back projection, moving averages folded")
    for name in chosen:
        export_one(name, network, rounds, config.output)
    # with the training's config.json beside the files, --checkpoint_dir can name the folder
    _copy(files.join(config.checkpoint_dir, CONFIG), files.join(config.output, CONFIG))
    for name, form in FORMATS.items():
        if not config.export_formats and form.missing:
            print(f"{name} left out, not installed: {form.missing} ({INSTALL})")
    return EXIT_DONE


def check_formats(chosen: Sequence[str], config: Config) -> None:
    """Raise UserError where a format cannot be written, before any is."""
    for form in (FORMATS[name] for name in chosen):
        if form.missing:
            raise UserError(f"{form.file} needs packages that are not installed, {form.missing}", INSTALL)
        target = files.join(config.output, form.file)
        if files.exists(target) and not config.overwrite:
            raise UserError(f"'{target}' is there already", "--overwrite replaces it, --output names another")


def export_one(name: str, network: Network, rounds: int, folder: str) -> None:
    """Write one format aside, load it again, compare it with the network, then put it in its place."""
    form = FORMATS[name]
    allowed = f"{form.tolerance:.0e}"
    with tempfile.TemporaryDirectory() as aside:
        path = os.path.join(aside, form.file)
        with quiet_stderr():
            form.write(network, plain_network(network.generator, network.factor, rounds), path)
            worst = difference(form.load(path, network, rounds), network, rounds)
        if not worst <= form.tolerance:
            raise UserError(
                f"{form.file} differs from the network by {worst:.1e}, not within {allowed}: not kept",
                f"leave {name} out of --export_formats, and report it as a fault of srez",
            )
        for source in filter(Path.is_file, Path(aside).rglob("*")):
            _copy(str(source), files.join(folder, str(source.relative_to(aside))))
    target = files.join(folder, form.file)
    print(f"{target}: loaded again, differs by {worst:.1e} at most (tolerance {allowed})", flush=True)


def difference(predict: Predict, network: Network, rounds: int) -> float:
    """Largest difference between an exported network and the original on random pictures."""
    random = np.random.default_rng(0)
    found = []
    for shape in TRIALS:
        pictures = random.uniform(-1 if network.config.noise_input else 0, 1, (*shape, 3)).astype(np.float32)
        expected = np.clip(network.infer(pictures, rounds), 0, 1)
        found.append(np.abs(predict(pictures) - expected).max())
    return float(np.max(found))


def _copy(source: str, target: str) -> None:
    if files.real(source) != files.real(target):
        files.make_folder(os.path.dirname(target))
        files.write_whole(target, files.read_bytes(source))


def _load_saved(path: str, *_: object) -> Predict:
    loaded = tf.saved_model.load(path)
    return lambda pictures: loaded.serve(pictures).numpy()


def _write_tflite(network: Network, plain: keras.Model, path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain.export(folder, verbose=False)
        files.write_whole(path, tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def _load_tflite(path: str, *_: object) -> Predict:
    interpreter = tf.lite.Interpreter(path)
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def predict(pictures: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(source, pictures.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source, pictures)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return predict


def _write_onnx(network: Network, plain: keras.Model, path: str) -> None:
    import onnx

    signature = [tf.TensorSpec([None, None, None, 3], name=ONNX_INPUT[0])]
    plain.export(path, format="onnx", verbose=False, input_signature=signature)
    model = onnx.load(path)
    name_onnx(model.graph)
    onnx.checker.check_model(model)
    files.write_whole(path, model.SerializeToString())


def name_onnx(graph: "onnx.GraphProto") -> None:
    """Name the one input and the one output of an ONNX graph, and their axes, as users rely on."""
    ends = {graph.input[0].name: ONNX_INPUT[0], graph.output[0].name: ONNX_OUTPUT[0]}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [ends.get(name, name) for name in names]
    for value, (name, *axes) in ((graph.input[0], ONNX_INPUT), (graph.output[0], ONNX_OUTPUT)):
        value.name = name
        batch, height, width, channels = value.type.tensor_type.shape.dim
        batch.dim_param, height.dim_param, width.dim_param = axes
        channels.dim_value = 3


def _load_onnx(path: str, *_: object) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pictures: session.run(None, {name: pictures})[0]


def _write_half_weights(network: Network, plain: keras.Model, path: str) -> None:
    """Kernels in float16; offsets and moving averages, which are few and may be tiny, stay as they are."""
    with tempfile.TemporaryDirectory() as folder:
        full = os.path.join(folder, WEIGHTS)
        network.generator.save_weights(full)
        with h5py.File(full) as source, h5py.File(path, "w") as target:
            target.attrs.update(source.attrs)

            def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
                if isinstance(item, h5py.Dataset):
                    values = item[()]
                    copied = target.create_dataset(
                        name, data=values.astype("float16") if values.ndim == 4 else values
                    )
                else:
                    copied = target.require_group(name)
                copied.attrs.update(item.attrs)

            source.visititems(copy)


def _load_weights(path: str, network: Network, rounds: int) -> Predict:
    again = Network(network.config, path)
    return lambda pictures: np.clip(again.infer(pictures, rounds), 0, 1)


FORMATS = {
    "savedmodel": Format(
        "saved_model", lambda _, plain, path: plain.export(path, verbose=False), _load_saved
    ),
    "tflite": Format("generator.tflite", _write_tflite, _load_tflite),
    "onnx": Format("generator.onnx", _write_onnx, _load_onnx, ("onnx", "onnxruntime", "tf2onnx")),
    "keras": Format(
        "generator.keras",
        lambda _, plain, path: plain.save(path),
        lambda path, *_: keras.models.load_model(path).predict_on_batch,
    ),
    "weights": Format(WEIGHTS, lambda network, _, path: network.generator.save_weights(path), _load_weights),
    "half_weights": Format(HALF_WEIGHTS, _write_half_weights, _load_weights, tolerance=HALF_TOLERANCE),
}


def plain_network(generator: keras.Model, factor: int, rounds: int) -> keras.Model:
    """[B, h, w, 3] in [0, 1] -> [B, h*f, w*f, 3], the same numbers as the generator in use.

    With `rounds` of back projection at the end, and then clipped to [0, 1].
    """
    plain = keras.models.clone_model(generator, clone_function=lambda layer: _plain(layer)[0])
    for layer in generator.layers:
        if weights := _plain(layer)[1]:
            plain.get_layer(layer.name).set_weights(weights)
    if not rounds:
        return plain
    feature, y = plain.input, plain.output
    enlarge = _bicubic(factor)
    # pixels that lie outside do not count: the rest of the weights is scaled up
    share = enlarge(keras.layers.Rescaling(0.0, 1.0)(feature))
    for _ in range(rounds):
        rest = keras.layers.Subtract()([feature, keras.layers.AveragePooling2D(factor)(y)])
        y = keras.layers.Add()([y, keras.ops.divide(enlarge(rest), share)])
    return keras.Model(feature, keras.layers.ReLU(max_value=1.0)(y), name="generator")


def _plain(layer: keras.layers.Layer) -> tuple[keras.layers.Layer, list[np.ndarray]]:
    """A layer of the generator as one of Keras' own, which is not built yet, and the weights for that."""
    name = {"name": layer.name}
    if isinstance(layer, Conv):
        plain = keras.layers.Conv2D(layer.width, layer.size, padding="same", **name)
        return plain, [layer.kernel.numpy(), layer.offset.numpy()]
    if isinstance(layer, UpscaleConv | Deconv):
        kernel = layer.merged() if isinstance(layer, UpscaleConv) else layer.kernel
        plain = keras.layers.Conv2DTranspose(layer.width, kernel.shape[0], strides=2, padding="same", **name)
        return plain, [kernel.numpy().transpose(0, 1, 3, 2), layer.offset.numpy()]
    if isinstance(layer, GeneratorNorm):
        plain = keras.layers.BatchNormalization(scale=False, epsilon=BATCH_NORM_EPSILON, **name)
        return plain, [layer.offset.numpy(), *(average.numpy() for average in layer.averages())]
    return type(layer).from_config(layer.get_config()), []


def _bicubic(factor: int) -> keras.layers.Layer:
    """Bicubic interpolation (a = -0.5, half-pixel centres) with zeros outside, as a transposed convolution.

    Each input pixel spreads over 4 * factor output pixels each way.
    """
    distance = np.abs((np.arange(4 * factor) + 0.5) / factor - 2)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, far)
    kernel = np.zeros((4 * factor, 4 * factor, 3, 3), np.float32)
    for channel in range(3):
        kernel[:, :, channel, channel] = np.outer(weights, weights)
    layer = keras.layers.Conv2DTranspose(
        3, 4 * factor, strides=factor, padding="same", use_bias=False, name="bicubic"
    )
    layer.build((None, None, None, 3))
    layer.set_weights([kernel])
    layer.trainable = False
    return layer
