#include <algorithm>

#include "base/bits.h"
#include "firmware/acpi_tables.h"
#include "firmware/bios_data_area.h"
#include "firmware/e820.h"
#include "firmware/smbios.h"
#include "firmware/table_loader.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"

// What firmware of a PC board is told, and what is done to the chipset without firmware.
namespace mynah {
namespace {

using Bytes = FirmwareConfig::Bytes;

constexpr const char* kAcpiTablesFile = TableLoader::kTablesFile;
constexpr const char* kAcpiRsdpFile = TableLoader::kRsdpFile;
constexpr const char* kTableLoaderFile = "etc/table-loader";

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

// A version 8 UUID [RFC 9562] from text.
std::array<uint8_t, 16> uuid_of(std::string_view text) {
    std::array<uint8_t, 16> uuid;
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (size_t i = 0; i < uuid.size(); ++i) {
        for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
        hash = (hash ^ i) * 0x100000001b3;
        uuid[i] = static_cast<uint8_t>(hash >> 32);
    }
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x80);
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
    return uuid;
}

// The processor's name [SDM 2A CPUID leaves 80000002h to 80000004h].
std::string brand(const CpuidPolicy& cpuid) {
    std::string text;
    for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
        const CpuidLeaf part = cpuid.query(leaf, 0, {});
        for (const uint32_t word : {part.eax, part.ebx, part.ecx, part.edx})
            for (unsigned i = 0; i < 4; ++i) text.push_back(static_cast<char>(word >> (8 * i)));
    }
    return text.substr(0, text.find('\0'));
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
            case BootConfig::Device::kDisk:
                return 2;
            case BootConfig::Device::kCdrom:
                return 3;
            case BootConfig::Device::kNetwork:
                return 4;
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
    if (parts_.kernel != nullptr) text = "/rom@genroms/linuxboot_dma.bin\n";
    for (const BootConfig::Device device : boot_order(parts_.config.boot))
        for (const BootPath& path : boot_paths_)
            if (path.kind == device) text.append(path.path).push_back('\n');
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
    Bytes smbios = smbios_tables();
    config.set_file("etc/smbios/smbios-anchor", make_smbios_entry(0, smbios.size()));
    config.set_file("etc/smbios/smbios-tables", std::move(smbios));
    offer_kernel();
    offer_acpi_tables();
    config.on_select(kTableLoaderFile, [this] { offer_acpi_tables(); });
}

// A kernel for firmware to start: UEFI does by itself, a BIOS by an option ROM, which is first in
// the boot order.
void PcBoard::offer_kernel() {
    if (parts_.kernel == nullptr) return;
    const FirmwareKernel& kernel = *parts_.kernel;
    FirmwareConfig& config = firmware_config_;
    const auto offer = [&](uint16_t address_key, uint32_t address, uint16_t size_key,
                           uint16_t data_key, const Bytes& data) {
        config.set_number(address_key, address, 4);
        config.set_number(size_key, data.size(), 4);
        config.set_item(data_key, data);
    };
    Bytes command_line = text_bytes(kernel.command_line);
    command_line.push_back(std::byte{0});
    offer(fw_cfg::kSetupAddress, kernel.setup_address, fw_cfg::kSetupSize, fw_cfg::kSetupData,
          kernel.setup);
    offer(fw_cfg::kKernelAddress, kernel.code_address, fw_cfg::kKernelSize, fw_cfg::kKernelData,
          kernel.code);
    offer(fw_cfg::kInitrdAddress, kernel.initrd_address, fw_cfg::kInitrdSize, fw_cfg::kInitrdData,
          kernel.initrd);
    offer(fw_cfg::kCommandLineAddress, kernel.command_line_address, fw_cfg::kCommandLineSize,
          fw_cfg::kCommandLineData, command_line);
    if (const auto rom = parts_.firmware->linux_rom(); !rom.empty())
        config.set_file("genroms/linuxboot_dma.bin", Bytes(rom.begin(), rom.end()));
}

// The board as it is now: where firmware put the ECAM window and the power management ports.
AcpiBoard PcBoard::describe() {
    AcpiBoard board;
    board.apic_ids = apic_ids_;
    board.local_apic_address = pc::kLocalApic;
    board.io_apic_address = pc::kIoApic;
    board.timer_gsi = InterruptRouter::kTimerGsi;
    const auto pm_base =
        static_cast<uint16_t>(lpc_->function().config_read(ich9::kPmBase, 2) & ich9::kPmBaseMask);
    board.pm1_event_port = pm_base + ich9::pm::kPm1Event;
    board.pm1_control_port = pm_base + ich9::pm::kPm1Control;
    board.pm_timer_port = pm_base + ich9::pm::kTimer;
    board.gpe0_port = pm_base + ich9::pm::kGpe0Status;
    board.gpe0_bytes = ich9::pm::kGpe0Bytes;
    board.pm_ports = ich9::pm::kBytes;
    board.pm_timer_32bit = false;
    board.sci_irq = pc::kSciIrq;
    board.reset_port = pc::kResetControl;
    board.reset_value = acpi::kResetValue;
    board.soft_off_type = acpi::kSleepTypeSoftOff;
    for (const Com& com : serial_ports_)
        board.serial_ports.push_back(
            {pc::kComPorts[com.number].port, pc::kComPorts[com.number].irq});
    board.keyboard = true;
    board.vga = has_display_;
    board.hpet_address = pc::kHpet;
    board.hpet_capabilities = hpet::kCapabilitiesValue;
    board.firmware_config_port = pc::kFirmwareConfig;
    board.firmware_config_ports = fw_cfg::kPorts;
    board.panic_port = pc::kPvpanic;
    board.pci = describe_pci();
    if (iommu_slot_) board.iommu_bdf = iommu_slot_->devfn();
    return board;
}

// PCI devices get what is left between RAM, the ECAM window and the fixed chips, and everything
// above RAM that the processors can address.
AcpiBoard::Pci PcBoard::describe_pci() {
    constexpr uint64_t kGib = uint64_t{1} << 30, kEcamBytes = 256 * PciEcam::kBytesPerBus;
    AcpiBoard::Pci pci;
    pci.ecam_base = mch_->function().config_read(mch::kPciExpressBar, 4) &
                    static_cast<uint32_t>(mch::pciexbar::kBase);
    const std::span<const GuestMemory::Range> ram = at_.memory.ranges();
    const uint64_t first = align_up(ram.front().end().value, 16 * kMebibyte);
    if (pci.ecam_base > first) pci.windows32.push_back({first, pci.ecam_base - 1});
    const uint64_t above = pci.ecam_base == 0 ? first : pci.ecam_base + kEcamBytes;
    if (above < pc::kPciMemoryEnd) pci.windows32.push_back({above, pc::kPciMemoryEnd - 1});
    const uint64_t top = std::max(ram.back().end().value, pc::kFourGib);
    const uint64_t limit = uint64_t{1} << parts_.cpuid.physical_bits();
    if (const uint64_t start = align_up(top, kGib); start < limit)
        pci.window64 = AcpiBoard::Pci::Window{start, limit - 1};
    pci.pirq = &PirqRouter::usual_pirq;
    pci.first_pirq_gsi = ich9::pirq::kFirstGsi;
    return pci;
}

// ACPI tables as firmware takes them over [fw_cfg table-loader]: it puts them where it likes and
// follows a script. Made when firmware first looks for them, after it set up the chipset; their
// size does not depend on that.
void PcBoard::offer_acpi_tables() {
    const AcpiTables tables = make_acpi_tables(describe(), GuestPhys(0));
    const TableLoader files = make_table_loader(tables);
    // Room for what changes with the places of things.
    constexpr size_t kUnit = 4096;
    Bytes padded = files.tables;
    padded.resize(align_up(padded.size() + kUnit / 2, kUnit));
    firmware_config_.set_file(kAcpiTablesFile, std::move(padded));
    firmware_config_.set_file(kAcpiRsdpFile, files.rsdp);
    Bytes script = files.script;
    script.resize(align_up(script.size(), kUnit));  // zeros: nothing to do
    firmware_config_.set_file(kTableLoaderFile, std::move(script));
}

Result<void> PcBoard::prepare(std::span<const uint32_t> apic_ids) {
    apic_ids_.assign(apic_ids.begin(), apic_ids.end());
    write_cmos(apic_ids.size());
    if (parts_.firmware != nullptr) {
        fill_firmware_config(apic_ids);
        return {};
    }
    set_up_chipset();
    return write_tables_without_firmware();
}

Result<void> PcBoard::write_tables_without_firmware() {
    TRY(write_acpi_tables(at_.memory, describe()));
    // Found by its signature on a multiple of 16 from F0000h on [SMBIOS 5.2].
    constexpr GuestPhys kEntry{0xf8000}, kTables{0xf8040};
    const std::vector<std::byte> smbios = smbios_tables();
    if (!write_bios_data_area(at_.memory) || !at_.memory.write(kTables, smbios) ||
        !at_.memory.write(kEntry, make_smbios_entry(kTables.value, smbios.size()))) {
        return Error("--memory: too little for the tables that a PC's kernel looks for");
    }
    return {};
}

// The UUID is the name's: the same at every start.
std::vector<std::byte> PcBoard::smbios_tables() const {
    SmbiosBoard board;
    board.firmware_version = std::string("1");
    board.name = parts_.config.name;
    board.uuid = uuid_of(parts_.config.name);
    const CpuTopology topology = parts_.cpuid.topology();
    board.sockets = topology.sockets;
    board.cores = topology.cores;
    board.threads = topology.threads;
    const CpuidLeaf identity = parts_.cpuid.query(1, 0, {});
    board.processor_signature = identity.eax;
    board.processor_features = identity.edx;
    board.megahertz = static_cast<uint16_t>(parts_.cpuid.query(0x16, 0, {}).eax);
    board.processor = brand(parts_.cpuid);
    board.memory = at_.memory.ranges();
    return make_smbios_tables(board);
}

// What a BIOS would have done to the chipset: memory below 1 MiB is RAM, configuration space is
// in memory, ports have their places, PIRQs go to the 8259s. Resources of PCI functions are left
// to the guest.
void PcBoard::set_up_chipset() {
    constexpr uint32_t kRootComplexBase = 0xfed1c000;
    constexpr std::array<uint8_t, ich9::pirq::kCount> kIrqs{10, 10, 11, 11, 10, 10, 11, 11};
    PciFunction& mch = mch_->function();
    for (unsigned i = 0; i < mch::kPams; ++i)
        mch.config_write(mch::kPam0 + i, 1, mch::pam::kWritable);
    mch.config_write(mch::kPciExpressBar, 4,
                     static_cast<uint32_t>(pc::kLowMemoryLimit | mch::pciexbar::kEnable));
    PciFunction& lpc = lpc_->function();
    lpc.config_write(ich9::kPmBase, 4, ich9::pm::kUsualBase);
    lpc.config_write(ich9::kAcpiControl, 1, ich9::kAcpiEnable);
    lpc.config_write(ich9::kRootComplexBase, 4, kRootComplexBase | ich9::kRootComplexEnable);
    for (unsigned i = 0; i < 4; ++i) {
        lpc.config_write(ich9::kPirqA + i, 1, kIrqs[i]);
        lpc.config_write(ich9::kPirqE + i, 1, kIrqs[4 + i]);
    }
    // Requests 10 and 11 are level-triggered.
    pics_.elcr_ports().write(1, 1, 0x0c);
}

}  // namespace mynah
