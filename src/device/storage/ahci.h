#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "device/storage/ahci_port.h"

namespace mynah {

struct AhciOptions {
    // The guest must spin up each device; some systems then look at one port after the other.
    bool staggered_spin_up = false;
};

// An AHCI 1.3.1 host bus adapter with the six ports of an ICH9; the chip, so one thread at a time.
//
// Modelled: 32 slots, queued commands, 64-bit addresses, soft and hard reset of ports and of the
// adapter. Left out: command completion coalescing, enclosure management, port multipliers,
// power states of the link, hand-off from firmware, legacy (non-AHCI) operation.
class Ahci {
  public:
    static constexpr unsigned kPortCount = 6;
    static constexpr uint32_t kRegisterBytes = ahci::kPorts + kPortCount * ahci::kPortSize;

    Ahci(const DmaView& memory, MediumJobOwner& jobs, AhciOptions options);

    AhciPort& port(unsigned index) { return *ports_[index]; }

    // Offsets are multiples of 4.
    uint32_t read(uint32_t offset) const;
    void write(uint32_t offset, uint32_t value);

    // The next command whose work is to be started; null: none.
    AhciTask* take_ready();
    void finished(AhciTask& task, BlockStatus status);
    bool drained() const;
    // As after power-on. Only when drained.
    void reset();
    void begin_reset();

    // The wire.
    bool interrupt() const;
    // True once for each message that is due [AHCI 10.6.2.1].
    bool take_message();

  private:
    void write_global(uint32_t offset, uint32_t value);
    void finish_reset();
    void collect();

    const AhciOptions options_;
    std::array<std::unique_ptr<AhciPort>, kPortCount> ports_;
    unsigned next_port_ = 0;
    uint32_t ghc_ = 0, is_ = 0;
    bool resetting_ = false;
    bool message_ = false;
};

}  // namespace mynah
