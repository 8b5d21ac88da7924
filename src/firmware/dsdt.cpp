#include "firmware/dsdt.h"

#include <fmt/core.h>

#include <array>

#include "firmware/pc_dsdt.h"

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

// The other chips that every PC has behind its ISA bridge.
Bytes pc_devices(const AcpiBoard& board) {
    const auto plain = [](const char* segment, const char* id, const Bytes& resources) {
        return identified_device(segment, aml::eisa_id(id), 0, resources);
    };
    Bytes out = aml::concat(
        {plain("PIC", "PNP0000",
               aml::concat({aml::io_ports(0x20, 2), aml::io_ports(0xa0, 2), aml::io_ports(0x4d0, 2),
                            aml::isa_irq(2)})),
         plain("DMAC", "PNP0200",
               aml::concat({aml::io_ports(0x00, 16), aml::io_ports(0x81, 15),
                            aml::io_ports(0xc0, 32), aml::dma_channel(4)})),
         plain("TIMR", "PNP0100", aml::concat({aml::io_ports(0x40, 4), aml::isa_irq(0)})),
         plain("SPKR", "PNP0800", aml::io_ports(0x61, 1))});
    if (board.hpet_address != 0) {
        out = aml::concat(
            {out, plain("HPET", "PNP0103", aml::memory32_fixed(board.hpet_address, 0x400))});
    }
    if (board.keyboard) out = aml::concat({out, plain("MOU", "PNP0F13", aml::isa_irq(12))});
    if (board.firmware_config_port != 0) {
        out = aml::concat(
            {out,
             identified_device("FWCF", aml::string("QEMU0002"), 0,
                               aml::io_ports(board.firmware_config_port,
                                             static_cast<uint8_t>(board.firmware_config_ports)))});
    }
    if (board.panic_port != 0) {
        out = aml::concat({out, identified_device("PEVT", aml::string("QEMU0001"), 0,
                                                  aml::io_ports(board.panic_port, 1))});
    }
    return out;
}

// Processors [ACPI 8.4]; the UID is the MADT's.
Bytes processors(const AcpiBoard& board) {
    Bytes out;
    for (size_t i = 0; i < board.apic_ids.size(); ++i) {
        out = aml::concat({out, aml::device(fmt::format("C{:03X}", i),
                                            aml::concat({aml::name("_HID", aml::string("ACPI0007")),
                                                         aml::name("_UID", aml::integer(i))}))});
    }
    return out;
}

}  // namespace

aml::Bytes make_dsdt(const AcpiBoard& board) {
    Bytes devices = legacy_devices(board), root;
    if (board.pci) {
        devices = make_pci_devices(board, aml::concat({devices, pc_devices(board)}));
        devices = aml::concat({devices, processors(board)});
        root = make_pci_root_objects();
    }
    for (unsigned i = 0; i < board.virtio_mmio.size(); ++i) {
        devices = aml::concat({devices, virtio_device(i, board.virtio_mmio[i])});
    }
    const std::array<Bytes, 4> soft_off{aml::integer(board.soft_off_type), aml::integer(0),
                                        aml::integer(0), aml::integer(0)};
    return aml::concat(
        {root, aml::scope("\\_SB", devices), aml::name("\\_S5", aml::package(soft_off))});
}

}  // namespace mynah
