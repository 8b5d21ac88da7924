"""The test initrd with more of the kernel's modules, and a script /etc/modules-load that loads them."""
from guest import initrd, kernel


def with_modules(context, flavour, modules, files=None):
    """The path of an initrd; `files`: more of them, {path: (bytes, mode)}."""
    chosen = kernel.kernel(flavour)
    order = chosen.module_order(modules)
    files = dict(files or {})
    files.update({f"lib/more/{initrd.module_name(file)}": (kernel.read_module(file), 0o644)
                  for file in order})
    load = "".join(f"insmod /lib/more/{initrd.module_name(file)} 2>/dev/null\n" for file in order)
    files["etc/modules-load"] = (f"#!/bin/sh\n{load}".encode(), 0o755)
    path = context.directory / "initrd"
    path.write_bytes(initrd.initrd(chosen).plain.read_bytes() + initrd.overlay(files))
    return path
