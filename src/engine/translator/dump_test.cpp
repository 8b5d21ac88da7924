#include "engine/translator/dump.h"

#include <gtest/gtest.h>

#include "engine/translator/sample_guest_test.h"

namespace mynah::translator {
namespace {

// What is printed when `code` is run with its first block dumped.
std::string dump_of(const std::function<void(Emitter&)>& code) {
    SampleGuest guest(TranslatorOptions{.hot_after = 0, .brief_entries = 0, .dump_code = SampleGuest::kCode});
    guest.write(SampleGuest::kCode, code);
    guest.state().gpr[kRbx] = SampleGuest::kData;
    testing::internal::CaptureStderr();
    EXPECT_EQ(guest.run(), VcpuExit::kHalted);
    return testing::internal::GetCapturedStderr();
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST(Dump, ShowsGuestAnalysisAndHost) {
    const std::string text = dump_of([](Emitter& e) {
        e.alu(Alu::kAdd, kHostRax, {.base = kHostRbx, .disp = 8});
        e.byte(0x0f);  // CPUID
        e.byte(0xa2);
        e.jmp_to(reinterpret_cast<const std::byte*>(SampleGuest::kCode + 0x100));
        while (e.offset() < 0x100) e.byte(0xcc);
        SampleGuest::hlt(e);
    });
    EXPECT_TRUE(has(text, "block at 10000: 3 instructions, 11 bytes")) << text;
    EXPECT_TRUE(has(text, "  10000  48 03 43 08 ")) << text;
    EXPECT_TRUE(has(text, " add rax, [rbx+0x08]\n")) << text;
    EXPECT_TRUE(has(text, "reads none, writes OSZAPC, wanted behind it OSZAPC; reads 8 bytes"))
        << text;
    EXPECT_TRUE(has(text, "by the interpreter's handler")) << text;
    EXPECT_TRUE(has(text, "add r10, [rax]")) << text;
    EXPECT_TRUE(has(text, "; slow_access")) << text;
    EXPECT_TRUE(has(text, "data: read of 8 bytes, 0 instructions done")) << text;
    EXPECT_TRUE(has(text, "; handler: cpuid at 10004")) << text;
    EXPECT_TRUE(has(text, "jump, 3 instructions done, to 10100")) << text;
    // All of the block was understood.
    EXPECT_FALSE(has(text, "?")) << text;
}

TEST(Dump, TellsWhichFlagsAreWanted) {
    const std::string text = dump_of([](Emitter& e) {
        e.alu_imm(Alu::kAdd, kHostRax, 1);   // all overwritten
        e.alu_imm(Alu::kSub, kHostRdx, 1);   // CF wanted by the next one
        e.alu_imm(Alu::kAdc, kHostRsi, 0);
        SampleGuest::hlt(e);
    });
    EXPECT_TRUE(has(text, "reads none, writes OSZAPC, wanted behind it none\n")) << text;
    EXPECT_TRUE(has(text, "reads none, writes OSZAPC, wanted behind it C\n")) << text;
    EXPECT_TRUE(has(text, "reads C, writes OSZAPC, wanted behind it OSZAPC\n")) << text;
}

TEST(Dump, OtherBlocksAreNotShown) {
    SampleGuest guest(TranslatorOptions{.hot_after = 0, .brief_entries = 0, .dump_code = SampleGuest::kCode + 1});
    guest.write(SampleGuest::kCode, [](Emitter& e) {
        e.alu_imm(Alu::kAdd, kHostRax, 1);
        SampleGuest::hlt(e);
    });
    testing::internal::CaptureStderr();
    EXPECT_EQ(guest.run(), VcpuExit::kHalted);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace mynah::translator
