"""CelebA in a folder: fetched, checked, unpacked."""

from collections.abc import Sequence
from pathlib import Path

from srez.download.fetch import Archive, fault_of, fetch, kept_bytes
from srez.download.unpack import has_all, require_room, survey, unpack
from srez.errors import UserError
from srez.system.files import disk

CELEBA_SOURCE = "celeba"

TERMS = """\
CelebA (Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild, ICCV 2015), its terms in short:
 - for non-commercial research purposes only;
 - the images are from the internet and not the property of MMLAB, The Chinese University of Hong Kong;
 - do not reproduce, sell or exploit for commercial purposes any portion of the images or of derived data;
 - do not publish or distribute any portion of it; copies within one site of one organization are allowed.
The whole agreement: {page}"""


def celeba(
    dest: Path,
    archive: Archive,
    urls: Sequence[str],
    zip_path: Path | None,
    keep: bool,
    count: int | None,
) -> None:
    """Fetch and unpack the first `count` pictures of CelebA (None: all) into `dest`.

    `urls` are asked before Google Drive; `zip_path` is a zip that is there already; `keep`: the fetched zip
    stays beside `dest`. Raises UserError, OSError.
    """
    wanted = archive.members if count is None else count
    if wanted > archive.members:
        raise UserError(
            f"--count={wanted}: {archive.name} has {archive.members:,} pictures", "ask for no more"
        )
    marker = survey(dest, CELEBA_SOURCE)
    if has_all(dest, marker, wanted):
        return
    print(TERMS.format(page=archive.page), flush=True)
    own = dest.parent / archive.name
    part = own.with_name(own.name + ".part")
    if zip_path is None and own.exists():
        zip_path = own
    if zip_path is None:
        require_room_for_all(part, dest, archive, wanted - len(marker.files))
        part.parent.mkdir(parents=True, exist_ok=True)
        fetch(archive, [*urls, archive.drive_url], part)
    else:
        require_archive(zip_path, archive)
    unpack(zip_path or part, dest, archive, marker, wanted)
    if zip_path is None:
        part.rename(own) if keep else part.unlink()
    has_all(dest, survey(dest, CELEBA_SOURCE), wanted)


def require_archive(path: Path, archive: Archive) -> None:
    """Raise UserError if a file is not the archive."""
    if not path.is_file():
        if path.is_dir():
            problem = f"{path}: is a folder, not a zip"
            raise UserError(problem, "a folder of pictures can be trained on as it is: --dataset")
        raise UserError(f"{path}: no such file", f"fetch it from {archive.page}")
    if fault := fault_of(path, archive):
        raise UserError(
            f"{path}: {fault}",
            f"move it away and fetch {archive.name} again, from {archive.page} "
            "(other pictures: unpack them yourself, any folder of pictures can be trained on)",
        )


def require_room_for_all(part: Path, dest: Path, archive: Archive, pictures: int) -> None:
    """Raise UserError if what is still to be fetched, and then unpacked, will not fit."""
    fetched = archive.size - kept_bytes(part)
    unpacked = archive.size * pictures // archive.members
    if disk(part.parent) == disk(dest):
        require_room(part.parent, fetched + unpacked)
    else:
        require_room(part.parent, fetched)
        require_room(dest, unpacked)
