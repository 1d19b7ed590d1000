"""Images are opened and served from their folder only, and only if they are images of a fair size."""

import os
import struct
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from asktell.errors import ContentError, DataError
from asktell.pools import images
from asktell.pools.images import MIME, check_image, image_file, open_image

LEVELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def put(folder: Path, name: str, image: Image.Image, form: str = "PNG", **options: object) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(encoded(image, form, **options))


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


# ---- what may be used ----


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP", "TIFF"])
def test_an_image_comes_out_as_it_went_in(form: str, tmp_path: Path) -> None:
    put(tmp_path, "owls/Größe 1.x", Image.fromarray(LEVELS), form, **({"lossless": True} if form == "WEBP" else {}))
    assert np.array_equal(levels(open_image(tmp_path, "owls/Größe 1.x")), LEVELS)
    assert image_file(tmp_path, "owls/Größe 1.x") == ((tmp_path / "owls" / "Größe 1.x").resolve(), MIME[form])


def test_the_type_is_that_of_the_content(tmp_path: Path) -> None:
    for form, mime in (("GIF", "image/gif"), ("JPEG", "image/jpeg")):
        put(tmp_path, "a.png", Image.fromarray(LEVELS), form)
        assert image_file(tmp_path, "a.png")[1] == mime
        assert open_image(tmp_path, "a.png").mode == "RGB"


def test_exif_turns_an_image_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned left by a quarter
    put(tmp_path, "turned.png", Image.fromarray(LEVELS), exif=exif)
    assert np.array_equal(levels(open_image(tmp_path, "turned.png")), np.rot90(LEVELS, -1))


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_undone_as_pillow_does_it(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    put(tmp_path, "turned.webp", Image.fromarray(LEVELS), "WEBP", exif=exif, lossless=True)
    with Image.open(tmp_path / "turned.webp") as image:
        expected = ImageOps.exif_transpose(image)
    assert np.array_equal(levels(open_image(tmp_path, "turned.webp")), levels(expected))


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    put(tmp_path, "a.png", Image.fromarray(np.array([[[9, 8, 7, 255], [9, 8, 7, 0]]], np.uint8)))
    assert levels(open_image(tmp_path, "a.png")).tolist() == [[[9, 8, 7], [255, 255, 255]]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([1, 2, 3, 4, 5, 6])
    palette.putpixel((1, 0), 1)
    put(tmp_path, "b.png", palette, transparency=b"\x00\xff")
    assert levels(open_image(tmp_path, "b.png")).tolist() == [[[255, 255, 255], [4, 5, 6]]]


def test_grey_of_one_eight_and_sixteen_bits(tmp_path: Path) -> None:
    put(tmp_path, "1.png", Image.fromarray(np.array([[False, True]])))
    put(tmp_path, "8.png", Image.fromarray(np.array([[0, 77]], np.uint8)))
    put(tmp_path, "16.png", Image.fromarray(np.array([[0, 257 * 200, 65535]], np.uint16)))
    assert levels(open_image(tmp_path, "1.png"))[0, :, 0].tolist() == [0, 255]
    assert levels(open_image(tmp_path, "8.png"))[0, :, 0].tolist() == [0, 77]
    assert levels(open_image(tmp_path, "16.png"))[0, :, 0].tolist() == pytest.approx([0, 200, 255], abs=1)
    put(tmp_path, "float.tiff", Image.fromarray(np.array([[0.5]], np.float32)), "TIFF")
    with pytest.raises(ContentError, match="32 bits have no agreed range"):
        open_image(tmp_path, "float.tiff")
    with pytest.raises(ContentError, match="32 bits have no agreed range"):
        check_image((tmp_path / "float.tiff").read_bytes(), "float.tiff")


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    put(tmp_path, "a/real.png", Image.fromarray(LEVELS))
    (tmp_path / "link.png").symlink_to(tmp_path / "a" / "real.png")
    (tmp_path / "seen from elsewhere").symlink_to(tmp_path)
    assert image_file(tmp_path / "seen from elsewhere", "link.png")[0] == (tmp_path / "a" / "real.png").resolve()


# ---- what leads out ----


@pytest.fixture
def fort(tmp_path: Path) -> Path:
    """A folder with an image in it, and one beside it."""
    put(tmp_path, "inside/a.png", Image.fromarray(LEVELS))
    put(tmp_path, "inside too/secret.png", Image.fromarray(LEVELS))
    put(tmp_path, "secret.png", Image.fromarray(LEVELS))
    return tmp_path / "inside"


@pytest.mark.parametrize("serve", [open_image, image_file])
def test_no_path_leads_out(serve: object, fort: Path) -> None:
    (fort / "link.png").symlink_to(fort.parent / "secret.png")
    (fort / "up").symlink_to(fort.parent)
    (fort / "loop.png").symlink_to(fort / "loop.png")
    (fort / "sub").mkdir()
    for value in (
        "../secret.png", "sub/../../secret.png", "sub/../a.png", "..", str(fort.parent / "secret.png"),
        str(fort / "a.png"), "link.png", "up/secret.png", "up/inside/a.png/../../secret.png", "loop.png", "a.png\0",
        "../inside too/secret.png", "//etc/passwd", "", ".", "sub", "none.png", "a.png/x", "\udcff", "x" * 5000,
    ):  # fmt: skip
        with pytest.raises(ContentError):
            serve(fort, value)  # type: ignore[operator]
    serve(fort, "up/inside/a.png")  # type: ignore[operator]  # out and in again: it lies inside


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("images")
    put(made, "inside/a.png", Image.fromarray(LEVELS))
    put(made, "inside/sub/a.png", Image.fromarray(LEVELS))
    put(made, "secret.png", Image.fromarray(LEVELS))
    (made / "inside" / "up").symlink_to(made)
    return made


@given(parts=st.lists(st.sampled_from(["..", ".", "", "sub", "a.png", "up", "secret.png", "inside"]), max_size=6))
def test_whatever_the_path_what_is_served_lies_inside(folder: Path, parts: list[str]) -> None:
    try:
        path, _ = image_file(folder / "inside", "/".join(parts))
    except ContentError:
        return
    assert os.path.realpath(path) == str(path)
    assert path.is_relative_to((folder / "inside").resolve())


def test_a_folder_that_is_gone_is_no_matter_of_one_image(tmp_path: Path) -> None:
    for root in (tmp_path / "gone", Path("/dev/null"), Path("a\0")):
        with pytest.raises(DataError, match="there is no folder") as caught:
            open_image(root, "a.png")
        assert not isinstance(caught.value, ContentError)


def test_devices_and_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ContentError, match="no file"):
        image_file(tmp_path, "pipe.png")


# ---- what is enormous, hostile, or no image ----


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of(width: int, height: int) -> bytes:
    """A small file that claims to be an image of any size: all zeros, well compressed."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (10_000, 10_000), (7072, 7072), (2**31 - 1, 1)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_before_it_is_unpacked(width: int, height: int, tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png_of(width, height))
    for use in (open_image, image_file):
        with pytest.raises(ContentError, match=r"pixels"):
            use(tmp_path, "bomb.png")
    with pytest.raises(ContentError, match="pixels"):
        check_image(png_of(width, height), "bomb.png")


def test_too_many_bytes_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.png").open("wb") as file:
        file.write(encoded(Image.fromarray(LEVELS)))
        file.truncate(images.MAX_BYTES + 1)
    for use in (open_image, image_file):
        with pytest.raises(ContentError, match="more than 64,000,000 bytes"):
            use(tmp_path, "big.png")
    os.truncate(tmp_path / "big.png", images.MAX_BYTES)
    assert open_image(tmp_path, "big.png").size == (9, 6)


@pytest.mark.parametrize(
    "content",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>',
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.4",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"P6 1 1 255 abc",
        b"text",
        b"\0" * 100,
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.jpg"])
def test_what_is_no_image_of_a_known_type_is_refused(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for use in (open_image, image_file):
        with pytest.raises(ContentError, match="no image of a known type"):
            use(tmp_path, name)


@pytest.mark.parametrize("form", ["ICO", "PPM", "TGA", "PDF", "EPS", "JPEG2000"])
def test_images_of_other_types_are_refused(form: str, tmp_path: Path) -> None:
    put(tmp_path, "a.png", Image.fromarray(LEVELS), form)
    with pytest.raises(ContentError, match="no image of a known type"):
        image_file(tmp_path, "a.png")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(ContentError, match="an empty file"):
        image_file(tmp_path, "a.png")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_what_was_cut_off_is_refused(form: str) -> None:
    big = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    whole = encoded(big, form)
    check_image(whole, "a")
    for length in (len(whole) // 2, len(whole) * 9 // 10):
        with pytest.raises(ContentError):
            check_image(whole[:length], "a")


@pytest.mark.filterwarnings("ignore")
@given(
    form=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]),
    damages=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_damaged_bytes_are_an_image_or_a_clear_error(folder: Path, form: str, damages: list[tuple[float, int]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = bytearray(encoded(Image.fromarray(LEVELS), form, **({} if form in ("GIF", "BMP") else {"exif": exif})))
    for place, value in damages:
        content[int(place * len(content))] = value
    (folder / "a").write_bytes(content)
    try:
        check_image(bytes(content), "a")
    except ContentError:
        for use in (open_image, image_file):
            with suppress(ContentError):
                use(folder, "a")
    else:  # what passes the check can be used
        assert open_image(folder, "a").mode == "RGB"
        assert image_file(folder, "a")[0].name == "a"


def test_what_passes_the_check_can_be_opened(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    colours = Image.fromarray(rng.integers(0, 256, (5, 4, 3), np.uint8))
    made = {mode: colours.convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")}
    made |= {"LAB": Image.new("LAB", (4, 5)), "I;16": Image.fromarray(rng.integers(0, 65536, (5, 4), np.uint16))}
    for mode, image in made.items():
        put(tmp_path, "a.tiff", image, "TIFF")
        check_image((tmp_path / "a.tiff").read_bytes(), "a.tiff")
        opened = open_image(tmp_path, "a.tiff")
        assert (opened.mode, opened.size) == ("RGB", (4, 5)), mode


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.png", Image.fromarray(LEVELS))
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(DataError, match=r"pip install 'asktell\[images\]'"):
        image_file(tmp_path, "a.png")
