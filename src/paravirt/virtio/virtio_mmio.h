#pragma once

#include <cstdint>
#include <vector>

#include "base/log.h"
#include "bus/bell.h"
#include "bus/io_handler.h"
#include "paravirt/virtio/interrupt_status.h"
#include "paravirt/virtio/virtio_registers.h"
#include "paravirt/virtio/virtio_session.h"

namespace mynah {

// The MMIO transport, version 2 [virtio-1.2 4.2]: registers in front of a VirtioSession. Occupies
// virtio::mmio::kRegionSize bytes. The line is level-triggered, active high.
//
// Modelled: all registers of [virtio-1.2 4.2.2], queue reset included; there are no shared memory
// regions. Left out: the legacy interface (version 1). Accesses to registers that are not aligned
// and 32 bits wide read 0 and are dropped; so are those in the wrong direction.
class VirtioMmio final : public IoHandler, private VirtioInterrupts {
  public:
    // All must outlive the transport. Work that reaches the device by its bell is done on the
    // processor that rang it.
    VirtioMmio(VirtioDevice& device, const DmaView& memory, InterruptLine& line);

    // What rings its queues, in its region.
    std::vector<Bell> bells() const;

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;

  private:
    void used_buffers(uint16_t queue) override;
    void configuration_changed() override;
    void forget() override;

    uint32_t read_register(uint64_t offset);
    void write_register(uint64_t offset, uint32_t value);

    InterruptStatus interrupt_;
    VirtioSession session_;  // last: its queues stop before the interrupt goes away
    VirtioRegisters registers_;
    LogLimit complaints_;
};

}  // namespace mynah
