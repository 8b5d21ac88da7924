#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace mynah {

// What a local APIC holds, for whoever takes it over: registers by their x2APIC numbers, in the
// form that xAPIC mode shows [SDM 3A table 10-1] (the id in the upper byte), with the current count
// and, in x2APIC mode, the destination half of ICR in 31h.
struct ApicImage {
    static constexpr unsigned kRegisters = 0x40;

    std::array<uint32_t, kRegisters> registers{};
    uint64_t base = 0;  // IA32_APIC_BASE
    uint64_t tsc_deadline = 0;
    // A vector that the processor has acknowledged and not begun to handle: it comes next.
    std::optional<uint8_t> unfinished;
};

// Local APICs that an engine has inside: how interrupts reach them. Any thread.
class EngineApics {
  public:
    virtual ~EngineApics() = default;
    // A message as a device writes it [SDM 3A 10.11]. False: nobody took it.
    virtual bool send(uint64_t address, uint32_t data) = 0;
    // What an I/O APIC's pin sends from now on for a level: CpuPorts::end_of_interrupt() is called
    // when a processor is done with it. Pins are below kPins.
    static constexpr unsigned kPins = 24;
    virtual void set_route(unsigned pin, uint64_t address, uint32_t data) = 0;
};

}  // namespace mynah
