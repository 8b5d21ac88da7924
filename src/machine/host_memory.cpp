#include "machine/host_memory.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/number_list.h"

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
        return fmt::format(
            "{} MiB are wanted; the host has {} MiB and {} MiB of swap, of which "
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

namespace {

constexpr std::string_view kHugePages = "/sys/kernel/mm/hugepages";
constexpr std::string_view kNodes = "/sys/devices/system/node/online";

std::string named_size(uint64_t bytes) {
    return bytes >= 1u << 30   ? fmt::format("{} GiB", bytes >> 30)
           : bytes >= 1u << 20 ? fmt::format("{} MiB", bytes >> 20)
                               : fmt::format("{} KiB", bytes >> 10);
}

// "hugepages-2048kB": bytes.
uint64_t size_of(std::string_view folder) {
    constexpr std::string_view kStart = "hugepages-";
    uint64_t kib = 0;
    if (folder.starts_with(kStart))
        std::from_chars(folder.data() + kStart.size(), folder.data() + folder.size(), kib);
    return kib << 10;
}

Result<void> check_huge_pages(const HostFiles& files, uint64_t bytes, uint64_t page) {
    const std::string folder = fmt::format("{}/hugepages-{}kB", kHugePages, page >> 10);
    const auto number = [&](std::string_view file) {
        const std::string text = files.read(fmt::format("{}/{}", folder, file)).value_or("0");
        uint64_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    };
    if (!files.exists(folder)) {
        std::string known;
        for (const std::string& name : files.list(kHugePages))
            known += (known.empty() ? "" : ", ") + named_size(size_of(name));
        return Error(fmt::format("--memory hugepages=: this host has no pages of {}; it has {}",
                                 named_size(page), known.empty() ? "none that are huge" : known));
    }
    const uint64_t wanted = (bytes + page - 1) / page, all = number("nr_hugepages");
    const uint64_t promised = std::min(number("resv_hugepages"), number("free_hugepages"));
    const uint64_t free = number("free_hugepages") - promised;
    // Beyond the pool there may be pages that the kernel makes when they are asked for.
    const uint64_t surplus = number("surplus_hugepages"),
                   overcommit = number("nr_overcommit_hugepages");
    const uint64_t more = overcommit > surplus ? overcommit - surplus : 0;
    if (wanted <= free + more) return {};
    return Error(
        fmt::format("--memory hugepages=: {} pages of {} are wanted; the host has {}, of "
                    "which {} are free. As root: echo {} > {}/nr_hugepages",
                    wanted, named_size(page), all, free, all - free + wanted, folder));
}

Result<void> check_nodes(const HostFiles& files, const std::vector<uint32_t>& wanted) {
    constexpr uint32_t kMostNodes = 1024;
    // A kernel without NUMA has all its memory in one place.
    const auto online = parse_number_list(files.read(kNodes).value_or("0"), ',', kMostNodes)
                            .value_or(std::vector{0u});
    for (const uint32_t node : wanted) {
        if (std::ranges::binary_search(online, node)) continue;
        return Error(fmt::format("--memory host-nodes=: this host has no memory node {}; it has {}",
                                 node, format_number_list(online)));
    }
    return {};
}

}  // namespace

uint64_t usual_huge_page(const HostFiles& files) {
    return files.number_after("/proc/meminfo", "Hugepagesize").value_or(0) << 10;
}

Result<void> check_memory_backing(const HostFiles& files, uint64_t bytes,
                                  const MemoryBacking& backing) {
    TRY(check_nodes(files, backing.nodes));
    if (backing.huge_page != 0) return check_huge_pages(files, bytes, backing.huge_page);
    const auto available = files.number_after("/proc/meminfo", "MemAvailable");
    if (backing.preallocate && available && bytes >> 10 > *available) {
        return Error(fmt::format("--memory prealloc=on: {} MiB are wanted; {} MiB are available",
                                 bytes >> 20, *available >> 10));
    }
    return {};
}

}  // namespace mynah
