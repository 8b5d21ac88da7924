#include <fmt/core.h>

#include "control/doctor/host_examinations.h"

namespace mynah {
namespace {

using State = HostFinding::State;
constexpr uint64_t kKibPerMib = 1024;

void examine_overcommit(const HostView& host, std::vector<HostFinding>& findings) {
    // [Linux Documentation/mm/overcommit-accounting.rst]
    const std::string mode =
        host.files.read("/proc/sys/vm/overcommit_memory").value_or("unknown");
    const uint64_t limit = host.files.number_after("/proc/meminfo", "CommitLimit").value_or(0);
    const uint64_t committed = host.files.number_after("/proc/meminfo", "Committed_AS").value_or(0);
    const std::string numbers = fmt::format("{} MiB of {} MiB are committed",
                                            committed / kKibPerMib, limit / kKibPerMib);
    if (mode == "2") {
        findings.push_back({"overcommit", State::kMissing,
                            "strict: a machine's whole memory counts when it starts; " + numbers,
                            "sudo sysctl vm.overcommit_memory=0"});
    } else {
        findings.push_back({"overcommit", State::kWorks,
                            fmt::format("mode {}; {}", mode, numbers), ""});
    }
}

void examine_huge_pages(const HostView& host, std::vector<HostFinding>& findings) {
    const uint64_t all = host.files.number_after("/proc/meminfo", "HugePages_Total").value_or(0);
    const uint64_t left = host.files.number_after("/proc/meminfo", "HugePages_Free").value_or(0);
    const uint64_t size = host.files.number_after("/proc/meminfo", "Hugepagesize").value_or(0);
    if (size == 0) {
        findings.push_back({"huge pages", State::kMissing, "this kernel has none", ""});
    } else if (all == 0) {
        findings.push_back({"huge pages", State::kMissing,
                            fmt::format("none of {} KiB are set aside", size),
                            "sudo sysctl vm.nr_hugepages=512"});
    } else {
        findings.push_back({"huge pages", left > 0 ? State::kWorks : State::kMissing,
                            fmt::format("{} of {} are free, each {} KiB", left, all, size),
                            left > 0 ? "" : fmt::format("sudo sysctl vm.nr_hugepages={}", 2 * all)});
    }
}

}  // namespace

void examine_memory(const HostView& host, std::vector<HostFinding>& findings) {
    const auto available = host.files.number_after("/proc/meminfo", "MemAvailable");
    const uint64_t total = host.files.number_after("/proc/meminfo", "MemTotal").value_or(0);
    // What the smallest machine and this program need.
    constexpr uint64_t kLeastKib = 64 * kKibPerMib;
    if (!available) {
        findings.push_back({"memory", State::kMissing, "/proc/meminfo does not tell", ""});
    } else {
        const bool enough = *available >= kLeastKib;
        findings.push_back({"memory", enough ? State::kWorks : State::kBroken,
                            fmt::format("{} MiB of {} MiB are available{}",
                                        *available / kKibPerMib, total / kKibPerMib,
                                        enough ? "" : ": too little for any machine"),
                            ""});
    }
    examine_overcommit(host, findings);
    examine_huge_pages(host, findings);
}

}  // namespace mynah
