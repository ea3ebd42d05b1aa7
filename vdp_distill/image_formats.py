"""How each image format is decoded: raw planes and notes of what was changed."""

import io
import math
import re
from itertools import takewhile
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tifffile
from PIL import Image, ImageCms

__all__ = ["READERS", "openexr", "signature"]

SIGNATURES = {
    b"\x89PNG": "png",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"\x76\x2f\x31\x01": "exr",
    b"#?": "hdr",
    b"P5": "netpbm",
    b"P6": "netpbm",
}

BETWEEN = rb"(?:\s|#[^\n]*\n)+"
NETPBM_HEADER = re.compile(rb"P([56])" + 3 * (BETWEEN + rb"(\d+)") + rb"\s")
"""Kind, width, height and largest value of a PGM or PPM file."""


def signature(path: Path) -> str:
    """Which reader a file's first bytes ask for."""
    with open(path, "rb") as file:
        head = file.read(26)
    if not head:
        raise ValueError(f"{path} is empty (0 bytes); it holds no image")
    kind = next((name for start, name in SIGNATURES.items() if head.startswith(start)), "pillow")
    if kind == "png":
        return "png16" if len(head) > 24 and head[24] == 16 else "pillow"
    return kind


def _read_pillow(path: Path) -> tuple[np.ndarray, list[str]]:
    about = iio.immeta(path, plugin="pillow", index=0, exclude_applied=False)
    mode = about.get("mode")
    convert = {"CMYK": "RGB", "YCCK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "1": "L"}.get(mode)
    notes = [f"{mode} converted to {convert}"] if convert else []
    if "transparency" in about:
        convert = "LA" if mode == "L" else "RGBA"
    if iio.improps(path, plugin="pillow", index=...).n_images > 1:
        notes.append("first of several frames")
    if about.get("Orientation", 1) not in (0, 1):
        notes.append("turned by its EXIF orientation")
    notes += _profile_notes(path)
    return iio.imread(path, plugin="pillow", index=0, rotate=True, **({"mode": convert} if convert else {})), notes


def _profile_notes(path: Path) -> list[str]:
    """What to say of a colour profile that is not sRGB's: numbers are taken as they are."""
    with Image.open(path) as image:
        profile = image.info.get("icc_profile")
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
        name = ImageCms.getProfileDescription(own).strip() if own else "sRGB"
    except (ImageCms.PyCMSError, OSError):
        name = "unreadable"
    return [] if "srgb" in name.lower() else [f"colour profile {name!r} not applied: its numbers are taken as sRGB's"]


def _read_png16(path: Path) -> tuple[np.ndarray, list[str]]:
    # Pillow brings 16-bit colour down to 8; OpenCV keeps it, but fills what a cut file lacks without a word.
    with open(path, "rb") as file:
        is_grey_with_alpha = file.read(26)[25] == 4
        file.seek(-12, 2)
        if b"IEND" not in file.read():
            raise ValueError("the end of the file is missing")
    about = iio.immeta(path, plugin="pillow", index=0, exclude_applied=False)
    planes = iio.imread(path, plugin="opencv", flags=-1, index=0)
    planes, notes = _turned(planes[..., [0, 3]] if is_grey_with_alpha else planes, about.get("Orientation", 1))
    return planes, notes + _profile_notes(path)


def _read_netpbm(path: Path) -> tuple[np.ndarray, list[str]]:
    # Pillow brings 16-bit colour down to 8.
    data = path.read_bytes()
    header = NETPBM_HEADER.match(data)
    kind, width, height, largest = map(int, header.groups()) if header else (0, 0, 0, 0)
    if largest < 256:
        return _read_pillow(path)
    shape = (height, width, 3) if kind == 6 else (height, width)
    values = np.frombuffer(data, ">u2", math.prod(shape), header.end()).reshape(shape)
    if largest > 65535 or int(values.max(initial=0)) > largest:
        raise ValueError(f"it holds values up to {int(values.max(initial=0))}, its header says {largest}")
    return np.rint(values * (65535 / largest)).astype(np.uint16), []


def _read_hdr(path: Path) -> tuple[np.ndarray, list[str]]:
    with open(path, "rb") as file:
        header = [line.strip() for line in takewhile(bytes.strip, file)]  # as far as an empty line, or the file's end
        size = file.readline()
    if any(line.startswith(b"FORMAT=") and not line.endswith(b"rgbe") for line in header):
        raise ValueError("its pixels are XYZE; RGBE is needed")
    if not size.startswith(b"-Y"):
        raise ValueError(f"its rows lie as {size.strip().decode(errors='replace')!r}; -Y ... +X ... is needed")
    planes = iio.imread(path, plugin="opencv", flags=-1, index=0)
    exposure = math.prod(float(line.partition(b"=")[2]) for line in header if line.startswith(b"EXPOSURE="))
    if not exposure > 0:
        raise ValueError(f"its exposure is {exposure:g}; it must be positive")
    return (planes, []) if exposure == 1 else (planes / np.float32(exposure), [f"divided by its exposure {exposure:g}"])


def _read_tiff(path: Path) -> tuple[np.ndarray, list[str]]:
    with tifffile.TiffFile(path) as file:
        page, pages = file.pages[0], len(file.pages)
        photometric, orientation = tifffile.PHOTOMETRIC(page.photometric).name, page.tags.valueof(274, 1)
        if page.bitspersample <= 8:  # palettes, inks, luma and chroma, every compression
            return _read_pillow(path)
        if page.bitspersample not in (16, 32, 64):
            raise ValueError(f"it has {page.bitspersample} bits a channel; 8, 16, or floating point are needed")
        if photometric not in ("MINISBLACK", "MINISWHITE", "RGB"):
            raise ValueError(f"its numbers mean {photometric} with {page.bitspersample} bits; RGB or grey is needed")
        is_planar = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    try:
        planes = tifffile.imread(path, key=0)
        planes = np.moveaxis(planes, 0, 2) if is_planar else planes
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        # OpenCV follows a TIFF's orientation itself.
        planes, orientation = iio.imread(path, plugin="opencv", flags=-1, index=0), 1
    if photometric == "MINISWHITE" and planes.dtype.kind == "u":
        planes = np.iinfo(planes.dtype).max - planes
    planes, notes = _turned(planes, orientation)
    return planes, notes + ["first of several frames"] * (pages > 1)


def _turned(planes: np.ndarray, orientation: int) -> tuple[np.ndarray, list[str]]:
    """Planes as their EXIF orientation, 1 to 8, wants them seen."""
    if orientation not in range(2, 9):
        return planes, []
    if orientation >= 5:
        planes = planes.swapaxes(0, 1)
    flips = {2: (1,), 3: (0, 1), 4: (0,), 5: (), 6: (1,), 7: (0, 1), 8: (0,)}[orientation]
    return np.flip(planes, flips), ["turned by its EXIF orientation"]


def _read_exr(path: Path) -> tuple[np.ndarray, list[str]]:
    file = openexr().File(str(path))
    channels, found = file.channels(), None
    for name in ("RGB", "RGBA", "Y"):
        if name in channels and not {"RY", "BY"} & channels.keys():
            found = np.asarray(channels[name].pixels, np.float32)
            break
    if {"R", "G", "B"} <= channels.keys():
        found = np.stack([np.asarray(channels[name].pixels, np.float32) for name in "RGB"], axis=2)
    if found is None:
        raise ValueError(f"it has the channels {', '.join(channels)}; R, G and B, or Y alone, are needed")
    return _in_display_window(found, file.header())


def _in_display_window(planes: np.ndarray, header: dict) -> tuple[np.ndarray, list[str]]:
    """An EXR's pixels where they are to be seen, black where it holds none."""
    (left, top), (right, bottom) = (np.asarray(corner, int) for corner in header["displayWindow"])
    (x, y), (last_x, last_y) = (np.asarray(corner, int) for corner in header["dataWindow"])
    if (x, y, last_x, last_y) == (left, top, right, bottom):
        return planes, []
    shown = np.zeros((bottom - top + 1, right - left + 1, *planes.shape[2:]), planes.dtype)
    rows, columns = slice(max(y, top), min(last_y, bottom) + 1), slice(max(x, left), min(last_x, right) + 1)
    inside = planes[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    shown[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = inside
    return shown, ["its data window put into its display window"]


def openexr():
    """The package that reads and writes OpenEXR."""
    try:
        import OpenEXR
    except ImportError as error:
        raise ImportError("OpenEXR files need the package OpenEXR: pip install OpenEXR") from error
    return OpenEXR


READERS = {
    "pillow": _read_pillow,
    "png16": _read_png16,
    "netpbm": _read_netpbm,
    "tiff": _read_tiff,
    "hdr": _read_hdr,
    "exr": _read_exr,
}
"""Function from a path to raw planes (H, W[, C]) and notes, by :func:`signature`."""
