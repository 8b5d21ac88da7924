#pragma once

#include <cstdint>
#include <span>

#include "base/executor.h"
#include "base/result.h"
#include "bus/io_space.h"
#include "bus/vm_clock.h"
#include "device/chipset/power_sink.h"
#include "device/interrupt/apic_bus.h"
#include "device/interrupt/pic_pair.h"
#include "machine/medium_trays.h"
#include "memory/guest_memory.h"

namespace mynah {

class HotSlots;
class InputSink;
class RunRecord;
class Screen;

// What a board is plugged into. All outlive it.
struct BoardContext {
    GuestMemory& memory;
    IoSpace& ports;
    IoSpace& memory_space;
    VmClock& clock;
    ApicBus& apic_bus;
    PicPair& pics;  // made first, as the local APICs take its interrupts
    PowerSink& power;
    Executor& slow_work;  // what would keep a processor waiting
    RunRecord* record = nullptr;  // where the board's devices are followed; null: nowhere
};

// A mainboard: everything but memory and the processors with their local APICs, which are the
// machine's.
class Board : public MediumTrays {
  public:
    // What a guest finds at its start, with processors of these APIC ids; after power-on and after
    // every reset(). No vCPU runs. Error: it does not fit.
    virtual Result<void> prepare(std::span<const uint32_t> apic_ids) = 0;
    // The reset wire. No vCPU runs.
    virtual void reset() = 0;
    // Any thread.
    virtual void press_power_button() = 0;
    // The display, and where a person's input goes; null: there is none. They live with the board.
    virtual Screen* screen() { return nullptr; }
    virtual InputSink* input() { return nullptr; }
    // Where cards are put in while the machine runs; null: nowhere.
    virtual HotSlots* hot_slots() { return nullptr; }
};

}  // namespace mynah
