#include "machine/machine_summary.h"

#include <fmt/core.h>

namespace mynah {

std::string MachineSummary::text() const {
    std::string done = "instructions not counted";
    if (instructions) {
        const double mips = seconds > 0 ? static_cast<double>(*instructions) / seconds / 1e6 : 0;
        done = fmt::format("{} instructions ({:.1f} million a second)", *instructions, mips);
    }
    std::string out =
        fmt::format("{:.3f} s, {} vCPUs, {}, {} exceptions, {} interrupts, {} reboots\n", seconds,
                    vcpus, done, exceptions, interrupts, reboots);
    for (const auto& [name, count] : counters) out += fmt::format("{}: {}\n", name, count);
    if (undefined.empty()) out += "no unimplemented instruction was met\n";
    for (const auto& [mnemonic, count] : undefined) {
        out += fmt::format("unimplemented instruction {}: {} times\n", mnemonic, count);
    }
    return out;
}

}  // namespace mynah
