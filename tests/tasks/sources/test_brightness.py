"""Pixels of any depth, transparency, orientation and kind of file: as people see them, the same way for a whole set."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from layouts import encoded, write_folder, write_zip
from metagap.errors import UserError
from metagap.tasks.sources import UserImages

RAMP = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
INK = np.zeros((8, 8), bool)
INK[2:6, 3:5] = True
SRGB, LAB = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")


def saved(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def of_one_class(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files in a folder with a table that says so: images in a single folder have no class by themselves."""
    table = "\n".join(["file,label", *(f"{name},a" for name in files)])
    return {f"a/{name}": content for name, content in files.items()} | {"a/labels.csv": table.encode()}


def pixels(data, files: dict[str, bytes], channels: int = 1, **options) -> np.ndarray:
    """The images (n, 8, 8) or (n, 8, 8, 3) of files in the order of their names, all of one class."""
    write_folder(data / "mine", of_one_class(files))
    found = UserImages(path="mine", image_size=8, channels=channels, **options).store().images.numpy()
    return found[:, 0] if channels == 1 else found.transpose(0, 2, 3, 1)


def remark(**options) -> str:
    return UserImages(path="mine", image_size=8, **options).remark()


DEEP = {
    "16.png": saved(RAMP.astype(np.uint16) * 257),
    "16.tif": saved(RAMP.astype(np.uint16) * 257, "TIFF"),
    "16b.tif": saved(Image.frombytes("I;16B", (8, 8), (RAMP.astype(">u2") * 257).tobytes()), "TIFF"),
    "16.pgm": b"P5 8 8 65535\n" + (RAMP.astype(">u2") * 257).tobytes(),
    "16.jp2": saved(RAMP.astype(np.uint16) * 257, "JPEG2000", irreversible=False),
    "16.npy": npy(RAMP.astype(np.uint16) * 257),
    "32.tif": saved(RAMP.astype(np.int32) * 257, "TIFF"),
    "float.tif": saved((RAMP / 255).astype(np.float32), "TIFF"),
    "float.pfm": saved((RAMP / 255).astype(np.float32), "PPM"),
    "float255.tif": saved(RAMP.astype(np.float32), "TIFF"),
    "float.npy": npy(RAMP / 255),
    "8.npy": npy(RAMP),
    "wide.npy": npy(RAMP.astype(np.int64)),
    "colour.npy": npy(np.stack([RAMP] * 3)),
}


@pytest.mark.parametrize("name", DEEP)
def test_images_of_any_depth(data, name):
    assert np.abs(pixels(data, {name: DEEP[name]})[0].astype(int) - RAMP).max() <= 1
    assert remark() == ""


def test_white_is_the_same_for_all_images(data):
    files = {"0.png": saved(RAMP.astype(np.uint16) * 16), "1.png": saved(RAMP.astype(np.uint16) * 4)}
    bright, dim = pixels(data, files)
    assert bright.max() == 254
    assert np.abs(bright / 4.0 - dim).max() <= 1
    assert remark() == "path:mine: the value 4,095 is white"
    assert np.array_equal(pixels(data, files, white_level=16 * 510)[0], RAMP // 2 + RAMP % 2 * (RAMP // 2 % 2))
    assert pixels(data, files, white_level=255).max() == 255


def test_masks_are_black_and_white(data):
    for content in (npy(INK), npy(INK.astype(np.uint8)), npy(INK.astype(np.float32)), saved(Image.fromarray(INK))):
        name = "x.npy" if content.startswith(b"\x93") else "x.png"
        assert np.array_equal(pixels(data, {name: content})[0], 255 * INK)
        (data / "mine" / "a" / name).unlink()


def test_eight_bits_stay_beside_deeper_ones(data):
    found = pixels(data, {"0.png": encoded(RAMP), "1.tif": saved(RAMP.astype(np.int32) * 257, "TIFF")})
    assert np.array_equal(found[0], RAMP)
    assert np.array_equal(found[1], RAMP)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.where(INK, np.nan, 0.5).astype(np.float32), "8 of its values are NaN or infinite"),
        (RAMP.astype(np.float32) - 9, "it has negative values, down to -9; allowed: 0 and above, 0 is black"),
        (RAMP.astype(np.int32) - 9, "it has negative values, down to -9"),
    ],
)
def test_what_is_no_brightness_is_refused(data, array, message):
    with pytest.raises(UserError, match=rf"path:mine: 'a/x\.tif' in '.*' is not a readable image: {message}"):
        pixels(data, {"x.tif": saved(array, "TIFF"), "y.tif": saved(RAMP.astype(np.float32), "TIFF")})


def test_fractions_that_are_neither_are_refused(data):
    files = {f"{i}.tif": saved((RAMP / 100).astype(np.float32), "TIFF") for i in range(5)}
    with pytest.raises(
        UserError, match=r"^path:mine: fractional pixels up to 2\.55; allowed: 0 to 1, 0 to 255, or the op"
    ):
        pixels(data, files)
    assert np.array_equal(pixels(data, files, white_level=2.55)[0], RAMP)


def drawn(ink: int, kind: str = "RGBA") -> np.ndarray | Image.Image:
    """Ink of this grey on nothing, whose hidden colour is the same."""
    rgba = np.full((8, 8, 4), ink, np.uint8)
    rgba[..., 3] = 255 * INK
    if kind == "LA":
        return rgba[..., 2:]
    if kind == "P":
        image = Image.fromarray(INK.astype(np.uint8)).convert("P")
        image.putpalette([7, 7, 7, ink, ink, ink])
        image.info["transparency"] = 0
        return image
    if kind == "tRNS":
        image = Image.fromarray(np.where(INK, ink, 9).astype(np.uint8))
        image.info["transparency"] = 9
        return image
    return rgba


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "tRNS"])
@pytest.mark.parametrize(("ink", "behind"), [(0, 255), (255, 0), (60, 255), (220, 0)])
def test_ink_on_nothing_stays_visible(data, kind, ink, behind):
    assert np.array_equal(pixels(data, {"x.png": saved(drawn(ink, kind))})[0], np.where(INK, ink, behind))
    assert remark() == ("" if behind else "path:mine: transparent pixels are shown black")


def test_the_background_is_one_for_all_images(data):
    black, white = saved(drawn(0)), saved(drawn(255))
    files = {f"{i}.png": black for i in range(3)} | {"3.png": white}
    found = pixels(data, files)
    assert np.array_equal(found[0], np.where(INK, 0, 128))
    assert np.array_equal(found[3], np.where(INK, 255, 128))
    assert remark() == "path:mine: transparent pixels are shown grey"
    assert pixels(data, files, background="black")[3].max() == 255
    assert pixels(data, files, background="white")[3].min() == 255


def test_half_transparent_is_half_visible(data):
    image = drawn(0)
    image[4, 3, 3] = 128
    assert pixels(data, {"x.png": saved(image)})[0, 4, 3] == 127


def test_opaque_images_do_not_decide(data):
    opaque = np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, 255)])
    files = {"0.png": saved(opaque), "1.png": saved(drawn(0))}
    assert np.array_equal(pixels(data, files)[0], RAMP)


def test_transparency_in_npz(data):
    images = np.stack([drawn(255), drawn(255)])
    for array in (images, images.astype(np.uint16) * 257, images / 255):
        np.savez(data / "mine.npz", images=array, labels=[0, 1])
        found = UserImages(path="mine.npz", image_size=8).store().images
        assert np.array_equal(found[0, 0], 255 * INK)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(data, orientation):
    turned = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
        6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: np.rot90,
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    for kind in ("JPEG", "PNG", "WEBP"):
        options = {"quality": 100} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
        found = pixels(data, {"x.png": saved(RAMP, kind, exif=exif, **options)})[0]
        assert np.abs(found.astype(int) - turned(RAMP)).max() <= 3


def test_a_damaged_orientation_is_none(data):
    content = saved(RAMP, "JPEG", quality=100, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.abs(pixels(data, {"x.jpg": content})[0].astype(int) - RAMP).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_frames_the_first_counts(data, kind):
    first, second = Image.fromarray(RAMP), Image.fromarray(255 - RAMP)
    options = {"lossless": True} if kind == "WEBP" else {}
    content = saved(first, kind, save_all=True, append_images=[second], **options)
    found = pixels(data, {"x.png": content, "y.png": saved(RAMP)})
    assert np.abs(found[0].astype(int) - RAMP).max() <= 1
    assert remark() == "path:mine: one file holds several frames, of which the first counts"
    pixels(data, {"x.png": content, "y.png": saved(RAMP), "z.png": content})
    assert remark() == "path:mine: 2 files hold several frames, of which the first counts"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB"])
def test_every_kind_of_colour(data, mode):
    low, high = (0, 255) if mode == "1" else (20, 200)
    image = Image.fromarray(np.where(INK, high, low).astype(np.uint8)).convert("RGB")
    image = ImageCms.profileToProfile(image, SRGB, LAB, outputMode="LAB") if mode == "LAB" else image.convert(mode)
    found = pixels(data, {"x.tif": saved(image, "TIFF")}, channels=3)[0].astype(int)
    assert np.abs(found - np.where(INK, high, low)[..., None]).max() <= (40 if mode == "P" else 3)


KINDS = {
    "jfif": "JPEG", "JPE": "JPEG", "pgm": "PPM", "pnm": "PPM", "avif": "AVIF", "jp2": "JPEG2000", "bmp": "BMP",
    "dib": "DIB", "tga": "TGA", "gif": "GIF", "webp": "WEBP", "TIF": "TIFF", "qoi": "QOI", "pcx": "PCX",
}  # fmt: skip


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_of_file(data, suffix):
    Image.init()
    if (kind := KINDS[suffix]) not in Image.SAVE:
        pytest.skip(f"Pillow here cannot write {kind}")
    image = np.kron(np.where(INK, 200, 20).astype(np.uint8), np.ones((8, 8), np.uint8))
    content = saved(
        Image.fromarray(image).convert("RGB"), kind, **({"quality": 95} if kind in ("JPEG", "AVIF") else {})
    )
    write_zip(data / "set.zip", of_one_class({f"x.{suffix}": content}))
    found = UserImages(path="set.zip", image_size=64).store().images.numpy()[0, 0]
    assert np.abs(found.astype(int) - image).max() <= 8


def test_images_without_pixels_are_refused(data):
    with pytest.raises(UserError, match=r"3 of 3 files .* 'a/x\.npy' \(it has shape|its shape is"):
        pixels(data, {"x.npy": npy(RAMP[:0]), "y.npy": npy(RAMP[:, :0]), "z.pgm": b"P5 0 8 255\n"})
