#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "backend/network/mac_address.h"
#include "backend/network/network_backend.h"
#include "base/mutex.h"
#include "bus/io_handler.h"
#include "bus/line_driver.h"
#include "bus/pci/pci_function.h"
#include "bus/vm_clock.h"
#include "device/network/frame_sender.h"
#include "device/network/i82540em.h"
#include "device/network/pci_pin.h"

namespace mynah {

// An Intel PRO/1000 MT desktop card: an I82540em as a PCI function. BAR 0: its registers in memory,
// BAR 1: a window to them in ports. What the guest sends goes to the backend on the thread that
// rang; what comes is stored on the backend's. Any thread.
class E1000 final : private NetworkSink {
  public:
    // All must outlive the card. Becomes the backend's sink. rom: the expansion ROM's bytes; empty:
    // none.
    E1000(const PciAttachment& attachment, VmClock& clock, NetworkBackend& backend,
          const MacAddress& address, std::span<const std::byte> rom);
    ~E1000() override;
    E1000(const E1000&) = delete;
    E1000& operator=(const E1000&) = delete;

    PciFunction& function() { return function_; }
    void reset() EXCLUDES(mutex_);

  private:
    class MemoryWindow final : public IoHandler {
      public:
        explicit MemoryWindow(E1000& card) : card_(card) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, unsigned size, uint64_t value) override;

      private:
        E1000& card_;
    };
    // IOADDR and IODATA [8254x 4.4].
    class PortWindow final : public IoHandler {
      public:
        explicit PortWindow(E1000& card) : card_(card) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, unsigned size, uint64_t value) override;

      private:
        E1000& card_;
    };

    // NetworkSink
    size_t receive(std::span<const NetworkFrame> frames) override EXCLUDES(mutex_);
    void transmit_ready() override { send(); }
    void link_changed(bool up) override EXCLUDES(mutex_);

    uint32_t read_register(uint32_t offset) EXCLUDES(mutex_);
    void write_register(uint32_t offset, uint32_t value) EXCLUDES(mutex_);
    void send() EXCLUDES(mutex_);
    bool fetch(TransmitBatch& batch) EXCLUDES(mutex_);
    void expired() EXCLUDES(mutex_);
    void update() REQUIRES(mutex_);

    PciFunction function_;
    PciPin pin_;
    LineDriver line_;
    MemoryWindow memory_window_{*this};
    PortWindow port_window_{*this};
    VmClock& clock_;
    NetworkBackend& backend_;
    const NetworkOffloads offloads_;
    FrameSender sender_;
    Mutex mutex_;
    I82540em chip_ GUARDED_BY(mutex_);
    uint32_t io_address_ GUARDED_BY(mutex_) = 0;
    uint64_t armed_ GUARDED_BY(mutex_) = i82540em::Interrupts::kNever;
    bool starved_ GUARDED_BY(mutex_) = false;  // the backend keeps frames back
    std::unique_ptr<VmTimer> timer_;           // last: its callback uses the rest
};

}  // namespace mynah
