#include "cli/cpu_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

#include "cli/nearest_name.h"
#include "cli/option_value.h"

namespace mynah {
namespace {

struct Counts {
    std::optional<uint32_t> total, sockets, cores, threads;
};

Result<uint32_t> parse_count(std::string_view text) {
    const auto number = parse_number(text);
    if (!number || number.value() == 0 || number.value() > MachineConfig::kMaxVcpus) {
        return Error(fmt::format("expected 1 to {}", MachineConfig::kMaxVcpus));
    }
    return static_cast<uint32_t>(number.value());
}

Result<void> apply_part(Counts& counts, const ValuePart& part) {
    constexpr std::array<std::string_view, 4> kKeys{"vcpus", "sockets", "cores", "threads"};
    const std::array<std::optional<uint32_t>*, 4> places{&counts.total, &counts.sockets,
                                                         &counts.cores, &counts.threads};
    for (size_t i = 0; i < kKeys.size(); ++i) {
        const bool bare_total = i == 0 && part.key.empty();
        if (part.key != kKeys[i] && !bare_total) continue;
        const auto count = parse_count(part.value);
        if (!count) {
            return Error(bare_total ? count.error().message()
                                    : fmt::format("{}={}: {}", part.key, part.value,
                                                  count.error().message()));
        }
        *places[i] = count.value();
        return {};
    }
    return Error(fmt::format("unknown part '{}'{}; expected N[,sockets=N][,cores=N][,threads=N]"
                             "[,pin=CPUS]",
                             part.key, did_you_mean(part.key, kKeys)));
}

// One list of host processors for all vCPUs, or one for each, with colons between.
Result<std::vector<HostCpus>> parse_pin(std::string_view text) {
    std::vector<HostCpus> pin;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find(':', at), text.size());
        auto cpus = parse_host_cpus(text.substr(at, end - at));
        if (!cpus) return Error(fmt::format("pin={}: {}", text, cpus.error().message()));
        pin.push_back(cpus.take_value());
        at = end + 1;
    }
    return pin;
}

}  // namespace

Result<void> apply_vcpus_option(RunOptions& options, std::string_view value) {
    Counts counts;
    std::vector<HostCpus> pin;
    for (const ValuePart& part : split_value(value)) {
        if (part.key == "pin") {
            pin = TRY(parse_pin(part.value));
        } else {
            TRY(apply_part(counts, part));
        }
    }

    // Without word of them: one socket, one thread a core, and cores for the rest.
    CpuTopology topology;
    topology.threads = counts.threads.value_or(1);
    topology.sockets = counts.sockets.value_or(1);
    const uint32_t others = topology.threads * topology.sockets;
    topology.cores = counts.cores.value_or(counts.total ? *counts.total / others : 1);
    if (!counts.sockets && counts.cores && counts.total) {
        topology.sockets = *counts.total / (topology.threads * topology.cores);
    }
    const uint64_t product = uint64_t{topology.sockets} * topology.cores * topology.threads;
    if (counts.total && product != *counts.total) {
        return Error(fmt::format("{} vCPUs are not sockets x cores x threads ({} x {} x {})",
                                 *counts.total, topology.sockets, topology.cores,
                                 topology.threads));
    }
    if (product > MachineConfig::kMaxVcpus) {
        return Error(fmt::format("{} vCPUs; expected 1 to {}", product, MachineConfig::kMaxVcpus));
    }
    if (pin.size() > 1 && pin.size() != product) {
        return Error(fmt::format("pin= has {} lists for {} vCPUs; expected one for all, or one for "
                                 "each, with ':' between",
                                 pin.size(), product));
    }
    options.machine.topology = topology;
    options.machine.pin = std::move(pin);
    return {};
}

}  // namespace mynah
