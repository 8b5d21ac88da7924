#include "engine/kvm/entry_checks.h"

#include <fmt/core.h>

#include <array>

#include "base/bits.h"
#include "spec/x86/control_registers.h"
#include "spec/x86/segment.h"

namespace mynah::kvm {
namespace {

namespace attribute = x86::segment_attribute;
using Violations = std::vector<std::string>;

// Bits of CR4 and EFER that no processor known here has: written, they are reserved.
constexpr uint64_t kCr4Known = low_mask(25) & ~(uint64_t{1} << 15) & ~(uint64_t{1} << 19);
constexpr uint64_t kEferKnown = x86::efer::kSce | x86::efer::kLme | x86::efer::kLma |
                                x86::efer::kNxe;
constexpr uint64_t kEferOfSvm = kEferKnown | uint64_t{0xf} << 12 | uint64_t{1} << 17 |
                                uint64_t{3} << 20;

void expect(Violations& out, bool good, const char* field, uint64_t value, const char* rule) {
    if (!good) out.push_back(fmt::format("{} is {:#x}: {}", field, value, rule));
}

bool canonical(uint64_t address, const CpuState& s) {
    const unsigned bits = (s.cr4 & x86::cr4::kLa57) != 0 ? 57 : 48;
    const auto extended = static_cast<int64_t>(address << (64 - bits)) >> (64 - bits);
    return static_cast<uint64_t>(extended) == address;
}

// [SDM 3C 26.3.1.1]
void check_control(Violations& out, const CpuState& s, unsigned physical_bits) {
    const bool paging = s.paging();
    expect(out, s.cr0 >> 32 == 0, "CR0", s.cr0, "bits 63:32 must be 0");
    expect(out, !paging || s.protected_mode(), "CR0", s.cr0, "PG needs PE");
    expect(out, (s.cr4 & ~kCr4Known) == 0, "CR4", s.cr4, "a reserved bit is set");
    expect(out, s.cr3 >> physical_bits == 0, "CR3", s.cr3,
           "bits beyond the width of physical addresses must be 0");
    if (s.long_mode()) {
        expect(out, paging, "CR0", s.cr0, "IA-32e mode (EFER.LMA) needs PG");
        expect(out, (s.cr4 & x86::cr4::kPae) != 0, "CR4", s.cr4, "IA-32e mode needs PAE");
    } else {
        expect(out, (s.cr4 & x86::cr4::kPcide) == 0, "CR4", s.cr4,
               "PCIDE must be 0 outside IA-32e mode");
    }
    expect(out, (s.efer & ~kEferKnown) == 0, "EFER", s.efer, "a reserved bit is set");
    expect(out, !paging || ((s.efer & x86::efer::kLme) != 0) == s.long_mode(), "EFER", s.efer,
           "with paging LMA must equal LME");
    expect(out, s.dr7 >> 32 == 0, "DR7", s.dr7, "bits 63:32 must be 0");
    expect(out, canonical(s.sysenter_esp, s), "SYSENTER_ESP", s.sysenter_esp,
           "the address must be canonical");
    expect(out, canonical(s.sysenter_eip, s), "SYSENTER_EIP", s.sysenter_eip,
           "the address must be canonical");
    for (unsigned i = 0; i < 8; ++i) {
        const uint64_t type = s.pat >> (8 * i) & 0xff;
        expect(out, type < 8 && type != 2 && type != 3, "PAT", s.pat,
               "each byte must be 0, 1, 4, 5, 6 or 7");
    }
}

struct Named {
    const char* name;
    const SegmentRegister& segment;
};

void check_segment(Violations& out, const Named& each, bool good, const char* rule) {
    const SegmentRegister& s = each.segment;
    if (good) return;
    out.push_back(fmt::format("{} (selector {:#x}, base {:#x}, limit {:#x}, access rights {:#x}): {}",
                              each.name, s.selector, s.base, s.limit, s.attributes, rule));
}

void check_limit(Violations& out, const Named& each) {
    const SegmentRegister& s = each.segment;
    const bool pages = (s.attributes & attribute::kGranularity) != 0;
    check_segment(out, each, (s.limit & 0xfff) == 0xfff || !pages,
                  "G must be 0, as a bit of limit 11:0 is 0");
    check_segment(out, each, s.limit >> 20 == 0 || pages,
                  "G must be 1, as a bit of limit 31:20 is 1");
}

// What all usable segments have in common: S as given, P, no reserved bit, G that fits.
void check_rights(Violations& out, const Named& each, bool system) {
    const uint32_t rights = each.segment.attributes;
    check_segment(out, each, ((rights & attribute::kCodeOrData) == 0) == system,
                  system ? "S must be 0 (a system segment)" : "S must be 1 (code or data)");
    check_segment(out, each, (rights & attribute::kPresent) != 0, "P must be 1");
    check_segment(out, each, (rights & 0xfffe0f00) == 0, "a reserved access right is set");
    check_limit(out, each);
}

// [SDM 3C 26.3.1.2], virtual-8086 mode.
void check_v86(Violations& out, const Named& each) {
    const SegmentRegister& s = each.segment;
    check_segment(out, each, s.base == uint64_t{s.selector} << 4,
                  "in virtual-8086 mode the base must be the selector times 16");
    check_segment(out, each, s.limit == 0xffff, "in virtual-8086 mode the limit must be 0xffff");
    check_segment(out, each, s.attributes == 0xf3,
                  "in virtual-8086 mode the access rights must be 0xf3");
}

void check_code(Violations& out, const Named& cs, const CpuState& s) {
    const uint32_t rights = cs.segment.attributes, type = rights & attribute::kType;
    check_segment(out, cs, cs.segment.usable(), "CS must be usable");
    check_segment(out, cs, type == 3 || (type & 9) == 9,
                  "the type must be 3, 9, 11, 13 or 15 (accessed code)");
    const unsigned dpl = cs.segment.dpl(), stack = s.ss().dpl();
    check_segment(out, cs, type != 3 || dpl == 0, "DPL must be 0 with type 3");
    check_segment(out, cs, (type & 13) != 9 || dpl == stack, "DPL must equal SS.DPL");
    check_segment(out, cs, (type & 13) != 13 || dpl <= stack, "DPL must not be above SS.DPL");
    check_segment(out, cs,
                  !s.long_mode() || !cs.segment.long_mode() || !cs.segment.default_big(),
                  "D must be 0 where L is 1 in IA-32e mode");
    check_segment(out, cs, cs.segment.base >> 32 == 0, "bits 63:32 of the base must be 0");
    check_rights(out, cs, false);
}

void check_stack(Violations& out, const Named& ss, const CpuState& s) {
    const uint32_t type = ss.segment.attributes & attribute::kType;
    const bool low = (s.cs().attributes & attribute::kType) == 3 || !s.protected_mode();
    check_segment(out, ss, !low || ss.segment.dpl() == 0,
                  "DPL must be 0 with CS of type 3, or without PE");
    if (!ss.segment.usable()) return;
    check_segment(out, ss, type == 3 || type == 7, "the type must be 3 or 7 (accessed, writable)");
    check_segment(out, ss, ss.segment.base >> 32 == 0, "bits 63:32 of the base must be 0");
    check_rights(out, ss, false);
}

void check_data(Violations& out, const Named& each, bool any_base, const CpuState& s) {
    check_segment(out, each, !any_base || canonical(each.segment.base, s),
                  "the base must be canonical");
    if (!each.segment.usable()) return;
    const uint32_t rights = each.segment.attributes;
    check_segment(out, each, (rights & attribute::kAccessed) != 0, "the type must be accessed");
    check_segment(out, each,
                  (rights & attribute::kCode) == 0 || (rights & attribute::kReadableOrWritable) != 0,
                  "code that is no stack must be readable");
    check_segment(out, each, any_base || each.segment.base >> 32 == 0,
                  "bits 63:32 of the base must be 0");
    check_rights(out, each, false);
}

void check_system(Violations& out, const CpuState& s) {
    const Named tr{"TR", s.tr}, ldtr{"LDTR", s.ldtr};
    const uint32_t task = s.tr.attributes & attribute::kType;
    check_segment(out, tr, s.tr.usable(), "TR must be usable");
    check_segment(out, tr, (s.tr.selector & x86::selector::kTi) == 0, "TI must be 0");
    check_segment(out, tr, task == 11 || (task == 3 && !s.long_mode()),
                  "the type must be 11 (a busy TSS), or 3 outside IA-32e mode");
    check_segment(out, tr, canonical(s.tr.base, s), "the base must be canonical");
    check_rights(out, tr, true);
    if (!s.ldtr.usable()) return;
    check_segment(out, ldtr, (s.ldtr.selector & x86::selector::kTi) == 0, "TI must be 0");
    check_segment(out, ldtr, (s.ldtr.attributes & attribute::kType) == 2, "the type must be 2");
    check_segment(out, ldtr, canonical(s.ldtr.base, s), "the base must be canonical");
    check_rights(out, ldtr, true);
}

// [SDM 3C 26.3.1.2]
void check_segments(Violations& out, const CpuState& s) {
    using x86::Segment;
    const std::array<Named, 6> all{{{"ES", s.segment(Segment::kEs)}, {"CS", s.cs()},
                                    {"SS", s.ss()}, {"DS", s.segment(Segment::kDs)},
                                    {"FS", s.segment(Segment::kFs)},
                                    {"GS", s.segment(Segment::kGs)}}};
    if (s.flags.has(x86::rflags::kVm)) {
        for (const Named& each : all) check_v86(out, each);
    } else {
        check_code(out, all[1], s);
        check_stack(out, all[2], s);
        for (const size_t i : {size_t{0}, size_t{3}}) check_data(out, all[i], false, s);
        for (const size_t i : {size_t{4}, size_t{5}}) check_data(out, all[i], true, s);
    }
    check_system(out, s);
}

// [SDM 3C 26.3.1.3, 26.3.1.4, 26.3.1.5]
void check_rest(Violations& out, const CpuState& s) {
    const uint64_t flags = s.flags.value();
    expect(out, canonical(s.gdtr.base, s), "GDTR base", s.gdtr.base, "it must be canonical");
    expect(out, canonical(s.idtr.base, s), "IDTR base", s.idtr.base, "it must be canonical");
    if (s.code64()) {
        expect(out, canonical(s.rip, s), "RIP", s.rip, "it must be canonical");
    } else {
        expect(out, s.rip >> 32 == 0, "RIP", s.rip, "bits 63:32 must be 0 outside 64-bit code");
    }
    constexpr uint64_t kReserved = ~low_mask(22) | 1u << 15 | 1u << 5 | 1u << 3;
    expect(out, (flags & kReserved) == 0, "RFLAGS", flags, "a reserved bit is set");
    expect(out, (flags & x86::rflags::kOne) != 0, "RFLAGS", flags, "bit 1 must be 1");
    expect(out, (flags & x86::rflags::kVm) == 0 || (!s.long_mode() && s.protected_mode()), "RFLAGS",
           flags, "VM must be 0 in IA-32e mode and without PE");
    expect(out, !s.interrupt_shadow || s.debug_shadow || (flags & x86::rflags::kIf) != 0, "RFLAGS",
           flags, "blocking by STI needs IF");
    expect(out, !s.halted || s.ss().dpl() == 0, "activity state", 1,
           "a halted processor must have SS.DPL 0");
    expect(out, !s.halted || !s.interrupt_shadow, "activity state", 1,
           "it must be active while STI or MOV SS block");
}

}  // namespace

std::vector<std::string> vmx_violations(const CpuState& state, unsigned physical_bits) {
    Violations out;
    check_control(out, state, physical_bits);
    check_segments(out, state);
    check_rest(out, state);
    return out;
}

std::vector<std::string> svm_violations(const CpuState& state, unsigned physical_bits) {
    const CpuState& s = state;
    Violations out;
    expect(out, (s.cr0 & x86::cr0::kCd) != 0 || (s.cr0 & x86::cr0::kNw) == 0, "CR0", s.cr0,
           "NW must be 0 where CD is 0");
    expect(out, s.cr0 >> 32 == 0, "CR0", s.cr0, "bits 63:32 must be 0");
    expect(out, s.cr3 >> physical_bits == 0, "CR3", s.cr3, "bits that must be zero are set");
    expect(out, (s.cr4 & ~kCr4Known) == 0, "CR4", s.cr4, "a reserved bit is set");
    expect(out, s.dr6 >> 32 == 0, "DR6", s.dr6, "bits 63:32 must be 0");
    expect(out, s.dr7 >> 32 == 0, "DR7", s.dr7, "bits 63:32 must be 0");
    expect(out, (s.efer & ~kEferOfSvm) == 0, "EFER", s.efer, "a reserved bit is set");
    const bool long_paging = (s.efer & x86::efer::kLme) != 0 && s.paging();
    expect(out, !long_paging || (s.cr4 & x86::cr4::kPae) != 0, "CR4", s.cr4,
           "PAE must be 1 with EFER.LME and CR0.PG");
    expect(out, !long_paging || s.protected_mode(), "CR0", s.cr0,
           "PE must be 1 with EFER.LME and CR0.PG");
    check_segment(out, {"CS", s.cs()},
                  !long_paging || (s.cr4 & x86::cr4::kPae) == 0 || !s.cs().long_mode() ||
                      !s.cs().default_big(),
                  "L and D must not both be 1 in long mode");
    return out;
}

}  // namespace mynah::kvm
