#pragma once

#include "device/usb/usb_devices_fuzz.h"
#include "device/usb/xhci.h"
#include "device/usb/xhci_registers.h"

namespace mynah {

// A driver of an xHCI controller whose structures are in place and whose contents are anything:
// commands, contexts, transfers, registers. What is checked is what the sanitizers see, that each
// call comes back, and that a reset makes the controller usable again.
class XhciFuzzBoard : public UsbFuzzBoard {
  public:
    ~XhciFuzzBoard() { unplug_all(); }
    void run(testing::ByteFeed& feed) {
        plug_all();
        begin();
        for (int steps = 0; steps < 400 && !feed.empty(); ++steps) step(feed);
        begin();
        put_command({0, 0, usb::xhci::TrbType::with(0, usb::xhci::kNoOpCommand)});
        const auto event = board.memory->load<usb::xhci::Trb>(GuestPhys(kEvents)).value();
        CHECK((event.control & usb::xhci::kCycle) != 0);
    }

  private:
    static constexpr uint64_t kContexts = 0x1000, kCommands = 0x2000, kTable = 0x3000,
                              kEvents = 0x4000, kInput = 0x5000, kOutputs = 0x8000,
                              kRings = 0x20000, kData = 0x80000;
    static constexpr unsigned kEventCount = 128, kRingSize = 16;

    void write(uint32_t offset, uint32_t value) { registers_.write(offset, 4, value); }
    void operational(uint32_t offset, uint32_t value) {
        write(xhci_registers::kOperational + offset, value);
    }
    void begin() {
        using namespace xhci_registers;
        operational(kUsbCommand, kHcReset);
        CHECK((registers_.read(kOperational + kUsbStatus, 4) & kHalted) != 0);
        for (uint64_t at = kContexts; at < kRings; at += 4096) {
            CHECK(board.memory->fill(GuestPhys(at), std::byte{0}, 4096));
        }
        for (unsigned slot = 0; slot <= 8; ++slot) {
            store(kContexts + 8 * slot, uint64_t{kOutputs + slot * 0x400});
        }
        store(kTable, usb::xhci::RingSegment{kEvents, kEventCount, 0});
        operational(kConfigure, 8);
        operational(kContextArray, kContexts);
        operational(kCommandRing, kCommands | 1);
        operational(kCommandRing + 4, 0);
        write(kInterrupters + kTableSize, 1);
        write(kInterrupters + kDequeuePointer, kEvents);
        write(kInterrupters + kTableBase, kTable);
        write(kInterrupters + kManagement, kEnabled);
        operational(kUsbCommand, kRun | kInterruptEnable);
        command_at_ = 0;
        command_cycle_ = true;
    }
    void put_command(usb::xhci::Trb trb) {
        using namespace usb::xhci;
        trb.control = (trb.control & ~kCycle) | (command_cycle_ ? 1 : 0);
        store(kCommands + 16 * command_at_, trb);
        if (++command_at_ == kRingSize - 1) {
            store(kCommands + 16 * command_at_,
                  Trb{kCommands, 0, TrbType::with(kToggleCycle | (command_cycle_ ? 1 : 0), kLink)});
            command_at_ = 0;
            command_cycle_ = !command_cycle_;
        }
        write(xhci_registers::kDoorbells, 0);
    }
    static uint64_t ring_of(uint32_t slot, uint32_t index) {
        return kRings + (slot % 8 * 32 + index) * kRingSize * 16;
    }

    void step(testing::ByteFeed& feed) {
        using namespace usb::xhci;
        const uint8_t choice = feed.take<uint8_t>();
        switch (choice % 8) {
            case 0: {
                const uint32_t offset = feed.take<uint16_t>() & ~3u;
                write(offset, feed.take<uint32_t>());
                (void)registers_.read(offset + (choice >> 6), 1);
                break;
            }
            case 1:
                command(feed);
                break;
            case 2:
            case 3:
                transfer(feed);
                break;
            case 4: {
                const uint32_t port = choice / 8 % 8;
                write(xhci_registers::kPorts + 16 * port, feed.take<uint32_t>());
                break;
            }
            case 5:  // the driver has seen its events
                write(xhci_registers::kInterrupters + xhci_registers::kDequeuePointer,
                      static_cast<uint32_t>(kEvents + feed.take<uint8_t>() % kEventCount * 16) | 8);
                break;
            case 6:
                store(feed.take<uint32_t>(), feed.take<uint64_t>());
                break;
            default:
                outside(feed);
                break;
        }
    }
    void command(testing::ByteFeed& feed) {
        using namespace usb::xhci;
        const uint8_t choice = feed.take<uint8_t>();
        const uint8_t where = feed.take<uint8_t>();
        const uint32_t slot = where % 5, index = where / 5 % 32;
        const uint8_t type = static_cast<uint8_t>(kEnableSlot + choice % 10);
        Trb trb{kInput, 0, feed.take<uint8_t>() >= 250 ? uint32_t{1} << 9 : 0};
        if (type == kAddressDevice || type == kConfigureEndpoint || type == kEvaluateContext) {
            fill_input(feed, slot, type == kAddressDevice);
        }
        if (type == kSetTrDequeue) trb.parameter = ring_of(slot, index) | 1;
        if (choice >= 240) trb.parameter = feed.take<uint64_t>();
        trb.control =
            TrbType::with(TrbSlot::with(TrbEndpoint::with(trb.control, index), slot), type);
        put_command(trb);
    }
    void fill_input(testing::ByteFeed& feed, uint32_t slot, bool address) {
        using namespace usb::xhci;
        const uint8_t choice = feed.take<uint8_t>();
        store(kInput, choice < 200 ? 0u : feed.take<uint32_t>());
        store(kInput + 4, address ? 3u : 1u | 1u << 3 | 1u << 4 | feed.take<uint32_t>() % 64 * 4);
        store(kInput + 0x20, SlotEntries::with(0, 1));
        store(kInput + 0x24, SlotRootPort::with(0, choice % 9));
        for (uint32_t index = 1; index < 8; ++index) {
            static constexpr uint32_t kKinds[8] = {0, 4, 2, 7, 2, 6, 1, 5};
            const uint32_t kind = choice < 240 ? kKinds[index] : feed.take<uint8_t>() & 7;
            const uint64_t at = kInput + 0x20 * (index + 1);
            store(at + 4, EndpointKind::with(0, index == 3 && (choice & 1) != 0 ? 6 : kind));
            store(at + 8, ring_of(slot, index) | 1);
        }
    }
    void transfer(testing::ByteFeed& feed) {
        using namespace usb::xhci;
        const uint8_t where = feed.take<uint8_t>();
        const uint8_t shape = feed.take<uint8_t>();
        const uint32_t slot = 1 + where % 4, index = 1 + where / 4 % 5;
        unsigned& at = ring_at_[slot][index];
        uint64_t setup = 0;
        const auto put = [&](uint64_t parameter, uint32_t status, uint32_t control) {
            store(ring_of(slot, index) + 16 * at, Trb{parameter, status, control | kCycle});
            at = (at + 1) % (kRingSize - 1);
            // Without toggling: what is there from the last round is there again.
            store(ring_of(slot, index) + 16 * (kRingSize - 1),
                  Trb{ring_of(slot, index), 0, TrbType::with(kCycle, kLink)});
        };
        if (index == 1) {
            const usb::Setup packet = fuzz_setup(feed);
            setup = std::bit_cast<uint64_t>(packet);
            const bool in = (packet.request_type & 0x80) != 0;
            put(setup, 8, TrbType::with(kImmediateData, kSetupStage));
            if (packet.length != 0) {
                put(kData, packet.length, TrbType::with(in ? kDirectionIn : 0, kDataStage));
            }
            put(0, 0,
                TrbType::with(kInterruptOnCompletion | (in ? 0 : kDirectionIn), kStatusStage));
        } else if (shape < 100) {
            store(kData, fuzz_command(feed));
            put(kData, index == 4 ? 31 : feed.take<uint8_t>() * 64u,
                TrbType::with(kInterruptOnCompletion | kInterruptOnShort, kNormal));
        } else if (shape < 200) {
            const uint32_t chain = (shape & 1) != 0 ? kChain : 0;
            put(kData + shape, feed.take<uint16_t>(),
                TrbType::with(chain | kInterruptOnShort, kNormal));
            put(0x55, 0, TrbType::with(kInterruptOnCompletion, kEventDataTrb));
        } else {
            put(feed.take<uint64_t>(), feed.take<uint32_t>(), feed.take<uint32_t>());
        }
        write(xhci_registers::kDoorbells + 4 * slot, index);
    }

    Xhci chip_{board.dma, board.clock};
    IoHandler& registers_ = adapter.add(chip_, board.interrupts);
    unsigned command_at_ = 0;
    bool command_cycle_ = true;
    unsigned ring_at_[8][8] = {};
};

}  // namespace mynah
