"""What the translator aims at, each against the peer or the host in the same run."""
import dataclasses
import re


@dataclasses.dataclass
class Goal:
    name: str
    bound: float
    value: object             # of Results; None if it was not measured
    at_most: bool = False     # otherwise at least


def gain(pattern):
    """The geometric mean of the gains over the peer."""
    return lambda results: results.mean(_matching(results, pattern), results.gain)


def least_gain(pattern):
    return lambda results: min((value for metric in _matching(results, pattern)
                                if (value := results.gain(metric)) is not None), default=None)


def share(pattern):
    """The geometric mean of the shares of native speed."""
    return lambda results: results.mean(_matching(results, pattern),
                                        lambda metric: results.share(metric, results.first))


def least_share(pattern):
    return lambda results: min((value for metric in _matching(results, pattern)
                                if (value := results.share(metric, results.first)) is not None),
                               default=None)


def boot(metric):
    return lambda results: results.ratio(metric, results.first, "qemu tcg")


def memory(results):
    kib = results.memory.get(results.first)
    return None if kib is None else kib / 1024


def _matching(results, pattern):
    return [metric for metric in results.metrics() if re.search(pattern, metric)]


_VECTORS = (r"compute/(matrix|SSE|AVX2|FMA|bodies|string|AES|SHA-256 by)")
_INTEGER = r"compute/(integer core|quicksort|qsort|calls|bytecode|indirect)"

GOALS = (
    Goal("boot from the stock bzImage, time over qemu's: later boots", 0.25,
         boot("boot/bzImage, later"), at_most=True),
    Goal("boot from the stock bzImage, time over qemu's: the first boot", 0.25,
         boot("boot/bzImage, the first time"), at_most=True),
    Goal("boot from the unpacked ELF file, time over qemu's", 0.6,
         boot("boot/unpacked ELF file by PVH"), at_most=True),
    Goal("compute, times qemu's speed", 5, gain("^compute/")),
    Goal("kernel, times qemu's speed", 3, gain("^kernel/")),
    Goal("applications, times qemu's speed", 6, gain("^applications/")),
    Goal("self-modifying code, times qemu's speed", 8, gain("^compute/self-modifying")),
    Goal("context switches between processes, times qemu's speed", 6, gain("^kernel/pipe")),
    Goal("floating point, vectors, strings, AES, SHA: least of them, times qemu's speed", 20,
         least_gain(_VECTORS)),
    Goal("floating point, vectors, strings, AES, SHA: geometric mean", 20, gain(_VECTORS)),
    Goal("integer core, sort, calls, interpreters: least of them, times qemu's speed", 2.5,
         least_gain(_INTEGER)),
    Goal("integer core, sort, calls, interpreters: geometric mean", 2.5, gain(_INTEGER)),
    Goal("compute, share of native speed", 0.55, share("^compute/")),
    Goal("vector arithmetic in cache: least of them, share of native speed", 0.8,
         least_share(r"compute/(matrix|SSE|AVX2|FMA)")),
    Goal("two threads' throughput over one's", 1.8,
         lambda results: results.scaling(results.first)),
    Goal("contended atomics, share of native speed", 0.5, share("^smp/contended")),
    Goal("wake-ups across processors, share of native speed", 0.5, share("^smp/wake-ups")),
    Goal("memory beyond the guest's, MiB", 64, memory, at_most=True),
)
