"""Photographs' faces in CelebA's frame. The photograph is NASA's portrait of Eileen Collins."""

import contextlib
import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from skimage import data

import download_data
from srez.data import align as faces_of
from srez.download import align
from srez.download.aligned import LIST, NO_FACE, ONLY_SMALLER, AlignedFaces
from srez.errors import UserError

# where her eyes lie in CelebA's frame by landmarks measured by hand, (203, 101), (246, 103.5), (223, 127),
# (204, 140) and (243, 141); CelebA's are at (69.5, 111.1) and (107.6, 110.9) on average
EYES = [(67.7, 112.3), (109.4, 112.9)]


def tree(folder) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def call(*words) -> tuple[int, str, str]:
    """The command in this process: exit code, what it said, its last line of errors."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = download_data.main([*map(str, words)])
    assert "Traceback" not in err.getvalue()
    return code, out.getvalue(), err.getvalue().splitlines()[-1]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of eight pictures; not to be changed."""
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "deep").mkdir()
    portrait = Image.fromarray(data.astronaut())
    portrait.save(folder / "plain.png")
    portrait.save(folder / "plain.jpg", quality=95)
    portrait.rotate(25, Image.Resampling.BICUBIC).save(folder / "turned.jpg", quality=95)
    portrait.resize((1024, 1024)).save(folder / "deep" / "large.webp")
    two = Image.new("RGB", (1024, 512))
    two.paste(portrait, (0, 0))
    two.paste(portrait, (512, 0))
    two.save(folder / "two.png")
    portrait.resize((160, 160)).save(folder / "small.png")  # whose face has 43 pixels
    Image.fromarray(data.coffee()).save(folder / "coffee.png")
    (folder / "broken.jpg").write_bytes((folder / "plain.jpg").read_bytes()[:20000])
    return folder


@pytest.fixture(scope="module")
def done(photographs, tmp_path_factory):
    """Their faces by two processes: the folder, not to be changed; what was said, exit code, last line."""
    out = tmp_path_factory.mktemp("aligned") / "faces"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(align, "PICTURES_PER_PROCESS", 4)
        patch.setattr(align, "processors", lambda: 2)
        code, said, message = call("--align", photographs, "--align_to", out)
    return out, said, code, message


@pytest.fixture
def again(photographs, done, tmp_path):
    """Copies of both folders, and the command on them."""
    mine, out = tmp_path / "photographs", tmp_path / "faces"
    shutil.copytree(photographs, mine)
    shutil.copytree(done[0], out)
    listed = (out / LIST).read_text().replace(str(photographs), str(mine))
    (out / LIST).write_text(listed)
    return mine, out, lambda: call("--align", mine, "--align_to", out)


def test_every_picture_is_counted(photographs, done):
    out, said, code, message = done
    assert code == 2
    assert message.endswith(
        f"{photographs}: 1 of 8 pictures cannot be read: mend them or move them away; the others are done"
    )
    assert said.startswith(f"{photographs}: 8 pictures\nfaces: 6 of 5 pictures, several in 1\nno face: 1\n")
    assert "only faces of less than 64 pixels (--min_face): 1\n" in said
    assert "unreadable: 1\n  broken.jpg: image file is truncated" in said
    expected = ["deep/large.jpg", "plain.jpg", "plain_2.jpg", "turned.jpg", "two.jpg", "two_2.jpg"]
    assert sorted(tree(out)) == sorted([*expected, LIST])
    listed = [line.split("\t") for line in (out / LIST).read_text().splitlines()]
    assert listed[0] == ["faces of", str(photographs), "at least", "64"]
    reasons = {name: reason for name, _, reason, *_ in listed[1:]}
    assert (reasons["coffee.png"], reasons["small.png"]) == (NO_FACE, ONLY_SMALLER)
    assert [faces for name, _, _, *faces in listed if name == "two.png"] == [["two.jpg", "two_2.jpg"]]


def test_the_faces_are_in_celebas_frame(done):
    pictures = sorted(done[0].rglob("*.jpg"))
    assert len(pictures) == 6
    for path in pictures:
        with Image.open(path) as picture:
            assert (picture.format, picture.size, picture.layer) == (
                *("JPEG", (178, 218)),
                [(n, 1, 1, min(n - 1, 1)) for n in (1, 2, 3)],  # colours as fine as brightness
            )
            (face,) = faces_of.find_faces(np.asarray(picture), 64)
        np.testing.assert_allclose(face.landmarks[:2], EYES, atol=3, err_msg=str(path))


def test_nothing_is_searched_again(again, monkeypatch):
    mine, out, command = again
    (mine / "broken.jpg").unlink()
    monkeypatch.setattr(faces_of, "find_faces", None)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    code, said, _ = command()
    assert code == 0
    assert "7 pictures\nfaces: 6 of 5 pictures, several in 1\nno face: 1\n" in said
    assert said.endswith(f"to train on: --dataset {out}\n")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_what_is_new_mended_or_lost_is_searched(again, monkeypatch):
    mine, out, command = again
    searched = []
    find = faces_of.find_faces
    monkeypatch.setattr(
        faces_of, "find_faces", lambda picture, side: searched.append(picture.shape) or find(picture, side)
    )
    shutil.copy(mine / "plain.jpg", mine / "broken.jpg")
    shutil.copy(mine / "two.png", mine / "two_2.png")  # whose first face's name is taken
    before = tree(out)
    (out / "turned.jpg").unlink()
    code, said, _ = command()
    assert code == 0
    assert searched == [(512, 512, 3), (512, 512, 3), (512, 1024, 3)]
    assert "9 pictures\nfaces: 9 of 7 pictures, several in 2\n" in said
    after = tree(out)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {LIST, "turned.jpg"}  # the latter since one process has more threads
    assert set(after) - set(before) == {"broken.jpg", "two_2_2.jpg", "two_2_3.jpg"}


def test_interrupted_it_goes_on(photographs, tmp_path, monkeypatch):
    pictures = iter([align.Found([b"one"]), align.Found([], NO_FACE)])

    def search(path, min_face):
        try:
            return next(pictures)
        except StopIteration:
            raise KeyboardInterrupt from None

    out = tmp_path / "faces"
    monkeypatch.setattr(align, "_search", search)
    code, _, message = call("--align", photographs, "--align_to", out)
    assert (code, message) == (75, "download_data: interrupted: the same command takes it up again")
    assert tree(out).keys() == {LIST, "broken.jpg"}
    asked = []
    monkeypatch.setattr(align, "_search", lambda path, min_face: asked.append(path) or align.Found([b"face"]))
    assert call("--align", photographs, "--align_to", out)[0] == 0
    names = ["deep/large.webp", "plain.jpg", "plain.png", "small.png", "turned.jpg", "two.png"]
    assert asked == [str(photographs / name) for name in names]
    assert (out / "broken.jpg").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("folder", "out", "options", "say"),
    [
        ("photos", "photos", [], "--align_to=photos: the photographs are in it"),
        ("photos/deep", "photos", [], "--align_to=photos: the photographs are in it"),
        ("missing", "out", [], "--align=missing: is not there: name one"),
        ("empty", "out", [], "--align=empty: no pictures"),
        ("gs://photos", "out", [], "--align=gs://photos: must be a local folder"),
        ("photos", "gs://out", [], "--align_to=gs://out: must be a local folder"),
        ("photos", "other", [], "holds 1 pictures that this command did not put there, mine.png for one"),
        ("photos", "made", ["--min_face", "32"], "was made with other options"),
        ("other", "made", [], "was made with other options"),
        ("photos", "out", ["--min_face", "15"], "--min_face=15: must be at least 16"),
        ("photos", None, [], "name a folder with --align_to"),
    ],
)
def test_what_is_refused(folder, out, options, say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos/deep/1.png", "other/mine.png"):
        os.makedirs(os.path.dirname(name))
        Image.new("RGB", (9, 9)).save(name)
    os.makedirs("empty")
    AlignedFaces("made", os.path.realpath("photos"), 64)
    before = tree(tmp_path)
    words = ["--align", folder, *(["--align_to", out] if out else []), *options]
    code, _, message = call(*words)
    assert code == 2
    assert say in message
    assert tree(tmp_path) == before


def test_no_face_at_all(tmp_path):
    """The output may lie in the folder of the photographs."""
    Image.fromarray(data.coffee()).save(tmp_path / "coffee.png")
    for _ in range(2):
        code, said, message = call("--align", tmp_path, "--align_to", tmp_path / "faces")
        assert code == 2
        assert "1 pictures\nfaces: 0 of 0 pictures" in said
        assert "no face of at least 64 pixels in 1 pictures: lower --min_face" in message
    Image.fromarray(data.astronaut()).save(tmp_path / "astronaut.png")
    for _ in range(2):
        code, said, _ = call("--align", tmp_path, "--align_to", tmp_path / "faces")
        assert code == 0
        assert "2 pictures\nfaces: 1 of 1 pictures" in said


# ---- the list ----------------------------------------------------------------------------------------


def test_the_list_keeps_any_name_and_survives_a_torn_line(tmp_path):
    odd = "tab\tline\nback\\nslash\udcff.png"
    faces = AlignedFaces(str(tmp_path), "/photos", 64)
    faces.reserve([odd, "b.png"])
    faces.put(odd, 5, "", [b"face", b"other"])
    faces.put("b.png", 7, NO_FACE, [])
    for torn in (b"c.png\t12\t\tc.j", b"c.png"):
        with open(tmp_path / LIST, "ab") as file:
            file.write(torn)
        faces = AlignedFaces(str(tmp_path), "/photos", 64)
        assert faces.is_done(odd, 5)
        assert not faces.is_done(odd, 6)
        assert faces.is_done("b.png", 7)
        assert not faces.is_done("c.png", 12)
    assert faces.rows[odd].faces == (
        "tab\tline\nback\\nslash\udcff.jpg",
        "tab\tline\nback\\nslash\udcff_2.jpg",
    )
    faces.put("c.png", 12, "", [b"c"])
    assert AlignedFaces(str(tmp_path), "/photos", 64).is_done("c.png", 12)


def test_a_changed_picture_has_its_faces_replaced(tmp_path):
    faces = AlignedFaces(str(tmp_path), "/photos", 64)
    faces.reserve(["a.png", "A.jpg", "a_3.png"])
    faces.put("a.png", 1, "", [b"1", b"2", b"3"])
    assert faces.rows["a.png"].faces == ("a.jpg", "a_2.jpg", "a_4.jpg")
    faces.put("A.jpg", 1, "", [b"4"])
    assert faces.rows["A.jpg"].faces == ("A_5.jpg",)
    faces = AlignedFaces(str(tmp_path), "/photos", 64)
    faces.put("a.png", 2, "", [b"5"])
    assert tree(tmp_path).keys() == {LIST, "a.jpg", "A_5.jpg"}
    assert (tmp_path / "a.jpg").read_bytes() == b"5"


def test_a_damaged_list(tmp_path):
    (tmp_path / LIST).write_text("faces of\t/photos\tat least\t64\na.png\tmany\t\n")
    with pytest.raises(UserError, match="is damaged"):
        AlignedFaces(str(tmp_path), "/photos", 64)
