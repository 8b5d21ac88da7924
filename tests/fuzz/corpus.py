"""Kept inputs of fuzz targets: one text file a target, one input a line, in base64.

Inputs that each reach code which no other reaches; scripts/fuzz finds them, scripts/test replays
them and fuzzes on from them.
"""
import base64
import hashlib
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent


def unpack(target, directory):
    """Writes the inputs of `target` into a new directory, a file each; how many there were."""
    directory.mkdir(parents=True)
    source = FOLDER / f"{target}.txt"
    lines = source.read_text().split() if source.exists() else []
    for line in lines:
        data = base64.b64decode(line, validate=True)
        (directory / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return len(lines)


def keep(target, directory, most_inputs, most_bytes):
    """Keeps inputs of a directory, small and large ones alike, in a stable order; how many."""
    inputs = sorted((path.read_bytes() for path in directory.iterdir()), key=lambda x: (len(x), x))
    step = max(1, len(inputs) / most_inputs)
    chosen = [inputs[int(i * step)] for i in range(min(most_inputs, len(inputs)))]
    while sum(map(len, chosen)) > most_bytes:
        chosen.pop(len(chosen) // 2 if len(chosen) > 2 else -1)
    text = "\n".join(base64.b64encode(data).decode() for data in chosen)
    (FOLDER / f"{target}.txt").write_text(text + "\n")
    return len(chosen)
