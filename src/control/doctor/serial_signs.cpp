#include "control/doctor/serial_signs.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace mynah {
namespace {

// Lines without colours and other control sequences [ECMA-48], as a guest may send them.
std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines(1);
    for (size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        constexpr unsigned char kEscape = 0x1b, kFirstPrintable = 0x20, kDelete = 0x7f;
        if (c == '\n') {
            lines.emplace_back();
        } else if (c == kEscape && i + 1 < text.size() && text[i + 1] == '[') {
            for (i += 2; i < text.size() && (text[i] < '@' || text[i] > '~');) ++i;
        } else if ((c >= kFirstPrintable && c < kDelete) || c == '\t') {
            lines.back() += static_cast<char>(c);
        }
    }
    std::erase_if(lines, [](const std::string& line) { return line.empty(); });
    return lines;
}

struct Sign {
    std::string_view mark, cause, text;
};

// The words of Linux [kernel/panic.c, arch/x86/kernel/dumpstack.c, arch/x86/mm/fault.c] and of what
// asks for an address (dhclient, klibc's ipconfig, busybox udhcpc, systemd-networkd, iPXE).
constexpr std::array kSigns{
    Sign{"VFS: Unable to mount root fs", "no-root", "the kernel found no root file system"},
    Sign{"Kernel panic - not syncing", "guest-panic", "the guest's kernel panicked"},
    Sign{"BUG: unable to handle", "guest-oops", "the guest's kernel made a bad access (oops)"},
    Sign{"Oops:", "guest-oops", "the guest's kernel met an exception of its own (oops)"},
    Sign{"general protection fault", "guest-oops", "the guest met a general protection fault"},
    Sign{"kernel BUG at", "guest-oops", "the guest's kernel found itself wrong (BUG)"},
    Sign{"soft lockup", "guest-lockup", "a processor of the guest was stuck in its kernel"},
    Sign{"I/O error, dev", "disk-errors", "the guest met I/O errors on a disk"},
    Sign{"No DHCPOFFERS received", "no-dhcp", "the guest asked for an address and got no answer"},
    Sign{"no response after", "no-dhcp", "the guest asked for an address and got no answer"},
    Sign{"no lease, failing", "no-dhcp", "the guest asked for an address and got no answer"},
    Sign{"no lease, forking to background", "no-dhcp",
         "the guest asked for an address and got no answer"},
    Sign{"Link is Down", "no-link", "a card of the guest has no link"},
    Sign{"link is not ready", "no-link", "a card of the guest has no link"},
    Sign{"Link is not up", "no-link", "a card of the guest has no link"},
};

struct Stage {
    std::string_view mark, text;
};
// In the order in which a boot comes by.
constexpr std::array kStages{
    Stage{"SeaBIOS", "in firmware"},
    Stage{"iPXE", "while the firmware booted from the network"},
    Stage{"GRUB", "in the boot loader"},
    Stage{"Decompressing Linux", "while the kernel unpacked itself"},
    Stage{"Linux version", "while the kernel started"},
    Stage{"smp: Bringing up secondary", "while the kernel started its processors"},
    Stage{"PCI: ", "while the kernel looked for devices"},
    Stage{"Freeing unused kernel image", "at the end of the kernel's start"},
    Stage{"Run /init as init process", "in the initial RAM disk"},
    Stage{"systemd[1]:", "while systemd started services"},
    Stage{" login:", "after the system was up"},
};

bool has(std::string_view text, std::string_view mark) { return text.find(mark) != text.npos; }

}  // namespace

std::string boot_stage(std::string_view serial) {
    std::string_view stage = "at a stage that its output does not tell";
    for (const Stage& each : kStages) {
        if (has(serial, each.mark)) stage = each.text;
    }
    return std::string(stage);
}

std::string printable(std::string_view text) {
    const auto lines = lines_of(text);
    return lines.empty() ? "" : lines.front();
}

std::string last_lines(std::string_view text, size_t most) {
    const auto lines = lines_of(text);
    std::string out;
    for (size_t i = lines.size() - std::min(most, lines.size()); i < lines.size(); ++i)
        out += lines[i] + "\n";
    return out;
}

std::vector<Diagnosis> signs_on_serial(std::string_view serial) {
    constexpr size_t kContext = 8;
    std::vector<Diagnosis> found;
    const auto lines = lines_of(serial);
    std::string before;
    for (size_t i = 0; i < lines.size(); ++i) {
        before += lines[i] + "\n";
        for (const Sign& sign : kSigns) {
            if (!has(lines[i], sign.mark)) continue;
            // The first of a kind: what follows it follows from it.
            if (std::ranges::any_of(found, [&](const auto& each) { return each.cause == sign.cause; }))
                break;
            std::string evidence;
            for (size_t k = i; k < std::min(i + kContext, lines.size()); ++k)
                evidence += lines[k] + "\n";
            found.push_back({std::string(sign.cause),
                             fmt::format("{}, {}", sign.text, boot_stage(before)), evidence});
            break;
        }
    }
    return found;
}

std::vector<Diagnosis> signs_in_log(std::string_view log) {
    std::vector<Diagnosis> found;
    std::string full, broken, entry, internal;
    for (const std::string& line : lines_of(log)) {
        if (has(line, "no space left")) full += line + "\n";
        if (has(line, "I/O error") || has(line, "cannot be flushed")) broken += line + "\n";
        if (has(line, "refused to enter the guest") || has(line, "kvm: failed check:"))
            entry += line + "\n";
        if (has(line, "kvm: internal error")) internal += line + "\n";
    }
    if (!entry.empty())
        found.push_back({"vm-entry-failed",
                         "VMCS corruption: the host's processor did not enter the guest, since a "
                         "check of what KVM gave it failed; run it with --accel jit, and report the "
                         "fields below with the versions of the host's kernel and of mynah",
                         entry});
    if (!internal.empty())
        found.push_back({"kvm-internal-error",
                         "the host's KVM gave up on the guest (an internal error of its own); a "
                         "guest that does what KVM cannot emulate runs with --accel jit",
                         internal});
    if (!full.empty())
        found.push_back({"disk-full", "the host has no room for what the guest writes to a disk",
                         full});
    if (!broken.empty())
        found.push_back({"disk-errors", "the host cannot read or write behind a disk", broken});
    return found;
}

}  // namespace mynah
