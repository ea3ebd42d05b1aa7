"""A user's own display: its emission spectra from a CSV file, as the matrix that the metric takes."""

import csv
from pathlib import Path

import numpy as np

from vdp_distill.receptors import spectral_matrix

__all__ = ["read_spectra"]

CHANNELS = 3
Matrix = tuple[tuple[float, ...], ...]


def read_spectra(path: Path) -> Matrix:
    """Matrix (3, 4) from red, green and blue to L, M, S and rod, of the spectra in a file.

    Parameters
    ----------
    path
        CSV with a line of names, then one line a wavelength: ``wavelengths_nm``, and the emission of red, green and
        blue at full signal, in any unit that all three share.

    Returns
    -------
    tuple of tuples
        Plain numbers, so that a recipe holds them and needs neither file nor colour-science on the workers.

    Raises
    ------
    ValueError
        If there is no such file, or it is not of this form.
    ImportError
        Without the extra ``spectra``.
    """
    if not path.is_file():
        raise ValueError(f"viewing.spectra: no file {path}; paths are taken from the recipe's own folder")
    with open(path, newline="", encoding="utf-8-sig") as file:
        names, *lines = [line for line in csv.reader(file) if line] or [[]]
    if len(names) != 1 + CHANNELS or names[0].strip() != "wavelengths_nm":
        raise ValueError(
            f"{path}: the first line must be wavelengths_nm,red,green,blue; got {','.join(names) or 'none'}"
        )
    try:
        table = np.array([[float(cell) for cell in line] for line in lines])
    except ValueError as error:
        raise ValueError(f"{path}: every line after the first must hold {1 + CHANNELS} numbers: {error}") from error
    if table.shape[1:] != (1 + CHANNELS,) or len(table) < 2:
        raise ValueError(f"{path}: expected at least two lines of {1 + CHANNELS} numbers, got {table.shape}")
    try:
        matrix = spectral_matrix(table[:, 0], table[:, 1:].T)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return tuple(tuple(float(f"{value:.9g}") for value in row) for row in matrix)
