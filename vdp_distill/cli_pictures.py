"""Commands of ``vdp-distill`` on pictures: is a difference seen, and how small may a file be."""

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Display", "Encoding", "HdrvdpDir", "Ppd", "compare", "jnd", "lists_displays"]

Ppd = Annotated[float | None, typer.Option("--ppd", help="Pixels per degree of visual angle.")]
Display = Annotated[str | None, typer.Option(help="Preset, or JSON file of a display; ? lists the presets.")]
Encoding = Annotated[str | None, typer.Option(help="What the numbers are: sRGB-display, luma-display, rgb-bt.709, ...")]
HdrvdpDir = Annotated[Path | None, typer.Option(help="Your HDR-VDP folder, for --engine original.")]


def compare(
    test: Annotated[str, typer.Argument(help="Image file.")] = "",
    reference: Annotated[str, typer.Argument(help="Image file it is compared with.")] = "",
    ppd: Ppd = None,
    display: Display = None,
    encoding: Encoding = None,
    heatmap: Annotated[Path | None, typer.Option(help="Picture to write: where differences are seen.")] = None,
    palette: Annotated[
        str, typer.Option(help="trichromatic, or safe for every kind of colour vision.")
    ] = "trichromatic",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON record instead of text.")] = False,
    model: Annotated[
        str, typer.Option(help="people-v1 (verdict of people), exact (strict), a released model, or a trained folder.")
    ] = "people-v1",
    engine: Annotated[str, typer.Option(help="torch, octave or original.")] = "torch",
    hdrvdp_dir: HdrvdpDir = None,
    surround: Annotated[float, typer.Option(help="Light around the image in cd/m2; -1: mean of the reference.")] = 1e-5,
    rgb_display: Annotated[str | None, typer.Option(help="Spectra: crt, ccfl-lcd, led-lcd or D65.")] = None,
    peak_sensitivity: Annotated[float, typer.Option(help="log10 of the peak contrast sensitivity.")] = 2.4,
    masking: Annotated[bool, typer.Option(help="Contrast masking.")] = True,
    mtf: Annotated[bool, typer.Option(help="Optics of the eye.")] = True,
    cdm2_per_unit: Annotated[float, typer.Option(help="cd/m2 of a 1.0 in files that hold light.")] = 1.0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Would a person see the difference between two images?"""
    if lists_displays(display):
        return
    from vdp_distill.compare import compare

    if not test or not reference:
        raise ValueError("compare takes two image files: vdp-distill compare TEST REFERENCE --ppd 40")
    settings = {"pixels_per_degree": ppd, "display": display, "encoding": encoding, "surround_l": surround}
    settings |= {"rgb_display": rgb_display, "peak_sensitivity": peak_sensitivity, "masking": masking, "mtf": mtf}
    settings |= {"engine": engine, "hdrvdp_dir": hdrvdp_dir}
    if heatmap is not None and heatmap.exists() and any(heatmap.samefile(path) for path in (test, reference)):
        raise FileExistsError(f"--heatmap {heatmap} is one of the pictures that are compared; name another file")
    found = compare(test, reference, model=model, cdm2_per_unit=cdm2_per_unit, device=device, **settings)
    typer.echo(json.dumps(found.record(), indent=1) if as_json else found)
    if heatmap is not None:
        found.heatmap(heatmap, palette)


def jnd(
    image: Annotated[str, typer.Argument(help="Picture, or a folder of them.")] = "",
    codec: Annotated[str, typer.Option(help="jpeg, webp or avif.")] = "jpeg",
    ppd: Ppd = None,
    display: Display = None,
    p: Annotated[float, typer.Option("--p", help="Share of people who may see a difference.")] = 0.5,
    model: Annotated[str, typer.Option(help="people-v1, exact (far stricter), or a surrogate.")] = "people-v1",
    out: Annotated[Path | None, typer.Option(help="File to write, or folder; NAME-jnd beside a picture.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG of the curve; NAME-CODEC-curve.png beside the file.")] = None,
    workers: Annotated[int, typer.Option(help="Processes, for a folder.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """The smallest file that people cannot tell from a picture."""
    if lists_displays(display):
        return
    if not image:
        raise ValueError("jnd takes a picture or a folder: vdp-distill jnd photograph.png --ppd 60")
    options = {"pixels_per_degree": ppd, "display": display, "p": p, "model": model, "device": device}
    from vdp_distill.memory import keep_freed_memory

    keep_freed_memory()
    if Path(image).is_dir():
        if plot is not None:
            raise ValueError("--plot is of one picture; of a folder the table jnd.csv tells what was found")
        _jnd_folder(Path(image), out, codec, workers, quiet, options)
        return
    from vdp_distill.jnd import find_jnd
    from vdp_distill.jnd.output import check_free, check_out, default_out, describe, load_plotting, plot_curve, save

    out = out or default_out(image, codec)
    plot = plot or out.with_name(f"{out.stem}-{codec}-curve.png")
    check_out(out, codec)
    check_free(out)
    check_free(plot, "--plot")
    if out.absolute() == plot.absolute():
        raise ValueError(f"--out and --plot both name {out}; name two files")
    load_plotting()
    found = find_jnd(image, codec, **options)
    typer.echo(describe(found, Path(image).stat().st_size))
    written = save(found, out)  # before the picture, whose failure would lose what was searched for
    typer.echo(f"wrote {written} and {plot_curve(found, plot, Path(image).name)}")


def _jnd_folder(folder: Path, out: Path | None, codec: str, workers: int, quiet: bool, options: dict) -> None:
    from rich.progress import track

    from vdp_distill.jnd.folders import find_jnd_folder

    if out is None:
        raise ValueError("a folder of pictures needs --out FOLDER: the originals' own is never written to")

    def bar(rows, total):
        return track(rows, folder.name, total, disable=quiet)

    report = find_jnd_folder(folder, out, codec, workers=workers, progress=bar, **options)
    typer.echo(report)
    raise typer.Exit(2 if report.failed else 0)


def lists_displays(display: str | None) -> bool:
    """Print the presets where a display's name is a question mark."""
    if display != "?":
        return False
    from vdp_distill.display_files import load_display, preset_names

    for name in preset_names():
        typer.echo(f"{name:24} {load_display(name).name}")
    return True
