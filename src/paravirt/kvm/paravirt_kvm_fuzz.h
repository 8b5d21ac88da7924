#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "paravirt/kvm/paravirt_kvm.h"
#include "paravirt/kvm/recording_host_test.h"
#include "spec/kvm/paravirt.h"
#include "spec/x86/segment.h"
#include "testing/byte_feed.h"

namespace mynah::testing {

// KVM's interface under two processors that write any MSR, make any hypercall from any mode,
// scribble over what they are told, run and halt, at addresses in memory, at its edge and far from
// it.
class ParavirtKvmFuzz {
  public:
    ParavirtKvmFuzz(GuestMemory& memory, ByteFeed feed)
        : memory_(memory), kvm_(memory, host_, 2'400'000'000, 2), feed_(feed) {
        kvm_.reset(0);
    }

    void run() {
        while (!feed_.empty()) {
            step(kvm_.vcpu(VcpuIndex(feed_.take<uint8_t>() & 1)));
            // A hypercall reaches at most so many, whatever its arguments are.
            if (host_.interrupts.size() > 128 || host_.nmis.size() > 128) std::abort();
            host_.interrupts.clear();
            host_.nmis.clear();
            host_.unhalted.clear();
            host_.flushed.clear();
        }
    }

  private:
    // Near the end of memory as often as anywhere.
    uint64_t address() {
        const auto kind = feed_.take<uint8_t>();
        const uint64_t value = feed_.take<uint16_t>();
        if (kind < 128) return value;
        if (kind < 192) return memory_.size() - 64 + value % 80;
        return kind < 224 ? ~uint64_t{0} - value % 128 : feed_.take<uint64_t>();
    }
    uint32_t number() {
        const auto kind = feed_.take<uint8_t>();
        if (kind < 240) return kvm_guest::msr::kWallClock + kind % 11;
        return kind < 248 ? kvm_guest::msr::kWallClockOld + kind % 2 : feed_.take<uint32_t>();
    }
    void call(ParavirtKvmVcpu& vcpu) {
        CpuState state;
        const auto mode = feed_.take<uint8_t>();
        if ((mode & 1) != 0) {
            state.efer = x86::efer::kLma;
            state.segment(x86::Segment::kCs).attributes = x86::segment_attribute::kLong;
        }
        if ((mode & 6) == 6)
            state.segment(x86::Segment::kSs).attributes = 3u << x86::segment_attribute::kDplShift;
        state.gpr[kRax] = mode >= 128 ? feed_.take<uint64_t>() : mode >> 3;
        for (const Gpr reg : {kRbx, kRcx, kRdx, kRsi}) state.gpr[reg] = address();
        vcpu.hypercall(state);
    }
    void step(ParavirtKvmVcpu& vcpu) {
        switch (feed_.take<uint8_t>() % 12) {
            case 0:
            case 1:
                (void)vcpu.write_msr(number(), address() | (feed_.take<uint8_t>() & 1));
                break;
            case 2:
                (void)vcpu.read_msr(number());
                break;
            case 3:
                call(vcpu);
                break;
            case 4:
                vcpu.enter();
                break;
            case 5:
                vcpu.leave();
                break;
            case 6:
                host_.ns += feed_.take<uint32_t>();
                host_.delay += feed_.take<uint32_t>();
                vcpu.refresh();
                break;
            case 7:
                (void)vcpu.silent_eoi().offer();
                break;
            case 8:
                (void)vcpu.silent_eoi().withdraw();
                break;
            case 9:
                vcpu.tsc_moved(feed_.take<uint64_t>());
                break;
            case 10:
                (void)DmaView(memory_).store(GuestPhys(address()), feed_.take<uint64_t>());
                break;
            case 11:
                if (feed_.take<uint8_t>() < 128) {
                    kvm_.clock().stopped();
                } else {
                    vcpu.init();
                }
                break;
        }
    }

    GuestMemory& memory_;
    RecordingKvmHost host_;
    ParavirtKvm kvm_;
    ByteFeed feed_;
};

inline void fuzz_paravirt_kvm(const uint8_t* data, size_t size) {
    constexpr uint64_t kMemory = 1 << 16;
    const GuestMemory::Range range{GuestPhys(0), kMemory};
    const auto memory = GuestMemory::create({&range, 1}).take_value();
    ParavirtKvmFuzz(*memory, ByteFeed(data, size)).run();
}

}  // namespace mynah::testing
