#pragma once

#include "device/usb/uhci.h"
#include "device/usb/usb_devices_fuzz.h"

namespace mynah {

// Queues and descriptors that lead to one another in any way, of any content, for a UHCI controller
// with devices in both ports.
class UhciFuzzBoard : public UsbFuzzBoard {
  public:
    ~UhciFuzzBoard() { unplug_all(); }
    void run(testing::ByteFeed& feed) {
        CHECK(adapter.plug(storage, 0).ok());
        CHECK(adapter.plug(keyboard, 1).ok());
        begin();
        for (int steps = 0; steps < 300 && !feed.empty(); ++steps) step(feed);
        registers_.write(uhci::kUsbCommand, 2, uhci::kHostReset);
        CHECK((registers_.read(uhci::kUsbStatus, 2) & uhci::kHalted) != 0);
    }

  private:
    static constexpr uint64_t kFrames = 0x1000, kNodes = 0x10000, kData = 0x20000;

    void begin() {
        using namespace uhci;
        for (unsigned i = 0; i < 1024; ++i) {
            store(kFrames + 4 * i, (uint32_t{kNodes} + i % 8 * 32) | (i % 3 == 0 ? 0 : kQueue));
        }
        for (unsigned i = 0; i < 128; ++i)
            store(kNodes + 16 * i, uint64_t{kTerminate} << 32 | kTerminate);
        registers_.write(kFrameListBase, 4, kFrames);
        registers_.write(kPorts, 2, kPortEnabled);
        registers_.write(kPorts + 2, 2, kPortEnabled);
        registers_.write(kInterruptEnable, 2, 0xf);
        registers_.write(kUsbCommand, 2, kRun);
    }
    static uint32_t node(testing::ByteFeed& feed) {
        const uint8_t choice = feed.take<uint8_t>();
        if (choice >= 250) return feed.take<uint32_t>();
        return static_cast<uint32_t>(kNodes) + choice % 64 * 32 +
               (choice >= 200 ? uhci::kTerminate : 0) + (choice & 1) * uhci::kQueue + (choice & 4);
    }
    void step(testing::ByteFeed& feed) {
        using namespace uhci;
        const uint8_t choice = feed.take<uint8_t>();
        const uint64_t at = kNodes + choice / 4 % 64 * 32;
        switch (choice % 8) {
            case 0:
                registers_.write(feed.take<uint8_t>() % 32, 1u << choice / 8 % 3,
                                 feed.take<uint32_t>());
                break;
            case 1:
            case 2:
            case 3: {
                const uint8_t what = feed.take<uint8_t>();
                static constexpr uint32_t kPids[4] = {kPidIn, kPidOut, kPidSetup, 0x33};
                const uint32_t pid = kPids[what == 255 ? 3 : what % 3];
                TransferDescriptor td{};
                td.link = node(feed);
                td.control = kActive | kOnCompletion | (what & 0x20u) << 24;
                td.control = ErrorCount::with(td.control, what >> 6);
                td.token = TokenPid::with(TokenAddress::with(0, what >> 3 & 1), pid);
                td.token = TokenEndpoint::with(td.token, pid == kPidSetup ? 0 : what / 3 % 3);
                uint32_t length = feed.take<uint8_t>() % 65;
                td.buffer = kData;
                if (pid == kPidSetup) {
                    length = 8;
                    store(kData, fuzz_setup(feed));
                } else if (pid == kPidOut && (what & 0x10) != 0) {
                    length = 31;
                    store(kData, fuzz_command(feed));
                }
                td.token = TokenLength::with(td.token, length - 1);
                if (what == 254) td = feed.take<TransferDescriptor>();
                store(at, td);
                break;
            }
            case 4:
                store(at, QueueHead{node(feed), node(feed)});
                break;
            case 5:
                store(feed.take<uint32_t>(), feed.take<uint64_t>());
                break;
            case 6:
                board.clock.advance(uint64_t{feed.take<uint8_t>()} * 100'000);
                break;
            default:
                outside(feed);
                break;
        }
    }

    Uhci chip_{board.dma, board.clock};
    IoHandler& registers_ = adapter.add(chip_, board.interrupts);
};

}  // namespace mynah
