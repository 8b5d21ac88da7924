#include "device/usb/usb_host_adapter.h"

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include <atomic>
#include <thread>

#include "base/worker_executor.h"
#include "bus/host_clock.h"
#include "device/usb/usb_keyboard.h"
#include "device/usb/usb_pointer.h"
#include "device/usb/usb_storage.h"
#include "device/usb/xhci.h"
#include "device/usb/xhci_driver_test.h"
#include "testing/memory_disk.h"

namespace mynah::testing {
namespace {

// A disk whose requests are done by a thread of its own.
class ThreadedDisk final : public BlockBackend {
  public:
    const BlockGeometry& geometry() const override { return disk_.geometry(); }
    void submit(BlockRequest& request) override {
        worker_.post([this, &request] { disk_.submit(request); });
    }

  private:
    MemoryDisk disk_{1 << 20};
    WorkerExecutor worker_;
};

// Counts; several threads deliver.
class CountingInterrupts final : public UsbInterrupts {
  public:
    void set(bool level) override { level_ = level; }
    bool messages() const override { return true; }
    void send(unsigned) override { ++sent_; }
    unsigned sent() const { return sent_; }

  private:
    std::atomic<bool> level_{false};
    std::atomic<unsigned> sent_{0};
};

struct Setting {
    std::unique_ptr<GuestMemory> memory = [] {
        const GuestMemory::Range range{GuestPhys{0}, 16 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView dma{*memory};
    HostClock clock;
    CountingInterrupts interrupts;
    Xhci chip{dma, clock};
    ThreadedDisk disk;
    UsbStorage storage{disk, {}};
    UsbTablet tablet{clock};
    UsbHostAdapter adapter{clock};
    IoHandler& registers = adapter.add(chip, interrupts);
    XhciDriver driver{registers, *memory};

    ~Setting() {
        adapter.unplug(storage);
        adapter.unplug(tablet);
    }
};

// What a driver does in one go while other threads complete its requests, move the pointer and pull
// the plug. Nothing is expected of the outcome but that everybody comes back.
TEST(UsbHostAdapter, ManyThreadsAtOnce) {
    Setting at;
    at.driver.start(1, 256);
    std::atomic<bool> stop{false};
    std::thread person([&] {
        for (int i = 0; !stop; ++i) at.tablet.move_to(static_cast<uint16_t>(i), 5);
    });
    std::thread hands([&] {
        for (int i = 0; !stop; ++i) {
            EXPECT_TRUE(at.adapter.plug(at.storage, 4).ok());
            std::this_thread::sleep_for(std::chrono::microseconds(i % 7 * 300));
            at.adapter.unplug(at.storage);
        }
    });
    EXPECT_TRUE(at.adapter.plug(at.tablet, 0).ok());
    const uint64_t buffer = at.driver.take(4096);
    for (int round = 0; round < 150; ++round) {
        for (unsigned port : {0u, 4u}) {
            // Registers and rings, as far as one gets: the device may go at any moment.
            const auto enabled = at.driver.command(usb::xhci::kEnableSlot);
            if (enabled.code != usb::xhci::kSuccess) continue;
            at.driver.write_port(port, xhci_registers::kPortPower | xhci_registers::kPortReset |
                                           xhci_registers::kPortChanges);
            at.driver.try_address(enabled.slot, port);
            at.driver.try_transfer(enabled.slot, port == 4 ? 4 : 3, buffer, 31);
            at.driver.try_transfer(enabled.slot, 3, buffer, 512);
            at.driver.command(usb::xhci::kDisableSlot, 0, enabled.slot);
        }
    }
    stop = true;
    person.join();
    hands.join();
    EXPECT_GT(at.interrupts.sent(), 0u);
}

TEST(UsbHostAdapter, PortsAreChosenAndRefused) {
    Setting at;
    EXPECT_EQ(at.adapter.plug(at.storage).value(), 4u);  // the fastest that is free
    EXPECT_EQ(at.adapter.plug(at.tablet).value(), 0u);
    MemoryDisk disk{1 << 20};
    UsbStorage second(disk, {});
    const auto refused = at.adapter.plug(second, 4);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().message(), "USB port 4 has a device in it");
    EXPECT_EQ(at.adapter.plug(second, 99).error().message(),
              "there is no USB port 99; the last is 7");
    EXPECT_EQ(at.adapter.plug(second).value(), 5u);
    at.adapter.unplug(second);
    at.adapter.unplug(second);  // once more is no harm
}

}  // namespace
}  // namespace mynah::testing
