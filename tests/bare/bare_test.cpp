// Runs every program of programs/ on every engine and looks how it ends.

#include <cpuid.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "bare_machine.h"

namespace mynah::bare {
namespace {

struct NamedEngine {
    std::string name;
    EngineFactory make;
    bool counting = false;  // instructions, for a limit
    EngineFactory other = {};  // the program moves between both
    // Why a program cannot run on it here; empty: it can.
    std::function<std::string(const std::string& program)> refused = nullptr;
};

// Where there is no KVM, or one that emulates kernel-mode code itself: it knows too few instructions
// for most programs.
std::string refused_by_kvm(const std::string& program) {
    if (program.starts_with("long_kvm_")) return "hypercalls there are those of the host's kernel";
    if (access("/dev/kvm", R_OK | W_OK) != 0) return "/dev/kvm cannot be opened";
    unsigned a, b, c, d;
    constexpr unsigned kVmx = 1u << 5, kSvm = 1u << 2;
    const bool vmx = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kVmx) != 0;
    const bool svm = __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (c & kSvm) != 0;
    if (vmx || svm) return "";
    constexpr std::string_view kEmulated[] = {"halt", "long_aliases_hot", "long_dma_code",
                                              "long_flash", "long_stack_hot",
                                              "long_string_restart", "mixed_modes", "real_hot",
                                              "real_unreal", "triple_fault_long"};
    if (std::ranges::find(kEmulated, program) != std::end(kEmulated)) return "";
    return "this host's KVM has no virtualization of the processor behind it";
}

// A new engine needs a line here and nothing else.
std::vector<NamedEngine> engines() {
    const auto translate_at_once = [](GuestMemory& memory, const CpuidPolicy& cpuid) {
        return make_translator(memory, cpuid, {.hot_after = 0});
    };
    const auto translate = [](GuestMemory& memory, const CpuidPolicy& cpuid) {
        return make_translator(memory, cpuid, {});
    };
    const auto lockstep = [](GuestMemory& memory, const CpuidPolicy& cpuid) {
        return make_translator(memory, cpuid, {.hot_after = 0, .lockstep = true});
    };
    return {{"interpreter", make_interpreter},
            {"jit", translate},
            {"jit_at_once", translate_at_once},
            {"jit_lockstep", lockstep},
            {"jit_counting", translate_at_once, true},
            {"jit_and_interpreter", translate_at_once, true, make_interpreter},
            {"kvm", [](GuestMemory& memory, const CpuidPolicy& cpuid) {
                 return make_kvm(memory, cpuid);
             }, false, {}, refused_by_kvm}};
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::vector<std::byte> bytes(text.size());
    std::transform(text.begin(), text.end(), bytes.begin(), [](char c) { return std::byte(c); });
    return bytes;
}

std::string describe(const Ending& ending) {
    const CpuState& s = ending.state;
    std::string value = ending.exit_value ? fmt::format("exit port {:#x} (line {})",
                                                        *ending.exit_value, *ending.exit_value)
                                          : std::string("exit port not written");
    return fmt::format(
        "{}; exit {}, cs:rip {:x}:{:x} ss:rsp {:x}:{:x} flags {:x} rax {:x} rbx {:x} rcx {:x} rdx "
        "{:x} "
        "cr0 {:x} cr2 {:x}",
        value, static_cast<int>(ending.exit), s.cs().selector, s.rip, s.ss().selector, s.gpr[kRsp],
        s.flags.value(), s.gpr[kRax], s.gpr[kRbx], s.gpr[kRcx], s.gpr[kRdx], s.cr0, s.cr2);
}

class BareTest : public ::testing::Test {
  public:
    BareTest(NamedEngine engine, std::filesystem::path image)
        : engine_(std::move(engine)), image_(std::move(image)) {}

    void TestBody() override {
        if (engine_.refused) {
            const std::string why = engine_.refused(image_.stem());
            if (!why.empty()) GTEST_SKIP() << why;
        }
        BareMachine machine(engine_.make, engine_.other);
        const auto problem = machine.load(read_file(image_));
        ASSERT_FALSE(problem) << image_ << ": " << *problem;
        // Far more than any program needs, also one that spins until another thread does something.
        constexpr uint64_t kLimit = 1'000'000'000;
        const Ending ending =
            machine.run(engine_.counting ? std::optional<uint64_t>(kLimit) : std::nullopt);
        SCOPED_TRACE(describe(ending));
        switch (machine.expectation()) {
            case Expectation::kExit:
                EXPECT_EQ(ending.exit_value, 0u);
                break;
            case Expectation::kShutdown:
                EXPECT_FALSE(ending.exit_value);
                EXPECT_EQ(ending.exit, VcpuExit::kShutdown);
                break;
            case Expectation::kHalt:
                EXPECT_FALSE(ending.exit_value);
                EXPECT_EQ(ending.exit, VcpuExit::kHalted);
                break;
        }
    }

  private:
    NamedEngine engine_;
    std::filesystem::path image_;
};

// False if there is nothing to run, which would look like success.
bool register_programs() {
    std::vector<std::filesystem::path> images;
    for (const auto& entry : std::filesystem::directory_iterator(MYNAH_BARE_IMAGES)) {
        if (entry.path().extension() == ".bin") images.push_back(entry.path());
    }
    std::ranges::sort(images);
    for (const NamedEngine& engine : engines()) {
        for (const auto& image : images) {
            ::testing::RegisterTest(("Bare_" + engine.name).c_str(), image.stem().c_str(), nullptr,
                                    nullptr, __FILE__, __LINE__,
                                    [=]() -> BareTest* { return new BareTest(engine, image); });
        }
    }
    return !images.empty();
}

}  // namespace
}  // namespace mynah::bare

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    if (!mynah::bare::register_programs()) {
        fmt::print(stderr, "no bare programs in {}\n", MYNAH_BARE_IMAGES);
        return 1;
    }
    return RUN_ALL_TESTS();
}
