"""What is asked of a machine from outside, by its name."""
import os
import random
import subprocess

from case import SHELL_PROMPT, case, check, check_equal
from console import load_factor

PATIENCE = 60


@case("control-commands", own=True, fast=True)
def commands(context):
    """Listed, reset, ended as if by a power cut."""
    name = f"control-{os.getpid()}-{random.randrange(1 << 30):x}"

    def mynah(*words):
        answer = subprocess.run([str(context.emulator.program), *words], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=PATIENCE * load_factor())
        return answer.returncode, answer.stdout.strip()

    guest = context.boot_to_shell(more=("--name", name))
    check(name in mynah("list")[1], "a running machine is not listed")
    check_equal(mynah("reset", name), (0, ""), "mynah reset")
    guest.expect(r"Linux version ")
    guest.expect(SHELL_PROMPT)
    status, text = mynah("stop", name + "x")
    check_equal(status, 1, "status for a machine that is not there")
    check("did you mean " + name in text, text)
    check_equal(mynah("destroy", name), (0, ""), "mynah destroy")
    check_equal(guest.wait(60), 0, "status after mynah destroy")
    check(name not in mynah("list")[1], "it is still listed")
