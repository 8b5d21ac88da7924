#include "host/tsc.h"

#include <cpuid.h>
#include <time.h>

#include <algorithm>

namespace mynah {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

// Crystal times ratio [SDM 2A CPUID leaf 15H]; 0 if the processor does not tell.
uint64_t hz_by_crystal() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(0x15, &eax, &ebx, &ecx, &edx) == 0 || eax == 0 || ebx == 0 || ecx == 0)
        return 0;
    return uint64_t{ecx} * ebx / eax;
}

// The timing leaf that VMware defined and others adopted: TSC frequency in kHz.
uint64_t hz_by_hypervisor() {
    constexpr unsigned kHypervisorBase = 0x40000000, kTimingLeaf = 0x40000010;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    __cpuid(1, eax, ebx, ecx, edx);
    if ((ecx & (1u << 31)) == 0) return 0;
    __cpuid(kHypervisorBase, eax, ebx, ecx, edx);
    if (eax < kTimingLeaf || eax > kHypervisorBase + 0xffff) return 0;
    __cpuid(kTimingLeaf, eax, ebx, ecx, edx);
    return uint64_t{eax} * 1000;
}

struct Moment {
    uint64_t ns;
    uint64_t tsc;
};

// Both clocks at one moment: of several tries the one with the least time in between, as a thread
// can be preempted anywhere.
Moment sample() {
    Moment best{};
    uint64_t best_width = ~uint64_t{0};
    for (int i = 0; i < 16; ++i) {
        timespec now{};
        const uint64_t before = read_host_tsc();
        clock_gettime(CLOCK_MONOTONIC_RAW, &now);
        const uint64_t after = read_host_tsc();
        if (after - before >= best_width) continue;
        best_width = after - before;
        best = {
            static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec),
            before + (after - before) / 2};
    }
    return best;
}

uint64_t hz_by_clock() {
    // With 50 ns of error in a sample, 5 millionths.
    constexpr timespec kInterval{0, 20'000'000};
    const Moment start = sample();
    timespec left = kInterval;
    while (nanosleep(&left, &left) != 0) {
    }
    const Moment end = sample();
    const double seconds = static_cast<double>(end.ns - start.ns) / kNsPerSecond;
    const uint64_t hz = static_cast<uint64_t>(static_cast<double>(end.tsc - start.tsc) / seconds);
    return std::max<uint64_t>(hz, 1);
}

uint64_t find_out() {
    if (const uint64_t hz = hz_by_crystal()) return hz;
    if (const uint64_t hz = hz_by_hypervisor()) return hz;
    return hz_by_clock();
}

}  // namespace

uint64_t host_tsc_hz() {
    static const uint64_t hz = find_out();
    return hz;
}

}  // namespace mynah
