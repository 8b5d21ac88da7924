// Loops of 16- and 32-bit code must run as translated code throughout: counted, not timed.

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bits.h"
#include "engine/engine.h"
#include "testing/no_ports.h"

namespace mynah {
namespace {

namespace attr = x86::segment_attribute;

constexpr uint64_t kMemorySize = 256u << 10;
constexpr uint32_t kCode = 0x20000, kData = 0x10000, kStack = 0x30000;
constexpr uint32_t kRounds = 50000;

// CX times: add from memory, count in memory, push, pop, call; returns from there.
constexpr uint8_t kCode16[] = {
    0xb9, 0x50, 0xc3,        // mov cx, 50000
    0x31, 0xc0,              // xor ax, ax
    0x03, 0x00,              // 5: add ax, [bx+si]
    0xff, 0x47, 0x02,        // inc word [bx+2]
    0x50, 0x5a,              // push ax; pop dx
    0xe8, 0x03, 0x00,        // call 18
    0xe2, 0xf4,              // loop 5
    0xf4,                    // hlt
    0x47, 0xc3,              // 18: inc di; ret
};
constexpr uint8_t kCode32[] = {
    0xb9, 0x50, 0xc3, 0, 0,  // mov ecx, 50000
    0x31, 0xc0,              // xor eax, eax
    0x03, 0x04, 0x33,        // 7: add eax, [ebx+esi]
    0xff, 0x43, 0x04,        // inc dword [ebx+4]
    0x50, 0x5a,              // push eax; pop edx
    0xe8, 0x03, 0, 0, 0,     // call 23
    0xe2, 0xf1,              // loop 7
    0xf4,                    // hlt
    0x47, 0xc3,              // 23: inc edi; ret
};

struct Shape {
    const char* name;
    bool protected_mode, big, flat;
};

void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.name; }

SegmentRegister segment(const Shape& shape, uint32_t base, bool code) {
    SegmentRegister made{.base = shape.flat ? 0 : base,
                         .limit = shape.flat ? 0xffffffff : 0xffff,
                         .attributes = attr::kPresent | attr::kCodeOrData |
                                       attr::kReadableOrWritable | attr::kAccessed |
                                       (shape.big ? attr::kDefaultBig : 0),
                         .selector = 0};
    if (code && shape.protected_mode) made.attributes |= attr::kCode;
    return made;
}

class HotLegacyLoop : public ::testing::TestWithParam<Shape> {};

TEST_P(HotLegacyLoop, StaysInTranslatedCode) {
    const Shape& shape = GetParam();
    const GuestMemory::Range range{GuestPhys(0), kMemorySize};
    auto memory = GuestMemory::create({&range, 1}).take_value();
    auto cpuid = CpuidPolicy::create("max", {}, 2'000'000'000).take_value();
    auto engine = make_translator(*memory, cpuid).take_value();
    NoPorts ports;
    CpuSignals signals;
    auto vcpu = engine->create_vcpu(ports, signals, VcpuIndex(0));

    const auto code = std::as_bytes(shape.big ? std::span<const uint8_t>(kCode32)
                                              : std::span<const uint8_t>(kCode16));
    ASSERT_TRUE(memory->write(GuestPhys(kCode), code));
    ASSERT_TRUE(memory->store(GuestPhys(kData), uint32_t{3}));
    CpuState& s = vcpu->state();
    if (shape.protected_mode) s.cr0 |= x86::cr0::kPe;
    for (SegmentRegister& each : s.segments) each = segment(shape, kData, false);
    s.segment(x86::Segment::kCs) = segment(shape, kCode, true);
    s.segment(x86::Segment::kSs) = segment(shape, kStack, false);
    s.gpr = {};
    s.rip = shape.flat ? kCode : 0;
    s.gpr[kRsp] = shape.flat ? kStack + 0x800 : 0x800;
    s.gpr[kRbx] = shape.flat ? kData : 0;
    vcpu->state_changed();

    ASSERT_EQ(vcpu->run(), VcpuExit::kHalted);
    const unsigned width = shape.big ? 32 : 16;
    EXPECT_EQ(s.gpr[kRdi], kRounds);
    EXPECT_EQ(s.gpr[kRdx], (3 * kRounds) & low_mask(width));
    EXPECT_EQ(s.gpr[kRcx], 0u);
    EXPECT_EQ(memory->load<uint32_t>(GuestPhys(kData + (shape.big ? 4 : 2))), kRounds);
    auto counters = vcpu->statistics().counters;
    EXPECT_GT(counters["blocks translated"], 0u);
    EXPECT_LT(counters["cold blocks run by the interpreter"], 200u);
    EXPECT_LT(counters["instructions left to the interpreter"], 200u);
    EXPECT_LT(counters["entries into translated code"], 200u);
}

// Every base of CS is a mode of its own; a guest that makes more of them than are kept track of
// only has its code translated again.
TEST(LegacyModes, MoreThanAreKept) {
    const GuestMemory::Range range{GuestPhys(0), kMemorySize};
    auto memory = GuestMemory::create({&range, 1}).take_value();
    auto cpuid = CpuidPolicy::create("max", {}, 2'000'000'000).take_value();
    auto engine = make_translator(*memory, cpuid, {.hot_after = 0}).take_value();
    NoPorts ports;
    CpuSignals signals;
    auto vcpu = engine->create_vcpu(ports, signals, VcpuIndex(0));
    constexpr uint8_t kIncrement[] = {0x47, 0xf4};  // inc di; hlt
    ASSERT_TRUE(memory->write(GuestPhys(kCode), std::as_bytes(std::span(kIncrement))));
    constexpr Shape kReal{"Real", false, false, false}, kProtected{"Protected", true, false, false};
    uint64_t runs = 0;
    for (const Shape& shape : {kReal, kProtected, kReal}) {
        for (uint32_t i = 0; i < 4000; ++i) {
            CpuState& s = vcpu->state();
            s.cr0 = shape.protected_mode ? s.cr0 | x86::cr0::kPe : s.cr0 & ~x86::cr0::kPe;
            for (SegmentRegister& each : s.segments) each = segment(shape, kData, false);
            s.segment(x86::Segment::kCs) = segment(shape, kCode - 16 * i, true);
            s.rip = 16 * i;
            s.gpr[kRdi] = i;
            vcpu->state_changed();
            ASSERT_EQ(vcpu->run(), VcpuExit::kHalted);
            ASSERT_EQ(s.gpr[kRdi], i + 1);
            ASSERT_EQ(s.rip, 16 * i + 2);
            ++runs;
        }
    }
    auto counters = vcpu->statistics().counters;
    EXPECT_GE(counters["code cache flushes"], 2u);
    EXPECT_GE(counters["entries into translated code"], runs);
}

INSTANTIATE_TEST_SUITE_P(Modes, HotLegacyLoop,
                         ::testing::Values(Shape{"Real", false, false, false},
                                           Shape{"Protected16", true, false, false},
                                           Shape{"Protected32", true, true, false},
                                           Shape{"Flat32", true, true, true}),
                         [](const auto& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace mynah
