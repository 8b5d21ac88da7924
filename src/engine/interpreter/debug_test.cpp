#include "engine/interpreter/debug.h"

#include <gtest/gtest.h>

namespace mynah::interpreter {
namespace {

// DR7 with breakpoint i locally enabled: R/W and LEN as the manual encodes them.
uint64_t control(unsigned i, uint64_t rw, uint64_t len) {
    return x86::dr7::kReset | uint64_t{1} << (i * 2) | rw << (16 + i * 4) | len << (18 + i * 4);
}

TEST(DebugRegisters, NothingHitsWithoutAnEnable) {
    CpuState state;
    state.dr = {0x1000, 0x1000, 0x1000, 0x1000};
    state.dr7 = control(0, 3, 3) & ~uint64_t{0xff};
    EXPECT_FALSE(debug_active(state));
    EXPECT_EQ(data_breakpoint_hits(state, 0x1000, 8, AccessKind::kWrite), 0u);
    EXPECT_EQ(code_breakpoint_hits(state, 0x1000), 0u);
}

TEST(DebugRegisters, CodeBreakpointsWantTheFirstByte) {
    CpuState state;
    state.dr[2] = 0x1000;
    state.dr7 = control(2, 0, 0);
    EXPECT_TRUE(debug_active(state));
    EXPECT_EQ(code_breakpoint_hits(state, 0x1000), 4u);
    EXPECT_EQ(code_breakpoint_hits(state, 0xfff), 0u);
    EXPECT_EQ(data_breakpoint_hits(state, 0x1000, 1, AccessKind::kWrite), 0u);
}

TEST(DebugRegisters, DataBreakpointsMeetAnyByteOfTheirAlignedRange) {
    CpuState state;
    state.dr[1] = 0x1006;  // 4 bytes: 0x1004 to 0x1007
    state.dr7 = control(1, 1, 3);
    EXPECT_EQ(data_breakpoint_hits(state, 0x1007, 1, AccessKind::kWrite), 2u);
    EXPECT_EQ(data_breakpoint_hits(state, 0x1001, 4, AccessKind::kWrite), 2u);
    EXPECT_EQ(data_breakpoint_hits(state, 0x1000, 4, AccessKind::kWrite), 0u);
    EXPECT_EQ(data_breakpoint_hits(state, 0x1008, 4, AccessKind::kWrite), 0u);
    EXPECT_EQ(data_breakpoint_hits(state, 0x1004, 4, AccessKind::kRead), 0u);
    state.dr7 = control(1, 3, 2);  // 8 bytes, reads too
    EXPECT_EQ(data_breakpoint_hits(state, 0x1000, 1, AccessKind::kRead), 2u);
}

TEST(DebugRegisters, IoBreakpointsNeedDe) {
    CpuState state;
    state.dr[0] = 0x3f8;
    state.dr7 = control(0, 2, 0);
    EXPECT_EQ(io_breakpoint_hits(state, 0x3f8, 1), 0u);
    state.cr4 = x86::cr4::kDe;
    EXPECT_EQ(io_breakpoint_hits(state, 0x3f8, 1), 1u);
    EXPECT_EQ(io_breakpoint_hits(state, 0x3f6, 4), 1u);
    EXPECT_EQ(io_breakpoint_hits(state, 0x3f9, 1), 0u);
    EXPECT_EQ(data_breakpoint_hits(state, 0x3f8, 1, AccessKind::kRead), 0u);
}

}  // namespace
}  // namespace mynah::interpreter
