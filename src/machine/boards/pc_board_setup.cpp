#include <algorithm>

#include "base/bits.h"
#include "firmware/acpi_tables.h"
#include "firmware/bios_data_area.h"
#include "firmware/e820.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"

// What firmware of a PC board is told, and what is done to the chipset without firmware.
namespace mynah {
namespace {

using Bytes = FirmwareConfig::Bytes;

template <typename T>
void append(Bytes& to, T value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    to.insert(to.end(), bytes.begin(), bytes.end());
}

Bytes text_bytes(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return Bytes(bytes.begin(), bytes.end());
}

// The RAM as firmware's file "etc/e820" has it: packed entries.
Bytes make_e820_file(std::span<const GuestMemory::Range> ram) {
    Bytes file;
    for (const GuestMemory::Range& range : ram) {
        append(file, range.start.value);
        append(file, range.size);
        append(file, static_cast<uint32_t>(E820Entry::kRam));
    }
    return file;
}

constexpr std::array kUsualOrder{BootConfig::Device::kDisk, BootConfig::Device::kCdrom,
                                 BootConfig::Device::kNetwork};

std::span<const BootConfig::Device> boot_order(const BootConfig& boot) {
    return boot.order.empty() ? std::span<const BootConfig::Device>(kUsualOrder) : boot.order;
}

}  // namespace

// Memory sizes and boot order as PC firmware expects them [RBIL CMOS 10h-18h, 30h-35h; SeaBIOS
// rtc.h for the rest].
void PcBoard::write_cmos(size_t processors) {
    constexpr uint64_t kKib = 1024, kExtendedLimit = 0xffff, kUnit = 64 * kKib;
    const auto put16 = [this](uint8_t index, uint64_t value) {
        rtc_.set_memory(index, static_cast<uint8_t>(value));
        rtc_.set_memory(static_cast<uint8_t>(index + 1), static_cast<uint8_t>(value >> 8));
    };
    const std::span<const GuestMemory::Range> ram = at_.memory.ranges();
    const uint64_t low = ram.front().size;
    const uint64_t extended = std::min(low / kKib - kKib, kExtendedLimit);
    constexpr uint64_t kBaseKib = 640, kAbove = uint64_t{16} << 20;
    constexpr uint8_t kEquipment = 0x06;  // coprocessor, PS/2 mouse; no floppy
    rtc_.set_memory(0x10, 0);
    rtc_.set_memory(0x14, kEquipment);
    put16(0x15, kBaseKib);
    put16(0x17, extended);
    put16(0x30, extended);
    put16(0x34, low > kAbove ? std::min((low - kAbove) / kUnit, kExtendedLimit) : 0);
    const uint64_t high = ram.size() > 1 ? ram[1].size / kUnit : 0;
    put16(0x5b, high);
    rtc_.set_memory(0x5d, static_cast<uint8_t>(high >> 16));
    rtc_.set_memory(0x5f, static_cast<uint8_t>(processors - 1));

    // Boot order: three nibbles; bit 0 of 38h says that no floppy's signature is looked at.
    const auto code = [](BootConfig::Device device) -> unsigned {
        switch (device) {
            case BootConfig::Device::kDisk: return 2;
            case BootConfig::Device::kCdrom: return 3;
            case BootConfig::Device::kNetwork: return 4;
        }
        return 0;
    };
    unsigned nibbles = 0, shift = 0;
    for (const BootConfig::Device device : boot_order(parts_.config.boot)) {
        if (shift > 8) break;
        nibbles |= code(device) << shift;
        shift += 4;
    }
    rtc_.set_memory(0x3d, static_cast<uint8_t>(nibbles));
    rtc_.set_memory(0x38, static_cast<uint8_t>(nibbles >> 4 & 0xf0));
}

// What can be booted, one path a line, in the operator's order [fw_cfg bootorder].
void PcBoard::write_boot_order() {
    std::string text;
    for (const BootConfig::Device device : boot_order(parts_.config.boot))
        for (const BootPath& path : boot_paths_)
            if (path.kind == device) text += path.path + "\n";
    if (text.empty()) return;
    Bytes file = text_bytes(text);
    file.push_back(std::byte{0});
    firmware_config_.set_file("bootorder", std::move(file));
}

void PcBoard::fill_firmware_config(std::span<const uint32_t> apic_ids) {
    FirmwareConfig& config = firmware_config_;
    // Software that starts processors counts them by APIC ids, up to the highest.
    const uint64_t id_limit = *std::max_element(apic_ids.begin(), apic_ids.end()) + 1;
    config.set_number(fw_cfg::kRamSize, at_.memory.size(), 8);
    config.set_number(fw_cfg::kNoGraphic, 0, 2);
    config.set_number(fw_cfg::kProcessors, apic_ids.size(), 2);
    config.set_number(fw_cfg::kMaxProcessors, id_limit, 2);
    config.set_number(fw_cfg::kBootMenu, parts_.config.boot.menu ? 1 : 0, 2);
    config.set_file("etc/e820", make_e820_file(at_.memory.ranges()));
    // Bit 7: there is the state; no S3, no S4 [SeaBIOS, OVMF].
    constexpr std::array<uint8_t, 6> kSystemStates{0x80, 0, 0, 0x01, 0x02, 0x80};
    const auto states = std::as_bytes(std::span(kSystemStates));
    config.set_file("etc/system-states", Bytes(states.begin(), states.end()));
    write_boot_order();
}

Result<void> PcBoard::prepare(std::span<const uint32_t> apic_ids) {
    write_cmos(apic_ids.size());
    if (parts_.firmware != nullptr) {
        fill_firmware_config(apic_ids);
        return {};
    }
    set_up_chipset();
    return {};
}

void PcBoard::set_up_chipset() {}

}  // namespace mynah
