#pragma once

#include <cstdint>
#include <optional>

#include "cpu/address.h"
#include "cpu/apic_image.h"
#include "cpu/paravirt_msrs.h"

namespace mynah {

struct CpuState;

// What one processor reaches outside itself, in the middle of an instruction. The machine
// implements it; called only on the vCPU's own thread.
class CpuPorts {
 public:
    virtual ~CpuPorts() = default;

    // Ports; size 1, 2 or 4 bytes. Nobody there: all ones, dropped.
    virtual uint32_t io_read(IoPort port, unsigned size) = 0;
    virtual void io_write(IoPort port, unsigned size, uint32_t value) = 0;

    // Guest-physical addresses that are not RAM; size 1, 2, 4 or 8 bytes. This processor's own
    // local APIC page is among them.
    virtual uint64_t mmio_read(GuestPhys address, unsigned size) = 0;
    virtual void mmio_write(GuestPhys address, unsigned size, uint64_t value) = 0;

    // The vector to deliver now, taken from the interrupt controllers (it counts as in service
    // from here on), or nothing if none is deliverable. Called when CpuSignals::kInterrupt is
    // raised and the processor accepts interrupts; clearing the signal is the callee's business.
    virtual std::optional<uint8_t> acknowledge_interrupt() = 0;

    // Task priority as CR8 shows it, 0 to 15.
    virtual uint8_t read_cr8() = 0;
    virtual void write_cr8(uint8_t value) = 0;

    // MSRs that belong to the local APIC (IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC).
    // Nothing / false: #GP.
    virtual std::optional<uint64_t> read_msr(uint32_t index) = 0;
    virtual bool write_msr(uint32_t index, uint64_t value) = 0;
    // The guest moved its TSC, by either of the MSRs that do: what it is ahead of the host's by.
    virtual void tsc_moved(uint64_t /*offset*/) {}

    // VMCALL or VMMCALL: arguments and answer are in the registers, RIP is still the instruction's.
    // False: there is no hypervisor that takes it (#UD).
    virtual bool hypercall(CpuState& /*state*/) { return false; }

    // A vector that was acknowledged and cannot be delivered by this engine any more: the next that
    // is acknowledged, whatever the priority.
    virtual void give_back(uint8_t) {}

    // --- of engines that have the local APIC inside (EngineApics) ---
    // The local APIC goes to the engine; what is left for acknowledge_interrupt() are external
    // interrupts. It comes back by return_apic(). Also while the vCPU does not run.
    virtual ApicImage take_apic() { return {}; }
    virtual void return_apic(const ApicImage&) {}
    // The processor is done with a level-triggered interrupt.
    virtual void end_of_interrupt(uint8_t) {}

    // --- of engines that have a part of KVM's paravirtual interface inside ---
    // Steal time and PV EOI go to the engine. They come back by return_paravirt(). Also while the
    // vCPU does not run.
    virtual ParavirtMsrs take_paravirt() { return {}; }
    virtual void return_paravirt(const ParavirtMsrs&) {}
};

}  // namespace mynah
