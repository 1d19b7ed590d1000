"""Images in folders: found in a fixed order, each decoded once; what is left out has its reason."""

import hashlib
import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asktell.errors import DataError
from asktell.pools import images
from asktell.pools.sources import read_images


def png(seed: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (5, 5), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def put(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def test_images_of_all_sub_folders_in_the_order_of_their_ids(tmp_path: Path) -> None:
    contents = {"owl/b.png": png(1), "owl/deep/a.png": png(2), "wren/a 1.PNG": png(1), "Ü.png": png(3), "0": png(4)}
    for name, content in reversed(contents.items()):
        put(tmp_path, name, content)
    told: list[tuple[int, int]] = []
    found = read_images(tmp_path, labels=True, progress=lambda done, of: told.append((done, of)))
    assert found.ids == sorted(contents)
    assert found.values == found.ids
    assert found.digests == [hashlib.sha256(contents[name]).hexdigest() for name in found.ids]
    assert dict(zip(found.ids, found.labels, strict=True)) == {
        "owl/b.png": "owl", "owl/deep/a.png": "owl", "wren/a 1.PNG": "wren", "Ü.png": None, "0": None,
    }  # fmt: skip
    assert found.left_out == []
    assert found.duplicates() == [("wren/a 1.PNG", "owl/b.png")]
    assert told == [(done, 5) for done in range(1, 6)]
    assert read_images(tmp_path).labels == [None] * 5
    (tmp_path / "seen from elsewhere").mkdir()
    link = tmp_path / "seen from elsewhere" / "link"
    link.symlink_to(tmp_path / "owl")
    assert read_images(link).ids == ["b.png", "deep/a.png"]


def test_what_is_left_out_has_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "birds"
    put(folder, "a.png", png(1))
    put(folder, ".hidden.png", png(1))
    put(folder, ".hidden/a.png", png(1))
    put(folder, "notes.txt", b"about owls")
    put(folder, "half.png", png(1)[:60])
    put(folder, "none.png", b"")
    put(folder, "page.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    put(tmp_path, "outside/b.png", png(2))
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "out.png").symlink_to(tmp_path / "outside" / "b.png")
    (folder / "nowhere.png").symlink_to(tmp_path / "nothing")
    (folder / "again.png").symlink_to("a.png")
    os.mkfifo(folder / "pipe")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(png(3))
    with (folder / "enormous.png").open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    found = read_images(folder)
    assert found.ids == ["a.png", "again.png"]
    assert found.duplicates() == [("again.png", "a.png")]
    reasons = dict(found.left_out)
    assert [where for where, _ in found.left_out] == sorted(reasons)
    assert reasons.pop("half.png").startswith("a broken image")
    assert reasons == {
        "\\xff.png": "its name is not UTF-8; rename it",
        "enormous.png": "more than 64,000,000 bytes",
        "none.png": "an empty file",
        "notes.txt": "no image of a known type (PNG, JPEG, WEBP, GIF, BMP, TIFF)",
        "nowhere.png": "there is no such file",
        "out": "a link to a folder, which is not followed",
        "out.png": "a link that leads out of its folder",
        "page.svg": "no image of a known type (PNG, JPEG, WEBP, GIF, BMP, TIFF)",
        "pipe": "no file",
    }


def test_files_that_may_not_be_read_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/b.png", png(1))
    put(tmp_path, "c.png", png(1))
    opened, listed = Path.open, os.scandir

    def refuse(path: Path, *arguments: object) -> object:
        if path.name == "c.png":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments)  # type: ignore[call-overload]

    def close(path: str) -> object:
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "scandir", close)
    found = read_images(tmp_path)
    assert found.ids == []
    assert found.left_out == [
        ("a", "cannot be read (Permission denied)"),
        ("c.png", "cannot be read (Permission denied)"),
    ]


def test_an_empty_folder_and_none_at_all(tmp_path: Path) -> None:
    assert len(read_images(tmp_path)) == 0
    for name in ("gone", "file"):
        (tmp_path / "file").touch()
        with pytest.raises(DataError, match="there is no folder"):
            read_images(tmp_path / name)
