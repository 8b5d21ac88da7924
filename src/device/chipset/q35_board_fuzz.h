#pragma once

#include <string>

#include "device/chipset/ich9_root_port.h"
#include "device/chipset/q35_fixture_test.h"
#include "device/firmware_config/firmware_config.h"
#include "device/firmware_config/flash_memory.h"
#include "testing/byte_board.h"

namespace mynah::testing {

// Any range of an address space, as a guest reaches it wherever the chipset put things.
class PlacedRange final : public IoHandler {
  public:
    PlacedRange(IoSpace& space, uint64_t start) : space_(space), start_(start) {}
    uint64_t read(uint64_t offset, unsigned size) override {
        return space_.read(start_ + offset, size);
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        space_.write(start_ + offset, size, value);
    }

  private:
    IoSpace& space_;
    const uint64_t start_;
};

// The chipset of a Q35 board, its configuration space, firmware's device and its flash under a
// guest that does anything.
inline void drive_q35(std::span<const uint8_t> bytes) {
    class ForgetfulStore final : public FlashStore {
        void save(uint64_t, std::span<const std::byte>) override {}
    };
    ByteBoard board;
    Q35 q35(board.clock());
    class NoReset final : public IoHandler {
        uint64_t read(uint64_t, unsigned) override { return 0; }
        void write(uint64_t, unsigned, uint64_t) override {}
    } reset_control;
    Ich9RootPort port(q35.attachment(), 0);
    q35.bus.add_bridge({28, 0}, port.function(), port.secondary());
    PciConfigPorts config(q35.bus, reset_control);
    PciEcam ecam(q35.bus);
    FirmwareConfig firmware(*q35.dma);
    firmware.set_file("etc/a", FirmwareConfig::Bytes(100));
    firmware.set_writable_file("etc/b", FirmwareConfig::Bytes(300));
    ForgetfulStore store;
    FlashMemory flash(*q35.memory, GuestPhys(0xffc00000), q35.flash, &store);
    PlacedRange pm(q35.ports, 0x600), everywhere(q35.space, 0xfed1c000), low(q35.space, 0xa0000);
    board.add(ecam, 0x10000, 8);
    board.add(config, 8);
    board.add(firmware, fw_cfg::kPorts);
    board.add(flash, q35.flash.size, 8);
    board.add(pm, 0x80);
    board.add(everywhere, 0x4000, 8);
    board.add(low, 0x60000, 8);
    board.add(q35.power_management, 0x80);
    board.add(q35.power_management.apm_ports(), 2);
    board.add(q35.pirqs.input({4, 0}, 2));
    board.add(q35.pirqs.input({29, 0}, 1));
    // The registers that move things, aimed at.
    board.add([&](ByteSource& source) {
        static constexpr unsigned kOffsets[] = {0x04, 0x40, 0x44, 0x60, 0x64, 0x90,
                                                0x94, 0x9c, 0xa0, 0xf0, 0x18, 0x20};
        PciFunction* const functions[] = {&q35.mch->function(), &q35.lpc->function(),
                                          &port.function()};
        const uint64_t choice = source.take(1);
        functions[choice % 3]->config_write(kOffsets[choice / 3 % 12], 4,
                                            static_cast<uint32_t>(source.take(4)));
    });
    board.add([&](ByteSource&) {
        q35.mch->reset();
        q35.lpc->reset();
        port.reset();
    });
    board.run(bytes);
}

}  // namespace mynah::testing
