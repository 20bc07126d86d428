"""The page in a browser: the faces of a picture, what is said, asked and kept, how it ends."""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest
import skimage.data
from helpers import ROOT, read_until, wait_for
from PIL import Image

from srez.data.align import find_faces, straighten
from srez.errors import UserError
from srez.inference import serve
from srez.options.config import Config
from srez.runs.trained import pretrained_names
from srez.system.signals import Stop

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = [name for name in ("gradio", "selenium") if find_spec(name) is None]
MISSING += [name for name, path in (("chromium", BROWSER), ("chromedriver", DRIVER)) if path is None]
BROWSER_OPTIONS = (
    *(
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
    ),  # as root, in a container
    *("--no-proxy-server", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # allowed without a question
)


def test_without_gradio_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^--run=serve needs gradio: pip install -e '\.\[serve\]'$"):
        serve.serve(Config(run="serve"), Stop())


def test_a_port_that_is_in_use_is_named():
    with listening() as (_, port), pytest.raises(UserError) as error:
        serve.check_port(port)
    assert str(error.value) == f"--port={port}: Address already in use: name another one"
    serve.check_port(port)


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    """A socket of this machine at a free port, which listens and answers nothing."""
    with socket.socket() as one:
        one.bind((serve.HOST, 0))
        one.listen()
        yield one, one.getsockname()[1]


@pytest.fixture
def browser(tmp_path):
    """A browser without a window, which notes what it asks for; its camera sees the astronaut."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = BROWSER
    film = tmp_path / "film.mjpeg"
    Image.fromarray(skimage.data.astronaut()).save(film, "JPEG")
    for word in (*BROWSER_OPTIONS, f"--use-file-for-fake-video-capture={film}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = Chrome(options, Service(DRIVER))  # with both paths given Selenium fetches nothing
    yield driver
    driver.quit()


def asked(browser) -> list[str]:
    """The addresses of all requests so far."""
    notes = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [n["params"]["request"]["url"] for n in notes if n["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith(("data:", "blob:"))]


def get(url: str) -> Image.Image:
    """A picture of the page."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        return Image.open(io.BytesIO(answer.read()))


@pytest.mark.extra
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_a_visit(browser, spawn, tmp_path):
    """Faces of a picture; one message for what is none; nobody else asked; nothing left; exit code 0."""
    astronaut = skimage.data.astronaut()
    Image.fromarray(astronaut).save(tmp_path / "me.png")
    two = np.zeros((512, 640, 3), np.uint8)
    two[:, :512] = astronaut
    two[200:302, 530:632] = Image.fromarray(astronaut).resize((102, 102), Image.Resampling.BOX)
    Image.fromarray(two).save(tmp_path / "two.png")
    Image.fromarray(skimage.data.coffee()).save(tmp_path / "coffee.png")
    (tmp_path / "x.jpg").write_text("no picture")
    (tmp_path / "large.jpg").touch()
    os.truncate(tmp_path / "large.jpg", serve.LARGEST_FILE + 1)
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def find(selector: str) -> list:
        return browser.find_elements("css selector", selector)

    def give(name: str, answer: str) -> None:
        """Upload a file, and see the page say something once."""
        wait_for(lambda: find("#picture input[type=file]"))
        find("#picture input[type=file]")[0].send_keys(str(tmp_path / name))
        wait_for(lambda: find("body")[0].text.count(answer) == 1, seconds=60)

    with listening() as (outside, proxy):
        outside.setblocking(False)
        with listening() as (_, port):
            pass
        address = f"http://{serve.HOST}:{port}/"
        # settings that would let others in, and whoever is asked
        environment = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SHARE": "True", "TMPDIR": str(temporary)}
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), f"http://{serve.HOST}:{proxy}")
        command = [sys.executable, str(ROOT / "srez_main.py"), "--run=serve", f"--port={port}"]
        server = spawn(command, cwd=tmp_path, env=os.environ | environment)
        read_until(server, f"open {address} in a browser")

        browser.get(address)
        give("me.png", "Face 1 of 1,")
        choices = [choice.get_attribute("value") for choice in find("#generator input")]
        assert sorted(choices) == (names if len(names := pretrained_names()) > 1 else [])
        wait_for(lambda: len(find("#slider img")) == 2 and len(find("#strip img")) == 1)
        links = [link.get_attribute("href") for link in find("#files a")]
        assert [os.path.basename(link) for link in links] == ["me_face1.png", "me_face1_compare.png"]
        made = np.asarray(get(links[0]), np.float32)
        (face,) = find_faces(astronaut)
        difference = np.abs(made - 255 * straighten(astronaut, face, 64)).mean()  # raises where no 64x64
        assert 2 < difference < 12  # levels of 255: enlarged from 16x16, not the photograph itself
        assert get(links[1]).width > 4 * 256  # what the network sees, bicubic, network, photograph
        for other in find("#generator input:not(:checked)")[:1]:  # makes the same picture anew
            other.click()
            wait_for(lambda: links[0] not in [link.get_attribute("href") for link in find("#files a")][:1])
            (link, _) = (link.get_attribute("href") for link in find("#files a"))
            assert os.path.basename(link) == "me_face1.png"
            assert 1 < np.abs(np.asarray(get(link), np.float32) - made).mean() < 12

        give("two.png", "Face 1 of 2,")
        find("#several button")[1].click()
        wait_for(lambda: "Face 2 of 2, 26 pixels wide" in find("#text")[0].text)
        wait_for(lambda: len(find("#files a")) == 4)
        assert 3 * 256 < get(find("#files a")[3].get_attribute("href")).width < 4 * 256  # without the first

        give("x.jpg", "This file cannot be used")
        assert not any(picture.is_displayed() for picture in find("#slider img, #strip img"))
        give("coffee.png", "No face found")
        give("large.jpg", "exceed the maximum allowed size of 50")

        find("button[role=tab]")[1].click()
        wait_for(lambda: find("#camera button:not([aria-label])"))
        find("#camera button:not([aria-label])")[0].click()
        wait_for(lambda: find("#camera [aria-label='capture photo']"))
        wait_for(lambda: find("#camera video")[0].get_property("videoWidth"))
        find("#camera [aria-label='capture photo']")[0].click()
        wait_for(lambda: find("body")[0].text.count("Face 1 of 1,") == 1, seconds=60)

        addresses = asked(browser)
        assert len(addresses) > 10
        assert [url for url in addresses if not url.startswith(address)] == []
        with pytest.raises(BlockingIOError):  # neither has the server asked anyone
            outside.accept()
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=20)
    assert (server.returncode, errors) == (0, "")
    assert list(temporary.iterdir()) == []
