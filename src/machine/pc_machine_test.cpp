#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "machine/machine.h"

namespace mynah {
namespace {

// --- A few 16-bit instructions each, for a firmware of our own.
using Code = std::vector<uint8_t>;

Code operator+(Code a, const Code& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
Code word(unsigned value) {
    return {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8)};
}
Code port(unsigned number) { return Code{0xba} + word(number); }  // mov dx, number
Code out8(unsigned number, uint8_t value) { return port(number) + Code{0xb0, value, 0xee}; }
Code out16(unsigned number, unsigned value) {
    return port(number) + Code{0xb8} + word(value) + Code{0xef};
}
Code out32(unsigned number, uint32_t value) {
    return port(number) + Code{0x66, 0xb8} + word(value & 0xffff) + word(value >> 16) +
           Code{0x66, 0xef};
}
const Code kHalt{0xf4, 0xeb, 0xfd};  // hlt; jmp to it

// BL: how often this ran before, by a byte of CMOS memory, which outlives resets; prints a letter.
Code count_and_print() {
    return out8(0x70, 0x50) + port(0x71) + Code{0xec, 0x88, 0xc3, 0xfe, 0xc0, 0xee} + port(0x3f8) +
           Code{0x88, 0xd8, 0x04, 'A', 0xee};
}
// `code` if BL is n; ends in a halt.
Code step(uint8_t n, Code code) {
    code = std::move(code) + kHalt;
    return Code{0x80, 0xfb, n, 0x75, static_cast<uint8_t>(code.size())} + code;
}
// PMBASE at 600h, ACPI on, SLP_TYP 5 and SLP_EN.
Code power_off() {
    return out32(0xcf8, 0x8000f840) + out32(0xcfc, 0x601) + out32(0xcf8, 0x8000f844) +
           out8(0xcfc, 0x80) + out16(0x604, 0x3400);
}

class PcMachineTest : public testing::Test {
  protected:
    static constexpr size_t kRom = 0x10000;

    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "machine-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
        config_.board = MachineConfig::BoardKind::kPc;
        config_.memory_bytes = 64 * kMebibyte;
        config_.serial_ports = {{SerialConfig::Kind::kFile, directory_ / "serial"}};
        config_.time_limit_ns = 60'000'000'000;
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    void write(const std::string& name, const Code& bytes) {
        std::ofstream file(directory_ / name, std::ios::binary);
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
    }
    // A ROM whose code begins at its first byte: the reset vector jumps there.
    void set_firmware(const Code& code) {
        Code rom = code;
        rom.resize(kRom);
        const Code jump{0xe9, 0x0d, 0x00};
        std::copy(jump.begin(), jump.end(), rom.begin() + 0xfff0);
        write("firmware", rom);
        config_.firmware = directory_ / "firmware";
    }
    StopReason run(const Code& code) {
        set_firmware(code);
        auto machine = Machine::create(config_);
        EXPECT_TRUE(machine) << machine.error().message();
        if (!machine) return StopReason::kHostError;
        machine_ = machine.take_value();
        EXPECT_TRUE(machine_->start());
        const auto reason = machine_->wait();
        EXPECT_TRUE(reason);
        return reason ? reason.value() : StopReason::kHostError;
    }
    std::string serial_output() {
        machine_.reset();
        std::stringstream text;
        text << std::ifstream(directory_ / "serial").rdbuf();
        return text.str();
    }
    std::string creation_failure() {
        auto machine = Machine::create(config_);
        return machine ? "" : machine.error().message();
    }

    std::filesystem::path directory_;
    MachineConfig config_;
    std::unique_ptr<Machine> machine_;
};

Code every_reset() {
    const Code empty_idt{0x2e, 0x0f, 0x01, 0x1e, 0x00, 0x80};  // lidt cs:[8000h]: zeros
    return count_and_print() + step(0, out8(0x64, 0xfe)) +
           step(1, out8(0xcf9, 0x02) + out8(0xcf9, 0x06)) + step(2, out8(0x92, 0x03)) +
           step(3, empty_idt + Code{0xcc}) + power_off() + kHalt;
}

TEST_F(PcMachineTest, ResetsInEveryWayThatAPcHas) {
    EXPECT_EQ(run(every_reset()), StopReason::kPoweredOff);
    EXPECT_EQ(machine_->summary().reboots, 4u);
    EXPECT_EQ(serial_output(), "ABCDE");
}

TEST_F(PcMachineTest, ResetsOnTheInterpreter) {
    config_.accelerator = MachineConfig::Accelerator::kInterpreter;
    EXPECT_EQ(run(every_reset()), StopReason::kPoweredOff);
    EXPECT_EQ(serial_output(), "ABCDE");
}

TEST_F(PcMachineTest, WithoutRebootAResetEndsIt) {
    config_.reboot = false;
    EXPECT_EQ(run(out8(0xcf9, 0x06) + kHalt), StopReason::kReset);
}

TEST_F(PcMachineTest, WithoutRebootATripleFaultIsACrash) {
    config_.reboot = false;
    EXPECT_EQ(run(Code{0x2e, 0x0f, 0x01, 0x1e, 0x00, 0x80, 0xcc}), StopReason::kCrashed);
}

TEST_F(PcMachineTest, APanicIsACrash) {
    EXPECT_EQ(run(out8(0x505, 1) + kHalt), StopReason::kPanicked);
}

// Shadowing, as every BIOS does it: RAM below 1 MiB gets a copy of the ROM and is written to.
TEST_F(PcMachineTest, MemoryBelowOneMegabyteTurnsFromRomIntoRam) {
    // mov ax, f000h; mov ds, ax; mov es, ax
    const Code segments{0xb8, 0x00, 0xf0, 0x8e, 0xd8, 0x8e, 0xc0};
    // mov al, [7000h]; mov dx, 3f8h; out dx, al
    const Code print_byte = Code{0xa0, 0x00, 0x70} + port(0x3f8) + Code{0xee};
    const Code change{0xc6, 0x06, 0x00, 0x70, 'R'};  // mov byte [7000h], 'R'
    const Code ram = out32(0xcf8, 0x80000090) + out8(0xcfc, 0x30);
    const Code rom = out32(0xcf8, 0x80000090) + out8(0xcfc, 0x00);
    Code code = segments + change + print_byte + ram + change + print_byte + rom + print_byte +
                power_off() + kHalt;
    code.resize(0x7001);
    code[0x7000] = 'F';
    EXPECT_EQ(run(code), StopReason::kPoweredOff);
    EXPECT_EQ(serial_output(), "FRF");
}

// The variable store: programmed by the guest, kept in the file.
TEST_F(PcMachineTest, VariablesAreKeptInTheOperatorsFile) {
    write("nvram", Code(0x2000, 0xff));
    config_.boot.nvram = directory_ / "nvram";
    // Flat data segment by way of protected mode: lgdtd cs:[8000h]; mov eax, cr0; or al, 1; mov
    // cr0, eax; mov cx, 8; mov ds, cx; and al, feh; mov cr0, eax.
    const Code flat{0x66, 0x2e, 0x0f, 0x01, 0x16, 0x00, 0x80, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f,
                    0x22, 0xc0, 0xb9, 0x08, 0x00, 0x8e, 0xd9, 0x24, 0xfe, 0x0f, 0x22, 0xc0};
    // mov byte [dword address], value
    const auto store = [](uint32_t address, uint8_t value) {
        return Code{0x67, 0xc6, 0x05} + word(address & 0xffff) + word(address >> 16) + Code{value};
    };
    constexpr uint32_t kFlash = 0xfffee000;  // below the image of 64 KiB
    Code code = flat + store(kFlash + 0x123, 0x40) + store(kFlash + 0x123, 'V') +
                store(kFlash, 0xff) + power_off() + kHalt;
    code.resize(0x8000);
    // The table's place, its null descriptor and a flat data segment.
    code = code + Code{0x0f, 0x00, 0x10, 0x80, 0xff, 0xff};
    code.resize(0x8018);
    code = code + Code{0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00};
    EXPECT_EQ(run(code), StopReason::kPoweredOff);
    machine_.reset();
    std::stringstream text;
    text << std::ifstream(directory_ / "nvram", std::ios::binary).rdbuf();
    ASSERT_EQ(text.str().size(), 0x2000u);
    EXPECT_EQ(text.str()[0x123], 'V');
    EXPECT_EQ(text.str()[0x124], '\xff');
}

TEST_F(PcMachineTest, BadFirmwareIsNamed) {
    config_.firmware = directory_ / "missing";
    EXPECT_THAT(creation_failure(), testing::HasSubstr("--firmware"));
    EXPECT_THAT(creation_failure(), testing::HasSubstr("No such file"));
    config_.firmware = directory_;
    EXPECT_THAT(creation_failure(), testing::HasSubstr("is a directory"));
    write("small", Code(100));
    config_.firmware = directory_ / "small";
    EXPECT_THAT(creation_failure(), testing::HasSubstr("100 bytes; expected a firmware image"));
    write("odd", Code(0x10001));
    config_.firmware = directory_ / "odd";
    EXPECT_THAT(creation_failure(), testing::HasSubstr("whole blocks"));
    write("CODE.fd", Code(kRom));
    config_.firmware = directory_ / "CODE.fd";
    config_.boot.uefi = true;
    EXPECT_THAT(creation_failure(), testing::HasSubstr("no variable store"));
}

TEST_F(PcMachineTest, MoreDisksThanPlacesAreAnError) {
    set_firmware(power_off());
    write("disk", Code(0x1000));
    DiskConfig disk;
    disk.path = directory_ / "disk";
    disk.format = "raw";
    disk.read_only = true;
    disk.bus = DiskBus::kNvme;
    config_.disks.assign(26, disk);
    EXPECT_THAT(creation_failure(), testing::HasSubstr("22 slots for cards"));
    disk.bus = DiskBus::kUsb;
    config_.disks.assign(9, disk);
    EXPECT_THAT(creation_failure(), testing::HasSubstr("no free USB port"));
}

TEST_F(PcMachineTest, BadVariableStoresAreNamed) {
    write("CODE.fd", Code(kRom));
    write("VARS.fd", Code(0x2000));
    config_.firmware = directory_ / "CODE.fd";
    config_.boot.uefi = true;
    config_.boot.nvram = directory_ / "nvram";
    write("nvram", Code(0x1000));
    EXPECT_THAT(creation_failure(), testing::HasSubstr("4096 bytes; expected 8192"));
    config_.boot.nvram = directory_;
    EXPECT_THAT(creation_failure(), testing::HasSubstr("--boot nvram="));
    config_.boot.nvram = "/proc/version";
    EXPECT_THAT(creation_failure(), testing::HasSubstr("--boot nvram=/proc/version"));
    config_.boot.nvram = directory_ / "new";
    EXPECT_EQ(creation_failure(), "");
    EXPECT_EQ(std::filesystem::file_size(directory_ / "new"), 0x2000u) << "made of the template";
}

}  // namespace
}  // namespace mynah
