# SPDX-License-Identifier: MIT
"""The networks beside Depth Anything that convert.py knows: each a row of an ARCHITECTURES list in a
module of its own, and what all of them share.

An Architecture has
    title      what it is called where a checkpoint does not fit
    matches    is it one, by the names of its tensors?
    sources    names -> the Sources of all tensors of the file, in the order of the data
    unused     a pattern of names that are dropped
    settle     a function of a Model that fills in its title, config lines and evidence
"""
import re
from collections import namedtuple

import families
import sources
from pickle_reader import CheckpointError

Architecture = namedtuple("Architecture", "title matches sources unused settle")


def known():
    """All of them; a checkpoint is taken for the first that matches."""
    import midas_conv
    import midas_levit
    import midas_next
    import midas_swin
    import midas_vit
    return midas_swin.ARCHITECTURES + midas_levit.ARCHITECTURES + midas_next.ARCHITECTURES + midas_conv.ARCHITECTURES + midas_vit.ARCHITECTURES


class Model:
    """A checkpoint of one of these architectures.

    sizes: symbol -> number. config: lines from input.size on; title, family, licence, published (is it a
    released model, by its sizes?) and evidence: filled in by settle."""

    def __init__(self, architecture, path, checkpoint, options):
        self.architecture, self.path, self.options = architecture, path, options
        self.checkpoint = checkpoint
        self.prefix = common_prefix(checkpoint.shapes)
        self.shapes = {name[len(self.prefix):]: shape for name, shape in checkpoint.shapes.items()}
        self.sources = architecture.sources(self.shapes)
        self.unused = re.compile(architecture.unused)
        parts = [part for source in self.sources for part in source.parts]
        self.sizes = families.solve_symbols([(shape, self.shapes[name]) for name, shape in parts
                                             if name in self.shapes])
        self.problems = sources.problem_lines(parts, self.shapes, self.sizes, self.unused.fullmatch)
        self.by_name, self.config, self.title, self.family, self.licence, self.evidence = {}, {}, None, None, None, []

    def settle(self):
        """After this the sources do not change."""
        self.architecture.settle(self)
        self.by_name = {source.name: source for source in self.sources}

    def dropped(self):
        return sorted(name for name in self.shapes if self.unused.fullmatch(name))

    def rows(self):
        return sources.rows_of(self.sources, self.sizes)

    def load(self, row):
        """In the layout of a checkpoint, float32."""
        source = self.by_name[row.name]
        values = [self.checkpoint.load(self.prefix + name) for name, _ in source.parts]
        return source.make(*values) if source.make else values[0]


def common_prefix(shapes):
    return "module." if shapes and all(name.startswith("module.") for name in shapes) else ""


def find(path, checkpoint, options):
    """The Model of a checkpoint, or None if no architecture here has such names."""
    prefix = common_prefix(checkpoint.shapes)
    names = {name[len(prefix):] for name in checkpoint.shapes}
    for architecture in known():
        if architecture.matches(names):
            return Model(architecture, path, checkpoint, options)
    return None


def any_starts(names, *prefixes):
    return any(name.startswith(prefixes) for name in names)


def count(names, pattern):
    """One more than the largest number that the pattern's group finds; 0 for none."""
    found = [int(match[1]) for match in map(re.compile(pattern).match, names) if match]
    return max(found, default=-1) + 1


def refuse_options(model, *allowed):
    """Options of Depth Anything that mean nothing here. allowed: of metric, max_depth, ..."""
    options = vars(model.options)
    for name in ("family", "metric", "max_depth", "heads", "taps", "groups"):
        if options.get(name) is not None and name not in allowed:
            raise CheckpointError(f"--{name.replace('_', '-')} does not go with {model.architecture.title}; "
                                  "leave it out")
