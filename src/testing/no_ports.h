#pragma once

#include "cpu/cpu_ports.h"

namespace mynah {

// A processor alone: no ports, no devices, no interrupts, no local APIC. Tests override what they
// need.
class NoPorts : public CpuPorts {
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

}  // namespace mynah
