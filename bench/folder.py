#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A folder of pictures, from files to files: fathom beside its own network alone, and plain scripts of two peers.

    folder.py --model vits.fathom [--pictures ../shared/images ../shared/rgbd] [--count 500]
              [--precision f32|bf16] [--rounds 4] [--parts N] [--only network batch openvino torch]
              [--prefix 'COMMAND...']

Makes `count` pictures of mixed sizes in a scratch folder, the same ones every time, in `rounds` parts. For each
part, in turn: the network alone (`fathom bench --throughput` at the sizes that these pictures have in the
network, weighted by how many have them), `fathom depth` over the part, and a script as one would write it:
Pillow decodes and resizes, a model of the same weights computes in OpenVINO or PyTorch, Pillow writes a 16-bit
PNG with zlib level 1, as fathom does. OpenVINO's models, one for each size, are exported and compiled before its
clock starts; PyTorch's is weights/reference.py with PyTorch's own attention, run once at each size before that.

The Python that runs this needs numpy and Pillow, for `torch` torch, for `openvino` both. A busy machine may need
--prefix, a command before each measurement that waits until nothing else runs."""
import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "weights"))
SCALES = (0.5, 0.25, 0.75, 0.35, 1.0, 0.6)  # of the sides of the pictures that there are
PEAK = "VmHWM:"


# ---- pictures ----------------------------------------------------------------------------------

def make_pictures(sources, folder, count, rounds):
    """JPEGs, and every eighth a PNG. Returns the parts: lists of (path, width, height)."""
    from PIL import Image
    paths = sorted(path for source in sources for path in Path(source).glob("*.jpg"))
    if not paths:
        sys.exit(f"folder: no .jpg in {' '.join(map(str, sources))}")
    parts = [[] for _ in range(rounds)]
    for i in range(count):
        name = folder / f"part{i % rounds}" / f"{i:05}.{'png' if i % 8 == 7 else 'jpg'}"
        if not name.exists():
            with Image.open(paths[i % len(paths)]) as image:
                scale = SCALES[i // len(paths) % len(SCALES)]
                size = [max(1, round(side * scale)) for side in image.size]
                name.parent.mkdir(parents=True, exist_ok=True)
                image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(name, quality=90)
        with Image.open(name) as image:
            parts[i % rounds].append((name, *image.size))
    return parts


def network_size(config, width, height):
    from reference import net_size
    if config["input.rule"] != "lower_bound":
        sys.exit("folder: the plain script knows models of the rule lower_bound only")
    return net_size(width, height, int(config["input.size"]), int(config["input.multiple"]))


def sizes_of(config, part):
    sizes = {}
    for _, width, height in part:
        size = network_size(config, width, height)
        sizes[size] = sizes.get(size, 0) + 1
    return sizes


# ---- the contestants ---------------------------------------------------------------------------

def call(args, *command):
    """A measurement in a process of its own: {"seconds", "peak_mb", "output"}."""
    command = [*shlex.split(args.prefix), sys.executable, __file__, "--timed", *map(str, command)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def timed(command):
    start = time.perf_counter()
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "output": output}))


def run_network(args, part):
    """The seconds that the network alone takes for as many pictures, by the best of sessions x threads."""
    seconds, peak = 0, 0
    for (width, height), count in sizes_of(args.config, part).items():
        found = call(args, args.fathom, "bench", "-m", args.model, "--precision", args.precision, "--size",
                     f"{height}x{width}", "--throughput", "--runs", args.runs, "--no-roofline", "--json")
        rows = json.loads(found["output"])["throughput"]
        seconds += count / max(row["pictures_per_second"] for row in rows)
        peak = max(peak, found["peak_mb"])
    return seconds, peak


def run_batch(args, part):
    out = args.work / "maps"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    found = call(args, args.fathom, "depth", "-q", "-m", args.model, "--precision", args.precision, "-o", out,
                 part[0][0].parent, *args.depth)
    return found["seconds"], found["peak_mb"]


def run_plain(args, part, engine):
    found = call(args, sys.executable, __file__, "--plain", part[0][0].parent, "--work", args.work, "--model",
                 args.model, "--precision", args.precision, "--only", engine)
    inside = json.loads(found["output"])
    args.infer.setdefault(engine, []).append((len(part), inside["infer"]))
    return inside["seconds"], inside["peak_mb"]


# ---- the plain scripts -------------------------------------------------------------------------

def export(model, folder, width, height):
    """The network for one size as OpenVINO has it, from the plain PyTorch of weights/reference.py."""
    path = folder / f"{Path(model).stem}-{height}x{width}.xml"
    if not path.exists():
        import openvino
        import torch
        import reference
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # one size is meant
        config, weights = reference.load_model(model)
        patch = int(config["encoder.patch"])
        grid, table = (height // patch, width // patch), "pretrained.pos_embed"
        weights[table] = reference.position_table(config, weights[table][0], *grid)[None]  # a constant
        config["encoder.grid"] = f"{grid[0]},{grid[1]}"

        class Network(torch.nn.Module):
            def forward(self, image):
                return reference.forward(config, weights, image[0])["head"]
        with torch.inference_mode():
            made = openvino.convert_model(Network().eval(), example_input=torch.rand(1, 3, height, width))
        made.reshape([1, 3, height, width])
        openvino.save_model(made, path, compress_to_fp16=False)
    return path


def openvino_network(args):
    """size -> a function from the normalised picture [1, 3, H, W] to the map [H, W]"""
    import openvino
    core = openvino.Core()
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": args.precision,
             "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0))}

    def at(size):
        compiled = core.compile_model(export(args.model, args.work, *size), "CPU", hints)
        return lambda tensor: compiled({0: tensor})[0].reshape(size[1], size[0])
    return at


def torch_network(args):
    """The same of PyTorch."""
    import torch
    import reference
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[args.precision]
    stored, weights = reference.load_model(args.model)
    table, patch = "pretrained.pos_embed", int(stored["encoder.patch"])
    weights = {name: torch.as_tensor(values).to(kind) for name, values in weights.items()}

    def attention(config, weights, name, x, _):
        """As reference.attention without relative positions."""
        qkv = reference.linear(weights, name + ".qkv", x)
        q, k, v = qkv.reshape(len(x), 3, int(config["encoder.heads"]), -1).permute(1, 2, 0, 3)[:, None]
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)[0]
        return reference.linear(weights, name + ".proj", mixed.transpose(0, 1).reshape(x.shape))
    reference.attention = attention

    def at(size):
        grid = (size[1] // patch, size[0] // patch)
        positions = reference.position_table(stored, weights[table][0].float(), *grid).to(kind)[None]
        config = {**stored, "encoder.grid": f"{grid[0]},{grid[1]}"}

        def forward(tensor):
            with torch.inference_mode():
                image = torch.from_numpy(tensor[0]).to(kind)
                head = reference.forward(config, {**weights, table: positions}, image)["head"]
                return head.float().reshape(size[1], size[0]).numpy()
        return forward
    return at


def plain(args):
    import numpy as np
    from PIL import Image
    names = sorted(path for path in Path(args.plain).iterdir() if path.suffix in (".jpg", ".png"))
    out = args.work / "plain"
    out.mkdir(exist_ok=True)
    network = {"openvino": openvino_network, "torch": torch_network}[args.only[0]](args)
    forward, infer = {}, 0.0
    for name in names:
        with Image.open(name) as image:
            size = network_size(args.config, *image.size)
        if size not in forward:
            forward[size] = network(size)
            forward[size](np.zeros((1, 3, size[1], size[0]), np.float32))
    mean, std = (np.array(args.config[f"input.{key}"].split(","), np.float32) for key in ("mean", "std"))
    start = time.perf_counter()
    for name in names:
        image = Image.open(name).convert("RGB")
        size = network_size(args.config, *image.size)
        small = np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.float32) / 255
        tensor = np.ascontiguousarray(((small - mean) / std).transpose(2, 0, 1)[None])
        before = time.perf_counter()
        depth = forward[size](tensor)
        infer += time.perf_counter() - before
        depth = np.asarray(Image.fromarray(depth).resize(image.size, Image.Resampling.BILINEAR))
        codes = (depth - depth.min()) / max(depth.max() - depth.min(), 1e-12) * 65535
        Image.fromarray(codes.astype(np.uint16)).save(out / (name.stem + ".png"), compress_level=1)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text(encoding="ascii").split()
    print(json.dumps({"seconds": seconds, "infer": infer,
                      "peak_mb": int(status[status.index(PEAK) + 1]) / 1024}))


# ---- all of it ---------------------------------------------------------------------------------

CONTESTANTS = {"network": run_network, "batch": run_batch, "openvino": partial(run_plain, engine="openvino"),
               "torch": partial(run_plain, engine="torch")}


def compete(args, parts):
    """Each round begins with another one. Returns the seconds and the peaks of each."""
    seconds, peaks = {name: [] for name in args.only}, {name: 0 for name in args.only}
    for number, part in enumerate(parts):
        turn = number % len(args.only)
        for name in args.only[turn:] + args.only[:turn]:
            took, peak = CONTESTANTS[name](args, part)
            seconds[name].append(took)
            peaks[name] = max(peaks[name], peak)
        print(f"part {number + 1} of {len(parts)}, {len(part)} pictures: " + ", ".join(
            f"{name} {len(part) / values[-1]:.2f}/s" for name, values in seconds.items()), file=sys.stderr,
            flush=True)
    return seconds, peaks


def report(args, parts, seconds, peaks):
    count = sum(map(len, parts))
    rates = {name: count / sum(values) for name, values in seconds.items()}
    result = {"pictures": count, "precision": args.precision, "model": str(args.model),
              "megapixels": sum(w * h for part in parts for _, w, h in part) / count / 1e6,
              "pictures_per_second": rates, "peak_mb": peaks, "ratios": {}}
    print(f"{count} pictures, {result['megapixels']:.2f} megapixels on average, {args.precision}\n\n"
          "| | pictures a second | peak MB |\n|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.2f} | {peaks[name]:.0f} |")
    for name in ("network", "openvino", "torch"):
        if "batch" in rates and name in rates:
            by_part = sorted(other / ours for ours, other in zip(seconds["batch"], seconds[name]))
            result["ratios"]["batch/" + name] = [rates["batch"] / rates[name], *by_part]
            print(f"\nbatch / {name}: {rates['batch'] / rates[name]:.3f}, by part "
                  + " ".join(f"{ratio:.3f}" for ratio in by_part))
    for engine, parts_of in args.infer.items():
        alone = sum(n for n, _ in parts_of) / sum(took for _, took in parts_of)
        result[f"{engine}_infer_per_second"] = alone
        print(f"\nthe network alone of the {engine} script: {alone:.2f} pictures a second")
    if args.json:
        Path(args.json).write_text(json.dumps(result) + "\n", encoding="ascii")


def read_config(args):
    found = subprocess.run([args.fathom, "info", args.model, "--json"], check=True, stdout=subprocess.PIPE)
    return json.loads(found.stdout)["config"]


def main():
    if sys.argv[1:2] == ["--timed"]:
        return timed(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shared = HERE.parents[1] / "shared"
    parser.add_argument("--model", required=True)
    parser.add_argument("--pictures", nargs="+", default=[shared / "images", shared / "rgbd"])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--parts", type=int, help="only the first of them")
    parser.add_argument("--runs", type=int, default=4, help="of the network alone, for each session")
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--prefix", default="", help="before each measurement, such as a command that waits")
    parser.add_argument("--depth", nargs=argparse.REMAINDER, default=[], help="the rest: options of fathom depth")
    parser.add_argument("--work", type=Path, default=Path("/tmp/fathom-folder"), help="scratch, kept")
    parser.add_argument("--fathom", default=str(HERE.parent / "build" / "tools" / "fathom"))
    parser.add_argument("--json", help="a file for all figures")
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.config, args.infer = read_config(args), {}
    if args.plain:
        return plain(args)
    folder = args.work / f"pictures-{args.count}-{args.rounds}"
    parts = make_pictures(args.pictures, folder, args.count, args.rounds)[:args.parts]
    if "openvino" in args.only:
        for size in {size for part in parts for size in sizes_of(args.config, part)}:
            export(args.model, args.work, *size)
    report(args, parts, *compete(args, parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
