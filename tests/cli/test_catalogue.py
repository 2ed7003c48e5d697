# SPDX-License-Identifier: MIT
"""fathom models."""
from harness import expect, fathom


def test_list():
    text = fathom("models").quiet().out.decode()
    for word in ("depth_anything_v2_small", "midas_v21_small_256", "dpt_levit_224", "CC-BY-NC-4.0", "fetch_model.py"):
        expect(word in text, word)
    lines = fathom("models", "--json").lines()
    expect(len(lines) == len({line["name"] for line in lines}) > 20, len(lines))
    for line in lines:
        expect(all(line[key] for key in ("title", "input", "values", "licence", "good_for")), line)
        expect(line["url"].startswith("https://") and line["parameters_millions"] > 0, line)


def test_one():
    text = fathom("models", "dpt_hybrid_nyu").quiet().out.decode()
    for word in ("DPT-Hybrid metric NYU", "640 x 480", "metres", "begins with 2ce69ec7", "MIT",
                 "python3 tools/fetch_model.py dpt_hybrid_nyu",
                 "python3 weights/convert.py dpt_hybrid_nyu-2ce69ec7.pt -o dpt_hybrid_nyu.fathom"):
        expect(word in text, word)
    line, = fathom("models", "dpt_levit_224", "--json").lines()
    expect(line["sha256"] is None and line["input"].startswith("224 x 224"), line)


def test_refusals():
    fathom("models", "dpt_swin2_tiny", code=1).says("did you mean", "dpt_swin2_tiny_256")
    fathom("models", "zzzzzzzzzzzzz", code=1).says("lists all")
    fathom("models", "a", "b", code=1).says("2 were given")
