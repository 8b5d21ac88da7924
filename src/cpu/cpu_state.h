#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "memory/memory_map.h"
#include "spec/x86/control_registers.h"
#include "spec/x86/segment.h"

namespace mynah {

// A segment register with its hidden part. Also LDTR and TR.
struct SegmentRegister {
    uint64_t base = 0;
    uint32_t limit = 0;       // bytes, granularity applied
    uint32_t attributes = 0;  // x86::segment_attribute
    uint16_t selector = 0;

    bool usable() const { return (attributes & x86::segment_attribute::kUnusable) == 0; }
    unsigned dpl() const {
        return (attributes & x86::segment_attribute::kDpl) >> x86::segment_attribute::kDplShift;
    }
    bool default_big() const { return (attributes & x86::segment_attribute::kDefaultBig) != 0; }
    bool long_mode() const { return (attributes & x86::segment_attribute::kLong) != 0; }
};

struct DescriptorTable {
    uint64_t base = 0;
    uint16_t limit = 0;
};

// Numbers of the general registers in instruction encodings.
enum Gpr : uint8_t {
    kRax,
    kRcx,
    kRdx,
    kRbx,
    kRsp,
    kRbp,
    kRsi,
    kRdi,
    kR8,
    kR9,
    kR10,
    kR11,
    kR12,
    kR13,
    kR14,
    kR15
};

// RFLAGS with the arithmetic flags kept in the shape that LAHF and SETO give them in AX
// (AH: SF ZF 0 AF 0 PF 1 CF, AL: OF), so that engines can store and load them in two instructions.
struct Flags {
    uint16_t arithmetic = 0x0200;
    uint64_t system = x86::rflags::kOne;  // all other bits

    static constexpr uint16_t kCf = 0x0100, kPf = 0x0400, kAf = 0x1000, kZf = 0x4000, kSf = 0x8000,
                              kOf = 0x0001;

    uint64_t value() const {
        return system | ((arithmetic >> 8) & 0xd5u) | (static_cast<uint64_t>(arithmetic & 1) << 11);
    }
    void set(uint64_t rflags) {
        system = (rflags & ~x86::rflags::kArithmetic) | x86::rflags::kOne;
        arithmetic = static_cast<uint16_t>(((rflags & 0xd5) << 8) | 0x0200 |
                                           ((rflags & x86::rflags::kOf) >> 11));
    }
    bool carry() const { return (arithmetic & kCf) != 0; }
    bool has(uint64_t system_bits) const { return (system & system_bits) != 0; }
};

// x87 and MMX state. FCS and FDS read as zero, as on all processors that announce so
// (CPUID.7.0:EBX[13]), which therefore must be announced.
struct X87State {
    uint16_t fcw = 0x37f;
    uint16_t fsw = 0;
    uint16_t fop = 0;  // 11 bits
    uint8_t tags = 0;  // one bit a register, by physical number; clear: empty
    uint64_t fip = 0;
    uint64_t fdp = 0;
    struct Register {
        uint64_t significand = 0;
        uint16_t sign_exponent = 0;
        uint16_t unused[3] = {};
    };
    std::array<Register, 8> physical{};  // R0 to R7, whose significands are MM0 to MM7

    unsigned top() const { return (fsw >> 11) & 7; }
    Register& st(unsigned i) { return physical[(top() + i) & 7]; }
    const Register& st(unsigned i) const { return physical[(top() + i) & 7]; }
};

struct alignas(32) VectorRegister {
    std::array<std::byte, 32> bytes{};  // XMM is the low half
};

// Everything the architecture says a processor holds, but for what belongs to the local APIC.
// Shared by all engines: at an instruction boundary any of them can take over from another.
struct CpuState {
    // RAX to R15, then two slots of the engines' own (they let address computation do without
    // branches): the base that RIP-relative operands count from, and zero.
    static constexpr unsigned kRipBaseSlot = 16, kZeroSlot = 17;
    std::array<uint64_t, 18> gpr{};
    uint64_t rip = 0;
    Flags flags;

    std::array<SegmentRegister, x86::kSegmentCount> segments{};
    SegmentRegister ldtr, tr;
    DescriptorTable gdtr, idtr;

    uint64_t cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0;  // CR8 is the local APIC's
    uint64_t efer = 0;
    uint64_t xcr0 = 1;
    std::array<uint64_t, 4> dr{};  // DR0 to DR3
    uint64_t dr6 = x86::dr6::kReset, dr7 = x86::dr7::kReset;
    std::array<uint64_t, 4> pdpte{};  // loaded with CR3 in PAE mode outside long mode

    X87State x87;
    uint32_t mxcsr = 0x1f80;
    std::array<VectorRegister, 16> vector{};

    uint64_t star = 0, lstar = 0, cstar = 0, fmask = 0, kernel_gs_base = 0;
    uint64_t sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
    uint64_t tsc_aux = 0;
    uint64_t tsc_offset = 0;  // guest TSC = host TSC + offset
    uint64_t tsc_adjust = 0;
    uint64_t pat = 0x0007040600070406;
    uint64_t misc_enable = 1;  // fast strings
    uint64_t spec_ctrl = 0;
    uint64_t mcg_status = 0;
    uint64_t mtrr_def_type = 0;
    std::array<uint64_t, 16> mtrr_variable{};  // base, mask pairs
    std::array<uint64_t, 11> mtrr_fixed{};

    // What delays interrupts for one instruction, after STI, MOV SS and POP SS, and debug traps as
    // well, after the latter two [SDM 3A 6.8.3].
    bool interrupt_shadow = false;
    bool debug_shadow = false;
    bool nmi_blocked = false;
    bool halted = false;
    bool waiting_for_startup = false;  // after INIT [SDM 3A 8.4.3]

    // System management mode [AMD APM2 10]: where its memory lies, and what RSM restores besides
    // what is there.
    bool management_mode = false;
    bool nmi_blocked_before_smi = false;
    uint32_t smbase = kInitialSmbase;
    static constexpr uint32_t kInitialSmbase = 0x30000;

    MemoryView memory_view() const {
        return management_mode ? MemoryView::kManagement : MemoryView::kNormal;
    }

    SegmentRegister& segment(x86::Segment s) { return segments[static_cast<unsigned>(s)]; }
    const SegmentRegister& segment(x86::Segment s) const {
        return segments[static_cast<unsigned>(s)];
    }
    const SegmentRegister& cs() const { return segment(x86::Segment::kCs); }
    const SegmentRegister& ss() const { return segment(x86::Segment::kSs); }

    bool protected_mode() const { return (cr0 & x86::cr0::kPe) != 0; }
    bool virtual_8086() const { return protected_mode() && flags.has(x86::rflags::kVm); }
    bool real_or_v86() const { return !protected_mode() || virtual_8086(); }
    bool long_mode() const { return (efer & x86::efer::kLma) != 0; }
    bool code64() const { return long_mode() && cs().long_mode(); }
    bool paging() const { return (cr0 & x86::cr0::kPg) != 0; }
    // Current privilege level: SS.DPL, which is 3 in virtual-8086 mode and 0 in real mode.
    unsigned cpl() const { return ss().dpl(); }
    unsigned iopl() const { return (flags.system & x86::rflags::kIopl) >> x86::rflags::kIoplShift; }
};

// State after RESET or power-up [SDM 3A 9.1.1 table 9-1]. INIT keeps the vector and x87 registers,
// the TSC and most MSRs: see reset_by_init.
CpuState reset_state();
void reset_by_init(CpuState& state);

}  // namespace mynah
