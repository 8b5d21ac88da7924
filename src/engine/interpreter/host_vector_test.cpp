#include "engine/interpreter/host_vector.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <xmmintrin.h>

#include <cstring>
#include <thread>
#include <vector>

#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"
#include "memory/guest_memory.h"

namespace mynah::interpreter {
namespace {

HostInstruction divps() {
    HostInstruction i;
    i.opcode = 0x5e;
    i.reg = {.kind = OperandKind::kXmm, .read = true, .written = true};
    i.rm = {.kind = OperandKind::kXmm, .read = true, .written = false};
    return i;
}

std::unique_ptr<HostVectorUnit> make_unit() { return HostVectorUnit::create().take_value(); }

void set_floats(VectorRegister& reg, float value) {
    for (unsigned i = 0; i < 8; ++i) std::memcpy(reg.bytes.data() + 4 * i, &value, 4);
}
float first_float(const VectorRegister& reg) {
    float value;
    std::memcpy(&value, reg.bytes.data(), 4);
    return value;
}

TEST(HostVectorUnit, RunsAnInstructionOnRegistersOfTheCaller) {
    const auto unit = make_unit();
    const VectorForm* form = unit->form(divps(), {});
    ASSERT_NE(form, nullptr);
    CpuState state;
    set_floats(state.vector[9], 6);
    set_floats(state.vector[3], 2);
    EXPECT_EQ(form->stub(&state.vector[9], &state.vector[3], nullptr, nullptr, &state), 0u);
    EXPECT_EQ(first_float(state.vector[9]), 3);
    // A legacy instruction keeps what lies above bit 127.
    float high;
    std::memcpy(&high, state.vector[9].bytes.data() + 16, 4);
    EXPECT_EQ(high, 6);
}

TEST(HostVectorUnit, FormsAreSharedByInstructionsThatDifferInRegistersOnly) {
    const auto unit = make_unit();
    const VectorForm* form = unit->form(divps(), {});
    EXPECT_EQ(unit->form(divps(), {}), form);
    EXPECT_EQ(unit->usage().stubs, 1u);
    HostInstruction other = divps();
    other.opcode = 0x58;
    EXPECT_NE(unit->form(other, {}), form);
}

TEST(HostVectorUnit, UnmaskedExceptionReturnsOneAndStoresNothing) {
    const auto unit = make_unit();
    const VectorForm* form = unit->form(divps(), {});
    CpuState state;
    set_floats(state.vector[0], 1);
    set_floats(state.vector[1], 0);
    constexpr uint32_t kDivisionUnmasked = 0x1f80 & ~0x200u;
    _mm_setcsr(kDivisionUnmasked);
    const uint64_t fault = form->stub(&state.vector[0], &state.vector[1], nullptr, nullptr, &state);
    const uint32_t after = _mm_getcsr();
    _mm_setcsr(0x1f80);
    EXPECT_EQ(fault, 1u);
    EXPECT_EQ(first_float(state.vector[0]), 1);
    EXPECT_EQ(after, kDivisionUnmasked | 4u);
}

[[noreturn]] void divide_by_zero_unmasked() {
    _mm_setcsr(0x1f80 & ~0x200u);
    volatile float zero = 0, result = 1;
    result = result / zero;
    std::exit(0);
}

// By the signal, or by a handler that was there before, as sanitizers have one.
bool ended_badly(int status) { return !WIFEXITED(status) || WEXITSTATUS(status) != 0; }

TEST(HostVectorUnit, FaultsOfOtherCodeStillKill) {
    const auto unit = make_unit();
    EXPECT_EXIT(divide_by_zero_unmasked(), ended_badly, "");
}

TEST(HostVectorUnit, ManyThreadsBuildAndFaultAtOnce) {
    const auto unit = make_unit();
    constexpr unsigned kThreads = 4, kRounds = 400;
    std::vector<std::thread> threads;
    std::array<unsigned, kThreads> wrong{};
    for (unsigned t = 0; t < kThreads; ++t) {
        threads.emplace_back([&unit, &wrong, t] {
            CpuState state;
            for (unsigned round = 0; round < kRounds; ++round) {
                HostInstruction shuffle = divps();
                shuffle.opcode = 0xc6;  // SHUFPS with every immediate
                shuffle.has_immediate = true;
                shuffle.immediate = static_cast<uint8_t>(round);
                const VectorForm* form = unit->form(shuffle, {});
                set_floats(state.vector[2], 5);
                if (form->stub(&state.vector[2], &state.vector[2], nullptr, nullptr, &state) != 0 ||
                    first_float(state.vector[2]) != 5) {
                    ++wrong[t];
                }
                const VectorForm* divide = unit->form(divps(), {});
                set_floats(state.vector[0], 1);
                set_floats(state.vector[1], 0);
                _mm_setcsr(0x1d80);
                if (divide->stub(&state.vector[0], &state.vector[1], nullptr, nullptr, &state) !=
                    1) {
                    ++wrong[t];
                }
                _mm_setcsr(0x1f80);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const unsigned count : wrong) EXPECT_EQ(count, 0u);
    EXPECT_EQ(unit->usage().stubs, 257u);
}

// Every instruction that the decoder knows in 64- and 32-bit code, with every immediate, is built:
// the room that the unit has is enough for whatever a guest does.
class StubBound : public testing::Test {
 protected:
    void build_all(CodeSize size) {
        for (unsigned map = 1; map < 4; ++map) {
            for (unsigned opcode = 0; opcode < 256; ++opcode) {
                for (const unsigned prefix : {0u, 0x66u, 0xf2u, 0xf3u}) {
                    for (unsigned wide = 0; wide < (size == CodeSize::k64 ? 2u : 1u); ++wide) {
                        legacy(size, map, opcode, prefix, wide);
                    }
                }
                for (unsigned bits = 0; bits < 32; ++bits) vex(size, map, opcode, bits);
            }
        }
        for (unsigned opcode = 0xd8; opcode < 0xe0; ++opcode) {
            for (unsigned modrm = 0; modrm < 256; ++modrm) {
                build(size, {static_cast<uint8_t>(opcode), static_cast<uint8_t>(modrm)}, false);
            }
        }
    }

    std::unique_ptr<HostVectorUnit> unit_ = make_unit();

 private:
    using Bytes = std::vector<uint8_t>;

    void legacy(CodeSize size, unsigned map, unsigned opcode, unsigned prefix, unsigned wide) {
        Bytes bytes;
        if (prefix != 0) bytes.push_back(static_cast<uint8_t>(prefix));
        if (wide != 0) bytes.push_back(0x48);
        bytes.push_back(0x0f);
        if (map == 2) bytes.push_back(0x38);
        if (map == 3) bytes.push_back(0x3a);
        bytes.push_back(static_cast<uint8_t>(opcode));
        every_modrm(size, bytes);
    }
    void vex(CodeSize size, unsigned map, unsigned opcode, unsigned bits) {
        const unsigned vvvv = (bits & 8) != 0 ? 0xfu : 0xcu;
        const unsigned last = (bits & 16) << 3 | vvvv << 3 | (bits & 7);
        every_modrm(size, {0xc4, static_cast<uint8_t>(0xe0 | map), static_cast<uint8_t>(last),
                           static_cast<uint8_t>(opcode)});
    }
    void every_modrm(CodeSize size, const Bytes& start) {
        for (unsigned reg = 0; reg < 8; ++reg) {
            for (const unsigned mod : {0x04u, 0xc0u, 0xc1u}) {
                Bytes bytes = start;
                bytes.push_back(static_cast<uint8_t>(mod | reg << 3));
                if (mod == 0x04) bytes.push_back(0x08);  // [rax + rcx], or a gather
                build(size, bytes, true);
            }
        }
    }
    void build(CodeSize size, Bytes bytes, bool immediates) {
        const size_t used = bytes.size();
        bytes.resize(15, 0);
        Instruction instruction;
        if (decode(std::as_bytes(std::span(bytes)), size, instruction) != DecodeStatus::kOk) return;
        const bool immediate = immediates && instruction.info.raw.imm[0].size == 8;
        for (unsigned value = 0; value < (immediate ? 256u : 1u); ++value) {
            bytes[used] = static_cast<uint8_t>(value);
            decode(std::as_bytes(std::span(bytes)), size, instruction);
            const CodeMode mode{.code_size = size, .stack_size = size, .protected_mode = true};
            Op op;
            build_op(instruction, mode, shared_, op,
                     [](Core&, const Op&) { return Outcome::kFault; });
        }
    }

    const GuestMemory::Range range_{.start = GuestPhys(0), .size = kPageSize};
    std::unique_ptr<GuestMemory> memory_ = GuestMemory::create(std::span(&range_, 1)).take_value();
    CpuidPolicy cpuid_ = CpuidPolicy::create("max", CpuTopology{}, 1'000'000'000).take_value();
    Mutex split_lock_;
    Shared shared_{
        .memory = *memory_, .cpuid = cpuid_, .vectors = *unit_, .split_lock = split_lock_};
};

TEST_F(StubBound, EveryInstructionWithEveryImmediateFits) {
    build_all(CodeSize::k64);
    build_all(CodeSize::k32);
    const HostVectorUnit::Usage usage = unit_->usage();
    RecordProperty("stubs", static_cast<int>(usage.stubs));
    RecordProperty("code_bytes", static_cast<int>(usage.code_bytes));
    EXPECT_LT(usage.stubs, 140'000u);
    EXPECT_LT(usage.code_bytes, HostVectorUnit::kArenaBytes / 2);
}

}  // namespace
}  // namespace mynah::interpreter
