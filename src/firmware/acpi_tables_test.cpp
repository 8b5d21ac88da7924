#include "firmware/acpi_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>

#include "base/bits.h"
#include "spec/acpi/tables.h"

namespace mynah {
namespace {

constexpr GuestPhys kBase{0xe0000};

AcpiBoard example_board() {
    AcpiBoard board;
    board.apic_ids = {0, 1, 300};
    board.local_apic_address = 0xfee00000;
    board.io_apic_address = 0xfec00000;
    board.pm1_event_port = 0x600;
    board.pm1_control_port = 0x604;
    board.pm_timer_port = 0x608;
    board.gpe0_port = 0x60c;
    board.gpe0_bytes = 4;
    board.reset_port = 0xcf9;
    board.reset_value = 6;
    board.soft_off_type = 5;
    board.serial_ports = {{0x3f8, 4}, {0x2f8, 3}};
    board.virtio_mmio = {{0xfeb00000, 0x200, 16, false}, {0xfeb00200, 0x200, 17, true}};
    board.keyboard = true;
    return board;
}

unsigned example_wiring(unsigned device, unsigned pin) { return (device + pin - 1) % 8; }

AcpiBoard example_pc() {
    AcpiBoard board = example_board();
    board.virtio_mmio.clear();
    board.pm_ports = 128;
    board.hpet_address = 0xfed00000;
    board.hpet_capabilities = 0x8086a201;
    board.firmware_config_port = 0x510;
    board.firmware_config_ports = 12;
    board.panic_port = 0x505;
    board.pci = AcpiBoard::Pci{.ecam_base = 0xb0000000,
                               .windows32 = {{0x80000000, 0xafffffff}, {0xc0000000, 0xfebfffff}},
                               .window64 = AcpiBoard::Pci::Window{0x100000000, 0x7fffffffff},
                               .pirq = example_wiring};
    return board;
}

// Walks the tables as a guest does: from the RSDP by the addresses in them.
class Tables {
  public:
    explicit Tables(const AcpiBoard& board) {
        const GuestPhys tables_at = kBase + 64;
        const AcpiTables tables = make_acpi_tables(board, tables_at);
        bytes_ = make_acpi_rsdp(tables.rsdt, tables.xsdt);
        bytes_.resize(64);
        bytes_.insert(bytes_.end(), tables.bytes.begin(), tables.bytes.end());
    }

    template <typename T>
    T at(uint64_t address) const {
        EXPECT_GE(address, kBase.value);
        EXPECT_LE(address + sizeof(T), kBase.value + bytes_.size());
        return load_unaligned<T>(bytes_.data() + (address - kBase.value));
    }
    acpi::Rsdp rsdp() const { return at<acpi::Rsdp>(kBase.value); }
    // Address of the table with this signature, from the XSDT; 0 if it is not listed.
    uint64_t find(std::string_view signature) const {
        const uint64_t xsdt = rsdp().xsdt_address;
        const auto header = at<acpi::TableHeader>(xsdt);
        for (uint64_t entry = sizeof header; entry < header.length; entry += sizeof(uint64_t)) {
            const auto address = at<uint64_t>(xsdt + entry);
            if (at<acpi::TableHeader>(address).signature == acpi::signature(signature))
                return address;
        }
        return 0;
    }
    std::span<const std::byte> table(uint64_t address) const {
        return std::span(bytes_).subspan(address - kBase.value,
                                         at<acpi::TableHeader>(address).length);
    }
    acpi::Fadt fadt() const { return at<acpi::Fadt>(find("FACP")); }

  private:
    std::vector<std::byte> bytes_;
};

uint8_t sum(std::span<const std::byte> bytes) {
    unsigned total = 0;
    for (const std::byte byte : bytes) total += std::to_integer<unsigned>(byte);
    return static_cast<uint8_t>(total);
}

TEST(AcpiTables, RsdpHasBothChecksums) {
    const acpi::Rsdp rsdp = Tables(example_board()).rsdp();
    const auto bytes = std::as_bytes(std::span(&rsdp, 1));
    EXPECT_EQ(std::string(rsdp.signature.data(), 8), "RSD PTR ");
    EXPECT_EQ(rsdp.revision, 2);
    EXPECT_EQ(sum(bytes.first(20)), 0);
    EXPECT_EQ(sum(bytes), 0);
}

TEST(AcpiTables, EveryTableSumsToZero) {
    const Tables tables(example_board());
    EXPECT_EQ(sum(tables.table(tables.rsdp().xsdt_address)), 0);
    EXPECT_EQ(sum(tables.table(tables.find("FACP"))), 0);
    EXPECT_EQ(sum(tables.table(tables.find("APIC"))), 0);
    EXPECT_EQ(sum(tables.table(tables.fadt().x_dsdt)), 0);
}

TEST(AcpiTables, FadtTellsFixedHardware) {
    const acpi::Fadt fadt = Tables(example_board()).fadt();
    EXPECT_EQ(fadt.sci_int, 9);
    EXPECT_EQ(fadt.pm1a_evt_blk, 0x600u);
    EXPECT_EQ(fadt.x_pm1a_cnt_blk.address, 0x604u);
    EXPECT_EQ(fadt.x_pm_tmr_blk.bit_width, 32);
    EXPECT_EQ(fadt.gpe0_blk_len, 4);
    EXPECT_EQ(fadt.reset_reg.address, 0xcf9u);
    EXPECT_EQ(fadt.reset_value, 6);
    EXPECT_EQ(fadt.smi_cmd, 0u);
    EXPECT_NE(fadt.flags & acpi::fadt_flags::kResetRegister, 0u);
    constexpr uint32_t kHardwareReduced = 1u << 20;
    EXPECT_EQ(fadt.flags & kHardwareReduced, 0u);
    EXPECT_NE(fadt.iapc_boot_arch & acpi::boot_architecture::k8042, 0);
}

TEST(AcpiTables, FacsIsAlignedTo64) {
    const Tables tables(example_board());
    const uint32_t facs = tables.fadt().firmware_ctrl;
    EXPECT_EQ(facs % 64, 0u);
    EXPECT_EQ(tables.at<acpi::Facs>(facs).signature, acpi::signature("FACS"));
}

TEST(AcpiTables, MadtListsEveryProcessorOnce) {
    const Tables tables(example_board());
    const auto madt = tables.table(tables.find("APIC"));
    std::vector<uint32_t> xapic, x2apic;
    size_t io_apics = 0, overrides = 0, nmis = 0;
    for (size_t at = sizeof(acpi::Madt); at < madt.size();) {
        const auto type = std::to_integer<uint8_t>(madt[at]);
        const auto length = std::to_integer<uint8_t>(madt[at + 1]);
        ASSERT_GT(length, 0);
        ASSERT_LE(at + length, madt.size());
        switch (type) {
            case 0:
                xapic.push_back(load_unaligned<acpi::MadtLocalApic>(&madt[at]).apic_id);
                break;
            case 1:
                ++io_apics;
                break;
            case 2: {
                const auto entry = load_unaligned<acpi::MadtSourceOverride>(&madt[at]);
                EXPECT_EQ(entry.gsi, entry.source == 0 ? 2u : 9u);
                EXPECT_EQ(entry.flags, entry.source == 0 ? 0 : 0xd);
                ++overrides;
                break;
            }
            case 4:
                EXPECT_EQ(load_unaligned<acpi::MadtLocalNmi>(&madt[at]).lint, 1);
                ++nmis;
                break;
            case 9:
                x2apic.push_back(load_unaligned<acpi::MadtX2Apic>(&madt[at]).x2apic_id);
                break;
            default:
                break;
        }
        at += length;
    }
    EXPECT_THAT(xapic, testing::ElementsAre(0, 1));
    EXPECT_THAT(x2apic, testing::ElementsAre(300));
    EXPECT_EQ(io_apics, 1u);
    EXPECT_EQ(overrides, 2u);
    EXPECT_EQ(nmis, 1u);
}

TEST(AcpiTables, ViotPutsBus0BehindTheIommu) {
    AcpiBoard board = example_board();
    board.iommu_bdf = 0x28;
    const Tables tables(board);
    const auto table = tables.table(tables.find("VIOT"));
    ASSERT_EQ(table.size(), 48u + 24 + 16);
    const auto viot = load_unaligned<acpi::Viot>(table.data());
    EXPECT_EQ(viot.node_count, 2);
    EXPECT_EQ(viot.node_offset, 48);
    const auto range = load_unaligned<acpi::ViotPciRange>(&table[48]);
    EXPECT_EQ(range.type, 1);
    EXPECT_EQ(range.last_bdf, 0xff);
    EXPECT_EQ(range.first_endpoint, range.first_bdf);
    EXPECT_EQ(range.output_node, 72);
    const auto iommu = load_unaligned<acpi::ViotPciIommu>(&table[range.output_node]);
    EXPECT_EQ(iommu.type, 3);
    EXPECT_EQ(iommu.bdf, 0x28);
}

TEST(AcpiTables, GoIntoTheBiosArea) {
    const std::array<GuestMemory::Range, 1> ram{{{GuestPhys(0xe0000), 0x20000}}};
    auto memory = GuestMemory::create(ram).take_value();
    ASSERT_TRUE(write_acpi_tables(*memory, example_board()));
    EXPECT_EQ(acpi_rsdp_address().value % 16, 0u);
    EXPECT_EQ(memory->load<acpi::Rsdp>(acpi_rsdp_address())->signature[0], 'R');
}

TEST(AcpiTables, TooManyProcessorsAreAnError) {
    const std::array<GuestMemory::Range, 1> ram{{{GuestPhys(0xe0000), 0x20000}}};
    auto memory = GuestMemory::create(ram).take_value();
    AcpiBoard board = example_board();
    board.apic_ids.resize(20000);
    EXPECT_FALSE(write_acpi_tables(*memory, board));
}

// --- The ACPI component architecture's own tools as judges, where installed.
// ---------------------------

class AcpiTools : public testing::Test {
  protected:
    virtual AcpiBoard board() const { return example_board(); }
    void SetUp() override {
        if (std::system("command -v iasl acpiexec >/dev/null 2>&1") != 0) {
            GTEST_SKIP() << "acpica-tools are not installed";
        }
        std::string pattern = (std::filesystem::temp_directory_path() / "acpi-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
        const Tables tables(board());
        if (board().pci) {
            write("mcfg.aml", tables.table(tables.find("MCFG")));
            write("hpet.aml", tables.table(tables.find("HPET")));
        }
        write("dsdt.aml", tables.table(tables.fadt().x_dsdt));
        write("facp.aml", tables.table(tables.find("FACP")));
        write("apic.aml", tables.table(tables.find("APIC")));
    }
    void TearDown() override {
        if (!directory_.empty()) std::filesystem::remove_all(directory_);
    }
    void write(const std::string& name, std::span<const std::byte> bytes) {
        std::ofstream file(directory_ / name, std::ios::binary);
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
    }
    std::string run(const std::string& command) {
        const std::string whole =
            "cd " + directory_.string() + " && " + command + " >output 2>&1 </dev/null";
        status_ = std::system(whole.c_str());
        std::stringstream text;
        text << std::ifstream(directory_ / "output").rdbuf();
        return text.str();
    }
    std::string read(const std::string& name) {
        std::stringstream text;
        text << std::ifstream(directory_ / name).rdbuf();
        return text.str();
    }
    std::filesystem::path directory_;
    int status_ = 0;
};

TEST_F(AcpiTools, DsdtDisassemblesAndCompilesAgain) {
    const std::string disassembly = run("iasl -d dsdt.aml");
    ASSERT_EQ(status_, 0) << disassembly;
    const std::string source = read("dsdt.dsl");
    EXPECT_THAT(source, testing::HasSubstr("Name (_HID, \"LNRO0005\")"));
    EXPECT_THAT(source, testing::HasSubstr("EisaId (\"PNP0501\")"));
    EXPECT_THAT(source, testing::HasSubstr("EisaId (\"PNP0B00\")"));
    EXPECT_THAT(source, testing::HasSubstr("Name (\\_S5, Package (0x04)"));
    EXPECT_THAT(source, testing::HasSubstr("0xFEB00200"));
    EXPECT_THAT(source,
                testing::HasSubstr("Interrupt (ResourceConsumer, Level, ActiveHigh, Shared"));
    const std::string compilation = run("iasl -ve dsdt.dsl");
    EXPECT_EQ(status_, 0) << compilation;
    EXPECT_THAT(compilation, testing::HasSubstr("0 Errors"));
}

TEST_F(AcpiTools, DataTablesDisassembleWithoutComplaint) {
    for (const char* name : {"facp.aml", "apic.aml"}) {
        const std::string text = run(std::string("iasl -d ") + name);
        EXPECT_EQ(status_, 0) << text;
        EXPECT_THAT(text, testing::Not(testing::HasSubstr("Invalid")));
        EXPECT_THAT(text, testing::Not(testing::HasSubstr("Error")));
    }
}

TEST_F(AcpiTools, InterpreterLoadsTheDsdtAndEvaluatesIt) {
    const std::string uid = run("acpiexec -b 'evaluate \\_SB.VR01._UID' dsdt.aml");
    EXPECT_EQ(status_, 0) << uid;
    EXPECT_THAT(uid, testing::HasSubstr("[Integer] = 0000000000000001"));
    const std::string soft_off = run("acpiexec -b 'evaluate \\_S5' dsdt.aml");
    EXPECT_THAT(soft_off, testing::HasSubstr("[Integer] = 0000000000000005"));
    EXPECT_THAT(uid + soft_off, testing::Not(testing::HasSubstr("AE_AML")));
}

class PcAcpiTools : public AcpiTools {
  protected:
    AcpiBoard board() const override { return example_pc(); }
};

TEST_F(PcAcpiTools, DsdtDisassemblesAndCompilesAgain) {
    const std::string disassembly = run("iasl -d dsdt.aml");
    ASSERT_EQ(status_, 0) << disassembly;
    const std::string source = read("dsdt.dsl");
    EXPECT_THAT(source, testing::HasSubstr("33db4d5b-1ff7-401c-9657-7441c03dd766"));
    EXPECT_THAT(source, testing::HasSubstr("OperationRegion (PIRQ, PCI_Config, 0x60, 0x0C)"));
    const std::string compilation = run("iasl -ve dsdt.dsl");
    EXPECT_EQ(status_, 0) << compilation;
    EXPECT_THAT(compilation, testing::HasSubstr("0 Errors"));
}

TEST_F(PcAcpiTools, DataTablesDisassembleWithoutComplaint) {
    for (const char* name : {"mcfg.aml", "hpet.aml", "facp.aml"}) {
        const std::string text = run(std::string("iasl -d ") + name);
        EXPECT_EQ(status_, 0) << text;
        EXPECT_THAT(text, testing::Not(testing::HasSubstr("Invalid")));
        EXPECT_THAT(text, testing::Not(testing::HasSubstr("Error")));
    }
    EXPECT_THAT(read("mcfg.dsl"), testing::HasSubstr("Base Address : 00000000B0000000"));
}

TEST_F(PcAcpiTools, RoutingFollowsTheInterruptController) {
    const std::string pic = run("acpiexec -b 'evaluate \\_SB.PCI0._PRT' dsdt.aml");
    EXPECT_EQ(status_, 0) << pic;
    EXPECT_THAT(pic, testing::HasSubstr("LNKB"));
    EXPECT_THAT(pic, testing::Not(testing::HasSubstr("AE_")));
    const std::string apic =
        run("acpiexec -b 'evaluate \\_PIC 1;evaluate \\_SB.PCI0._PRT' dsdt.aml");
    EXPECT_EQ(status_, 0) << apic;
    EXPECT_THAT(apic, testing::HasSubstr("[Integer] = 0000000000000011"));
    EXPECT_THAT(apic, testing::Not(testing::HasSubstr("AE_")));
}

TEST_F(PcAcpiTools, LinkDevicesSetTheirRegisters) {
    const std::string text =
        run("acpiexec -b 'evaluate \\_SB.LNKC._DIS;evaluate \\_SB.LNKC._STA;"
            "evaluate \\_SB.LNKC._CRS;evaluate \\_SB.PCI0._CRS' dsdt.aml");
    EXPECT_EQ(status_, 0) << text;
    EXPECT_THAT(text, testing::HasSubstr("[Integer] = 0000000000000009"));
    EXPECT_THAT(text, testing::Not(testing::HasSubstr("AE_")));
}

}  // namespace
}  // namespace mynah
