"""The one rule of the house: imports point to the package, stages stand alone, and one place says each thing once."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = {"parameters", "tiles", "power", "resize", "fourier", "sp3_filters", "convolution"}
STAGE_FILES = ("optics", "receptors", "adaptation", "pyramid", "csf", "masking", "detection")
TOP_LEVEL = {"vdp_distill", "data_gen", "models", "benchmarks", "tests"}


def imports(path: Path) -> set[str]:
    """Absolute names that a file imports, at any depth of its code."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], base]).strip(".")
            found.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return found


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files("vdp_distill"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_package_imports_no_other_folder(path):
    others = {name.split(".")[0] for name in imports(path)} & (TOP_LEVEL - {"vdp_distill"})
    # The roof over the house: the command line calls the data generator, and nobody imports the command line.
    assert others <= ({"data_gen"} if path.name == "cli.py" else set())
    if path.name != "cli.py":
        assert not any(name.startswith("vdp_distill.cli") for name in imports(path))


@pytest.mark.parametrize(
    "path", files("data_gen") + files("benchmarks"), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_what_we_did_imports_only_what_things_are(path):
    own = path.relative_to(ROOT).parts[0]
    assert {name.split(".")[0] for name in imports(path)} & TOP_LEVEL <= {"vdp_distill", own}


@pytest.mark.parametrize("stage", STAGE_FILES)
def test_stages_do_not_import_one_another(stage):
    inside = {
        name.split(".")[1] for name in imports(ROOT / "vdp_distill" / f"{stage}.py") if name.startswith("vdp_distill.")
    }
    assert inside <= SHARED


def test_the_wheel_takes_every_package():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "vdp_distill").rglob("__init__.py")}
    assert listed == found | {"vdp_distill.models", "data_gen"}  # models is mapped: data, not code


def test_models_hold_no_code():
    assert not list((ROOT / "models").rglob("*.py"))


def test_conda_and_pip_name_the_same_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {line.replace(" ", "") for line in project["dependencies"]}
    conda = [
        line.strip()[2:].split("#")[0].strip()
        for line in (ROOT / "environment.yml").read_text().splitlines()
        if line.strip().startswith("- ")
    ]
    renamed = {
        "pytorch": "torch",
        "opencv": "opencv-python-headless",
        "openexr-python": "OpenEXR",
    }
    listed = set()
    for line in conda:
        name = line.split(">")[0].split("=")[0].strip()
        listed.add(line.replace(" ", "").replace(name, renamed.get(name, name), 1))
    assert needed <= listed
    assert "octave" in {line.split(">")[0] for line in listed}


def test_one_version():
    from importlib.metadata import version

    import vdp_distill

    assert version("vdp-distill") == vdp_distill.__version__
