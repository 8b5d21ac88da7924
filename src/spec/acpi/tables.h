#pragma once

// System description tables [ACPI 5.2]. All are packed, little-endian, and begin (but for RSDP and
// FACS) with a header whose checksum makes the bytes of the whole table sum up to zero.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mynah::acpi {

using Signature = std::array<char, 4>;
constexpr Signature signature(std::string_view text) {
    return {text[0], text[1], text[2], text[3]};
}

#pragma pack(push, 1)

struct TableHeader {  // [ACPI 5.2.6]
    Signature signature;
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    std::array<char, 6> oem_id;
    std::array<char, 8> oem_table_id;
    uint32_t oem_revision;
    std::array<char, 4> creator_id;
    uint32_t creator_revision;
};
static_assert(sizeof(TableHeader) == 36);

struct Rsdp {  // [ACPI 5.2.5.3]
    std::array<char, 8> signature;
    uint8_t checksum;  // of the first 20 bytes
    std::array<char, 6> oem_id;
    uint8_t revision;
    uint32_t rsdt_address;
    uint32_t length;
    uint64_t xsdt_address;
    uint8_t extended_checksum;
    std::array<uint8_t, 3> reserved;
};
static_assert(sizeof(Rsdp) == 36);

struct GenericAddress {  // [ACPI 5.2.3.2]
    enum Space : uint8_t { kMemory = 0, kIo = 1 };
    enum AccessSize : uint8_t { kAny = 0, kByte = 1, kWord = 2, kDword = 3 };
    uint8_t space;
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size;
    uint64_t address;
};
static_assert(sizeof(GenericAddress) == 12);

struct Fadt {  // revision 5 [ACPI 5.2.9]
    TableHeader header;
    uint32_t firmware_ctrl;
    uint32_t dsdt;
    uint8_t reserved0;
    uint8_t preferred_pm_profile;
    uint16_t sci_int;
    uint32_t smi_cmd;
    uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
    uint32_t pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk, pm2_cnt_blk, pm_tmr_blk,
        gpe0_blk, gpe1_blk;
    uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_blk_len, gpe1_blk_len,
        gpe1_base, cst_cnt;
    uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t iapc_boot_arch;
    uint8_t reserved1;
    uint32_t flags;
    GenericAddress reset_reg;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor_version;
    uint64_t x_firmware_ctrl, x_dsdt;
    GenericAddress x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk, x_pm2_cnt_blk,
        x_pm_tmr_blk, x_gpe0_blk, x_gpe1_blk, sleep_control_reg, sleep_status_reg;
};
static_assert(sizeof(Fadt) == 268);

struct Facs {  // [ACPI 5.2.10]
    Signature signature;
    uint32_t length;
    uint32_t hardware_signature;
    uint32_t firmware_waking_vector;
    uint32_t global_lock;
    uint32_t flags;
    uint64_t x_firmware_waking_vector;
    uint8_t version;
    std::array<uint8_t, 31> reserved;
};
static_assert(sizeof(Facs) == 64);

struct Madt {  // [ACPI 5.2.12]
    TableHeader header;
    uint32_t local_apic_address;
    uint32_t flags;
};
static_assert(sizeof(Madt) == 44);

struct MadtLocalApic {  // type 0 [ACPI 5.2.12.2]
    uint8_t type = 0, length = sizeof(MadtLocalApic);
    uint8_t processor_uid;
    uint8_t apic_id;
    uint32_t flags;
};
struct MadtIoApic {  // type 1 [ACPI 5.2.12.3]
    uint8_t type = 1, length = sizeof(MadtIoApic);
    uint8_t id;
    uint8_t reserved = 0;
    uint32_t address;
    uint32_t gsi_base;
};
struct MadtSourceOverride {  // type 2 [ACPI 5.2.12.5]
    uint8_t type = 2, length = sizeof(MadtSourceOverride);
    uint8_t bus = 0;  // ISA
    uint8_t source;
    uint32_t gsi;
    uint16_t flags;
};
struct MadtLocalNmi {  // type 4 [ACPI 5.2.12.7]
    uint8_t type = 4, length = sizeof(MadtLocalNmi);
    uint8_t processor_uid;
    uint16_t flags;
    uint8_t lint;
};
struct MadtX2Apic {  // type 9 [ACPI 5.2.12.12]
    uint8_t type = 9, length = sizeof(MadtX2Apic);
    uint16_t reserved = 0;
    uint32_t x2apic_id;
    uint32_t flags;
    uint32_t processor_uid;
};
struct MadtX2ApicNmi {  // type 10 [ACPI 5.2.12.13]
    uint8_t type = 10, length = sizeof(MadtX2ApicNmi);
    uint16_t flags;
    uint32_t processor_uid;
    uint8_t lint;
    std::array<uint8_t, 3> reserved{};
};
static_assert(sizeof(MadtLocalApic) == 8 && sizeof(MadtIoApic) == 12 &&
              sizeof(MadtSourceOverride) == 10 && sizeof(MadtLocalNmi) == 6 &&
              sizeof(MadtX2Apic) == 16 && sizeof(MadtX2ApicNmi) == 12);

struct Hpet {  // [HPET 3.2.4]
    TableHeader header;
    uint32_t block_id;
    GenericAddress base;
    uint8_t number;
    uint16_t minimum_tick;
    uint8_t attributes;
};
static_assert(sizeof(Hpet) == 56);

struct Mcfg {  // [PCI FW 4.1.2]: one segment
    TableHeader header;
    uint64_t reserved0;
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved1;
};
static_assert(sizeof(Mcfg) == 60);

struct Viot {  // [ACPI 6.4 5.2.34]: which devices are behind a virtio IOMMU; nodes follow
    TableHeader header;
    uint16_t node_count;
    uint16_t node_offset;
    std::array<uint8_t, 8> reserved;
};
static_assert(sizeof(Viot) == 48);
struct ViotPciRange {
    uint8_t type = 1;
    uint8_t reserved0;
    uint16_t length = 24;
    uint32_t first_endpoint;  // of first_bdf
    uint16_t first_segment, last_segment;
    uint16_t first_bdf, last_bdf;
    uint16_t output_node;  // offset of the IOMMU's node in the table
    std::array<uint8_t, 6> reserved1;
};
static_assert(sizeof(ViotPciRange) == 24);
struct ViotPciIommu {
    uint8_t type = 3;
    uint8_t reserved0;
    uint16_t length = 16;
    uint16_t segment;
    uint16_t bdf;
    std::array<uint8_t, 8> reserved1;
};
static_assert(sizeof(ViotPciIommu) == 16);

#pragma pack(pop)

namespace fadt_flags {  // [ACPI 5.2.9 table 5.10]
inline constexpr uint32_t kWbinvd = 1u << 0, kProcC1 = 1u << 2, kPowerButtonMethod = 1u << 4,
                          kSleepButtonMethod = 1u << 5, kFixedRtc = 1u << 6, kTimer32 = 1u << 8,
                          kResetRegister = 1u << 10, kApicPhysical = 1u << 19;
}
namespace boot_architecture {  // [ACPI 5.2.9.3]
inline constexpr uint16_t kLegacyDevices = 1u << 0, k8042 = 1u << 1, kNoVga = 1u << 2;
}
namespace madt_flags {
inline constexpr uint32_t kPcatCompatible = 1u << 0;
inline constexpr uint32_t kProcessorEnabled = 1u << 0;
inline constexpr uint16_t kBusPolarity = 0, kActiveHigh = 1, kLevelTriggered = 3u << 2;
}  // namespace madt_flags
inline constexpr uint32_t kAllProcessors32 = 0xffffffff;
inline constexpr uint8_t kAllProcessors8 = 0xff;
inline constexpr uint32_t kFirstX2ApicOnlyId = 255;  // smaller ids have a type 0 entry

}  // namespace mynah::acpi
