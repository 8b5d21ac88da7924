#include "host/cpu_affinity.h"

#include <fmt/core.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

namespace mynah {
namespace {

// More than any Linux has [CONFIG_NR_CPUS].
constexpr uint32_t kMostCpus = 8192;

struct FreeSet {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};
using Set = std::unique_ptr<cpu_set_t, FreeSet>;

std::optional<uint32_t> parse_cpu(std::string_view text) {
    uint32_t cpu = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cpu);
    if (error != std::errc() || end != text.data() + text.size() || cpu >= kMostCpus)
        return std::nullopt;
    return cpu;
}

}  // namespace

Result<HostCpus> parse_host_cpus(std::string_view text) {
    HostCpus cpus;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find('+', at), text.size());
        const std::string_view range = text.substr(at, end - at);
        const size_t dash = range.find('-');
        const auto first = parse_cpu(range.substr(0, dash));
        const auto last = dash == range.npos ? first : parse_cpu(range.substr(dash + 1));
        if (!first || !last || *last < *first) {
            return Error(fmt::format("'{}': expected numbers of host processors, such as 2, 0-3 "
                                     "or 0-1+4",
                                     range));
        }
        for (uint32_t cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
        at = end + 1;
    }
    std::ranges::sort(cpus);
    cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
    return cpus;
}

std::string format_host_cpus(const HostCpus& cpus) {
    std::string text;
    for (size_t i = 0; i < cpus.size();) {
        size_t last = i;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
        if (!text.empty()) text += ',';
        text += last == i ? fmt::format("{}", cpus[i]) : fmt::format("{}-{}", cpus[i], cpus[last]);
        i = last + 1;
    }
    return text;
}

Result<HostCpus> allowed_host_cpus() {
    const Set set(CPU_ALLOC(kMostCpus));
    const size_t size = CPU_ALLOC_SIZE(kMostCpus);
    if (sched_getaffinity(0, size, set.get()) != 0)
        return Error(fmt::format("sched_getaffinity: {}", std::strerror(errno)));
    HostCpus cpus;
    for (uint32_t cpu = 0; cpu < kMostCpus; ++cpu) {
        if (CPU_ISSET_S(cpu, size, set.get())) cpus.push_back(cpu);
    }
    return cpus;
}

uint32_t host_cpu_count() {
    const long count = sysconf(_SC_NPROCESSORS_CONF);
    return count < 1 ? 1 : static_cast<uint32_t>(count);
}

Result<void> check_host_cpus(const HostCpus& wanted, const HostCpus& allowed, uint32_t count) {
    for (const uint32_t cpu : wanted) {
        if (std::ranges::binary_search(allowed, cpu)) continue;
        if (cpu >= count) {
            return Error(fmt::format("host processor {}: this host has {}; expected numbers of {}",
                                     cpu, count, format_host_cpus(allowed)));
        }
        return Error(fmt::format("host processor {}: it is offline, or the cpuset or taskset of "
                                 "this process leaves it out; expected numbers of {}",
                                 cpu, format_host_cpus(allowed)));
    }
    return {};
}

Result<void> pin_thread(pthread_t thread, const HostCpus& cpus) {
    const Set set(CPU_ALLOC(kMostCpus));
    const size_t size = CPU_ALLOC_SIZE(kMostCpus);
    CPU_ZERO_S(size, set.get());
    for (const uint32_t cpu : cpus) CPU_SET_S(cpu, size, set.get());
    if (const int error = pthread_setaffinity_np(thread, size, set.get()); error != 0) {
        return Error(fmt::format("host processors {}: {}", format_host_cpus(cpus),
                                 std::strerror(error)));
    }
    return {};
}

}  // namespace mynah
