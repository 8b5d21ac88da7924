#pragma once

#include "bus/io_space.h"
#include "cpu/cpu_ports.h"
#include "device/interrupt/local_apic.h"
#include "paravirt/kvm/paravirt_kvm.h"

namespace mynah {

// What a processor reaches, on the machine's buses and in its own local APIC.
class VcpuPorts final : public CpuPorts {
 public:
    VcpuPorts(IoSpace& ports, IoSpace& memory, ApicBus& apic_bus)
        : ports_(ports), memory_(memory), apic_bus_(apic_bus) {}

    // The APIC needs the vCPU's signals, and the vCPU needs this: hence after both are made.
    void connect(LocalApic& apic) { apic_ = &apic; }
    // What else answers MSRs and hypercalls. Before the vCPU runs.
    void connect(ParavirtKvmVcpu& kvm) { kvm_ = &kvm; }

    uint32_t io_read(IoPort port, unsigned size) override;
    void io_write(IoPort port, unsigned size, uint32_t value) override;
    uint64_t mmio_read(GuestPhys address, unsigned size) override;
    void mmio_write(GuestPhys address, unsigned size, uint64_t value) override;
    std::optional<uint8_t> acknowledge_interrupt() override;
    uint8_t read_cr8() override;
    void write_cr8(uint8_t value) override;
    std::optional<uint64_t> read_msr(uint32_t index) override;
    bool write_msr(uint32_t index, uint64_t value) override;
    void tsc_moved(uint64_t offset) override;
    bool hypercall(CpuState& state) override;
    void give_back(uint8_t vector) override { apic_->give_back(vector); }
    ApicImage take_apic() override { return apic_->lend(); }
    void return_apic(const ApicImage& image) override { apic_->take_back(image); }
    void end_of_interrupt(uint8_t vector) override { apic_bus_.end_of_interrupt(vector); }
    ParavirtMsrs take_paravirt() override;
    void return_paravirt(const ParavirtMsrs& written) override;

  private:
    IoSpace& ports_;
    IoSpace& memory_;
    ApicBus& apic_bus_;
    LocalApic* apic_ = nullptr;
    ParavirtKvmVcpu* kvm_ = nullptr;
};

}  // namespace mynah
