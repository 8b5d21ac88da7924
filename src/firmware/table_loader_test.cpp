#include "firmware/table_loader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>

#include "base/bits.h"
#include "spec/acpi/tables.h"

namespace mynah {
namespace {

AcpiBoard small_board() {
    AcpiBoard board;
    board.apic_ids = {0, 2};
    board.local_apic_address = 0xfee00000;
    board.io_apic_address = 0xfec00000;
    board.pm1_event_port = 0x600;
    return board;
}

uint8_t sum(const std::byte* bytes, size_t size) {
    unsigned total = 0;
    for (size_t i = 0; i < size; ++i) total += std::to_integer<unsigned>(bytes[i]);
    return static_cast<uint8_t>(total);
}

// Does what firmware does with the script: files at addresses of its choice.
struct Firmware {
    explicit Firmware(TableLoader loader) {
        files[TableLoader::kTablesFile] = {std::move(loader.tables), 0x7ff00040};
        files[TableLoader::kRsdpFile] = {std::move(loader.rsdp), 0xf0010};
        for (size_t at = 0; at + 128 <= loader.script.size(); at += 128)
            run(loader.script.data() + at);
    }
    void run(const std::byte* command) {
        const auto name = [&](size_t at) {
            return std::string(reinterpret_cast<const char*>(command + at));
        };
        const auto number = [&](size_t at) { return load_unaligned<uint32_t>(command + at); };
        switch (number(0)) {
            case 1:
                ++allocations;
                break;
            case 2: {
                std::byte* field = files.at(name(4)).content.data() + number(116);
                const size_t size = std::to_integer<size_t>(command[120]);
                uint64_t value = 0;
                std::memcpy(&value, field, size);
                value += files.at(name(60)).address;
                std::memcpy(field, &value, size);
                break;
            }
            case 3: {
                std::byte* base = files.at(name(4)).content.data();
                base[number(60)] = static_cast<std::byte>(0u - sum(base + number(64), number(68)));
                break;
            }
            default:
                FAIL() << number(0);
        }
    }
    struct File {
        std::vector<std::byte> content;
        uint64_t address;
    };
    std::map<std::string, File> files;
    unsigned allocations = 0;
};

TEST(TableLoader, ScriptMakesTablesWhole) {
    Firmware firmware(make_table_loader(make_acpi_tables(small_board(), GuestPhys(0))));
    EXPECT_EQ(firmware.allocations, 2u);
    const auto& tables = firmware.files.at(TableLoader::kTablesFile);
    const auto at = [&](uint64_t address) {
        EXPECT_GE(address, tables.address);
        EXPECT_LT(address, tables.address + tables.content.size());
        return tables.content.data() + (address - tables.address);
    };
    const auto check = [&](uint64_t address, const char* signature) {
        const auto header = load_unaligned<acpi::TableHeader>(at(address));
        EXPECT_EQ(header.signature, acpi::signature(signature));
        EXPECT_EQ(sum(at(address), header.length), 0) << signature;
    };
    const auto& rsdp_bytes = firmware.files.at(TableLoader::kRsdpFile).content;
    EXPECT_EQ(sum(rsdp_bytes.data(), 20), 0);
    EXPECT_EQ(sum(rsdp_bytes.data(), rsdp_bytes.size()), 0);
    const auto rsdp = load_unaligned<acpi::Rsdp>(rsdp_bytes.data());
    check(rsdp.rsdt_address, "RSDT");
    check(rsdp.xsdt_address, "XSDT");
    const auto first = load_unaligned<uint64_t>(at(rsdp.xsdt_address) + sizeof(acpi::TableHeader));
    check(first, "FACP");
    const auto fadt = load_unaligned<acpi::Fadt>(at(first));
    check(fadt.x_dsdt, "DSDT");
    // Copies: the table's fields are not aligned.
    EXPECT_EQ(uint64_t{fadt.dsdt}, uint64_t{fadt.x_dsdt});
    EXPECT_EQ(load_unaligned<acpi::Facs>(at(fadt.firmware_ctrl)).signature,
              acpi::signature("FACS"));
}

}  // namespace
}  // namespace mynah
