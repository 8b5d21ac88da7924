#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/log.h"
#include "bus/io_handler.h"
#include "bus/pci/pci_function.h"
#include "paravirt/virtio/interrupt_status.h"
#include "paravirt/virtio/virtio_registers.h"
#include "paravirt/virtio/virtio_session.h"
#include "spec/virtio/pci_registers.h"

namespace mynah {

// The PCI transport of a modern device [virtio-1.2 4.1]: structures in BAR 4 in front of a
// VirtioSession; MSI-X, one vector for each queue and one for the configuration, in BAR 1; INTx
// where the driver does not enable it.
//
// The structures can also be reached through configuration space [4.1.4.9]. A transitional device
// has the legacy interface besides, in ports in BAR 0 (virtio_pci_legacy.cpp).
//
// Left out: shared memory regions.
// Accesses that do not match a field's offset and width read 0 and are dropped.
class VirtioPci final : private IoHandler, private VirtioInterrupts {
  public:
    enum class Interface : uint8_t { kModern, kTransitional };
    // class_code: PCI class of the device, 24 bits. All must outlive the transport. Work that
    // reaches the device by its bell is done on the processor that rang it.
    VirtioPci(VirtioDevice& device, const PciAttachment& attachment, uint32_t class_code,
              Interface interface = Interface::kModern);

    ~VirtioPci() override { function_.unplug(); }

    PciFunction& function() { return function_; }
    void reset();

  private:
    // Drives the function's INTx.
    class Line final : public InterruptLine {
      public:
        explicit Line(PciFunction& function) : function_(function) {}
        void set(bool level) override { function_.set_intx(level); }

      private:
        PciFunction& function_;
    };

    // BAR 0 of a transitional device.
    class LegacyPorts final : public IoHandler {
      public:
        explicit LegacyPorts(VirtioPci& pci) : pci_(pci) {}
        uint64_t read(uint64_t offset, unsigned size) override {
            return pci_.legacy_read(offset, size);
        }
        void write(uint64_t offset, unsigned size, uint64_t value) override {
            pci_.legacy_write(offset, size, value);
        }

      private:
        VirtioPci& pci_;
    };

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;
    void used_buffers(uint16_t queue) override;
    void configuration_changed() override;
    void forget() override;

    void lay_out(Interface interface);
    uint32_t take_isr();
    unsigned add_structure(virtio::pci::CapabilityType type, uint32_t offset, uint32_t size);
    struct WindowAccess {
        uint32_t place, length;
    };
    std::optional<WindowAccess> window_access(unsigned offset, unsigned size) const;
    void read_window(unsigned offset, unsigned size);
    void write_window(unsigned offset, unsigned size);
    uint64_t read_common(uint64_t offset);
    void write_common(uint64_t offset, uint32_t value);
    void write_status(uint32_t value);
    void reset_vectors();
    uint64_t legacy_read(uint64_t offset, unsigned size);
    void legacy_write(uint64_t offset, unsigned size, uint64_t value);
    uint64_t legacy_config_offset() const;
    void set_legacy_queue(uint32_t page);
    void set_vector(std::atomic<uint16_t>& vector, uint32_t value);
    void tell(uint8_t isr, uint16_t vector);

    LegacyPorts legacy_ports_{*this};
    PciFunction function_;
    Line line_;
    InterruptStatus isr_;
    const unsigned vectors_;
    unsigned window_ = 0;  // the capability for access through configuration space
    std::atomic<uint16_t> config_vector_;
    std::vector<std::atomic<uint16_t>> queue_vectors_;
    VirtioSession session_;  // last: its queues stop before the interrupt goes away
    VirtioRegisters registers_;
    LogLimit complaints_;
};

}  // namespace mynah
