#include "firmware/dsdt.h"

#include <fmt/core.h>

#include <array>

namespace mynah {
namespace {

using aml::Bytes;

Bytes identified_device(const std::string& segment, const Bytes& hid, uint64_t uid,
                        const Bytes& resources) {
    return aml::device(segment,
                       aml::concat({aml::name("_HID", hid), aml::name("_UID", aml::integer(uid)),
                                    aml::name("_CRS", aml::resource_template(resources))}));
}

// "LNRO0005" is what Linux and UEFI look for [virtio-1.2 4.2.1 leaves discovery to the platform].
Bytes virtio_device(unsigned index, const AcpiBoard::VirtioMmio& device) {
    const auto sharing = device.shared ? aml::Sharing::kShared : aml::Sharing::kExclusive;
    return identified_device(fmt::format("VR{:02X}", index), aml::string("LNRO0005"), index,
                             aml::concat({aml::memory32_fixed(device.address, device.size),
                                          aml::level_interrupt(device.gsi, sharing)}));
}

Bytes legacy_devices(const AcpiBoard& board) {
    Bytes out = identified_device("RTC", aml::eisa_id("PNP0B00"), 0,
                                  aml::concat({aml::io_ports(0x70, 2), aml::isa_irq(8)}));
    if (board.keyboard) {
        const Bytes keyboard = identified_device(
            "KBD", aml::eisa_id("PNP0303"), 0,
            aml::concat({aml::io_ports(0x60, 1), aml::io_ports(0x64, 1), aml::isa_irq(1)}));
        out = aml::concat({out, keyboard});
    }
    for (unsigned i = 0; i < board.serial_ports.size(); ++i) {
        const AcpiBoard::SerialPort& serial = board.serial_ports[i];
        const Bytes com = identified_device(
            fmt::format("COM{}", i + 1), aml::eisa_id("PNP0501"), i + 1,
            aml::concat({aml::io_ports(serial.port, 8), aml::isa_irq(serial.irq)}));
        out = aml::concat({out, com});
    }
    return out;
}

}  // namespace

aml::Bytes make_dsdt(const AcpiBoard& board) {
    Bytes devices = legacy_devices(board);
    for (unsigned i = 0; i < board.virtio_mmio.size(); ++i) {
        devices = aml::concat({devices, virtio_device(i, board.virtio_mmio[i])});
    }
    const std::array<Bytes, 4> soft_off{aml::integer(board.soft_off_type), aml::integer(0),
                                        aml::integer(0), aml::integer(0)};
    return aml::concat({aml::scope("\\_SB", devices), aml::name("\\_S5", aml::package(soft_off))});
}

}  // namespace mynah
