#include <algorithm>
#include <chrono>
#include <memory>

#include "engine/engine.h"
#include "engine/kvm_probe/engine_speed.h"
#include "engine/kvm_probe/probe_guest.h"
#include "host/thread_clock.h"
#include "host/tsc.h"
#include "spec/x86/segment.h"

namespace mynah {
namespace {

// The loop reaches nothing outside the processor.
class Nothing final : public CpuPorts {
  public:
    uint32_t io_read(IoPort, unsigned) override { return ~0u; }
    void io_write(IoPort, unsigned, uint32_t) override {}
    uint64_t mmio_read(GuestPhys, unsigned) override { return ~uint64_t{0}; }
    void mmio_write(GuestPhys, unsigned, uint64_t) override {}
    std::optional<uint8_t> acknowledge_interrupt() override { return std::nullopt; }
    uint8_t read_cr8() override { return 0; }
    void write_cr8(uint8_t) override {}
    std::optional<uint64_t> read_msr(uint32_t) override { return std::nullopt; }
    bool write_msr(uint32_t, uint64_t) override { return false; }
};

void enter(CpuState& state) {
    namespace attribute = x86::segment_attribute;
    state = reset_state();
    state.cr0 = x86::cr0::kPe | x86::cr0::kPg | x86::cr0::kEt | x86::cr0::kNe | x86::cr0::kWp;
    state.cr4 = x86::cr4::kPae;
    state.cr3 = ProbeGuest::kTables;
    state.efer = x86::efer::kLme | x86::efer::kLma;
    SegmentRegister& cs = state.segment(x86::Segment::kCs);
    cs.base = 0;
    cs.attributes = (cs.attributes & ~attribute::kDefaultBig) | attribute::kLong;
    state.rip = ProbeGuest::kCode;
    state.gpr[kRbx] = ProbeGuest::kData;
    state.gpr[kRcx] = ProbeGuest::kCount;
}

}  // namespace

Result<double> translator_speed(std::chrono::milliseconds limit) {
    const GuestMemory::Range range{GuestPhys(0), ProbeGuest::kMemory};
    const auto memory = TRY(GuestMemory::create(std::span(&range, 1)));
    if (!memory->write(GuestPhys(0), ProbeGuest::image())) return Error("the loop does not fit");
    const CpuidPolicy cpuid = TRY(CpuidPolicy::create("max", {}, host_tsc_hz()));
    const auto engine =
        TRY(make_translator(*memory, cpuid, {.code_cache = uint64_t{1} << 20, .hot_after = 0, .brief_entries = 0}));
    Nothing ports;
    CpuSignals signals;
    const auto vcpu = engine->create_vcpu(ports, signals, VcpuIndex(0));
    enter(vcpu->state());
    vcpu->state_changed();
    // Pieces that grow until one takes as long as may be; what is translated in the first ones is not
    // counted.
    constexpr uint64_t kFirst = 4096, kGrowth = 4, kEnough = kFirst << 6;
    const uint64_t began = thread_now_ns();
    const auto most = static_cast<uint64_t>(std::chrono::nanoseconds(limit).count());
    for (uint64_t instructions = kFirst;; instructions *= kGrowth) {
        const uint64_t before = vcpu->state().gpr[kRcx];
        const uint64_t from = thread_now_ns();
        if (vcpu->run(instructions) != VcpuExit::kInstructionLimit)
            return Error("the translator left a loop that has no end");
        const uint64_t to = thread_now_ns(), took = std::max<uint64_t>(to - from, 1);
        const uint64_t done = (before - vcpu->state().gpr[kRcx]) * ProbeGuest::kInstructions;
        if (instructions >= kEnough && to + kGrowth * took > began + most)
            return static_cast<double>(done) * 1e9 / static_cast<double>(took);
    }
}

}  // namespace mynah
