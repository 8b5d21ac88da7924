#include "machine/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "firmware/sample_kernel_test.h"

namespace mynah {
namespace {

using Code = std::vector<uint8_t>;

Code operator+(Code a, const Code& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// --- A few instructions each, entered in long mode with all memory below 4 GiB mapped.
// ------------------

const Code kHaltForEver{0xf4, 0xeb, 0xfd};  // hlt; jmp to it
// mov dx, 604h; mov ax, SLP_TYP 5 and SLP_EN; out dx, ax
const Code kPowerOff =
    Code{0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x34, 0x66, 0xef} + kHaltForEver;
// mov dx, cf9h; mov al, 6; out dx, al
const Code kReset = Code{0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee} + kHaltForEver;
const Code kUndefined{0x0f, 0x0b};  // ud2, and there is no IDT
const Code kSpin{0xeb, 0xfe};

Code print(char c) {  // mov dx, 3f8h; mov al, c; out dx, al
    return {0x66, 0xba, 0xf8, 0x03, 0xb0, static_cast<uint8_t>(c), 0xee};
}
Code store32(uint32_t address, uint32_t value) {  // mov ebx, address; mov dword [rbx], value
    Code code{0xbb};
    for (unsigned i = 0; i < 4; ++i) code.push_back(static_cast<uint8_t>(address >> (8 * i)));
    code.push_back(0xc7);
    code.push_back(0x03);
    for (unsigned i = 0; i < 4; ++i) code.push_back(static_cast<uint8_t>(value >> (8 * i)));
    return code;
}
// cmp byte [500h], n; jne back to it
Code wait_for_count(uint8_t n) { return {0x80, 0x3c, 0x25, 0x00, 0x05, 0x00, 0x00, n, 0x75, 0xf6}; }

class MachineTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "machine-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
        config_.memory_bytes = 64 * kMebibyte;
        config_.serial_ports = {{SerialConfig::Kind::kFile, directory_ / "serial"}};
        config_.time_limit_ns = 60'000'000'000;
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    // A bzImage whose 64-bit entry is `code`.
    void set_kernel(const Code& code) {
        sample::Image payload(linux_boot::kEntry64Offset - 64);
        for (const uint8_t byte : code) payload.push_back(static_cast<std::byte>(byte));
        const sample::Image image = sample::bzimage(payload);
        config_.kernel = directory_ / "kernel";
        std::ofstream file(config_.kernel, std::ios::binary);
        file.write(reinterpret_cast<const char*>(image.data()),
                   static_cast<std::streamsize>(image.size()));
    }
    StopReason run(const Code& code) {
        set_kernel(code);
        auto machine = Machine::create(config_);
        EXPECT_TRUE(machine) << machine.error().message();
        if (!machine) return StopReason::kHostError;
        machine_ = machine.take_value();
        const auto started = machine_->start();
        EXPECT_TRUE(started) << started.error().message();
        const auto reason = machine_->wait();
        EXPECT_TRUE(reason);
        return reason ? reason.value() : StopReason::kHostError;
    }
    std::string serial_output() {
        machine_.reset();  // what is gathered leaves
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

TEST_F(MachineTest, GuestPrintsAndPowersOff) {
    EXPECT_EQ(run(print('H') + print('i') + kPowerOff), StopReason::kPoweredOff);
    // The translator counts only where it must; the interpreter does always.
    const std::optional<uint64_t> instructions = machine_->summary().instructions;
    EXPECT_TRUE(!instructions || *instructions > 5);
    EXPECT_EQ(serial_output(), "Hi");
}

TEST_F(MachineTest, RunsInLockstep) {
    config_.translator = {.hot_after = 0, .lockstep = true};
    EXPECT_EQ(run(print('H') + print('i') + kPowerOff), StopReason::kPoweredOff);
    EXPECT_EQ(serial_output(), "Hi");
}

TEST_F(MachineTest, TripleFaultEndsWithRegisters) {
    EXPECT_EQ(run(kUndefined), StopReason::kCrashed);
    EXPECT_THAT(machine_->register_dump(), testing::HasSubstr("rip 0000000001000200"));
}

TEST_F(MachineTest, ResetStartsTheGuestAnew) {
    // inc byte [500h]; cmp byte [500h], 3; jne over the power-off. Memory outlives a reset.
    const Code head{0xfe,
                    0x04,
                    0x25,
                    0x00,
                    0x05,
                    0x00,
                    0x00,
                    0x80,
                    0x3c,
                    0x25,
                    0x00,
                    0x05,
                    0x00,
                    0x00,
                    0x03,
                    0x75,
                    static_cast<uint8_t>(kPowerOff.size())};
    EXPECT_EQ(run(print('r') + head + kPowerOff + kReset), StopReason::kPoweredOff);
    EXPECT_EQ(machine_->summary().reboots, 2u);
    EXPECT_EQ(serial_output(), "rrr");
}

TEST_F(MachineTest, ResetEndsIfThatIsWanted) {
    config_.reboot = false;
    EXPECT_EQ(run(kReset), StopReason::kReset);
}

TEST_F(MachineTest, KernelThatVanishesStillReboots) {
    // The first run takes a while; the file's name is gone by then, the file is not.
    set_kernel(kReset);
    auto machine = Machine::create(config_).take_value();
    std::filesystem::remove(config_.kernel);
    ASSERT_TRUE(machine->start());
    std::thread stopper([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        machine->stop(StopReason::kQuit);
    });
    const auto reason = machine->wait();
    stopper.join();
    ASSERT_TRUE(reason) << reason.error().message();
    EXPECT_EQ(reason.value(), StopReason::kQuit);
    EXPECT_GT(machine->summary().reboots, 0u);
}

TEST_F(MachineTest, LimitsEndASpinningGuest) {
    config_.instruction_limit = 100000;
    EXPECT_EQ(run(kSpin), StopReason::kInstructionLimit);
    EXPECT_NEAR(static_cast<double>(machine_->summary().instructions.value_or(0)), 100000, 1000);
    machine_.reset();
    config_.instruction_limit.reset();
    config_.time_limit_ns = 20'000'000;
    EXPECT_EQ(run(kSpin), StopReason::kTimeLimit);
    machine_.reset();
    EXPECT_EQ(run(kHaltForEver), StopReason::kTimeLimit);
}

TEST_F(MachineTest, StartupIpiStartsTheOtherProcessors) {
    config_.topology.cores = 4;
    // At 8000h: lock inc byte [500h]; hlt; jmp to the hlt. Then INIT and start-up to all but self.
    const Code program = Code{0x48, 0xb8, 0xf0, 0xfe, 0x06, 0x00, 0x05, 0xf4, 0xeb, 0xfd} +
                         Code{0x48, 0x89, 0x04, 0x25, 0x00, 0x80, 0x00, 0x00} +
                         store32(0xfee00300, 0x000c4500) + store32(0xfee00300, 0x000c4608) +
                         wait_for_count(3) + kPowerOff;
    EXPECT_EQ(run(program), StopReason::kPoweredOff);
}

TEST_F(MachineTest, ResetCatchesProcessorsInEveryState) {
    config_.topology.cores = 4;
    // As above, and then the boot processor resets while the others are halted.
    const Code start = Code{0x48, 0xb8, 0xf0, 0xfe, 0x06, 0x00, 0x05, 0xf4, 0xeb, 0xfd} +
                       Code{0x48, 0x89, 0x04, 0x25, 0x00, 0x80, 0x00, 0x00} +
                       store32(0xfee00300, 0x000c4500) + store32(0xfee00300, 0x000c4608);
    const Code first = wait_for_count(3) + kReset;
    // cmp byte [500h], 3; je over the first round: memory outlives the reset.
    const Code choose{0x80, 0x3c, 0x25, 0x00, 0x05,
                      0x00, 0x00, 0x03, 0x74, static_cast<uint8_t>(start.size() + first.size())};
    EXPECT_EQ(run(choose + start + first + start + wait_for_count(6) + kPowerOff),
              StopReason::kPoweredOff);
    EXPECT_EQ(machine_->summary().reboots, 1u);
}

TEST_F(MachineTest, AnUnusableConfigurationIsNamed) {
    using testing::StartsWith;
    EXPECT_THAT(creation_failure(), StartsWith("--kernel: missing"));
    set_kernel(kPowerOff);
    MachineConfig good = config_;
    config_.memory_bytes = kMebibyte;
    EXPECT_THAT(creation_failure(), StartsWith("--memory: "));
    config_ = good;
    config_.topology.cores = 1000;
    EXPECT_THAT(creation_failure(), StartsWith("--vcpus: "));
    config_ = good;
    config_.topology = {.sockets = 1, .cores = 65, .threads = 1};
    config_.cpu = "no-such-model";
    EXPECT_THAT(creation_failure(), testing::HasSubstr("no-such-model"));
    config_ = good;
    config_.translator.lockstep = true;
    config_.topology.cores = 2;
    EXPECT_THAT(creation_failure(), StartsWith("--lockstep: "));
    config_.topology.cores = 1;
    config_.accelerator = MachineConfig::Accelerator::kInterpreter;
    EXPECT_THAT(creation_failure(), StartsWith("--lockstep: "));
    config_ = good;
    config_.disks.emplace_back().path = directory_ / "missing";
    EXPECT_THAT(creation_failure(), testing::HasSubstr("missing"));
    EXPECT_FALSE(std::filesystem::exists(directory_ / "serial"));  // nothing was written
}

// A processor that runs and one that waits for its start-up move to and fro; what was counted before
// goes on being counted, so that the limit still holds.
TEST_F(MachineTest, RunsOnOneEngineAfterTheOther) {
    using Accelerator = MachineConfig::Accelerator;
    if (!translator_usable()) GTEST_SKIP() << "this host's processor cannot run the translator";
    constexpr uint64_t kLimit = 20'000'000;
    constexpr unsigned kMoves = 8;  // even: the rest runs on the translator
    config_.topology.cores = 2;
    config_.accelerator = Accelerator::kTranslator;
    config_.instruction_limit = kLimit;
    set_kernel(kSpin);
    machine_ = Machine::create(config_).take_value();
    ASSERT_TRUE(machine_->start());
    unsigned moves = 0;
    std::thread mover([&] {
        while (moves < kMoves) {
            const auto to = moves % 2 == 0 ? Accelerator::kInterpreter : Accelerator::kTranslator;
            if (!machine_->switch_engine(to)) break;
            EXPECT_EQ(machine_->engine(), to);
            ++moves;
        }
    });
    EXPECT_EQ(machine_->wait().take_value(), StopReason::kInstructionLimit);
    mover.join();
    EXPECT_GE(moves, 2u);
    EXPECT_GE(machine_->summary().instructions.value_or(0), kLimit);
    EXPECT_LT(machine_->summary().instructions.value_or(0), kLimit + 1'000'000);
}

TEST_F(MachineTest, ProcessorsRunWhereTheyArePinned) {
    const HostCpus allowed = allowed_host_cpus().take_value();
    config_.pin = {{allowed.front()}};
    EXPECT_EQ(run(kPowerOff), StopReason::kPoweredOff);
    machine_.reset();
    config_.pin = {{allowed.back() + 5000}};
    EXPECT_THAT(creation_failure(), testing::HasSubstr("--vcpus pin=: host processor"));
    config_.pin = {{allowed.front()}, {allowed.front()}};
    EXPECT_THAT(creation_failure(), testing::HasSubstr("2 lists of host processors for 1 vCPUs"));
}

TEST_F(MachineTest, KernelFromAnotherWorldIsRefusedBeforeAnythingRuns) {
    config_.kernel = directory_ / "text";
    std::ofstream(config_.kernel) << "not a kernel";
    EXPECT_THAT(creation_failure(), testing::HasSubstr("not a kernel"));
    EXPECT_FALSE(std::filesystem::exists(directory_ / "serial"));  // nothing was written
}

}  // namespace
}  // namespace mynah
