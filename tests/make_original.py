"""Make a folder of the shape and the file names of an original HDR-VDP 2.2.x.

The original itself is not in this project. This stand-in is the package's own Octave
program behind the original's names, with the faults that stop the original in Octave, or
make it give wrong numbers, planted where the original has them:

- ``reconSpyr`` and ``reconSpyrLevs`` compare three letters with ``'.m'``, so they always
  believe that a compiled filter adds in place, and lose the oriented bands;
- ``ifft2`` is called with ``'symmetric'``, ``fileparts`` with four outputs;
- ``imresize`` and ``geomean`` are called, which core Octave does not have.
"""

import shutil
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[1] / "vdp_distill" / "octave"
TOOLS = "matlabPyrTools_1.4_fixed"

HDRVDP = """
function res = hdrvdp (test, reference, color_encoding, pixels_per_degree, options)
  [here, name, ext, versn] = fileparts (mfilename ('fullpath'));
  if (~exist (fullfile (here, 'data', 'd65.csv'), 'file'))
    error ('the data folder is missing in "%s"', here);
  end
  spectrum = dlmread ('d65.csv');    % by its bare name, from the path
  settings = hdrvdp_parse_options (options);
  settings.encoding = color_encoding;
  settings.pixels_per_degree = pixels_per_degree;
  res = vdp_hdrvdp2 (test, reference, settings);
  res.Q_MOS = NaN;
end
"""

PARSE_OPTIONS = """
function settings = hdrvdp_parse_options (options)
  settings = struct ();
  for i = 1:2:numel (options)
    settings.(options{i}) = options{i + 1};
  end
end
"""

BUILD_SPYR = """
function [pyramid, sizes] = buildSpyr (image, height, filter_name)
  [lo0, hi0, lo, bands] = feval (filter_name);
  x = corrDn (image, lo0);
  high = corrDn (image, hi0);
  pyramid = high(:);
  sizes = size (high);
  while (min (size (x)) >= size (lo, 1))
    for o = 1:size (bands, 2)
      oriented = corrDn (x, reshape (bands(:, o), 9, 9));
      pyramid = [pyramid; oriented(:)];
      sizes = [sizes; size(oriented)];
    end
    x = corrDn (x, lo, 'reflect1', [2 2]);
  end
  pyramid = [pyramid; x(:)];
  sizes = [sizes; size(x)];
end
"""

RECON_SPYR = """
function res = reconSpyr (pyramid, sizes, filter_name)
  [lo0, hi0, lo, bands] = feval (filter_name);
  count = prod (sizes(1, :));
  x = reconSpyrLevs (pyramid(count + 1:end), sizes(2:end, :), lo, bands);
  res = upConv (x, lo0);
  high = reshape (pyramid(1:count), sizes(1, :));
  file = which ('upConv');
  is_mex = ~strcmp (file(end-2:end), '.m');
  if (is_mex)
    upConv (high, hi0, 'reflect1', [1 1], [1 1], size (res), res);
  else
    res = upConv (high, hi0, 'reflect1', [1 1], [1 1], size (res), res);
  end
end
"""

RECON_SPYR_LEVS = """
function res = reconSpyrLevs (pyramid, sizes, lo, bands)
  first = 1;
  if (size (sizes, 1) == 1)
    res = reshape (pyramid, sizes);
    return;
  end
  count = 4 * prod (sizes(1, :));
  below = reconSpyrLevs (pyramid(count + 1:end), sizes(5:end, :), lo, bands);
  res = upConv (below, lo, 'reflect1', [2 2], [1 1], sizes(1, :));
  file = which ('upConv');
  is_mex = ~strcmp (file(end-2:end), '.m');
  for o = 1:4
    band = reshape (pyramid(first:first + prod (sizes(1, :)) - 1), sizes(1, :));
    first = first + prod (sizes(1, :));
    taps = reshape (bands(:, o), 9, 9);
    if (is_mex)
      upConv (band, taps, 'reflect1', [1 1], [1 1], size (res), res);
    else
      res = upConv (band, taps, 'reflect1', [1 1], [1 1], size (res), res);
    end
  end
end
"""

SP3_FILTERS = """
function [lo0, hi0, lo, bands] = sp3Filters ()
  filters = vdp_sp3_filters ();
  lo0 = filters.lo0;
  hi0 = filters.hi0;
  lo = filters.lo;
  bands = zeros (81, 4);
  for o = 1:4
    bands(:, o) = filters.band{o}(:);
  end
end
"""

UNPACK = """
function bands = vdp_build_pyramid (image)
  [pyramid, sizes] = buildSpyr (image, 'auto', 'sp3Filters');
  height = (size (sizes, 1) - 2) / 4;
  stops = cumsum (prod (sizes, 2));
  starts = [1; stops(1:end-1) + 1];
  flat = @(k) reshape (pyramid(starts(k):stops(k)), sizes(k, :));
  bands = {flat(1)};
  for level = 1:height
    first = 4 * level - 2;
    bands{end + 1} = cat (3, flat (first), flat (first + 1), flat (first + 2), flat (first + 3));
  end
  bands{end + 1} = flat (size (sizes, 1));
end
"""

PACK = """
function image = vdp_reconstruct_pyramid (bands)
  pyramid = [];
  sizes = [];
  for i = 1:numel (bands)
    pyramid = [pyramid; bands{i}(:)];
    sizes = [sizes; repmat([size(bands{i}, 1), size(bands{i}, 2)], size (bands{i}, 3), 1)];
  end
  image = reconSpyr (pyramid, sizes, 'sp3Filters');
end
"""

FILES = {
    "hdrvdp.m": HDRVDP,
    "hdrvdp_parse_options.m": PARSE_OPTIONS,
    "hdrvdp_version.m": "function ver = hdrvdp_version ()\n  ver = 2.2;\nend\n",
    "data/d65.csv": "360,1\n780,1\n",
    f"{TOOLS}/buildSpyr.m": BUILD_SPYR,
    f"{TOOLS}/reconSpyr.m": RECON_SPYR,
    f"{TOOLS}/reconSpyrLevs.m": RECON_SPYR_LEVS,
    f"{TOOLS}/sp3Filters.m": SP3_FILTERS,
    "utils/vdp_build_pyramid.m": UNPACK,
    "utils/vdp_reconstruct_pyramid.m": PACK,
    # None of these two may come onto the path: they would be called in place of Octave's.
    ".hidden/zeros.m": "error ('a hidden folder is on the path');\n",
    "private/ones.m": "error ('a private folder is on the path');\n",
}


def make_original(folder: Path, release: str = "2.2.1") -> Path:
    """Fill ``folder`` (made if needed) with the stand-in and return it.

    Examples
    --------
    >>> import tempfile
    >>> folder = make_original(Path(tempfile.mkdtemp()) / "hdrvdp")
    >>> (folder / "hdrvdp.m").is_file()
    True
    """
    for name, text in FILES.items():
        _write(folder / name, text)
    _write(folder / "ChangeLog.txt", f"1 May 2020 HDR-VDP {release}\n\n3 March 2013 HDR-VDP 2.1.3\n")
    for name in ("corrDn.m", "upConv.m"):
        shutil.copy(PROGRAM / "repairs" / "missing" / name, folder / TOOLS / name)
    for source in PROGRAM.glob("vdp_*.m"):
        target = folder / "utils" / source.name
        if source.name != "vdp_resize.m" and not target.exists():
            _write(target, _with_faults(source.read_text(encoding="utf-8")))
    return folder


def _with_faults(text: str) -> str:
    """Call what core Octave does not have, as the original does."""
    for ours, theirs in (
        ("real (ifft2 (fft2 (canvas) .* gain))", "ifft2 (fft2 (canvas) .* gain, 'symmetric')"),
        ("vdp_resize (", "imresize ("),
        ("exp (mean (log (pixels), 1))", "geomean (pixels)"),
    ):
        text = text.replace(ours, theirs)
    return text


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.lstrip("\n"), encoding="utf-8")
