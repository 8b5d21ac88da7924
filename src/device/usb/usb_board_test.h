#pragma once

// What a controller under test is plugged into: memory, clock, interrupts.

#include <memory>
#include <vector>

#include "base/check.h"
#include "device/usb/usb_host_adapter.h"
#include "memory/dma_view.h"
#include "memory/guest_memory.h"
#include "testing/manual_clock.h"

namespace mynah::testing {

class RecordingUsbInterrupts final : public UsbInterrupts {
  public:
    void set(bool level) override {
        if (level && !level_) ++rises;
        level_ = level;
    }
    bool messages() const override { return messages_on; }
    void send(unsigned vector) override { sent.push_back(vector); }
    bool level() const { return level_; }

    bool messages_on = false;
    unsigned rises = 0;
    std::vector<unsigned> sent;

  private:
    bool level_ = false;
};

struct UsbBoard {
    static constexpr uint64_t kRam = 32 << 20;

    std::unique_ptr<GuestMemory> memory = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView dma{*memory};
    ManualClock clock;
    RecordingUsbInterrupts interrupts;
};

// Tells the bytes of a disk apart.
inline uint8_t disk_byte(uint64_t at) { return static_cast<uint8_t>(at * 7 + at / 512 * 13 + 5); }

}  // namespace mynah::testing
