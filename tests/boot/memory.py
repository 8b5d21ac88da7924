"""What a process keeps in memory besides the memory of its guest."""
import re


def mappings(text):
    """[{"permissions", "name", "size", "rss", "pss"}] of a /proc/PID/smaps, in KiB."""
    found = []
    for line in text.splitlines():
        if match := re.match(r"[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \S+\s*(.*)$", line):
            found.append({"permissions": match[1], "name": match[2], "size": 0, "rss": 0, "pss": 0})
        elif match := re.match(r"(Size|Rss|Pss):\s+(\d+) kB$", line):
            found[-1][match[1].lower()] = int(match[2])
    return found


def resident(mapping):
    """Code memory is one piece of shared memory mapped twice, whose pages must count once: their
    proportional share does that, since nobody else maps them. Without a file it is /dev/zero."""
    shared = mapping["name"].startswith(("/memfd:", "/dev/zero"))
    return mapping["pss" if shared else "rss"]


def beyond_guest(process, emulator, guest_kib):
    """KiB resident outside the guest's memory."""
    with open(f"/proc/{process}/smaps", encoding="utf-8", errors="replace") as handle:
        return beyond_guest_of(mappings(handle.read()), emulator, guest_kib)


def beyond_guest_of(found, emulator, guest_kib):
    """The same of its mappings. The guest's memory is a memory file in Mynah, in QEMU the one
    private mapping of just that size."""
    if emulator == "mynah":
        own = [each for each in found if not each["name"].startswith("/memfd:guest-memory")]
    else:
        ram = next((each for each in found if each["size"] == guest_kib and not each["name"]
                    and each["permissions"].startswith("rw-")), None)
        own = [each for each in found if each is not ram]
    return sum(map(resident, own))
