# SPDX-License-Identifier: MIT
"""The figures of evaluate.py as means, worst pictures, and tables for the model card."""
import math

HIGHER_IS_BETTER = {"r": True, "ordinal": True, "abs_rel": False, "delta1": True, "boundary_f1": True}
HEADS = {"r": "r", "ordinal": "ordinal", "abs_rel": "AbsRel", "delta1": "delta1",
         "boundary_f1": "boundary F1"}
TITLES = {"images": "demo photographs", "validation": "validation photographs",
          "rgbd": "Kinect frames", "stereo": "Middlebury Motorcycle"}


def summary(rows):
    """[{"picture", metric: value}] -> their mean, and for each metric the worst picture and its value.
    Values that are not defined (nan) count in neither."""
    mean, worst = {}, {}
    for metric in (key for key in rows[0] if key != "picture"):
        known = [row for row in rows if not math.isnan(row[metric])]
        if not known:
            mean[metric] = float("nan")
            continue
        mean[metric] = sum(row[metric] for row in known) / len(known)
        pick = min if HIGHER_IS_BETTER[metric] else max
        row = pick(known, key=lambda row, metric=metric: row[metric])
        worst[metric] = {"picture": row["picture"], "value": row[metric]}
    return {"mean": mean, "worst": worst, "pictures": rows}


def without_nan(value):
    """JSON has no nan: None."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def figure(value):
    return "-" if math.isnan(value) else f"{value:.3f}"


def table(heads, lines):
    return "\n".join("| " + " | ".join(map(str, line)) + " |"
                     for line in [heads, ["---"] * len(heads), *lines]) + "\n"


def teacher_table(sets):
    """Student against teacher: a line for each set."""
    lines = []
    for name, measured in sets.items():
        if "agreement" not in measured:
            continue
        part = measured["agreement"]
        worst = part["worst"]["r"]
        lines.append([TITLES[name], len(part["pictures"]), figure(part["mean"]["r"]),
                      f"{figure(worst['value'])} ({worst['picture']})",
                      figure(part["mean"]["ordinal"])])
    return table(["pictures", "n", "mean r", "least r", "ordinal"], lines) if lines else ""


def truth_table(sets):
    """Both models against ground truth: two lines for each set."""
    lines, metrics = [], ("r", "ordinal", "abs_rel", "delta1", "boundary_f1")
    for name, measured in sets.items():
        for model in (m for m in ("student", "teacher") if m in measured):
            part = measured[model]
            worst = part["worst"]["abs_rel"]
            lines.append([TITLES[name], len(part["pictures"]), model,
                          *(figure(part["mean"][metric]) for metric in metrics),
                          f"{figure(worst['value'])} ({worst['picture']})"])
    heads = ["pictures", "n", "model", *(HEADS[metric] for metric in metrics), "worst AbsRel"]
    return table(heads, lines) if lines else ""


def picture_table(rows):
    metrics = [key for key in rows[0] if key != "picture"]
    return table(["picture", *(HEADS[metric] for metric in metrics)],
                 [[row["picture"], *(figure(row[metric]) for metric in metrics)] for row in rows])


PROTOCOL = """\
Maps are compared at the size of the picture; validation maps at half the size of the stored picture
(shorter side at most 196 pixels), where the teacher's are kept, in half precision. Ordinal: 10,000
random pairs of points for each picture, those that differ by more than 3 % of the reference's range.
Against ground truth: r and ordinal with inverse depth; AbsRel, delta1 and boundary F1 after scale and
shift fitted by least squares in inverse depth over the valid pixels of each picture, prediction at
most 10 m deep. Boundary F1: ratios of neighbouring depths above 1.05 to 1.25, ten thresholds weighted
by their value, exact to the pixel. The formulas are in metrics.py.

The color pictures of the Kinect frames are not registered to their depth (over four of them a warp
by 0.9 raises the teacher's mean r from 0.95 to 0.98): their lines compare models, but measure neither,
and their boundary F1 says nothing. One tensor of the teacher was estimated on frames of the same sequence.
"""


def markdown(results):
    student, teacher = results["student"], results["teacher"]
    sets = results["sets"]
    step = f", step {student['step']}" if student.get("step") is not None else ""
    text = [f"# {student['name']} at {student['size']} pixels{step}\n",
            f"Teacher: {teacher['name']} at {teacher['size']} pixels. "
            f"Student: {student['bytes']} bytes, run in {student['runs_in']}.\n"]
    for title, part in (("Against the teacher", teacher_table(sets)),
                        ("Against ground truth", truth_table(sets))):
        if part:
            text += [f"## {title}\n", part]
    if "images" in sets:
        text += ["## Each demo photograph, against the teacher\n",
                 picture_table(sets["images"]["agreement"]["pictures"])]
    return "\n".join(text + ["## Protocol\n", PROTOCOL])
