# SPDX-License-Identifier: MIT
"""The learning curves of one or more runs as a picture.

    curves.py curves.png NAME=RUN/curves.csv [NAME=RUN/curves.csv ...]
"""
import csv
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def series(path, column):
    """(pictures in thousands, values) of a column, where it has any."""
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get(column)]
    return [int(row["pictures"]) / 1000 for row in rows], [float(row[column]) for row in rows]


def draw(out, runs):
    """runs: {name: path of a curves.csv}. Left: the depth term of the loss; right: validation r."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for name, path in runs.items():
        left.plot(*series(path, "depth"), label=name, linewidth=1)
        right.plot(*series(path, "validation_r"), label=name, linewidth=1, marker=".")
    for axes, title in ((left, "depth term of the loss"), (right, "validation: Pearson r with the teacher")):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("thousand pictures")
        axes.grid(alpha=0.3)
    if len(runs) > 1:
        right.legend(fontsize=8)
    figure.savefig(out, dpi=100, format="png")
    pyplot.close(figure)


if __name__ == "__main__":
    if len(sys.argv) < 3 or not all("=" in argument for argument in sys.argv[2:]):
        sys.exit(__doc__)
    draw(sys.argv[1], dict(argument.split("=", 1) for argument in sys.argv[2:]))
