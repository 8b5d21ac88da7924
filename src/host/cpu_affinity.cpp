#include "host/cpu_affinity.h"

#include <fmt/core.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/number_list.h"

namespace mynah {
namespace {

// More than any Linux has [CONFIG_NR_CPUS].
constexpr uint32_t kMostCpus = 8192;

struct FreeSet {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};
using Set = std::unique_ptr<cpu_set_t, FreeSet>;

}  // namespace

Result<HostCpus> parse_host_cpus(std::string_view text) {
    std::string_view wrong;
    if (auto cpus = parse_number_list(text, '+', kMostCpus, &wrong)) return std::move(*cpus);
    return Error(fmt::format("'{}': expected numbers of host processors, such as 2, 0-3 or 0-1+4",
                             wrong));
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
                                     cpu, count, format_number_list(allowed)));
        }
        return Error(fmt::format("host processor {}: it is offline, or the cpuset or taskset of "
                                 "this process leaves it out; expected numbers of {}",
                                 cpu, format_number_list(allowed)));
    }
    return {};
}

Result<void> pin_thread(pthread_t thread, const HostCpus& cpus) {
    const Set set(CPU_ALLOC(kMostCpus));
    const size_t size = CPU_ALLOC_SIZE(kMostCpus);
    CPU_ZERO_S(size, set.get());
    for (const uint32_t cpu : cpus) CPU_SET_S(cpu, size, set.get());
    if (const int error = pthread_setaffinity_np(thread, size, set.get()); error != 0) {
        return Error(fmt::format("host processors {}: {}", format_number_list(cpus),
                                 std::strerror(error)));
    }
    return {};
}

}  // namespace mynah
