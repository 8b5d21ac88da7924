#include "engine/kvm/entry_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "spec/x86/control_registers.h"
#include "spec/x86/segment.h"

namespace mynah::kvm {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr unsigned kBits = 40;

// A kernel in 64-bit mode.
CpuState long_state() {
    CpuState s = reset_state();
    s.cr0 = x86::cr0::kPe | x86::cr0::kPg | x86::cr0::kNe;
    s.cr4 = x86::cr4::kPae;
    s.cr3 = 0x1000;
    s.efer = x86::efer::kLme | x86::efer::kLma;
    s.rip = 0xffffffff81000000;
    s.segment(x86::Segment::kCs) = {0, 0xffffffff, 0xa09b, 0x10};
    for (const auto each : {x86::Segment::kSs, x86::Segment::kDs, x86::Segment::kEs,
                            x86::Segment::kFs, x86::Segment::kGs})
        s.segment(each) = {0, 0xffffffff, 0xc093, 0x18};
    s.tr = {0xfffffe0000003000, 0x206f, 0x8b, 0x40};
    s.ldtr = {0, 0, x86::segment_attribute::kUnusable, 0};
    s.gdtr.base = s.idtr.base = 0xfffffe0000001000;
    return s;
}

CpuState v86_state() {
    CpuState s = long_state();
    s.efer = 0;
    s.rip = 0x100;
    s.flags.set(x86::rflags::kOne | x86::rflags::kVm);
    for (auto& each : s.segments) each = {0x12340, 0xffff, 0xf3, 0x1234};
    s.tr.attributes = 0x8b;
    return s;
}

TEST(EntryChecks, GoodStatesPass) {
    EXPECT_THAT(vmx_violations(reset_state(), kBits), IsEmpty());
    EXPECT_THAT(vmx_violations(long_state(), kBits), IsEmpty());
    EXPECT_THAT(vmx_violations(v86_state(), kBits), IsEmpty());
    EXPECT_THAT(svm_violations(reset_state(), kBits), IsEmpty());
    EXPECT_THAT(svm_violations(long_state(), kBits), IsEmpty());
}

struct Fault {
    const char* words;
    std::function<void(CpuState&)> make;
};

TEST(EntryChecks, EveryRuleOfVmx) {
    using x86::Segment;
    const Fault faults[]{
        {"CR0 is 0x180000021: bits 63:32", [](auto& s) { s.cr0 |= uint64_t{1} << 32; }},
        {"PG needs PE", [](auto& s) { s.cr0 &= ~x86::cr0::kPe; }},
        {"CR3 is 0x10000000000: bits beyond", [](auto& s) { s.cr3 = uint64_t{1} << kBits; }},
        {"CR4 is 0x0: IA-32e mode needs PAE", [](auto& s) { s.cr4 = 0; }},
        {"CR4 is 0x80020: a reserved bit", [](auto& s) { s.cr4 |= 1u << 19; }},
        {"IA-32e mode (EFER.LMA) needs PG", [](auto& s) { s.cr0 &= ~x86::cr0::kPg; }},
        {"LMA must equal LME", [](auto& s) { s.efer = x86::efer::kLma; }},
        {"EFER is 0x502: a reserved bit", [](auto& s) { s.efer |= 2; }},
        {"PCIDE must be 0 outside", [](auto& s) { s.efer = 0, s.cr4 |= x86::cr4::kPcide; }},
        {"DR7 is 0x100000400", [](auto& s) { s.dr7 |= uint64_t{1} << 32; }},
        {"SYSENTER_EIP", [](auto& s) { s.sysenter_eip = uint64_t{1} << 50; }},
        {"PAT", [](auto& s) { s.pat = 2; }},
        {"CS (selector 0x10", [](auto& s) { s.segment(Segment::kCs).attributes = 0xa09a; }},
        {"DPL must equal SS.DPL", [](auto& s) { s.segment(Segment::kCs).attributes |= 0x60; }},
        {"D must be 0 where L is 1", [](auto& s) { s.segment(Segment::kCs).attributes |= 0x4000; }},
        {"SS (selector 0x18", [](auto& s) { s.segment(Segment::kSs).attributes = 0xc091; }},
        {"P must be 1", [](auto& s) { s.segment(Segment::kDs).attributes &= ~0x80u; }},
        {"S must be 1", [](auto& s) { s.segment(Segment::kEs).attributes &= ~0x10u; }},
        {"reserved access right", [](auto& s) { s.segment(Segment::kEs).attributes |= 0x100; }},
        {"must be accessed", [](auto& s) { s.segment(Segment::kEs).attributes &= ~1u; }},
        {"bits 63:32 of the base", [](auto& s) { s.segment(Segment::kDs).base = ~uint64_t{0}; }},
        {"FS (selector 0x18", [](auto& s) { s.segment(Segment::kFs).base = uint64_t{1} << 60; }},
        {"G must be 0", [](auto& s) { s.segment(Segment::kGs).limit = 0xfffff000; }},
        {"G must be 1", [](auto& s) { s.segment(Segment::kGs).attributes &= ~0x8000u; }},
        {"TR must be usable", [](auto& s) { s.tr.attributes |= 0x10000; }},
        {"11 (a busy TSS)", [](auto& s) { s.tr.attributes = 0x89; }},
        {"TI must be 0", [](auto& s) { s.tr.selector = 4; }},
        {"LDTR", [](auto& s) { s.ldtr.attributes = 0x83; }},
        {"GDTR base", [](auto& s) { s.gdtr.base = uint64_t{1} << 47; }},
        {"RIP is 0x1000000000000: it must be canonical",
         [](auto& s) { s.rip = uint64_t{1} << 48; }},
        {"bits 63:32 must be 0 outside 64-bit code",
         [](auto& s) { s.segment(Segment::kCs).attributes = 0xc09b; }},
        {"VM must be 0 in IA-32e mode", [](auto& s) { s.flags.set(2 | x86::rflags::kVm); }},
        {"blocking by STI needs IF", [](auto& s) { s.interrupt_shadow = true; }},
        {"must have SS.DPL 0",
         [](auto& s) { s.halted = true, s.segment(Segment::kSs).attributes |= 0x60; }},
    };
    for (const Fault& fault : faults) {
        CpuState state = long_state();
        fault.make(state);
        EXPECT_THAT(vmx_violations(state, kBits), Contains(HasSubstr(fault.words)));
    }
    CpuState state = v86_state();
    state.segment(Segment::kDs).limit = 0xfffff;
    EXPECT_THAT(vmx_violations(state, kBits),
                Contains(HasSubstr("DS (selector 0x1234, base 0x12340, limit 0xfffff")));
}

TEST(EntryChecks, EveryRuleOfSvm) {
    const Fault faults[]{
        {"NW must be 0", [](auto& s) { s.cr0 |= x86::cr0::kNw; }},
        {"CR0 is 0x1", [](auto& s) { s.cr0 |= uint64_t{1} << 32; }},
        {"CR3", [](auto& s) { s.cr3 = uint64_t{1} << kBits; }},
        {"CR4 is 0x100000020", [](auto& s) { s.cr4 |= uint64_t{1} << 32; }},
        {"DR6", [](auto& s) { s.dr6 |= uint64_t{1} << 32; }},
        {"DR7", [](auto& s) { s.dr7 |= uint64_t{1} << 32; }},
        {"EFER", [](auto& s) { s.efer |= 2; }},
        {"PAE must be 1", [](auto& s) { s.cr4 = 0; }},
        {"PE must be 1", [](auto& s) { s.cr0 &= ~x86::cr0::kPe; }},
        {"L and D must not both",
         [](auto& s) { s.segment(x86::Segment::kCs).attributes |= 0x4000; }},
    };
    for (const Fault& fault : faults) {
        CpuState state = long_state();
        fault.make(state);
        EXPECT_THAT(svm_violations(state, kBits), Contains(HasSubstr(fault.words)));
    }
}

}  // namespace
}  // namespace mynah::kvm
