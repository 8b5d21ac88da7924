#include "machine/host_memory.h"

#include <fmt/core.h>

namespace mynah {

Result<void> check_host_memory(const HostFiles& files, uint64_t bytes) {
    constexpr uint64_t kKibPerMib = 1024;
    const auto mib = [&](std::string_view key) {
        return files.number_after("/proc/meminfo", key).value_or(0) / kKibPerMib;
    };
    const uint64_t wanted = bytes >> 20, total = mib("MemTotal"), swap = mib("SwapTotal");
    const uint64_t limit = mib("CommitLimit"), committed = mib("Committed_AS");
    if (total == 0) return {};  // the host does not tell
    const auto numbers = [&] {
        return fmt::format("{} MiB are wanted; the host has {} MiB and {} MiB of swap, of which "
                           "{} MiB are available; {} of {} MiB are committed",
                           wanted, total, swap, mib("MemAvailable"), committed, limit);
    };
    // Pages a guest never touches cost nothing, so what others use now does not count; only where
    // the kernel counts promises [Linux Documentation/mm/overcommit-accounting.rst].
    const bool strict = files.read("/proc/sys/vm/overcommit_memory") == std::string("2");
    if (wanted > total + swap || (strict && wanted + committed > limit))
        return Error(fmt::format("--memory: the host has too little: {}", numbers()));
    return {};
}

}  // namespace mynah
