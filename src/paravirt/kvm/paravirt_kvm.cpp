#include "paravirt/kvm/paravirt_kvm.h"

#include <utility>

#include "spec/kvm/paravirt.h"

namespace mynah {

namespace guest = kvm_guest;
namespace feature = guest::feature;
namespace msr = guest::msr;

namespace {

// The address of an MSR that has switch and address in one; nothing: switched off.
std::optional<GuestPhys> enabled_at(uint64_t value, uint64_t low_bits) {
    if ((value & msr::kEnabled) == 0) return std::nullopt;
    return GuestPhys(value & ~low_bits);
}

}  // namespace

ParavirtKvm::ParavirtKvm(GuestMemory& memory, KvmHost& host, uint64_t tsc_hz, uint32_t vcpus)
    : features_(offered(host)), clock_(DmaView(memory), host, tsc_hz, vcpus) {
    for (uint32_t i = 0; i < vcpus; ++i) {
        vcpus_.push_back(std::make_unique<ParavirtKvmVcpu>(VcpuIndex(i), DmaView(memory), host,
                                                           clock_, features_));
    }
}

// What is there, and nothing else. Steal time depends on the host's telling it; who asks others to
// flush their TLBs looks at that structure.
uint32_t ParavirtKvm::offered(KvmHost& host) {
    uint32_t features = feature::kClockOld | feature::kNoIoDelay | feature::kClock |
                        feature::kPvEoi | feature::kPvUnhalt | feature::kPvSendIpi |
                        feature::kPvSchedYield | feature::kClockStable;
    if (host.has_run_delay()) features |= feature::kStealTime | feature::kPvTlbFlush;
    return features;
}

void ParavirtKvm::announce(CpuidPolicy& policy) const {
    policy.present_hypervisor(guest::kSignature,
                              {{guest::kFeaturesLeaf, CpuidLeaf{.eax = features_}}});
}

std::vector<std::string> ParavirtKvm::names(uint32_t features) {
    constexpr std::pair<uint32_t, const char*> kNames[] = {
        {feature::kClockOld | feature::kClock, "kvmclock"},
        {feature::kNoIoDelay, "kvm-nopiodelay"},
        {feature::kStealTime, "kvm-steal-time"},
        {feature::kPvEoi, "kvm-pv-eoi"},
        {feature::kPvUnhalt, "kvm-pv-unhalt"},
        {feature::kPvTlbFlush, "kvm-pv-tlb-flush"},
        {feature::kPvSendIpi, "kvm-pv-ipi"},
        {feature::kPvSchedYield, "kvm-pv-sched-yield"},
        {feature::kClockStable, "kvmclock-stable-bit"}};
    std::vector<std::string> names;
    for (const auto& [bits, name] : kNames) {
        if ((features & bits) != 0) names.emplace_back(name);
    }
    return names;
}

void ParavirtKvm::reset(uint64_t tsc_offset) {
    clock_.reset(tsc_offset);
    for (auto& vcpu : vcpus_) vcpu->init();
}

ParavirtKvmVcpu::ParavirtKvmVcpu(VcpuIndex index, DmaView memory, KvmHost& host, PvClock& clock,
                                 const uint32_t& features)
    : index_(index),
      memory_(memory),
      host_(host),
      clock_(clock),
      features_(features),
      steal_time_(memory, host, index),
      eoi_(memory) {}

void ParavirtKvmVcpu::init() {
    system_time_msr_ = steal_time_msr_ = eoi_msr_ = 0;
    clock_.place(index_, std::nullopt);
    steal_time_.place(std::nullopt);
    eoi_.place(std::nullopt);
}

ParavirtMsrs ParavirtKvmVcpu::lend() {
    steal_time_.lend();
    eoi_.place(std::nullopt);
    return {.steal_time = steal_time_msr_, .pv_eoi = eoi_msr_};
}

void ParavirtKvmVcpu::take_back(const ParavirtMsrs& written) {
    steal_time_msr_ = written.steal_time;
    steal_time_.take_back(enabled_at(steal_time_msr_, msr::kStealTimeReserved | msr::kEnabled));
    (void)write_eoi(written.pv_eoi);
}

bool ParavirtKvmVcpu::owns_msr(uint32_t index) {
    return index == msr::kWallClockOld || index == msr::kSystemTimeOld ||
           (index >= msr::kWallClock && index <= msr::kMigrationControl);
}

std::optional<uint64_t> ParavirtKvmVcpu::read_msr(uint32_t index) const {
    switch (index) {
        case msr::kWallClockOld:
        case msr::kWallClock:
            return clock_.wall_clock().value;
        case msr::kSystemTimeOld:
        case msr::kSystemTime:
            return system_time_msr_;
        case msr::kStealTime:
            if (offers(feature::kStealTime)) return steal_time_msr_;
            return std::nullopt;
        case msr::kPvEoi:
            if (offers(feature::kPvEoi)) return eoi_msr_;
            return std::nullopt;
        default:
            return std::nullopt;  // what is not announced is not there
    }
}

bool ParavirtKvmVcpu::write_msr(uint32_t index, uint64_t value) {
    switch (index) {
        case msr::kWallClockOld:
        case msr::kWallClock:
            clock_.write_wall_clock(GuestPhys(value));
            return true;
        case msr::kSystemTimeOld:
        case msr::kSystemTime:
            return write_system_time(value);
        case msr::kStealTime:
            return write_steal_time(value);
        case msr::kPvEoi:
            return write_eoi(value);
        default:
            return false;
    }
}

// An address that is not memory is kept like any other: nothing is told there.
bool ParavirtKvmVcpu::write_system_time(uint64_t value) {
    system_time_msr_ = value;
    clock_.place(index_, enabled_at(value, msr::kEnabled));
    return true;
}

bool ParavirtKvmVcpu::write_steal_time(uint64_t value) {
    if (!offers(feature::kStealTime) || (value & msr::kStealTimeReserved) != 0) return false;
    steal_time_msr_ = value;
    steal_time_.place(enabled_at(value, msr::kStealTimeReserved | msr::kEnabled));
    return true;
}

bool ParavirtKvmVcpu::write_eoi(uint64_t value) {
    if (!offers(feature::kPvEoi) || (value & msr::kPvEoiReserved) != 0) return false;
    eoi_msr_ = value;
    eoi_.place(enabled_at(value, msr::kPvEoiReserved | msr::kEnabled));
    return true;
}

}  // namespace mynah
