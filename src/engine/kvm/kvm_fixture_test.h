#pragma once

// A kernel with KVM that a script plays, and a processor on it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/kvm.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/kvm/kvm_requests.h"
#include "engine/kvm/kvm_vcpu.h"
#include "spec/x86/msr.h"
#include "testing/scripted_system_calls.h"

namespace mynah {

inline constexpr uint64_t kMemory = 4u << 20;

inline std::unique_ptr<GuestMemory> make_memory() {
    const GuestMemory::Range range{GuestPhys(0), kMemory};
    return GuestMemory::create({&range, 1}, 16 * kPageSize).take_value();
}

// Ports that remember, and a local APIC with one vector to give.
class Ports final : public CpuPorts {
  public:
    uint32_t io_read(IoPort port, unsigned size) override {
        seen.push_back({'i', port.value, size, 0});
        return 0x12345678;
    }
    void io_write(IoPort port, unsigned size, uint32_t value) override {
        seen.push_back({'o', port.value, size, value});
    }
    uint64_t mmio_read(GuestPhys address, unsigned size) override {
        seen.push_back({'r', address.value, size, 0});
        return 0x1122334455667788;
    }
    void mmio_write(GuestPhys address, unsigned size, uint64_t value) override {
        seen.push_back({'w', address.value, size, value});
    }
    std::optional<uint8_t> acknowledge_interrupt() override {
        if (signals != nullptr) signals->lower(CpuSignals::kInterrupt);
        return 0x31;
    }
    void give_back(uint8_t vector) override { given_back.push_back(vector); }
    ApicImage take_apic() override { return apic; }
    void return_apic(const ApicImage& image) override { returned = image; }
    void end_of_interrupt(uint8_t vector) override { ended.push_back(vector); }
    ParavirtMsrs take_paravirt() override { return paravirt; }
    void return_paravirt(const ParavirtMsrs& written) override { paravirt = written; }
    uint8_t read_cr8() override { return cr8; }
    void write_cr8(uint8_t value) override { cr8 = value; }
    std::optional<uint64_t> read_msr(uint32_t index) override {
        if (index != x86::msr::kApicBase) return std::nullopt;
        return 0xfee00900;
    }
    bool write_msr(uint32_t index, uint64_t) override { return index == x86::msr::kApicBase; }

    struct Access {
        char kind;
        uint64_t place;
        unsigned size;
        uint64_t value;
        bool operator==(const Access&) const = default;
    };
    std::vector<Access> seen;
    CpuSignals* signals = nullptr;
    uint8_t cr8 = 0;
    ApicImage apic;
    std::optional<ApicImage> returned;
    ParavirtMsrs paravirt;
    std::vector<uint8_t> given_back, ended;
};

// A kernel with KVM. Each entry of the script is one KVM_RUN: it fills kvm_run, and returns what
// the request does; behind the last one the guest halts.
class Kernel : public testing::ScriptedSystemCalls {
  public:
    using Step = std::function<int(kvm_run&)>;

    Kernel() {
        node("/dev/kvm");
        on(KVM_GET_API_VERSION, KVM_API_VERSION);
        on(KVM_CHECK_EXTENSION, [this](int, uintptr_t capability) {
            if (static_cast<long>(capability) == missing) return 0;
            return capability == KVM_CAP_NR_MEMSLOTS   ? most_slots
                   : capability == KVM_CAP_IRQ_ROUTING ? 4096
                                                       : 2;
        });
        on(KVM_CREATE_VM, [this](int, uintptr_t) { return new_fd("vm"); });
        on(KVM_CREATE_VCPU, [this](int, uintptr_t) { return vcpu = new_fd("vcpu"); });
        on(KVM_GET_VCPU_MMAP_SIZE, 3 * 4096);
        on(kGetMsrs_, 1);
        on(kSetMsrs_, 1);
        for (const unsigned long request : {static_cast<unsigned long>(KVM_SET_IDENTITY_MAP_ADDR),
                                            static_cast<unsigned long>(KVM_SET_TSS_ADDR),
                                            static_cast<unsigned long>(KVM_ENABLE_CAP),
                                            static_cast<unsigned long>(KVM_X86_SET_MSR_FILTER),
                                            kvm::kGetSupportedCpuid,
                                            kvm::kSetCpuid2,
                                            kvm::kGetXsave,
                                            kvm::kSetXsave,
                                            static_cast<unsigned long>(KVM_GET_SREGS),
                                            static_cast<unsigned long>(KVM_SET_SREGS),
                                            static_cast<unsigned long>(KVM_GET_REGS),
                                            static_cast<unsigned long>(KVM_SET_REGS),
                                            static_cast<unsigned long>(KVM_GET_XCRS),
                                            static_cast<unsigned long>(KVM_SET_XCRS),
                                            static_cast<unsigned long>(KVM_GET_DEBUGREGS),
                                            static_cast<unsigned long>(KVM_SET_DEBUGREGS),
                                            static_cast<unsigned long>(KVM_GET_VCPU_EVENTS),
                                            static_cast<unsigned long>(KVM_SET_VCPU_EVENTS),
                                            static_cast<unsigned long>(KVM_SET_DEVICE_ATTR),
                                            static_cast<unsigned long>(KVM_HAS_DEVICE_ATTR),
                                            static_cast<unsigned long>(KVM_NMI),
                                            static_cast<unsigned long>(KVM_SMI)}) {
            on(request, 0);
        }
        on(KVM_SET_USER_MEMORY_REGION, [this](int, uintptr_t argument) {
            regions.push_back(*reinterpret_cast<const kvm_userspace_memory_region*>(argument));
            return 0;
        });
        on(KVM_INTERRUPT, [this](int, uintptr_t argument) {
            injected.push_back(reinterpret_cast<const kvm_interrupt*>(argument)->irq);
            return 0;
        });
        for (const unsigned long request :
             {static_cast<unsigned long>(KVM_GET_MP_STATE),
              static_cast<unsigned long>(KVM_SET_MP_STATE),
              static_cast<unsigned long>(KVM_GET_LAPIC), static_cast<unsigned long>(KVM_SET_LAPIC),
              static_cast<unsigned long>(KVM_IRQFD), static_cast<unsigned long>(KVM_IOEVENTFD),
              kvm::kSetGsiRouting}) {
            on(request, 0);
        }
        on(KVM_SIGNAL_MSI, 1);
        on(KVM_RUN, [this](int fd, uintptr_t) {
            auto& run = *static_cast<kvm_run*>(mapping(fd));
            ++runs;
            windows.push_back(run.request_interrupt_window != 0);
            if (run.immediate_exit != 0) return -EINTR;
            if (script.empty()) {
                run.exit_reason = KVM_EXIT_HLT;
                return 0;
            }
            const Step step = script.front();
            script.pop_front();
            return step(run);
        });
    }

    std::deque<Step> script;
    std::vector<kvm_userspace_memory_region> regions;
    std::vector<uint32_t> injected;
    std::vector<bool> windows;
    unsigned runs = 0;
    long missing = -1;
    int most_slots = 64, vcpu = -1;

  private:
    static constexpr unsigned long kGetMsrs_ = kvm::kGetMsrs, kSetMsrs_ = kvm::kSetMsrs;
};

inline Kernel::Step exits(uint32_t reason) {
    return [reason](kvm_run& run) {
        run.exit_reason = reason;
        return 0;
    };
}

class KvmTest : public ::testing::Test {
  protected:
    std::string refusal(CpuTopology topology = {}) {
        auto cpuid = CpuidPolicy::create("max", topology, 2'000'000'000).take_value();
        auto engine = make_kvm(*memory_, cpuid, options_, kernel_);
        return engine ? "" : engine.error().message();
    }
    void make() {
        auto engine = make_kvm(*memory_, cpuid_, options_, kernel_);
        ASSERT_TRUE(engine.ok()) << engine.error().message();
        engine_ = engine.take_value();
        vcpu_ = engine_->create_vcpu(ports_, signals_, VcpuIndex(0));
        ports_.signals = &signals_;
    }
    VcpuExit run(std::initializer_list<Kernel::Step> steps) {
        if (!engine_) make();
        kernel_.script.assign(steps.begin(), steps.end());
        return vcpu_->run();
    }

    Kernel kernel_;
    KvmOptions options_;
    std::unique_ptr<GuestMemory> memory_ = make_memory();
    CpuidPolicy cpuid_ = CpuidPolicy::create("max", {}, 2'000'000'000).take_value();
    Ports ports_;
    CpuSignals signals_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Vcpu> vcpu_;
};

}  // namespace mynah
