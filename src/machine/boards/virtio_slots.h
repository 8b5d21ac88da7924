#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "bus/io_space.h"
#include "bus/shared_line.h"
#include "device/interrupt/interrupt_router.h"
#include "firmware/acpi_board.h"
#include "memory/dma_view.h"
#include "paravirt/virtio/virtio_mmio.h"

namespace mynah {

class RunRecord;

// The virtio-mmio devices of the micro board: slot after slot in memory, with the interrupts above
// the ISA ones; from the ninth device on they are shared.
class VirtioSlots {
  public:
    // `record`: where the devices are followed; null: nowhere.
    VirtioSlots(IoSpace& memory_space, InterruptRouter& router, const DmaView& dma,
                RunRecord* record = nullptr)
        : memory_space_(memory_space), router_(router), dma_(dma), record_(record) {}

    // Takes the next slot.
    Result<void> add(std::unique_ptr<VirtioDevice> device);
    // Machine reset: every device back to its state after power-on [virtio-1.2 2.4].
    void reset();
    std::vector<AcpiBoard::VirtioMmio> describe() const;

  private:
    struct Slot {
        std::shared_ptr<void> followed;  // its place in the record
        std::unique_ptr<VirtioDevice> device;
        std::unique_ptr<VirtioMmio> transport;  // behind the device it drives
    };

    IoSpace& memory_space_;
    InterruptRouter& router_;
    const DmaView& dma_;
    RunRecord* const record_;
    std::vector<std::unique_ptr<SharedLine>> lines_;  // by GSI, from the first virtio one
    std::vector<Slot> slots_;
};

}  // namespace mynah
