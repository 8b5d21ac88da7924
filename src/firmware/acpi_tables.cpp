#include "firmware/acpi_tables.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

#include "base/bits.h"
#include "firmware/dsdt.h"
#include "firmware/low_memory.h"
#include "spec/acpi/tables.h"

namespace mynah {
namespace {

constexpr std::array<char, 6> kOemId{'M', 'Y', 'N', 'A', 'H', ' '};
constexpr std::array<char, 8> kOemTableId{'M', 'Y', 'N', 'A', 'H', 'V', 'M', ' '};
constexpr std::array<char, 4> kCreator{'M', 'Y', 'N', 'H'};

uint8_t checksum_of(std::span<const std::byte> bytes) {
    unsigned sum = 0;
    for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
    return static_cast<uint8_t>(0u - sum);
}

// Tables one behind the other, each knowing its address as soon as it is added.
class TableBlock {
  public:
    explicit TableBlock(GuestPhys base) : base_(base) {}

    template <typename T>
    uint64_t add(const T& content, uint64_t alignment = 16) {
        return add_bytes(std::as_bytes(std::span(&content, 1)), alignment);
    }
    // A table: header, rest; length and checksum are filled in here. pointers: offsets of the
    // addresses in it, and their sizes.
    uint64_t add_table(std::vector<std::byte> table, std::span<const AcpiTables::Field> pointers) {
        auto header = load_unaligned<acpi::TableHeader>(table.data());
        header.length = static_cast<uint32_t>(table.size());
        header.checksum = 0;
        store_unaligned(table.data(), header);
        header.checksum = checksum_of(table);
        store_unaligned(table.data(), header);
        const uint64_t address = add_bytes(table, 16);
        const uint64_t at = address - base_.value;
        tables_.push_back({at, table.size()});
        for (const AcpiTables::Field& field : pointers)
            pointers_.push_back({at + field.offset, field.size});
        return address;
    }
    AcpiTables take(uint64_t rsdt, uint64_t xsdt) {
        return {std::move(bytes_), std::move(pointers_), std::move(tables_), rsdt, xsdt};
    }

  private:
    uint64_t add_bytes(std::span<const std::byte> content, uint64_t alignment) {
        bytes_.resize(align_up(base_.value + bytes_.size(), alignment) - base_.value);
        const uint64_t address = base_.value + bytes_.size();
        bytes_.insert(bytes_.end(), content.begin(), content.end());
        return address;
    }

    GuestPhys base_;
    std::vector<std::byte> bytes_;
    std::vector<AcpiTables::Field> pointers_, tables_;
};

acpi::TableHeader make_header(std::string_view signature, uint8_t revision) {
    acpi::TableHeader header{};
    header.signature = acpi::signature(signature);
    header.revision = revision;
    header.oem_id = kOemId;
    header.oem_table_id = kOemTableId;
    header.oem_revision = 1;
    header.creator_id = kCreator;
    header.creator_revision = 1;
    return header;
}

template <typename T>
void append(std::vector<std::byte>& to, const T& part) {
    const auto bytes = std::as_bytes(std::span(&part, 1));
    to.insert(to.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> make_madt(const AcpiBoard& board) {
    std::vector<std::byte> table;
    acpi::Madt madt{};
    madt.header = make_header("APIC", 4);
    madt.local_apic_address = board.local_apic_address;
    madt.flags = acpi::madt_flags::kPcatCompatible;
    append(table, madt);

    bool has_x2apic = false;
    for (uint32_t uid = 0; uid < board.apic_ids.size(); ++uid) {
        const uint32_t id = board.apic_ids[uid];
        if (id < acpi::kFirstX2ApicOnlyId) {
            append(table, acpi::MadtLocalApic{.processor_uid = static_cast<uint8_t>(uid),
                                              .apic_id = static_cast<uint8_t>(id),
                                              .flags = acpi::madt_flags::kProcessorEnabled});
        } else {
            has_x2apic = true;
            append(table, acpi::MadtX2Apic{.x2apic_id = id,
                                           .flags = acpi::madt_flags::kProcessorEnabled,
                                           .processor_uid = uid});
        }
    }
    append(table, acpi::MadtIoApic{
                      .id = board.io_apic_id, .address = board.io_apic_address, .gsi_base = 0});
    append(table, acpi::MadtSourceOverride{.source = 0, .gsi = board.timer_gsi, .flags = 0});
    append(table, acpi::MadtSourceOverride{
                      .source = board.sci_irq,
                      .gsi = board.sci_irq,
                      .flags = acpi::madt_flags::kActiveHigh | acpi::madt_flags::kLevelTriggered});
    append(table,
           acpi::MadtLocalNmi{.processor_uid = acpi::kAllProcessors8, .flags = 0, .lint = 1});
    if (has_x2apic) {
        append(table,
               acpi::MadtX2ApicNmi{.flags = 0, .processor_uid = acpi::kAllProcessors32, .lint = 1});
    }
    return table;
}

acpi::GenericAddress port(uint16_t address, uint8_t bytes,
                          acpi::GenericAddress::AccessSize access) {
    if (address == 0) return {};
    return {.space = acpi::GenericAddress::kIo,
            .bit_width = static_cast<uint8_t>(bytes * 8),
            .bit_offset = 0,
            .access_size = access,
            .address = address};
}

std::vector<std::byte> make_fadt(const AcpiBoard& board, uint64_t facs, uint64_t dsdt) {
    using acpi::GenericAddress;
    acpi::Fadt fadt{};
    fadt.header = make_header("FACP", 5);
    fadt.firmware_ctrl = static_cast<uint32_t>(facs);
    fadt.dsdt = fadt.x_dsdt = static_cast<uint32_t>(dsdt);
    fadt.sci_int = board.sci_irq;
    // SMI_CMD 0: the machine is in ACPI mode from the start [ACPI 5.2.9].
    fadt.pm1a_evt_blk = board.pm1_event_port;
    fadt.pm1a_cnt_blk = board.pm1_control_port;
    fadt.pm_tmr_blk = board.pm_timer_port;
    fadt.gpe0_blk = board.gpe0_port;
    fadt.pm1_evt_len = 4;
    fadt.pm1_cnt_len = 2;
    fadt.pm_tmr_len = 4;
    fadt.gpe0_blk_len = board.gpe0_bytes;
    fadt.p_lvl2_lat = 0xfff;  // above 100 and 1000: no C2 and C3 [ACPI 5.2.9]
    fadt.p_lvl3_lat = 0xfff;
    fadt.century = 0x32;  // CMOS index
    fadt.iapc_boot_arch = acpi::boot_architecture::kLegacyDevices;
    if (!board.vga) fadt.iapc_boot_arch |= acpi::boot_architecture::kNoVga;
    if (board.keyboard) fadt.iapc_boot_arch |= acpi::boot_architecture::k8042;
    fadt.flags = acpi::fadt_flags::kWbinvd | acpi::fadt_flags::kProcC1 |
                 acpi::fadt_flags::kSleepButtonMethod | acpi::fadt_flags::kResetRegister;
    if (board.pm_timer_32bit) fadt.flags |= acpi::fadt_flags::kTimer32;
    fadt.reset_reg = port(board.reset_port, 1, GenericAddress::kByte);
    fadt.reset_value = board.reset_value;
    fadt.x_pm1a_evt_blk = port(board.pm1_event_port, 4, GenericAddress::kWord);
    fadt.x_pm1a_cnt_blk = port(board.pm1_control_port, 2, GenericAddress::kWord);
    fadt.x_pm_tmr_blk = port(board.pm_timer_port, 4, GenericAddress::kDword);
    fadt.x_gpe0_blk = port(board.gpe0_port, board.gpe0_bytes, GenericAddress::kByte);
    std::vector<std::byte> table;
    append(table, fadt);
    return table;
}

std::vector<std::byte> make_hpet(const AcpiBoard& board) {
    acpi::Hpet hpet{};
    hpet.header = make_header("HPET", 1);
    hpet.block_id = static_cast<uint32_t>(board.hpet_capabilities);
    hpet.base = {.space = acpi::GenericAddress::kMemory,
                 .bit_width = 64,
                 .bit_offset = 0,
                 .access_size = acpi::GenericAddress::kAny,
                 .address = board.hpet_address};
    std::vector<std::byte> table;
    append(table, hpet);
    return table;
}

std::vector<std::byte> make_mcfg(const AcpiBoard& board) {
    acpi::Mcfg mcfg{};
    mcfg.header = make_header("MCFG", 1);
    mcfg.base = board.pci->ecam_base;
    mcfg.last_bus = 0xff;
    std::vector<std::byte> table;
    append(table, mcfg);
    return table;
}

// A range of functions that lead to the IOMMU's node, and that node.
std::vector<std::byte> make_viot(const AcpiBoard& board) {
    acpi::Viot viot{};
    viot.header = make_header("VIOT", 0);
    viot.node_count = 2;
    viot.node_offset = sizeof viot;
    acpi::ViotPciRange range{};
    range.last_bdf = 0xff;
    range.output_node = sizeof viot + sizeof range;
    acpi::ViotPciIommu iommu{};
    iommu.bdf = *board.iommu_bdf;
    std::vector<std::byte> table;
    append(table, viot);
    append(table, range);
    append(table, iommu);
    return table;
}

// RSDT and XSDT: the addresses of the others.
template <typename Address>
uint64_t add_list(TableBlock& block, std::string_view signature, std::span<const uint64_t> listed) {
    std::vector<std::byte> table;
    append(table, make_header(signature, 1));
    std::vector<AcpiTables::Field> pointers;
    for (const uint64_t address : listed) {
        pointers.push_back({table.size(), sizeof(Address)});
        append(table, static_cast<Address>(address));
    }
    return block.add_table(std::move(table), pointers);
}

}  // namespace

std::vector<std::byte> make_acpi_rsdp(uint64_t rsdt, uint64_t xsdt) {
    acpi::Rsdp rsdp{};
    rsdp.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '};
    rsdp.oem_id = kOemId;
    rsdp.revision = 2;
    rsdp.length = sizeof rsdp;
    rsdp.rsdt_address = static_cast<uint32_t>(rsdt);
    rsdp.xsdt_address = xsdt;
    const auto bytes = std::as_bytes(std::span(&rsdp, 1));
    rsdp.checksum = checksum_of(bytes.first(offsetof(acpi::Rsdp, length)));
    rsdp.extended_checksum = checksum_of(bytes);
    std::vector<std::byte> out;
    append(out, rsdp);
    return out;
}

AcpiTables make_acpi_tables(const AcpiBoard& board, GuestPhys base) {
    TableBlock block(base);
    acpi::Facs facs{};
    facs.signature = acpi::signature("FACS");
    facs.length = sizeof facs;
    facs.version = 2;
    const uint64_t facs_address = block.add(facs, 64);  // [ACPI 5.2.10]

    std::vector<std::byte> dsdt;
    append(dsdt, make_header("DSDT", 2));  // 2: integers have 64 bits
    const aml::Bytes code = make_dsdt(board);
    const auto code_bytes = std::as_bytes(std::span(code));
    dsdt.insert(dsdt.end(), code_bytes.begin(), code_bytes.end());
    const uint64_t dsdt_address = block.add_table(std::move(dsdt), {});

    constexpr std::array<AcpiTables::Field, 3> kFadtPointers{
        {{offsetof(acpi::Fadt, firmware_ctrl), sizeof(uint32_t)},
         {offsetof(acpi::Fadt, dsdt), sizeof(uint32_t)},
         {offsetof(acpi::Fadt, x_dsdt), sizeof(uint64_t)}}};
    std::vector<uint64_t> listed{
        block.add_table(make_fadt(board, facs_address, dsdt_address), kFadtPointers),
        block.add_table(make_madt(board), {}),
    };
    if (board.hpet_address != 0) listed.push_back(block.add_table(make_hpet(board), {}));
    if (board.pci) listed.push_back(block.add_table(make_mcfg(board), {}));
    if (board.iommu_bdf) listed.push_back(block.add_table(make_viot(board), {}));
    const uint64_t rsdt = add_list<uint32_t>(block, "RSDT", listed);
    return block.take(rsdt, add_list<uint64_t>(block, "XSDT", listed));
}

GuestPhys acpi_rsdp_address() { return GuestPhys(low_memory::kBiosArea); }

Result<void> write_acpi_tables(GuestMemory& memory, const AcpiBoard& board) {
    const GuestPhys rsdp_address = acpi_rsdp_address();
    const GuestPhys base = rsdp_address + align_up(sizeof(acpi::Rsdp), 64);
    const AcpiTables tables = make_acpi_tables(board, base);
    if (base.value + tables.bytes.size() > low_memory::kMegabyte ||
        !memory.write(base, tables.bytes) ||
        !memory.write(rsdp_address, make_acpi_rsdp(tables.rsdt, tables.xsdt))) {
        return Error("the ACPI tables of so many processors and devices do not fit below 1 MiB");
    }
    return {};
}

}  // namespace mynah
