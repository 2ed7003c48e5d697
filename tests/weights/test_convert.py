# SPDX-License-Identifier: MIT
"""weights/convert.py: every kind of checkpoint gives the same file, and bad ones a clear sentence."""
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np

import support
from support import HUB, PTH, TRANSFORMERS5, StridedTensor, read, run, strided


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def convert(self, source, *arguments, out="out.fathom"):
        """(config, tensors); fails the test if the conversion failed."""
        status, said = run(source, "-o", self.path(out), *arguments)
        self.assertEqual(status, 0, said)
        return read(self.path(out))

    def refused(self, source, pattern, *arguments):
        """The conversion must fail with one message of this pattern, and leave nothing behind."""
        before = sorted(os.listdir(self.folder))
        status, said = run(source, "-o", self.path("refused.fathom"), "--quiet", *arguments)
        self.assertEqual(status, 1, said)
        self.assertRegex(said, pattern)
        self.assertNotIn("Traceback", said)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        return said

    def copy(self, source, name):
        shutil.copy(source, self.path(name))
        return self.path(name)

    def save(self, tensors, name="depth_anything_v2_x.safetensors"):
        support.save_safetensors(self.path(name), tensors)
        return self.path(name)


class Sources(Folder):
    def test_three_kinds_of_checkpoint_give_the_same(self):
        config, tensors = self.convert(PTH, "--heads", 2)
        for source in (HUB, TRANSFORMERS5):
            other_config, other = self.convert(source, "--family", "v2")
            self.assertEqual(other, tensors)
            self.assertEqual({key: value for key, value in other_config.items()
                              if not key.startswith("model.")},
                             {key: value for key, value in config.items()
                              if not key.startswith("model.")})

    def test_layouts(self):
        source, (_, tensors) = support.read_safetensors(HUB), self.convert(PTH, "--heads", 2)

        def stored(name):
            shape, dtype, raw = tensors[name]
            self.assertEqual(dtype, "f32")
            return np.frombuffer(raw, "<f4").reshape(shape)

        query, key, value = (source[f"backbone.encoder.layer.1.attention.attention.{part}.weight"]
                             for part in ("query", "key", "value"))
        qkv = stored("pretrained.blocks.1.attn.qkv.weight")
        for row in range(8):
            self.assertTrue((qkv[row] == query[row]).all() and (qkv[8 + row] == key[row]).all()
                            and (qkv[16 + row] == value[row]).all())
        kernel = source["neck.reassemble_stage.layers.0.resize.weight"]  # [in, out, 4, 4]
        self.assertEqual(stored("depth_head.resize_layers.0.weight")[1, 2, 3, 0], kernel[0, 3, 1, 2])
        kernel = source["neck.fusion_stage.layers.3.residual_layer1.convolution2.weight"]
        name = "depth_head.scratch.refinenet1.resConfUnit1.conv2.weight"
        self.assertEqual(stored(name)[3, 0, 2, 1], kernel[3, 1, 0, 2])
        kernel = source["backbone.embeddings.patch_embeddings.projection.weight"]
        patch = stored("pretrained.patch_embed.proj.weight")
        self.assertEqual(patch[5, 2 * 16 + 3 * 4 + 1], kernel[5, 2, 3, 1])
        self.assertEqual(stored("pretrained.pos_embed").shape, (10, 8))
        self.assertEqual(stored("pretrained.cls_token").shape, (8,))
        self.assertEqual(stored("depth_head.scratch.output_conv2.2.weight").shape, (1, 32))

    def test_unused_tensors_are_dropped_and_not_missed(self):
        _, tensors = self.convert(PTH, "--heads", 2)
        unused = [name for name in support.official_tensors() if name not in tensors]
        self.assertEqual(len(unused), 5)
        kept = {name: values for name, values in support.official_tensors().items()
                if name not in unused}
        self.assertEqual(self.convert(self.save(kept), "--heads", 2)[1], tensors)

    def test_types(self):
        full = self.convert(PTH, "--heads", 2)[1]
        for dtype, kind in (("f16", "<f2"), ("bf16", "<u2")):
            _, tensors = self.convert(PTH, "--heads", 2, "--dtype", dtype)
            for name, (shape, stored, raw) in tensors.items():
                vector = len(shape) == 1 or name.endswith(("cls_token", "pos_embed"))
                self.assertEqual(stored, "f32" if vector else dtype, name)
                values = np.frombuffer(full[name][2], "<f4")
                if vector:
                    self.assertEqual(raw, full[name][2])
                elif dtype == "f16":
                    self.assertEqual(raw, values.astype(kind).tobytes())
                else:
                    nearest = np.abs(values - (np.frombuffer(raw, kind).astype("<u4") << 16).view("<f4"))
                    self.assertLessEqual(nearest.max(), np.abs(values).max() / 256)

    def test_stored_types_of_safetensors(self):
        tensors = support.official_tensors()
        expected = self.convert(PTH, "--heads", 2)[1]  # its values are exact in f16
        half = self.save({name: values.astype("<f2") for name, values in tensors.items()})
        self.assertEqual(self.convert(half, "--heads", 2)[1], expected)
        name = "pretrained.norm.bias"
        bits = (tensors[name].view("<u4") >> 16).astype("<u2")
        support.save_safetensors(self.path("depth_anything_v2_b.safetensors"),
                                 {**tensors, name: bits}, {name: "BF16"})
        _, found = self.convert(self.path("depth_anything_v2_b.safetensors"), "--heads", 2)
        self.assertEqual(found[name][2], (bits.astype("<u4") << 16).tobytes())

    def test_training_checkpoint_with_strides_and_prefixes(self):
        tree = {}
        for name, values in support.official_tensors().items():
            tree["module." + name] = strided(values)
        name = "module.pretrained.blocks.0.mlp.fc1.weight"
        values = support.official_tensors()[name.removeprefix("module.")]
        padded = np.concatenate([np.float32([9, 9, 9]), values.T.ravel()])  # a transposed view
        tree[name] = StridedTensor(padded, values.shape, (1, values.shape[0]), 3)
        name = "module.pretrained.norm.bias"
        values = support.official_tensors()[name.removeprefix("module.")]
        tree[name] = StridedTensor(values.astype("<f2"), values.shape, (1,), 0, "HalfStorage")
        support.save_pth(self.path("depth_anything_v2_y.pth"), {"epoch": 3, "model": tree})
        self.assertEqual(self.convert(self.path("depth_anything_v2_y.pth"), "--heads", 2)[1],
                         self.convert(PTH, "--heads", 2)[1])

    def test_names_of_giant(self):
        name = "pretrained.blocks.3.mlp.w12.bias"
        layer = "backbone.encoder.layer.3.mlp."
        families = support.convert.families
        self.assertEqual(families.source_names(name, "hub"), [layer + "weights_in.bias"])
        self.assertEqual(families.source_names(name, "transformers5"),
                         [layer + "gate_proj.bias", layer + "up_proj.bias"])

    def test_sizes_of_the_published_models(self):
        """Number of values, from the sizes table alone; the published counts include the unused."""
        families = support.convert.families
        for key, count in (("vits", 24_785_089), ("vitb", 97_470_785), ("vitl", 335_315_649),
                           ("vitg", 1_258_132_225)):
            size = families.SIZES[key]
            dim, fusion = size["dim"], size["fusion"]
            hidden = 4 * dim if size["ffn"] == "mlp" else 4096
            values = {"D": dim, "M": hidden, "P": 14, "T": 1370, "F": fusion, "G": fusion // 2, "H": 32}
            values.update({f"C{k}": channels for k, channels in enumerate(size["channels"])})
            rows = families.schema(size["blocks"], size["ffn"], True)
            total = sum(np.prod(families.actual_shape(row.shape, values)) for row in rows)
            self.assertEqual(total + dim + 2 * (9 * fusion * fusion + fusion), count)


class Recognition(Folder):
    def test_asks_for_the_family(self):
        source = self.copy(PTH, "weights.pth")
        said = self.refused(source, "--family v1 or --family v2", "--heads", 2)
        self.assertIn("--metric indoor", said)
        for family, resize in (("v1", "bilinear"), ("v2", "bilinear_corners")):
            config, _ = self.convert(source, "--heads", 2, "--family", family)
            self.assertEqual(config["output.resize"], resize)

    def test_name_of_the_release(self):
        for name, expected in (
                ("depth_anything_small.pth", ("bilinear", "relu", "relative_inverse", "1")),
                ("Depth-Anything-V2-x.pth", ("bilinear_corners", "relu", "relative_inverse", "1")),
                ("depth_anything_v2_metric_hypersim_x.pth", ("bilinear_corners", "sigmoid", "metric", "20")),
                ("depth_anything_v2_metric_vkitti_x.pth", ("bilinear_corners", "sigmoid", "metric", "80"))):
            config, _ = self.convert(self.copy(PTH, name), "--heads", 2)
            self.assertEqual(tuple(config[key] for key in ("output.resize", "head.activation",
                                                           "output.kind", "output.max_depth")), expected)

    def test_asks_for_the_range(self):
        source = self.copy(PTH, "depth_anything_v2_metric_x.pth")
        self.refused(source, "--metric outdoor", "--heads", 2)
        config, _ = self.convert(source, "--heads", 2, "--max-depth", 33.5)
        self.assertEqual(config["output.max_depth"], "33.5")
        config, _ = self.convert(source, "--heads", 2, "--relative")
        self.assertEqual(config["output.kind"], "relative_inverse")

    def test_asks_for_heads_and_taps(self):
        self.refused(PTH, "--heads N")
        self.refused(PTH, "--heads N", "--heads", 3)
        self.refused(PTH, "--taps", "--heads", 2, "--taps", "0,2,1,3")
        self.refused(PTH, "--taps", "--heads", 2, "--taps", "0,1,2,4")

    def test_hub_config(self):
        with open(os.path.join(os.path.dirname(HUB), "config.json"), encoding="utf-8") as file:
            hub = json.load(file)
        source = self.copy(HUB, "model.safetensors")
        hub.update(depth_estimation_type="metric", max_depth=80)
        hub["backbone_config"].update(num_attention_heads=4)
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            json.dump(hub, file)
        config, _ = self.convert(source, "--family", "v2")
        self.assertEqual((config["head.activation"], config["output.max_depth"],
                          config["encoder.heads"]), ("sigmoid", "80", "4"))
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            file.write("{")
        self.refused(source, "config.json", "--family", "v2")

    def test_taps_of_hub_config_tell_the_family_or_nothing(self):
        recognise = support.recognise
        options = support.convert.parse_arguments(["in", "-o", "out"])
        for taps, family in (([3, 6, 9, 12], "v2"), ([9, 10, 11, 12], "v1"), ([1, 2, 3, 4], None)):
            found = object.__new__(recognise.Recognised)
            found.key, found.evidence, found.max_depth = "vits", [], None
            zero_based = recognise.hub_taps({"backbone_config": {"out_indices": taps}})
            names = [f"stage{tap}" for tap in taps]
            self.assertEqual(recognise.hub_taps({"backbone_config": {"out_features": names}}), zero_based)
            if family:
                self.assertEqual(found.find_family(options, None, zero_based, 12), family)
            else:
                with self.assertRaises(recognise.CheckpointError):
                    found.find_family(options, None, zero_based, 12)
        self.refused(HUB, "--family v1")  # four blocks, all of them read: either family

    def test_options_are_recorded(self):
        config, _ = self.convert(PTH, "--heads", 2, "--pos-offset", 0, "--name", "n", "--licence", "l")
        self.assertEqual((config["encoder.pos_offset"], config["model.name"], config["model.licence"]),
                         ("0", "n", "l"))
        self.assertEqual(config["model.source"], "depth_anything_v2_tiny.pth")
        self.assertEqual(config["model.source_sha256"], support.convert.file_sha256(PTH))
        self.assertEqual(self.convert(PTH, "--heads", 2)[0]["model.licence"], "unknown, see the source")


class Refusals(Folder):
    def test_all_problems_at_once(self):
        tensors = support.official_tensors()
        del tensors["pretrained.blocks.2.attn.qkv.bias"]
        del tensors["depth_head.projects.1.weight"]
        tensors["extra.thing"] = np.zeros((2, 3), "<f4")
        tensors["pretrained.norm.weight"] = np.zeros(7, "<f4")
        said = self.refused(self.save(tensors), "2 missing, 1 misshapen, 1 unexpected", "--heads", 2)
        for line in (r"missing: pretrained.blocks.2.attn.qkv.bias [24]",
                     r"missing: depth_head.projects.1.weight [5, 8, 1, 1]",
                     r"misshapen: pretrained.norm.weight [7], expected [8]",
                     r"unexpected: extra.thing [2, 3]"):
            self.assertIn(line, said)

    def test_missing_part_of_a_hub_checkpoint(self):
        tensors = dict(support.read_safetensors(HUB))
        name = "backbone.encoder.layer.0.attention.attention.key.weight"
        del tensors[name]
        self.refused(self.save(tensors), "missing: " + name)

    def test_not_finite(self):
        tensors = support.official_tensors()
        for name, value in (("pretrained.norm.weight", np.nan), ("pretrained.cls_token", np.inf)):
            tensors[name] = tensors[name].copy()
            tensors[name].flat[3] = value
        self.refused(self.save(tensors), "pretrained.cls_token, pretrained.norm.weight", "--heads", 2)

    def test_too_large_for_f16(self):
        tensors = support.official_tensors()
        name = "depth_head.projects.1.weight"
        tensors[name] = tensors[name] + 1e5
        self.refused(self.save(tensors), name, "--heads", 2, "--dtype", "f16")

    def test_malicious_pickles_are_not_run(self):
        marker = self.path("marker")

        def reduce_to(function, *arguments):
            return type("Bad", (), {"__reduce__": lambda self: (function, arguments)})()

        for bad in (reduce_to(os.system, f"touch {marker}"),
                    reduce_to(eval, f"open({marker!r}, 'w')"),
                    reduce_to(getattr, "text", "upper"),
                    {"pretrained.cls_token": reduce_to(os.mkdir, marker)}):
            path = self.path("depth_anything_v2_bad.pth")
            support.save_zip(path, pickle.dumps(bad, protocol=2))
            self.refused(path, "does not need; it was not run")
            self.assertFalse(os.path.exists(marker))
        # ... and would have run in the ordinary unpickler: the test is worth something
        support.save_zip(path, pickle.dumps(reduce_to(os.mkdir, marker), protocol=2))
        pickle.loads(pickle.dumps(reduce_to(os.mkdir, marker), protocol=2))
        self.assertTrue(os.path.exists(marker))

    def test_tensor_outside_its_storage(self):
        tree = {name: strided(values) for name, values in support.official_tensors().items()}
        name = "pretrained.norm.bias"
        tree[name] = StridedTensor(np.zeros(8, "<f4"), (8,), (2,))
        support.save_pth(self.path("depth_anything_v2_z.pth"), tree)
        self.refused(self.path("depth_anything_v2_z.pth"), "outside", "--heads", 2)

    def test_truncated(self):
        for source in (PTH, HUB):
            with open(source, "rb") as file:
                whole = file.read()
            path = self.path("depth_anything_v2_cut.bin")
            for size in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
                with open(path, "wb") as file:
                    file.write(whole[:size])
                self.refused(path, "download it again", "--heads", 2)

    def test_other_files(self):
        for content, pattern in ((b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "old format"),
                                 (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
                                 (b"hello, this is text" * 9, "neither")):
            with open(self.path("in.pth"), "wb") as file:
                file.write(content)
            self.refused(self.path("in.pth"), pattern)
        support.save_zip(self.path("in.pth"), pickle.dumps([1, 2]))
        self.refused(self.path("in.pth"), "no mapping")
        self.refused(self.save({"resnet.conv.weight": np.zeros(3, "<f4")}), "no Depth Anything tensors")
        self.refused(self.path("absent.pth"), "No such file")

    def test_input_is_output(self):
        source = self.copy(PTH, "depth_anything_v2_tiny.pth")
        os.symlink(source, self.path("link.fathom"))
        with open(source, "rb") as file:
            before = file.read()
        for out in (source, self.path("link.fathom")):
            status, said = run(source, "-o", out, "--heads", 2)
            self.assertEqual(status, 1)
            self.assertIn("same file", said)
        with open(source, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_unwritable_output(self):
        os.mkdir(self.path("folder"))
        for out in (self.path("absent/out.fathom"), self.path("folder")):
            status, said = run(PTH, "-o", out, "--heads", 2, "--quiet")
            self.assertEqual(status, 1)
            self.assertEqual(len(said.strip().splitlines()), 1)
        self.assertEqual(os.listdir(self.folder), ["folder"])

    def test_as_a_program(self):
        script = os.path.join(support.WEIGHTS, "convert.py")
        done = subprocess.run([sys.executable, script, PTH, "-o", self.path("o.fathom"), "--heads", "2"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("recognised: Depth Anything V2 (custom size)", done.stderr)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
