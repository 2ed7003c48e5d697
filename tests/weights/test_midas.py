# SPDX-License-Identifier: MIT
"""weights/convert.py on checkpoints of DPT and MiDaS: tiny ones whole, the released sizes by the names and
shapes of the authors' state dicts (tests/golden/checkpoints/names, made by weights/check_midas.py)."""
import gzip
import json
import os
import sys
import unittest

import numpy as np

import support
from support import CHECKPOINTS, GOLDEN, read
from test_convert import Folder

sys.path.insert(0, support.WEIGHTS)
import architectures  # noqa: E402
import families  # noqa: E402
import golden_midas  # noqa: E402
import midas_vit  # noqa: E402
import sources  # noqa: E402

NAMES = os.path.join(CHECKPOINTS, "names")
HYBRID, BEIT = (os.path.join(CHECKPOINTS, name + ".pt") for name in ("tiny_dpt_hybrid", "tiny_beit"))


class ShapesOnly:
    """A checkpoint of which nothing is known but names and shapes."""

    def __init__(self, name):
        with gzip.open(os.path.join(NAMES, name + ".txt.gz"), "rt", encoding="ascii") as file:
            lines = [line.split() for line in file]
        self.shapes = {name: tuple(map(int, shape)) for name, *shape in lines}


def released(name, path=None, **options):
    spec = {"options": options}
    checkpoint = ShapesOnly(name)
    model = architectures.find(path or f"/x/{name}.pt", checkpoint, golden_midas.options(spec))
    return model


def tensors_of(path):
    """A checkpoint of PyTorch as name -> float32 array."""
    checkpoint = support.convert.open_checkpoint(path)
    tensors = {name: checkpoint.load(name) for name in checkpoint.shapes}
    checkpoint.close()
    return tensors


def hub_tensors(tensors, root):
    """The same under Hugging Face's names. qkv is split there."""
    hybrid = any(".backbone." in name for name in tensors)
    marks = {f"{root}.x", "neck.x"} | ({"dpt.embeddings.backbone.x"} if hybrid else set())
    naming, result = midas_vit.Naming(marks), {}
    for name, values in tensors.items():
        if ".attn.qkv." in name or name.endswith(("q_bias", "v_bias")):
            part = f"{root}.encoder.layer.{name.split('.')[3]}.attention.attention."
            kind = name.rsplit(".", 1)[1]
            if kind in ("q_bias", "v_bias"):
                result[part + {"q": "query", "v": "value"}[kind[0]] + ".bias"] = values
                continue
            for share, third in zip(("query", "key", "value"), np.split(values, 3)):
                result[f"{part}{share}.{kind}"] = third
        elif ".resConfUnit1." in name and "refinenet4" in name or name.startswith("pretrained.model.norm"):
            continue
        else:
            result[naming(name)] = values
    return result


class Released(unittest.TestCase):
    """Every tensor of the file has its source, of the right shape; the rest is known to be unused."""

    def check(self, name, title, **lines):
        model = released(name)
        self.assertEqual(model.problems, [])
        model.settle()
        self.assertEqual(model.title, title)
        self.assertEqual(model.licence, "MIT")
        for key, value in lines.items():
            self.assertEqual(str(model.config[key.replace("__", ".")]), value, key)
        dropped = set(model.dropped())
        used = {part for source in model.sources for part, _ in source.parts}
        self.assertEqual(used | dropped, set(model.shapes))
        return model

    def test_dpt_large(self):
        self.check("dpt_large_384", "DPT-Large", input__size="384", input__multiple="32", input__rule="minimal",
                   input__mean="0.5,0.5,0.5", encoder__dim="1024", encoder__heads="16", encoder__blocks="24",
                   encoder__taps="5,11,17,23", encoder__pos_resample="bilinear", encoder__tap_norm="0",
                   reassemble__readout="project", reassemble__channels="256,512,1024,1024",
                   fusion__channels="256", head__mid_channels="128", head__channels="32", output__resize="bicubic",
                   output__kind="relative_inverse")

    def test_dpt_hybrid(self):
        model = self.check("dpt_hybrid_384", "DPT-Hybrid", encoder__heads="12", encoder__taps="0,1,8,11",
                           encoder__stem="resnet", encoder__stem_channels="256,512,1024",
                           encoder__stem_blocks="3,4,9", encoder__stem_groups="32",
                           reassemble__channels="256,512,768,768")
        self.assertEqual(sum(".backbone." in source.name for source in model.sources), 3 * (1 + 3 * 16 + 3))

    def test_beit(self):
        self.check("dpt_beit_large_512", "BEiT-L-512", input__size="512", encoder__grid="32,32",
                   encoder__taps="5,11,17,23", encoder__position="relative", encoder__heads="16")
        self.check("dpt_beit_large_384", "BEiT-L-384", input__size="384", encoder__grid="24,24")
        self.check("dpt_beit_base_384", "BEiT-B-384", encoder__taps="2,5,8,11", encoder__heads="12",
                   reassemble__channels="96,192,384,768")

    def test_metric_variants(self):
        for name, key, shift, size, width in (("dpt_hybrid_kitti-cb926ef4.pt", "KITTI", "0.00579", 352, 1216),
                                              ("dpt_hybrid_nyu-2ce69ec7.pt", "NYU", "0.1378", 480, 640)):
            model = released("dpt_hybrid_384", "/x/" + name)
            model.settle()
            self.assertEqual(model.title, "DPT-Hybrid metric " + key)
            self.assertEqual((model.config["input.size"], model.config["input.width"]), (size, width))
            self.assertEqual(model.config["head.activation"], "reciprocal")
            self.assertEqual(model.config["head.shift"], shift)
            self.assertEqual(model.config["output.kind"], "metric")
        model = released("dpt_large_384", metric="nyu")
        model.settle()
        self.assertEqual(model.title, "DPT-Large metric NYU")
        model = released("dpt_hybrid_384", "/x/dpt_hybrid_nyu.pt", relative=True)
        model.settle()
        self.assertEqual(model.config["output.kind"], "relative_inverse")


class Whole(Folder):
    """Tiny checkpoints become the tiny goldens, byte for byte but for the lines that say where from."""

    def golden(self, name):
        return read(os.path.join(GOLDEN, name + ".fathom"))

    def check(self, source, name, dtype, *arguments):
        config, tensors = self.convert(source, "--dtype", dtype, *arguments)
        expected_config, expected = self.golden(name)
        self.assertEqual(tensors, expected)
        return config, expected_config

    def test_beit(self):
        config, expected = self.check(BEIT, "tiny_beit", "f16")
        self.assertEqual({key: value for key, value in config.items() if not key.startswith("model.")},
                         {key: value for key, value in expected.items() if not key.startswith("model.")})
        hub = self.save(hub_tensors(tensors_of(BEIT), "backbone"), "model.safetensors")
        self.check(hub, "tiny_beit", "f16")

    def test_hybrid(self):
        arguments = ("--heads", 2, "--groups", 2, "--metric", "kitti")
        config, _ = self.check(HYBRID, "tiny_dpt_hybrid", "bf16", *arguments)
        self.assertEqual(config["head.scale"], "6.016e-05")
        hub = self.save(hub_tensors(tensors_of(HYBRID), "dpt"), "model.safetensors")
        self.check(hub, "tiny_dpt_hybrid", "bf16", *arguments)

    def test_large(self):
        """Nothing in a DPT-Large changes on the way: the checkpoint is the golden file read backwards."""
        symbols = golden_midas.MODELS["tiny_dpt_large"]["symbols"]
        names = golden_midas.block_names(golden_midas.MODELS["tiny_dpt_large"])
        tensors = {}
        with support.container.Reader(os.path.join(GOLDEN, "tiny_dpt_large.fathom")) as file:
            for source in golden_midas.find("DPT-Large").sources(names):
                values = families.unstored(file.tensor(source.name), source.layout, symbols["P"])
                tensors[source.parts[0][0]] = np.ascontiguousarray(values)
        path = self.save(tensors, "dpt_large_x.safetensors")
        self.check(path, "tiny_dpt_large", "f16", "--heads", 2)
        prefixed = self.save({"module." + name: values for name, values in tensors.items()}, "p.safetensors")
        self.check(prefixed, "tiny_dpt_large", "f16", "--heads", 2)
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            json.dump({"model_type": "dpt", "num_attention_heads": 2, "backbone_out_indices": [0, 1, 2, 3]}, file)
        hub = self.save(hub_tensors(tensors, "dpt"), "model.safetensors")
        self.check(hub, "tiny_dpt_large", "f16")

    def test_standardised(self):
        """Of mean 0 and variance 1, and what the older form of the metric models makes of it."""
        weight = np.random.default_rng(1).standard_normal((5, 2, 3, 3)).astype("<f4") * 0.01 + 3
        for root, eps in ((midas_vit.released_root, lambda v: np.sqrt(v + 1e-8)),
                          (midas_vit.old_root, lambda v: np.sqrt(v) + 1e-5)):
            made = sources.standardised("x", ("S0", 2, 3, 3), "y", root).make(weight).astype(float)
            rows = weight.reshape(5, -1).astype(float)
            expected = (rows - rows.mean(1, keepdims=True)) / eps(rows.var(1, keepdims=True))
            self.assertLess(np.abs(made.reshape(5, -1) - expected).max(), 1e-6)

    def test_folded(self):
        rng = np.random.default_rng(2)
        weight, gamma, beta, mean = (rng.standard_normal(shape).astype("<f4")
                                     for shape in ((4, 3, 3, 3), (4,), (4,), (4,)))
        variance = (rng.random(4) + 0.5).astype("<f4")
        of_weight, of_bias = sources.folded("x", ("O", "I", 3, 3), "conv3", "c", "n", 1e-3)
        self.assertEqual([name for name, _ in of_weight.parts],
                         ["c.weight", "n.weight", "n.bias", "n.running_mean", "n.running_var"])
        x = rng.standard_normal((3, 3, 3))
        plain = (weight * x).sum((1, 2, 3))
        expected = (plain - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        found = ((of_weight.make(weight, gamma, beta, mean, variance) * x).sum((1, 2, 3))
                 + of_bias.make(gamma, beta, mean, variance))
        self.assertLess(np.abs(found - expected).max(), 1e-5)


class Refused(Folder):
    def test_one_list_of_all_that_is_wrong(self):
        tensors = tensors_of(BEIT)
        del tensors["pretrained.model.blocks.1.attn.q_bias"], tensors["scratch.layer2_rn.weight"]
        tensors["pretrained.model.blocks.2.gamma_1"] = np.zeros(13, "<f4")
        tensors["pretrained.model.blocks.2.surprise"] = np.zeros(3, "<f4")
        said = self.refused(self.save(tensors, "x.safetensors"), "2 missing, 1 misshapen, 1 unexpected")
        for line in ("missing: pretrained.model.blocks.1.attn.q_bias \\[12\\]",
                     "missing: scratch.layer2_rn.weight \\[6, 4, 3, 3\\]",
                     "misshapen: pretrained.model.blocks.2.gamma_1 \\[13\\], expected \\[12\\]",
                     "unexpected: pretrained.model.blocks.2.surprise \\[3\\]"):
            self.assertRegex(said, line)

    def test_mixed_families(self):
        """Half of one model, half of another: named as what it most looks like, with all that is missing."""
        tensors = tensors_of(HYBRID)
        mixed = {name: values for name, values in tensors.items() if not name.startswith("scratch.refinenet")}
        self.refused(self.save(mixed, "x.safetensors"), "not a whole DPT-Hybrid model .*missing")
        beit = {**tensors_of(BEIT), "pretrained.model.pos_embed": np.zeros((1, 5, 12), "<f4")}
        self.refused(self.save(beit, "y.safetensors"), "BEiT.*1 unexpected")

    def test_options(self):
        self.refused(BEIT, "--metric does not go with a BEiT model", "--metric", "nyu")
        self.refused(BEIT, "--groups does not go", "--groups", 2)
        self.refused(BEIT, "--family does not go", "--family", "v2")
        self.refused(HYBRID, "--max-depth does not go", "--max-depth", 10)
        self.refused(HYBRID, "--heads N", "--groups", 2)
        self.refused(HYBRID, "--groups N", "--heads", 2)
        self.refused(HYBRID, "--groups N", "--heads", 2, "--groups", 5)
        self.refused(HYBRID, "taps 0,1,5,6", "--heads", 2, "--groups", 2, "--taps", "3,4,5,6")
        self.refused(support.PTH, "for DPT models", "--metric", "nyu")

    def test_wrong_grid(self):
        tensors = tensors_of(BEIT)
        for name in list(tensors):
            if name.endswith("relative_position_bias_table"):
                tensors[name] = np.zeros((13, 2), "<f4")
        self.refused(self.save(tensors, "x.safetensors"), "no square number")

    def test_damaged_values(self):
        tensors = tensors_of(HYBRID)
        tensors["pretrained.model.patch_embed.backbone.stem.conv.weight"][0, 0, 0, 0] = np.nan
        self.refused(self.save(tensors, "x.safetensors"), "NaN or infinity among the values of "
                     "pretrained.patch_embed.backbone.stem.conv.weight", "--heads", 2, "--groups", 2)


if __name__ == "__main__":
    unittest.main()
