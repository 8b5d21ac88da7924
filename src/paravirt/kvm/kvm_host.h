#pragma once

#include <cstdint>
#include <optional>

#include "cpu/address.h"

namespace mynah {

// What KVM's paravirtual interface asks of the machine around it. Outlives it.
class KvmHost {
  public:
    virtual ~KvmHost() = default;

    // The host's TSC and the machine's clock (VmClock) at one moment. Any thread.
    struct Moment {
        uint64_t tsc, ns;
    };
    virtual Moment now() = 0;
    virtual uint64_t clock_ns() = 0;  // the machine's clock alone, which is cheaper
    // Nanoseconds of Unix time, likewise.
    virtual uint64_t wall_ns() = 0;

    // How long this processor's thread was ready and did not get to run, in ns; nothing: it never
    // ran. On that thread, or while it is parked. Whether the host says so at all does not change.
    virtual bool has_run_delay() = 0;
    virtual std::optional<uint64_t> run_delay_ns(VcpuIndex vcpu) = 0;

    // To the processor with this APIC id. False: there is none, or it takes none now. Any vCPU's
    // thread.
    virtual bool send_interrupt(uint32_t apic_id, uint8_t vector) = 0;
    virtual bool send_nmi(uint32_t apic_id) = 0;
    // Ends a halt, now or the next one, without an interrupt. False: there is no such processor.
    virtual bool unhalt(uint32_t apic_id) = 0;
    // Whoever else wants the caller's host processor may have it.
    virtual void yield() = 0;
    // What this processor has kept of page tables is forgotten before it runs on. On its thread.
    virtual void flush_tlb(VcpuIndex vcpu) = 0;
};

}  // namespace mynah
