#pragma once

#include "device/usb/ehci.h"
#include "device/usb/usb_devices_fuzz.h"

namespace mynah {

// Queue heads and transfers that lead to one another in any way, of any content, for an EHCI
// controller with its companions; ports change hands.
class EhciFuzzBoard : public UsbFuzzBoard {
  public:
    ~EhciFuzzBoard() { unplug_all(); }
    void run(testing::ByteFeed& feed) {
        plug_all();
        begin();
        for (int steps = 0; steps < 300 && !feed.empty(); ++steps) step(feed);
        write(ehci::kUsbCommand, ehci::kHostReset);
        CHECK((read(ehci::kUsbStatus) & ehci::kHalted) != 0);
        CHECK(read(ehci::kConfigFlag) == 0);
    }

  private:
    static constexpr uint64_t kFrames = 0x1000, kNodes = 0x10000, kData = 0x20000;

    void write(uint32_t offset, uint32_t value) {
        registers_.write(ehci::kOperational + offset, 4, value);
    }
    uint32_t read(uint32_t offset) {
        return static_cast<uint32_t>(registers_.read(ehci::kOperational + offset, 4));
    }
    void begin() {
        using namespace ehci;
        for (unsigned i = 0; i < 1024; ++i) {
            store(kFrames + 4 * i, i % 5 == 0 ? uint32_t{kNodes} + i % 16 * 64 + 2 : kTerminate);
        }
        for (unsigned i = 0; i < 64; ++i) {
            QueueHead head{};
            head.horizontal = static_cast<uint32_t>(kNodes + (i + 1) % 64 * 64 + 2);
            head.overlay.next = head.overlay.alternate = kTerminate;
            store(kNodes + 64 * i, head);
        }
        write(kConfigFlag, 1);
        for (unsigned port = 0; port < Ehci::kPortCount; ++port) {
            write(kPorts + 4 * port, kPortPower | kPortReset);
            write(kPorts + 4 * port, kPortPower);
        }
        write(kPeriodicBase, kFrames);
        write(kAsyncAddress, kNodes);
        write(kInterruptEnable, 0x3f);
        write(kUsbCommand, kRun | kAsyncEnable | kPeriodicEnable);
    }
    static uint32_t node(testing::ByteFeed& feed) {
        const uint8_t choice = feed.take<uint8_t>();
        if (choice >= 250) return feed.take<uint32_t>();
        return static_cast<uint32_t>(kNodes) + choice % 64 * 64 + (choice >= 200 ? 1 : 0);
    }
    void step(testing::ByteFeed& feed) {
        using namespace ehci;
        const uint8_t choice = feed.take<uint8_t>();
        const uint64_t at = kNodes + choice / 4 % 64 * 64;
        switch (choice % 8) {
            case 0: {
                const uint32_t offset = feed.take<uint8_t>();
                registers_.write(offset, 4, feed.take<uint32_t>());
                break;
            }
            case 1: {
                QueueHead head{};
                head.horizontal = node(feed) | 2;
                const uint8_t what = feed.take<uint8_t>();
                head.characteristics =
                    QueueAddress::with(QueueEndpoint::with(0, what / 2 % 3), what & 1);
                head.overlay.next = node(feed);
                head.overlay.alternate = node(feed);
                if (what >= 240) head = feed.take<QueueHead>();
                store(at, head);
                break;
            }
            case 2:
            case 3: {
                const uint8_t what = feed.take<uint8_t>();
                Transfer transfer{};
                transfer.next = node(feed);
                transfer.alternate = node(feed);
                const uint32_t pid = what & 3;
                uint32_t size = feed.take<uint16_t>() & 0x7fff;
                for (unsigned i = 0; i < kPages; ++i) transfer.buffers[i] = kData + i * 4096;
                transfer.buffers[0] += what;
                if (pid == kPidSetup) {
                    size = 8;
                    store(kData + what, fuzz_setup(feed));
                } else if ((what & 4) != 0) {
                    size = pid == kPidOut ? 31 : size;
                    store(kData + what, fuzz_command(feed));
                }
                transfer.token =
                    TokenPid::with(TokenBytes::with(kActive | kOnCompletion, size), pid);
                if (what == 255) transfer = feed.take<Transfer>();
                store(at, transfer);
                break;
            }
            case 4:
                store(feed.take<uint32_t>(), feed.take<uint64_t>());
                break;
            case 5:
                companion_[choice / 8 % 3]->write(feed.take<uint8_t>() % 32, 2,
                                                  feed.take<uint16_t>());
                break;
            case 6:
                board.clock.advance(uint64_t{feed.take<uint8_t>()} * 100'000);
                break;
            default:
                outside(feed);
                break;
        }
    }

    Uhci uhci_[3] = {{board.dma, board.clock}, {board.dma, board.clock}, {board.dma, board.clock}};
    std::array<Uhci*, 3> companions_{&uhci_[0], &uhci_[1], &uhci_[2]};
    Ehci chip_{board.dma, board.clock, companions_};
    testing::RecordingUsbInterrupts interrupts_[3];
    IoHandler& registers_ = adapter.add(chip_, board.interrupts);
    IoHandler* companion_[3] = {&adapter.add(uhci_[0], interrupts_[0]),
                                &adapter.add(uhci_[1], interrupts_[1]),
                                &adapter.add(uhci_[2], interrupts_[2])};
};

}  // namespace mynah
