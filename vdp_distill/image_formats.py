"""How each image format is decoded: raw planes and notes of what was changed."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tifffile

__all__ = ["READERS", "openexr", "signature"]

SIGNATURES = {
    b"\x89PNG": "png",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"\x76\x2f\x31\x01": "exr",
    b"#?": "hdr",
}


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
    return iio.imread(path, plugin="pillow", index=0, rotate=True, **({"mode": convert} if convert else {})), notes


def _read_png16(path: Path) -> tuple[np.ndarray, list[str]]:
    # Pillow brings 16-bit colour down to 8; OpenCV keeps it, but fills what a cut file lacks without a word.
    with open(path, "rb") as file:
        file.seek(-12, 2)
        if b"IEND" not in file.read():
            raise ValueError("the end of the file is missing")
    about = iio.immeta(path, plugin="pillow", index=0, exclude_applied=False)
    return _turned(iio.imread(path, plugin="opencv", flags=-1, index=0), about.get("Orientation", 1))


def _read_hdr(path: Path) -> tuple[np.ndarray, list[str]]:
    return iio.imread(path, plugin="opencv", flags=-1, index=0), []


def _read_tiff(path: Path) -> tuple[np.ndarray, list[str]]:
    with tifffile.TiffFile(path) as file:
        page, pages = file.pages[0], len(file.pages)
        photometric, orientation = tifffile.PHOTOMETRIC(page.photometric).name, page.tags.valueof(274, 1)
        if page.bitspersample <= 8:  # palettes, inks, luma and chroma, every compression
            return _read_pillow(path)
        if photometric not in ("MINISBLACK", "MINISWHITE", "RGB"):
            raise ValueError(f"its numbers mean {photometric} with {page.bitspersample} bits; RGB or grey is needed")
        is_planar = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    try:
        planes = tifffile.imread(path, key=0)
        planes = np.moveaxis(planes, 0, 2) if is_planar else planes
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        planes = iio.imread(path, plugin="opencv", flags=-1, index=0)
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
    channels = openexr().File(str(path)).channels()
    for name in ("RGB", "RGBA", "Y"):
        if name in channels:
            return np.asarray(channels[name].pixels, np.float32), []
    if {"R", "G", "B"} <= channels.keys():
        return np.stack([np.asarray(channels[name].pixels, np.float32) for name in "RGB"], axis=2), []
    raise ValueError(f"it has the channels {', '.join(channels)}; R, G and B, or Y, are needed")


def openexr():
    """The package that reads and writes OpenEXR."""
    try:
        import OpenEXR
    except ImportError as error:
        raise ImportError("OpenEXR files need the package OpenEXR: pip install 'vdp-distill[exr]'") from error
    return OpenEXR


READERS = {"pillow": _read_pillow, "png16": _read_png16, "tiff": _read_tiff, "hdr": _read_hdr, "exr": _read_exr}
"""Function from a path to raw planes (H, W[, C]) and notes, by :func:`signature`."""
