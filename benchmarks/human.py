"""How well does everything here follow people: thresholds of contrast, and the first difference that is seen?

    python -m benchmarks.human --photographs FOLDER [FOLDER ...] [--labels FILE] [--csf FILE]
    python -m benchmarks.human --mcl-jci FOLDER

Runs ``benchmarks.jnd`` and, with a table of measured contrast thresholds, ``benchmarks.thresholds``; each of them says
what it needs and where it writes.
"""

import argparse
import subprocess
import sys


def main() -> None:
    """Run the studies, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csf", help="measured contrast thresholds, for benchmarks.thresholds")
    given, of_jnd = parser.parse_known_args()
    if not (given.csf or of_jnd):
        parser.error("give --photographs, --mcl-jci or --labels for the first difference, --csf for thresholds")
    studies = [("jnd", of_jnd)] if of_jnd else []
    studies += [("thresholds", [given.csf])] if given.csf else []
    for module, arguments in studies:
        subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *arguments], check=True)


if __name__ == "__main__":
    main()
