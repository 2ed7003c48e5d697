# SPDX-License-Identifier: MIT
"""weights/convert.py on checkpoints of MiDaS whose encoders make pyramids: tiny ones whole, the released sizes by
names and shapes of the authors' state dicts (weights/check_pyramid.py --names)."""
import math
import os
import sys
import unittest

import numpy as np

import support
from support import GOLDEN
from test_convert import Folder
from test_midas import ShapesOnly, released

sys.path.insert(0, support.WEIGHTS)
import architectures  # noqa: E402
import golden_midas  # noqa: E402
import golden_pyramid  # noqa: E402
import midas_levit  # noqa: E402
import midas_next  # noqa: E402
import midas_swin  # noqa: E402

RELEASED = {
    "midas_v21_small_256": ("MiDaS v2.1 small", {
        "input.size": 256, "input.rule": "upper_bound", "input.mean": "0.485,0.456,0.406",
        "encoder.run_blocks": "1,3,3,5,5,6,1,0", "encoder.run_kernels": "3,3,5,3,5,5,3,0",
        "encoder.run_channels": "24,32,48,96,136,232,384,0", "encoder.run_expand": "0,6,6,6,6,6,6,0",
        "encoder.run_taps": "1,2,4,6", "reassemble.channels": "32,48,136,384", "fusion.channels": 64,
        "fusion.expand": 1, "head.align": "edges"}),
    "midas_v21_384": ("MiDaS v2.1 large", {
        "input.size": 384, "input.rule": "upper_bound", "encoder.stem_kernel": 7, "encoder.stem_pool": 1,
        "encoder.groups": 32, "encoder.run_blocks": "3,4,23,3,0,0,0,0", "fusion.skip": "positive",
        "fusion.out_conv": "none", "head.mid_channels": 128, "reassemble.channels": "256,512,1024,2048"}),
    "dpt_swin2_tiny_256": ("Swin2-T-256", {
        "input.size": 256, "input.rule": "stretch", "encoder.stage_windows": "16,16,16,8", "encoder.width": 96,
        "encoder.stage_heads": "3,6,12,24", "encoder.version": "v2", "fusion.channels": 256}),
    "dpt_swin2_base_384": ("Swin2-B-384", {
        "input.size": 384, "encoder.stage_windows": "24,24,24,12", "encoder.stage_blocks": "2,2,18,2"}),
    "dpt_swin2_large_384": ("Swin2-L-384", {"encoder.width": 192, "encoder.stage_heads": "6,12,24,48"}),
    "dpt_swin_large_384": ("Swin-L-384", {
        "encoder.version": "v1", "encoder.stage_windows": "12,12,12,12", "input.size": 384}),
    "dpt_levit_224": ("LeViT-224", {
        "input.size": 224, "encoder.dims": "384,512,768", "encoder.dim_heads": "6,9,12", "encoder.key_dim": 32,
        "encoder.subsample_heads": "12,16", "encoder.dim_blocks": "4,4,1", "encoder.dim_taps": "2,1,1",
        "fusion.levels": 3, "head.transposed": "128,64", "head.channels": 8}),
    "dpt_next_vit_large_384": ("Next-ViT-L-384", {
        "encoder.conv_blocks": "3,4,30,3", "encoder.conv_channels": "96,192,384,768", "encoder.head_dim": 32,
        "encoder.mixed_period": "0,4,5,3", "encoder.mixed_channels": "0,256,512,1024",
        "encoder.mixed_attention": "0,192,384,768", "encoder.conv_hidden": "288,576,1152,2304",
        "encoder.mixed_hidden": "0,512,1024,2048", "input.rule": "minimal"}),
}


class Released(unittest.TestCase):
    def test_all(self):
        for name, (title, lines) in RELEASED.items():
            with self.subTest(name):
                model = released(name)
                self.assertEqual(model.problems, [])
                model.settle()
                self.assertEqual((model.title, model.licence), (title, "MIT"))
                for key, value in lines.items():
                    self.assertEqual(str(model.config[key]), str(value), key)
                used = {part for source in model.sources for part, _ in source.parts}
                self.assertEqual(used | set(model.dropped()), set(model.shapes))

    def test_pretrained_windows(self):
        """What coordinates are divided by is in no tensor."""
        for name, expected in (("dpt_swin2_tiny_256", (0, 0, 0, 0)), ("dpt_swin2_base_384", (12, 12, 12, 6))):
            self.assertEqual(midas_swin.Shape(released(name).shapes).pretrained, expected)


def tiny(name):
    """The checkpoint that a golden was made of, its last layer as in the golden."""
    tensors, _ = golden_pyramid.draw_checkpoint(golden_pyramid.MODELS[name])
    with support.container.Reader(os.path.join(GOLDEN, name + ".fathom")) as file:
        head = "depth_head.scratch.output_conv2.2."
        tensors["scratch.output_conv.4.weight"] = file.tensor(head + "weight").reshape(1, -1, 1, 1)
        tensors["scratch.output_conv.4.bias"] = file.tensor(head + "bias")
    return {key: np.ascontiguousarray(values) for key, values in tensors.items()}


class Whole(Folder):
    def test_tiny_checkpoints_become_the_goldens(self):
        for name in golden_pyramid.MODELS:
            with self.subTest(name):
                config, _ = self.convert(self.save(tiny(name), "x.safetensors"), "--name", name, out=name + ".fathom")
                with (support.container.Reader(self.path(name + ".fathom")) as made,
                      support.container.Reader(os.path.join(GOLDEN, name + ".fathom")) as golden):
                    self.assertEqual(list(made.entries), list(golden.entries))
                    for key, value in golden.config.items():
                        if not key.startswith("model."):
                            self.assertEqual(config[key], value)
                    for tensor in golden.entries:  # exp and sums may round otherwise elsewhere
                        expected = golden.tensor(tensor)
                        limit = 1e-6 * np.abs(expected).max() + 1e-12
                        self.assertLessEqual(np.abs(made.tensor(tensor) - expected).max(), limit, tensor)

    def test_hugging_face_names(self):
        tensors, hub = tiny("tiny_swin2"), {}
        naming = midas_swin.Naming({"neck.x": ()})
        for name, values in tensors.items():
            attn = name.rsplit("attn.", 1)[0].replace("pretrained.model.layers", "backbone.encoder.layers")
            attn += "attention.self."
            if name.endswith("attn.qkv.weight"):
                hub |= {attn + part + ".weight": third
                        for part, third in zip(("query", "key", "value"), np.split(values, 3))}
            elif name.endswith(("q_bias", "v_bias")):
                hub[attn + ("query" if name.endswith("q_bias") else "value") + ".bias"] = values
            elif not name.endswith("attn_mask") and not ("refinenet4" in name and "resConfUnit1" in name):
                hub[naming(name)] = values
        hub = {key: np.ascontiguousarray(values) for key, values in hub.items()}
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            file.write('{"model_type": "dpt", "backbone_config": {"image_size": 32, "window_size": 4}}')
        _, made = self.convert(self.save(hub, "model.safetensors"))
        os.remove(self.path("config.json"))
        _, expected = self.convert(self.save(tensors, "x.safetensors"))
        self.assertEqual(made, expected)
        self.refused(self.save(hub, "model.safetensors"), "config.json tells the size of the windows")


class Parts(unittest.TestCase):
    def test_logit_scale_is_clamped(self):
        made = midas_swin.logit_scale("", "", 3).make(np.float32([2.0, 5.0, math.log(100)]).reshape(3, 1, 1))
        self.assertLess(np.abs(made - [math.exp(2), 100, 100]).max(), 1e-4)

    def test_position_bias_is_turned(self):
        """A checkpoint's row (dy + 1) * 3 + dx + 1 is of query minus key."""
        shapes = {"x.patch_embed": ()}
        shape = midas_swin.Shape(shapes)
        shape.version, shape.windows, shape.heads = "v1", (2,) * 4, (1,) * 4
        made = midas_swin.position_bias("", "", shape, 0).make(np.arange(9, dtype="<f4").reshape(9, 1))
        self.assertEqual(made.tolist(), [[8, 7, 6, 5, 4, 3, 2, 1, 0]])

    def test_rows_by_kind(self):
        rows = midas_levit.by_kind([midas_levit.Source("x", (8,), "same", (), lambda values: values)], 2, (1, 1, 2))
        self.assertEqual(rows[0].make(np.arange(8)).tolist(), [0, 4, 1, 5, 2, 3, 6, 7])

    def test_norms_before_a_layer(self):
        rng = np.random.default_rng(3)
        weight, bias = midas_next.after("x", ("O", "I"), "same", ["l"], ["n", "m"])
        matrix, own = rng.standard_normal((3, 4)).astype("<f4"), rng.standard_normal(3).astype("<f4")
        norms = [rng.standard_normal(4).astype("<f4") if i % 4 < 3 else rng.random(4).astype("<f4") + 0.5
                 for i in range(8)]
        x = rng.standard_normal(4)
        y = x
        for gamma, beta, mean, variance in (norms[:4], norms[4:]):
            y = (y - mean) / np.sqrt(variance + 1e-5) * gamma + beta
        found = weight.make(matrix, *norms) @ x + bias.make(matrix, own, *norms)
        self.assertLess(np.abs(found - (matrix @ y + own)).max(), 1e-5)


class Refused(Folder):
    def test_one_list_of_all_that_is_wrong(self):
        tensors = tiny("tiny_swin2")
        del tensors["pretrained.model.layers.1.blocks.0.attn.v_bias"]
        tensors["scratch.layer2_rn.weight"] = np.zeros((5, 9, 3, 3), "<f4")
        tensors["pretrained.model.layers.0.blocks.0.surprise"] = np.zeros(3, "<f4")
        said = self.refused(self.save(tensors, "x.safetensors"), "1 missing, 1 misshapen, 1 unexpected")
        for line in ("missing: pretrained.model.layers.1.blocks.0.attn.v_bias \\[8\\]",
                     "misshapen: scratch.layer2_rn.weight \\[5, 9, 3, 3\\]", "unexpected: .*surprise"):
            self.assertRegex(said, line)

    def test_mixed_up_sizes(self):
        tensors = tiny("tiny_midas_small")
        tensors["pretrained.layer2.0.1.conv_dw.weight"] = np.zeros((15, 1, 3, 3), "<f4")
        self.refused(self.save(tensors, "x.safetensors"), "conv_dw.weight \\[15, 1, 3, 3\\], expected \\[15, 1, 5, 5\\]")
        levit = tiny("tiny_levit")
        levit["pretrained.model.blocks.10.m.attention_biases"] = np.zeros((2, 9), "<f4")
        self.refused(self.save(levit, "y.safetensors"), "keys of")

    def test_wrong_family(self):
        mixed = {**tiny("tiny_midas_large"), **{name: values for name, values in tiny("tiny_next").items()
                                                if name.startswith("scratch.")}}
        self.refused(self.save(mixed, "x.safetensors"), "not a whole MiDaS v2.1 large model .*unexpected")
        tensors = tiny("tiny_swin")
        self.refused(self.save(tensors, "y.safetensors"), "does not go with a Swin model", "--metric", "nyu")


if __name__ == "__main__":
    unittest.main()
