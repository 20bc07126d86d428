"""A page for the browser of this machine: a picture goes in, its faces come out enlarged. Needs gradio."""

import os
import socket
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from srez.data.align import Face, find_faces, straighten
from srez.data.portraits import refuse_other_framing
from srez.errors import EXIT_DONE, UserError
from srez.images import layout
from srez.images.picture import LARGE, UnusablePicture, read
from srez.inference.faces import bicubic, columns_of
from srez.inference.network import Network, load
from srez.options.config import Config
from srez.runs.trained import PRETRAINED_FOLDER, pretrained_names
from srez.system.signals import Stop

if TYPE_CHECKING:
    import gradio

HOST = "127.0.0.1"  # nobody else can reach it
LARGEST_FILE = 50 * 2**20  # bytes of a picture file that is taken
VIEW_SIDE = 256  # of a face on the page, pixels
SESSIONS = 16  # pages whose faces are kept in memory, the newest
HOUR = 3600  # seconds after which the pictures of the page are removed
CSS = """
.gradio-container {max-width: 700px !important; margin: auto}
footer, #files .label-clear-button {display: none !important}
#several .grid-wrap {min-height: 0; height: auto; overflow: visible}
#several .grid-container {grid-template: auto / repeat(auto-fill, minmax(72px, 1fr)) !important}
#several button {aspect-ratio: 1; height: auto !important}
"""
HEAD = """# srez: faces out of sixteen pixels

The faces of your picture are found, brought upright and enlarged to {side}x{side} pixels. The picture stays
on this machine, and is forgotten when srez ends."""
GENERATOR = "The generator"
FOOT = "What the network adds is **invented**: it shows nobody, and must not be used to identify anyone."
ENLARGED = "Left of the line: as it is there. Right of it: what the network makes of it."
REDRAWN = (
    "A face of more than {limit} gains nothing. Left of the line: as it is there. Right of it: what the "
    "network would make of {side}x{side} pixels."
)
CHOOSE = " Click on a face to see it."
NO_FACE = "**No face found.** A face is found where eyes, nose and mouth are seen, about upright and not tiny"


class View(NamedTuple):
    """What the page shows of a face: a text, what it is and what became of it, VIEW_SIDE wide, a strip."""

    text: str
    slider: tuple[np.ndarray, np.ndarray]
    strip: np.ndarray


def serve(config: Config, stop: Stop) -> int:
    """Serve the page on this machine until a signal comes; the exit code.

    Raises UserError where gradio is missing, the port cannot be had, or the network is for other faces.
    """
    if find_spec("gradio") is None:
        raise UserError("--run=serve needs gradio", "pip install -e '.[serve]'")
    check_port(config.port)
    networks = networks_to_offer(config)
    stop.defer = True
    with tempfile.TemporaryDirectory(prefix="srez_") as folder:
        keep_to_this_machine(folder)
        page = make_page(networks, config.back_projection, folder)
        launch(page, config.port)
        print(f"open http://{HOST}:{config.port}/ in a browser; Ctrl-C ends it", flush=True)
        while not stop.requested:
            time.sleep(0.1)
        page.close(verbose=False)
    return EXIT_DONE


def networks_to_offer(config: Config) -> dict[str, Network]:
    """Networks by name: that of the options, and where it came with srez the others that did, after it.

    Raises UserError where there is none, or it is for other faces.
    """
    folder, name = os.path.split(config.checkpoint_dir)
    networks = {name: load(config.checkpoint_dir, config.checkpoint, config.precision)}
    refuse_other_framing(networks[name].config)
    if folder == PRETRAINED_FOLDER:
        others = [other for other in pretrained_names() if other != name]
        networks |= {other: load(checkpoint=other, precision=config.precision) for other in others}
    return networks


def check_port(port: int) -> None:
    """Raise UserError where nothing can listen at a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a server that has just ended
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port={port}: {error.strerror}", "name another one") from None


def keep_to_this_machine(folder: str) -> None:
    """Make gradio ask nobody, and put everything below a folder; before it is imported."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]  # somebody's settings for other pages: they could share this one
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder, "HF_HUB_OFFLINE": "1"}
    for name in ("no_proxy", "NO_PROXY"):  # it asks the page whether it is there
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), HOST)))


def launch(page: "gradio.Blocks", port: int) -> None:
    """Serve a page from other threads, to this machine only."""
    import gradio

    # the machine's own fonts: those of gradio have no bold, or are fetched from elsewhere
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    page.launch(
        server_name=HOST,
        server_port=port,
        max_file_size=LARGEST_FILE,
        state_session_capacity=SESSIONS,
        theme=theme,
        css=CSS,
        footer_links=[],
        quiet=True,
        prevent_thread_lock=True,
        inbrowser=False,
        inline=False,
        share=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
    )


def make_page(networks: Mapping[str, Network], rounds: int, folder: str) -> "gradio.Blocks":
    """The page, on which one chooses among networks, by name, where there are several.

    `rounds` of back projection. What it offers for download is written below a folder.
    """
    import gradio

    first, network = next(iter(networks.items()))

    def show(picture: str | None, photo: str | None, before: str | None, name: str) -> list:
        """What the page shows of a file that was given, of the camera's photo, or of the one before."""
        path = picture or photo or before
        if not path:  # another generator is chosen, for the first picture
            return [gradio.skip()] * len(shown)
        try:
            views, files = enlarge(path, networks[name], rounds, folder)
            problem = "" if views else NO_FACE
        except UnusablePicture as error:
            views, files, problem = [], [], f"**This file cannot be used:** {error}"
        except (MemoryError, tf.errors.ResourceExhaustedError):
            views, files, problem = [], [], "**There is no memory for this picture:** give a smaller one"
        several = gradio.Gallery([view.slider[0] for view in views], visible=len(views) > 1)
        result = gradio.Column(visible=bool(views))
        chosen = views[0] if views else (problem, None, None)
        return [None, None, path, result, views, several, *chosen, files]

    def choose(views: list[View], event: gradio.SelectData) -> View:
        return views[event.index]

    with gradio.Blocks(title="srez", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        gradio.Markdown(HEAD.format(side=network.config.sample_size))
        if len(networks) > 1:
            name = gradio.Radio(list(networks), value=first, label=GENERATOR, elem_id="generator")
        else:
            name = gradio.State(first)
        with gradio.Tab("A picture"):
            picture = gradio.File(show_label=False, height=160, elem_id="picture")
        with gradio.Tab("The camera"):
            camera = gradio.Image(
                sources="webcam", type="filepath", image_mode=None, show_label=False, elem_id="camera"
            )
        text = gradio.Markdown(elem_id="text")
        with gradio.Column(visible=False) as result:
            fixed = {"interactive": False, "buttons": []}
            several = gradio.Gallery(
                show_label=False, format="png", columns=6, allow_preview=False, elem_id="several", **fixed
            )
            slider = gradio.ImageSlider(show_label=False, format="png", elem_id="slider", **fixed)
            strip = gradio.Image(show_label=False, format="png", elem_id="strip", **fixed)
            files = gradio.File(label="Download", file_count="multiple", interactive=False, elem_id="files")
        gradio.Markdown(FOOT)
        views, last = gradio.State([]), gradio.State(None)
        # one at a time, since each takes all processors
        rules = {"concurrency_id": "network", "concurrency_limit": 1, "api_visibility": "private"}
        given = [picture, camera, last, name]
        shown = [picture, camera, last, result, views, several, text, slider, strip, files]
        picture.upload(show, given, shown, **rules)
        camera.input(show, given, shown, **rules)
        if len(networks) > 1:
            name.input(show, given, shown, **rules)
        several.select(choose, views, [text, slider, strip], show_progress="hidden", **rules)
    return page


def enlarge(path: str, network: Network, rounds: int, folder: str) -> tuple[list[View], list[str]]:
    """The faces of a picture file, and the PNG files made of them below a folder. Raises UnusablePicture."""
    picture = read(Path(path).read_bytes(), LARGE)
    pixels = picture.flatten()
    faces = find_faces(pixels)
    target = Path(tempfile.mkdtemp(dir=folder))
    views, files = [], []
    for number, face in enumerate(faces, 1):
        crop = layout.to_uint8(straighten(pixels, face, round(face.side)))
        made, columns, explained = enlarge_face(pixels, face, crop, network, rounds)
        wide = "; ".join([f"{len(crop)} pixels wide in the picture", *picture.notes])
        choose = CHOOSE if len(faces) > 1 else ""
        text = f"**Face {number} of {len(faces)},** {wide}. {explained}{choose}"
        strip = layout.titled_row(columns)
        slider = bicubic(crop, VIEW_SIDE), bicubic(made, VIEW_SIDE)
        views.append(View(text, slider, strip))
        for name, content in (("", made), ("_compare", strip)):
            file = target / f"{Path(path).stem}_face{number}{name}.png"
            file.write_bytes(layout.png(content))
            files.append(str(file))
    return views, files


def enlarge_face(
    pixels: np.ndarray, face: Face, crop: np.ndarray, network: Network, rounds: int
) -> tuple[np.ndarray, list[tuple[str, np.ndarray]], str]:
    """What the network makes of a face, titles and columns of its strip, and what the page says of it."""
    if face.side <= network.largest_gain:
        enlarged = network.enlarge_face(pixels, face, rounds)
        made, plain, explained = enlarged.upright, enlarged.plain, ENLARGED
    else:
        made, plain = network.redraw_face(pixels, face, rounds), None
        explained = REDRAWN.format(limit=network.largest_gain, side=network.config.input_size)
    return layout.to_uint8(made), columns_of(network, pixels, face, crop, made, plain), explained
