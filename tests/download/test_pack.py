"""A folder of pictures packed by download_data.py: what it refuses, what it says."""

import pytest
from helpers import jpeg

import download_data
from srez.data.pack import Pack
from srez.errors import EXIT_DONE, EXIT_USER
from srez.images.picture import UnusablePicture


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pack", "nowhere"], "--pack=nowhere: is not there: name one"),
        (["--pack", ".", "--pack_to", "x.tar"], "must end in .pack"),
        (["--pack", ".", "--check", "."], "--check with --pack"),
        (["--pack", ".", "--source", "celeba"], "--pack with --source=celeba"),
        (["--pack", ".", "--count", "3"], "--count: has no meaning with pack"),
        (["--check", ".", "--crop_x", "3"], "--crop_x: has no meaning with check"),
    ],
)
def test_the_packing_command_refuses(capsys, words, said):
    assert download_data.main(words) == EXIT_USER
    assert said in capsys.readouterr().err


def test_damaged_pictures_are_holes_and_named(tmp_path, capsys):
    folder, pack = tmp_path / "people", tmp_path / "new.pack"
    (folder / "more").mkdir(parents=True)
    (folder / "1.jpg").write_bytes(jpeg(1))
    (folder / "2.jpg").write_bytes(jpeg(2)[:3000])
    (folder / "more" / "small.jpg").write_bytes(b"no picture")
    assert download_data.main(["--pack", str(folder), "--pack_to", str(pack)]) == EXIT_DONE
    said = capsys.readouterr().out
    assert "damaged, left out: 2" in said
    assert "2.jpg" in said
    assert "more/small.jpg" in said
    packed = Pack(str(pack), {})
    assert packed.window(0).shape == (144, 144, 3)
    with pytest.raises(UnusablePicture, match=r"truncated|ends"):
        packed.window(1)
