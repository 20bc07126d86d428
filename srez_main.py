"""srez: train a GAN that turns 16x16 faces into 64x64 ones. python3 srez_main.py --help"""

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

try:
    import fcntl  # noqa: F401  (the locks of trainings, which Windows has not)
except ImportError:
    print("srez needs Linux or macOS; on Windows use WSL", file=sys.stderr)
    sys.exit(2)

from srez.data import pack
from srez.errors import EXIT_DONE, EXIT_USER, PREFIX, UserError, as_user_error
from srez.images import find, layout
from srez.options import flags
from srez.options.config import CROP_OPTIONS, SYNTHETIC, USE_RUNS, Config
from srez.options.rules import NEWEST
from srez.runs.run import Run
from srez.runs.trained import (
    checkpoint_path,
    load_config,
    nothing_to_show,
    or_pretrained,
    saved_batches,
    start_weights,
)
from srez.system import files
from srez.system.compile_cache import keep_compiled, start_together
from srez.system.screen import import_tensorflow, outlive_screen
from srez.system.signals import Stop


def main(argv: Sequence[str]) -> int:
    """Run one command line; the exit code (0 done, 2 the user can mend it, 3 diverged, 75 interrupted)."""
    stop = Stop().install()
    flags.define_flags()
    try:
        config = flags.parse(argv)
        if isinstance(config, str):
            print(config)
            return EXIT_DONE
        return MODES[config.run](config, stop)
    except Exception as error:
        if (problem := as_user_error(error)) is None:
            raise
        return complain(problem)


def complain(problem: object) -> int:
    """One line on standard error; the exit code for what the user can mend."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(problem))  # a name may hold anything
    print(f"{PREFIX}{text if len(text) < 1000 else f'{text[:600]} ... {text[-300:]}'}", file=sys.stderr)
    return EXIT_USER


def open_run(config: Config) -> Run | None:
    """The run's folders, opened; None where a dry run needs none, or that can only be done later.

    Later: remote folders need TensorFlow, and of several workers the chief alone opens the run.
    """
    run = Run(config)
    if config.strategy == "multiworker" or files.needs_tensorflow(*run.folders, config.start_from):
        return None
    if config.dry_run:
        start_weights(config)
        return None
    return run.open()


def with_network(config: Config) -> Config:
    """The options, with the place of a generator that comes with srez where one is to be used; says which."""
    if config.all_checkpoints:
        return config
    folder, checkpoint = or_pretrained(config.checkpoint_dir, config.checkpoint)
    if (folder, checkpoint) == (config.checkpoint_dir, config.checkpoint):
        return config
    why = f"'{config.checkpoint_dir}' holds nothing: " if config.checkpoint == NEWEST else ""
    print(f"{why}taking the generator that comes with srez, {os.path.basename(folder)} ({folder})")
    return dataclasses.replace(config, checkpoint_dir=folder, checkpoint=checkpoint)


def check_use(config: Config) -> None:
    """Refuse to use what was never trained, and pictures that are not there, before the slow import."""
    if files.needs_tensorflow(config.checkpoint_dir):
        return
    trained = load_config(config.checkpoint_dir)
    if not config.all_checkpoints:
        checkpoint_path(config.checkpoint_dir, config.checkpoint)
    if trained.noise_input and config.run != "export":
        raise UserError(
            f"'{config.checkpoint_dir}' was trained with --input=noise: its network makes faces, "
            "it takes no pictures",
            "train with --input=scaled",
        )
    if config.run == "upscale" and not config.images:
        raise UserError("no pictures", "name files, folders or patterns, as in --run upscale photo.jpg")
    words = [word for word in config.images if not find.is_web_address(word)]
    if config.images and not files.needs_tensorflow(*words):
        found, problems, _ = find.find_pictures(config.images)
        if not found:
            raise find.nothing_found(problems)


def start_tensorflow(config: Config) -> None:
    """Import TensorFlow quietly and set what must be set before its first operation."""
    if config.run == "train" and config.xla:
        start_together()
        if problem := keep_compiled(config.compile_cache):
            print(problem)
    chatty = flags.verbose() or config.log_device_placement
    tf = import_tensorflow(chatty)
    tf.get_logger().setLevel("INFO" if chatty else "ERROR")
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.debugging.set_log_device_placement(config.log_device_placement)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()


def check_dataset(config: Config) -> None:
    """Refuse a dataset that is not there or of no use before the slow import; remote folders pass."""
    if pack.is_pack(config.dataset):
        pack.Pack(config.dataset, {name: getattr(config, name) for name in CROP_OPTIONS})
    elif config.dataset != SYNTHETIC:
        find.require_pictures(config.dataset)


def run_train(config: Config, stop: Stop) -> int:
    check_dataset(config)
    run = open_run(config)
    start_tensorflow(config)
    import srez_train

    return srez_train.dry_run(config) if config.dry_run else srez_train.train(config, stop, run)


def check_demo(config: Config) -> None:
    """Refuse a film of folders without grids and checkpoints before the slow import; remote ones pass."""
    if files.needs_tensorflow(config.train_dir, config.checkpoint_dir):
        return
    grids = (layout.batch_of_grid(name) is not None for name in files.names(config.train_dir))
    if not saved_batches(config.checkpoint_dir) and not any(grids):
        chosen = "run" in flags.given_options()
        raise nothing_to_show(config, "" if chosen else "--run was not given and means demo, a film; ")


def run_demo(config: Config, stop: Stop) -> int:
    check_demo(config)
    start_tensorflow(config)
    import srez_demo

    return srez_demo.demo(config, stop)


def use_network(config: Config, stop: Stop) -> int:
    """Upscale, evaluate, export or serve a page with a trained network."""
    config = with_network(config)
    check_use(config)
    start_tensorflow(config)
    from srez.inference import evaluate, export, serve, upscale

    if config.run == "serve":
        return serve.serve(config, stop)
    modes = {"upscale": upscale.upscale, "eval": evaluate.evaluate, "export": export.export}
    return modes[config.run](config)


def run_compare(config: Config, stop: Stop) -> int:
    from srez.report import compare

    return compare.compare(config)


def run_study(config: Config, stop: Stop) -> int:
    from srez.study import conduct

    return conduct.run_study(config, stop, flags.given_options(), os.path.abspath(__file__), check_dataset)


def run_report(config: Config, stop: Stop) -> int:
    from srez.report import page

    print(f"report: {page.write_report(config.study_dir)}")
    return EXIT_DONE


MODES: dict[str, Callable[[Config, Stop], int]] = {
    "train": run_train,
    "demo": run_demo,
    **dict.fromkeys(USE_RUNS, use_network),
    "compare": run_compare,
    "study": run_study,
    "report": run_report,
}


def command() -> NoReturn:
    """What the command `srez` and `python3 srez_main.py` do."""
    outlive_screen()
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    command()
