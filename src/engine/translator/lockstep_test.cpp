// Translated code against the interpreter, block by block; and that a wrong one is found.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "engine/interpreter/host_vector.h"
#include "engine/translator/processor.h"
#include "engine/translator/sample_guest_test.h"

namespace mynah::translator {
namespace {

constexpr TranslatorOptions kLockstep{.hot_after = 0, .brief_entries = 0, .lockstep = true};
constexpr int32_t kMarker = 0x12345678;

// Integer and vector work on two pages, the stack, calls, a byte string, a time stamp.
void varied_loop(Emitter& e) {
    Label top, behind, function;
    e.bind(top);
    e.alu(Alu::kAdd, kHostRax, {.base = kHostRbx, .disp = 8});
    e.alu(Alu::kAdc, kHostRax, {.base = kHostRbx, .disp = 16});
    e.store({.base = kHostRbx, .index = kHostRcx, .scale_shift = 3, .disp = 24}, kHostRax);
    e.store({.base = kHostRbx, .disp = 0x1ffc}, kHostRax);  // crosses a page
    e.push(kHostRax);
    e.jmp(behind);
    e.bind(function);
    e.alu_imm(Alu::kXor, kHostRsi, kMarker);
    e.ret();
    e.bind(behind);
    e.byte(0xe8);  // CALL function
    e.dword(function.at - (e.offset() + 4));
    e.pop(kHostRdi);
    for (const unsigned byte : {0x0f, 0x31}) e.byte(byte);              // RDTSC
    for (const unsigned byte : {0x66, 0x0f, 0xef, 0x03}) e.byte(byte);  // PXOR XMM0, [RBX]
    for (const unsigned byte : {0xf2, 0x0f, 0x11, 0x43, 0x40}) e.byte(byte);  // MOVSD [RBX+64], XMM0
    e.alu_imm(Alu::kSub, kHostRcx, 1);
    e.jcc(Condition::kNz, top);
    SampleGuest::hlt(e);
}

TEST(Lockstep, RightCodeAgrees) {
    SampleGuest guest(kLockstep);
    guest.write(SampleGuest::kCode, varied_loop);
    guest.state().gpr[kRbx] = SampleGuest::kData;
    guest.state().gpr[kRcx] = 200;
    testing::internal::CaptureStderr();
    const VcpuExit exit = guest.run();
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(exit, VcpuExit::kHalted);
    EXPECT_EQ(guest.gpr(kRcx), 0u);
    EXPECT_EQ(guest.gpr(kRsp), SampleGuest::kStack);
    EXPECT_GT(guest.counter("blocks translated"), 3u);
    EXPECT_GT(guest.counter("entries into translated code"), 600u);
}

TEST(Lockstep, WhatItRunsTwiceHappensOnce) {
    SampleGuest guest(kLockstep);
    guest.write(SampleGuest::kCode, [](Emitter& e) {
        Label top;
        e.bind(top);
        e.alu_mem_imm(Alu::kAdd, {.base = kHostRbx}, 3, true);
        e.alu_imm(Alu::kSub, kHostRcx, 1);
        e.jcc(Condition::kNz, top);
        SampleGuest::hlt(e);
    });
    guest.state().gpr[kRbx] = SampleGuest::kData;
    guest.state().gpr[kRcx] = 100;
    EXPECT_EQ(guest.run(), VcpuExit::kHalted);
    EXPECT_EQ(guest.memory().load<uint64_t>(GuestPhys(SampleGuest::kData)), 300u);
}

TEST(Lockstep, IsForOneProcessorOnly) {
    const GuestMemory::Range range{GuestPhys(0), 1u << 20};
    const auto memory = GuestMemory::create({&range, 1}).take_value();
    CpuTopology topology;
    topology.cores = 2;
    const auto cpuid = CpuidPolicy::create("max", topology, 2'000'000'000).take_value();
    EXPECT_FALSE(make_translator(*memory, cpuid, kLockstep));
}

// A processor whose code memory is at hand, so that its code can be spoilt.
class SpoiltCode : public ::testing::Test {
  protected:
    CodeMemory* code_ = nullptr;
    SampleGuest sample_{[this](GuestMemory& memory, const CpuidPolicy& cpuid) {
        return Result<std::unique_ptr<Engine>>(std::make_unique<Factory>(*this, memory, cpuid));
    }};

    // Changes the marker wherever it is in the translated code; how often.
    unsigned spoil() {
        constexpr std::array kBytes = {std::byte{0x78}, std::byte{0x56}, std::byte{0x34},
                                       std::byte{0x12}};
        std::byte* const end = code_->write_at(0) + code_->size();
        unsigned count = 0;
        for (std::byte* at = code_->write_at(0);
             (at = std::search(at, end, kBytes.begin(), kBytes.end())) != end; ++at) {
            *at ^= std::byte{1};
            ++count;
        }
        return count;
    }

    // What spoilt code prints.
    std::string run_spoilt() {
        SampleGuest& guest = sample_;
        guest.state().gpr[kRbx] = SampleGuest::kData;
        EXPECT_EQ(guest.run(), VcpuExit::kHalted);
        EXPECT_EQ(spoil(), 1u);
        testing::internal::CaptureStderr();
        EXPECT_EQ(guest.run(), VcpuExit::kEngineError);
        return testing::internal::GetCapturedStderr();
    }

  private:
    class Factory final : public Engine {
      public:
        Factory(SpoiltCode& test, GuestMemory& memory, const CpuidPolicy& cpuid)
            : test_(test),
              vectors_(interpreter::HostVectorUnit::create().take_value()),
              shared_{.memory = memory,
                      .cpuid = cpuid,
                      .vectors = *vectors_,
                      .split_lock = split_lock_} {}
        std::unique_ptr<Vcpu> create_vcpu(CpuPorts& ports, CpuSignals& signals,
                                          VcpuIndex index) override {
            auto code = CodeMemory::create(1u << 20).take_value();
            test_.code_ = code.get();
            return Processor::create(shared_, crew_, ports, signals, index, kLockstep,
                                     std::move(code));
        }

      private:
        SpoiltCode& test_;
        Mutex split_lock_;
        std::unique_ptr<interpreter::HostVectorUnit> vectors_;
        interpreter::Shared shared_;
        Crew crew_;
    };
};

TEST_F(SpoiltCode, AWrongRegisterIsFound) {
    sample_.write(SampleGuest::kCode, [](Emitter& e) {
        e.alu_imm(Alu::kXor, kHostRsi, kMarker);
        SampleGuest::hlt(e);
    });
    const std::string report = run_spoilt();
    EXPECT_NE(report.find("rsi                translated 0000000000000001, interpreted "
                          "0000000000000000"),
              std::string::npos)
        << report;
    EXPECT_NE(report.find("block at 10000"), std::string::npos) << report;
    EXPECT_NE(report.find("xor rsi, 0x12345678"), std::string::npos) << report;
    EXPECT_NE(report.find("xor rsi, 0x12345679"), std::string::npos) << report;
}

TEST_F(SpoiltCode, AWrongStoreIsFound) {
    sample_.write(SampleGuest::kCode, [](Emitter& e) {
        e.store_imm32(HostMem{.base = kHostRbx}, kMarker);
        SampleGuest::hlt(e);
    });
    const std::string report = run_spoilt();
    EXPECT_NE(report.find("before 78, then 79 and 78"), std::string::npos) << report;
    // And the interpreter's is what stays.
    EXPECT_EQ(sample_.memory().load<uint32_t>(GuestPhys(SampleGuest::kData)), uint32_t{kMarker});
}

TEST_F(SpoiltCode, AStoreToTheWrongPlaceIsFound) {
    sample_.write(SampleGuest::kCode, [](Emitter& e) {
        e.mov_imm(kHostRdx, kMarker);
        e.alu(Alu::kSub, kHostRdx, kHostRdi);
        e.store8({.base = kHostRbx, .index = kHostRdx}, kHostRdi);
        SampleGuest::hlt(e);
    });
    sample_.state().gpr[kRdi] = kMarker;
    const std::string report = run_spoilt();
    EXPECT_NE(report.find("rdx "), std::string::npos) << report;
    EXPECT_NE(report.find("host address"), std::string::npos) << report;
}

}  // namespace
}  // namespace mynah::translator
