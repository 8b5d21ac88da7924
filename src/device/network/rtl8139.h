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
#include "device/network/pci_pin.h"
#include "device/network/rtl8139cplus.h"

namespace mynah {

// A Realtek fast Ethernet card: an Rtl8139Cplus as a PCI function, its registers in ports (BAR 0)
// and in memory (BAR 1). Any thread.
class Rtl8139 final : private IoHandler, private NetworkSink {
  public:
    // All must outlive the card. Becomes the backend's sink. rom: the expansion ROM's bytes; empty:
    // none.
    Rtl8139(const PciAttachment& attachment, VmClock& clock, NetworkBackend& backend,
            const MacAddress& address, std::span<const std::byte> rom);
    ~Rtl8139() override;
    Rtl8139(const Rtl8139&) = delete;
    Rtl8139& operator=(const Rtl8139&) = delete;

    PciFunction& function() { return function_; }
    void reset() EXCLUDES(mutex_);

    // In C+ mode a driver gives descriptors back in memory only, so a card that had none left looks
    // again after so long.
    static constexpr uint64_t kRetryNs = 2'000'000;

  private:
    // The same registers in memory: a placed range needs a handler of its own.
    class MemoryWindow final : public IoHandler {
      public:
        explicit MemoryWindow(Rtl8139& card) : card_(card) {}
        uint64_t read(uint64_t offset, unsigned size) override { return card_.read(offset, size); }
        void write(uint64_t offset, unsigned size, uint64_t value) override {
            card_.write(offset, size, value);
        }

      private:
        Rtl8139& card_;
    };

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    size_t receive(std::span<const NetworkFrame> frames) override EXCLUDES(mutex_);
    void transmit_ready() override { send(); }
    void link_changed(bool up) override EXCLUDES(mutex_);

    void send() EXCLUDES(mutex_);
    bool fetch(TransmitBatch& batch) EXCLUDES(mutex_);
    void expired() EXCLUDES(mutex_);
    void update() REQUIRES(mutex_);

    PciFunction function_;
    PciPin pin_;
    LineDriver line_;
    MemoryWindow memory_window_{*this};
    VmClock& clock_;
    NetworkBackend& backend_;
    const NetworkOffloads offloads_;
    FrameSender sender_;
    Mutex mutex_;
    Rtl8139Cplus chip_ GUARDED_BY(mutex_);
    uint64_t armed_ GUARDED_BY(mutex_) = Rtl8139Cplus::kNever;
    bool starved_ GUARDED_BY(mutex_) = false;  // the backend keeps frames back
    uint64_t retry_ GUARDED_BY(mutex_) = Rtl8139Cplus::kNever;
    std::unique_ptr<VmTimer> timer_;  // last: its callback uses the rest
};

}  // namespace mynah
