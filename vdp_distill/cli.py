"""``vdp-distill``: the command line. Every command hands over to one function of the library.

What a user can put right ends with one line on stderr and exit status 2; Ctrl-C with 130.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "main"]


class _Roof(typer.core.TyperGroup):
    """Turns what a user can put right into a line and an exit status."""

    def invoke(self, ctx):
        from vdp_distill.octave import OctaveError

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("stopped; what was finished is kept", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            raise
        except (ValueError, TypeError, OSError, ImportError, MemoryError, OctaveError) as error:
            typer.echo(f"error: {error or type(error).__name__}", err=True)
            raise typer.Exit(2) from None


options = {"no_args_is_help": True, "pretty_exceptions_enable": False, "add_completion": False}
app = typer.Typer(cls=_Roof, help="HDR-VDP 2.2, exact and differentiable, and surrogates distilled from it.", **options)
data_app = typer.Typer(help="Look after data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Out = Annotated[Path, typer.Option("--out", help="Folder to write.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is in the folder.")]
Ppd = Annotated[float | None, typer.Option("--ppd", help="Pixels per degree of visual angle.")]
Display = Annotated[str | None, typer.Option(help="Preset, or JSON file of a display; ? lists the presets.")]
Encoding = Annotated[str | None, typer.Option(help="What the numbers are: sRGB-display, luma-display, rgb-bt.709, ...")]
Licences = Annotated[Path | None, typer.Option(help='TOML file of photographs\' licences: "folder/" = "licence".')]
HdrvdpDir = Annotated[Path | None, typer.Option(help="Your HDR-VDP folder, for --engine original.")]


@app.command()
def generate(
    recipe: Annotated[str, typer.Argument(help="Recipe: a TOML file, or the name of one that ships.")],
    out: Out,
    images: Annotated[Path | None, typer.Option(help="Folder of photographs; those of scikit-image otherwise.")] = None,
    workers: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    dask: Annotated[str | None, typer.Option(help="Address of a dask.distributed scheduler.")] = None,
    engine: Annotated[str | None, typer.Option(help="torch, octave or original.")] = None,
    hdrvdp_dir: HdrvdpDir = None,
    licences: Licences = None,
    resume: Resume = False,
    count: Annotated[int | None, typer.Option(help="Samples, in place of the recipe's number.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Make training data: photographs, distortions, viewing conditions, and the metric's answer to them."""
    from data_gen.run import generate

    places = {"images": images, "hdrvdp_dir": hdrvdp_dir, "dask": dask, "engine": engine, "licences": licences}
    typer.echo(generate(recipe, out, workers=workers, resume=resume, count=count, progress=not quiet, **places))


@data_app.command("verify")
def data_verify(folder: Path) -> None:
    """Check every byte of a data set."""
    from vdp_distill.dataset import verify

    report = verify(folder)
    typer.echo(report)
    raise typer.Exit(0 if report.ok else 2)


@data_app.command("show")
def data_show(
    folder: Path,
    out: Annotated[Path | None, typer.Option(help="Folder for the card and its pictures.")] = None,
    licences: Licences = None,
) -> None:
    """Describe a data set: card, histograms, contact sheet."""
    from data_gen.card import show

    typer.echo(show(folder, out, licences))


@data_app.command("merge")
def data_merge(sources: list[Path], out: Out) -> None:
    """Put data sets together."""
    from vdp_distill.dataset import merge

    typer.echo(merge(sources, out))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Recipe: a TOML file, or the name of one that ships.")],
    out: Out,
    data: Annotated[
        str | None, typer.Option(help="Folder of shards, or of photographs; online:RECIPE makes samples on the way.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of photographs for online data.")] = None,
    resume: Resume = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train a surrogate, the network of a loss, or a detector of people's JND: the recipe's kind says which."""
    from vdp_distill.distill import train

    out = train(recipe, _training_data(data, images), out, resume=resume, progress=not quiet)
    if os.environ.get("LOCAL_RANK", "0") == "0":  # where several devices train, each runs this command
        typer.echo(f"{out}: model.safetensors, its card README.md, log.csv and curve.png")


@app.command()
def benchmark(
    model: Annotated[
        list[str] | None, typer.Option(help="A released model or a trained folder; may be repeated.")
    ] = None,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the images.")] = "256x256",
    images: Annotated[Path | None, typer.Option(help="Folder of photographs; those of scikit-image otherwise.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed rounds.")] = 5,
    engine: Annotated[str, typer.Option(help="octave or original: run the reference there too.")] = "torch",
    hdrvdp_dir: HdrvdpDir = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    ppd: Ppd = 45.0,
    display: Display = None,
    encoding: Encoding = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for everything that was measured.")] = None,
) -> None:
    """Time and fidelity of the exact metric and of models, side by side."""
    from rich.console import Console

    from vdp_distill.example_pairs import photograph_pairs
    from vdp_distill.measure import benchmark

    pairs = photograph_pairs(*_size(size), images)
    settings = {"display": display, "encoding": encoding, "pixels_per_degree": ppd}
    elsewhere = {"engine": engine, "hdrvdp_dir": hdrvdp_dir}
    measured = benchmark(model or (), pairs=pairs, repeats=repeats, device=device, **elsewhere, **settings)
    Console().print(measured.table())
    if out is not None:
        measured.write(out)
        typer.echo(f"wrote {out}")


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="exact, a released model, or a trained folder.")],
    out: Annotated[Path, typer.Option(help="The .pt2 file to write.")],
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the images it will take.")],
    display: Display = None,
    encoding: Encoding = None,
    pool: Annotated[str, typer.Option(help="log_contrast, threshold or quality.")] = "log_contrast",
    reduction: Annotated[str, typer.Option(help="mean, sum or none.")] = "mean",
    surround: Annotated[float, typer.Option(help="Light around the image in cd/m2; -1: mean of the reference.")] = 1e-5,
    tolerance: Annotated[float, typer.Option(help="Largest relative difference from the module.")] = 1e-3,
) -> None:
    """Write a loss as a program that needs nothing but torch."""
    if _lists_displays(display):
        return
    from vdp_distill.export import export_loss

    height, width = _size(size)
    settings = {"display": display, "encoding": encoding, "pool": pool, "reduction": reduction, "surround_l": surround}
    out = export_loss(model, out, height=height, width=width, tolerance=tolerance, **settings)
    typer.echo(f"wrote {out}: loss(test, reference, pixels_per_degree), checked against the module")


@app.command()
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
    if _lists_displays(display):
        return
    from vdp_distill.compare import compare

    if not test or not reference:
        raise ValueError("compare takes two image files: vdp-distill compare TEST REFERENCE --ppd 40")
    settings = {"pixels_per_degree": ppd, "display": display, "encoding": encoding, "surround_l": surround}
    settings |= {"rgb_display": rgb_display, "peak_sensitivity": peak_sensitivity, "masking": masking, "mtf": mtf}
    settings |= {"engine": engine, "hdrvdp_dir": hdrvdp_dir}
    found = compare(test, reference, model=model, cdm2_per_unit=cdm2_per_unit, device=device, **settings)
    if heatmap is not None:
        found.heatmap(heatmap, palette)
    typer.echo(json.dumps(found.record(), indent=1) if as_json else found)


@app.command()
def jnd(
    image: Annotated[str, typer.Argument(help="Picture, or a folder of them.")] = "",
    codec: Annotated[str, typer.Option(help="jpeg, webp or avif.")] = "jpeg",
    ppd: Ppd = None,
    display: Display = None,
    p: Annotated[float, typer.Option("--p", help="Share of people who may see a difference.")] = 0.5,
    model: Annotated[str, typer.Option(help="people-v1, exact (far stricter), or a surrogate.")] = "people-v1",
    out: Annotated[Path | None, typer.Option(help="File to write, or folder; NAME-jnd beside a picture.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG of the curve; NAME-curve.png beside the file.")] = None,
    workers: Annotated[int, typer.Option(help="Processes, for a folder.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """The smallest file that people cannot tell from a picture."""
    if _lists_displays(display):
        return
    if not image:
        raise ValueError("jnd takes a picture or a folder: vdp-distill jnd photograph.png --ppd 60")
    options = {"pixels_per_degree": ppd, "display": display, "p": p, "model": model, "device": device}
    if Path(image).is_dir():
        _jnd_folder(Path(image), out, codec, workers, quiet, options)
        return
    from vdp_distill.jnd import find_jnd
    from vdp_distill.jnd.output import check_free, default_out, describe, plot_curve, save

    out = out or default_out(image, codec)
    plot = plot or out.with_name(f"{out.stem}-curve.png")
    check_free(out)
    check_free(plot)
    found = find_jnd(image, codec, **options)
    typer.echo(describe(found, Path(image).stat().st_size))
    picture = plot_curve(found, plot, Path(image).name)
    typer.echo(f"wrote {save(found, out)} and {picture}")


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


@app.command()
def models() -> None:
    """List the released models: what each is, and where its card lies."""
    from vdp_distill.listing import listed

    typer.echo("\n".join(listed()))


def _training_data(data: str | None, images: Path | None):
    """A folder, or what makes samples while a network trains."""
    if data is None or not data.startswith("online:"):
        return data
    from data_gen.online_sets import OnlineSets

    return OnlineSets(data.removeprefix("online:"), images)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise ValueError(f"--size must be HEIGHTxWIDTH, such as 256x256, got {text!r}")
    return int(found[1]), int(found[2])


def _lists_displays(display: str | None) -> bool:
    if display != "?":
        return False
    from vdp_distill.display import load_display, preset_names

    for name in preset_names():
        typer.echo(f"{name:24} {load_display(name).name}")
    return True


def main() -> None:
    """Entry point of the command."""
    app()


if __name__ == "__main__":
    main()
