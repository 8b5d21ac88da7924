#include "engine/kvm/kvm_registers.h"

#include <fmt/core.h>

#include <array>
#include <cstring>
#include <utility>

#include "base/bits.h"
#include "engine/kvm/kvm_requests.h"
#include "spec/x86/msr.h"

namespace mynah::kvm {
namespace {

namespace attr = x86::segment_attribute;
namespace msr = x86::msr;

constexpr uint32_t kSmbaseMsr = 0x9e;
// Which members of CpuState KVM keeps as model-specific registers; not every host has the latter.
struct Stored {
    uint32_t index;
    uint64_t CpuState::*member;
    bool optional = false;
};
constexpr Stored kStored[] = {{msr::kStar, &CpuState::star},
                              {msr::kLstar, &CpuState::lstar},
                              {msr::kCstar, &CpuState::cstar},
                              {msr::kFmask, &CpuState::fmask},
                              {msr::kKernelGsBase, &CpuState::kernel_gs_base},
                              {msr::kSysenterCs, &CpuState::sysenter_cs},
                              {msr::kSysenterEsp, &CpuState::sysenter_esp},
                              {msr::kSysenterEip, &CpuState::sysenter_eip},
                              {msr::kPat, &CpuState::pat},
                              {msr::kTscAux, &CpuState::tsc_aux, true},
                              {msr::kSpecCtrl, &CpuState::spec_ctrl, true}};

// --- Segments: KVM has the parts of the attributes apart.

kvm_segment to_kvm(const SegmentRegister& from) {
    kvm_segment to{};
    to.base = from.base;
    to.limit = from.limit;
    to.selector = from.selector;
    to.type = from.attributes & attr::kType;
    to.s = (from.attributes & attr::kCodeOrData) != 0;
    to.dpl = static_cast<uint8_t>(from.dpl());
    to.present = (from.attributes & attr::kPresent) != 0;
    to.avl = (from.attributes & attr::kAvl) != 0;
    to.l = from.long_mode();
    to.db = from.default_big();
    to.g = (from.attributes & attr::kGranularity) != 0;
    to.unusable = !from.usable();
    return to;
}

SegmentRegister from_kvm(const kvm_segment& from) {
    SegmentRegister to;
    to.base = from.base;
    to.limit = from.limit;
    to.selector = from.selector;
    to.attributes = (from.type & attr::kType) | (from.s != 0 ? attr::kCodeOrData : 0) |
                    static_cast<uint32_t>(from.dpl & 3) << attr::kDplShift |
                    (from.present != 0 ? attr::kPresent : 0) | (from.avl != 0 ? attr::kAvl : 0) |
                    (from.l != 0 ? attr::kLong : 0) | (from.db != 0 ? attr::kDefaultBig : 0) |
                    (from.g != 0 ? attr::kGranularity : 0) |
                    (from.unusable != 0 ? attr::kUnusable : 0);
    return to;
}

kvm_dtable to_kvm(const DescriptorTable& from) {
    kvm_dtable to{};
    to.base = from.base;
    to.limit = from.limit;
    return to;
}

// --- The XSAVE area in its standard form [SDM 1 13.4].

constexpr unsigned kX87 = 32, kMxcsr = 24, kXmm = 160, kHeader = 512, kYmm = 576;
constexpr uint64_t kAllComponents = 7;

void to_area(const CpuState& state, std::byte* area) {
    const X87State& x87 = state.x87;
    store_unaligned(area, x87.fcw);
    store_unaligned(area + 2, x87.fsw);
    store_unaligned(area + 4, x87.tags);
    store_unaligned(area + 6, x87.fop);
    store_unaligned(area + 8, x87.fip);
    store_unaligned(area + 16, x87.fdp);
    store_unaligned(area + kMxcsr, state.mxcsr);
    for (unsigned i = 0; i < 8; ++i) {
        const X87State::Register& st = x87.st(i);
        store_unaligned(area + kX87 + 16 * i, st.significand);
        store_unaligned(area + kX87 + 16 * i + 8, st.sign_exponent);
    }
    for (unsigned i = 0; i < state.vector.size(); ++i) {
        std::memcpy(area + kXmm + 16 * i, state.vector[i].bytes.data(), 16);
        std::memcpy(area + kYmm + 16 * i, state.vector[i].bytes.data() + 16, 16);
    }
    store_unaligned(area + kHeader, kAllComponents & (state.xcr0 | 3));
}

void from_area(const std::byte* area, CpuState& state) {
    const auto present = load_unaligned<uint64_t>(area + kHeader);
    X87State& x87 = state.x87;
    // A component that is not there is in its initial state.
    if ((present & 1) == 0) {
        x87 = X87State{};
    } else {
        x87.fcw = load_unaligned<uint16_t>(area);
        x87.fsw = load_unaligned<uint16_t>(area + 2);
        x87.tags = load_unaligned<uint8_t>(area + 4);
        x87.fop = load_unaligned<uint16_t>(area + 6) & 0x7ff;
        x87.fip = load_unaligned<uint64_t>(area + 8);
        x87.fdp = load_unaligned<uint64_t>(area + 16);
        for (unsigned i = 0; i < 8; ++i) {
            X87State::Register& st = x87.st(i);
            st.significand = load_unaligned<uint64_t>(area + kX87 + 16 * i);
            st.sign_exponent = load_unaligned<uint16_t>(area + kX87 + 16 * i + 8);
        }
    }
    if ((present & 6) != 0) state.mxcsr = load_unaligned<uint32_t>(area + kMxcsr);
    for (unsigned i = 0; i < state.vector.size(); ++i) {
        std::byte* const bytes = state.vector[i].bytes.data();
        std::memset(bytes, 0, 32);
        if ((present & 2) != 0) std::memcpy(bytes, area + kXmm + 16 * i, 16);
        if ((present & 4) != 0) std::memcpy(bytes + 16, area + kYmm + 16 * i, 16);
    }
}

constexpr __u64 kvm_regs::*kGeneral[] = {
    &kvm_regs::rax, &kvm_regs::rcx, &kvm_regs::rdx, &kvm_regs::rbx, &kvm_regs::rsp, &kvm_regs::rbp,
    &kvm_regs::rsi, &kvm_regs::rdi, &kvm_regs::r8,  &kvm_regs::r9,  &kvm_regs::r10, &kvm_regs::r11,
    &kvm_regs::r12, &kvm_regs::r13, &kvm_regs::r14, &kvm_regs::r15};

constexpr kvm_segment kvm_sregs::*kSegments[] = {&kvm_sregs::es, &kvm_sregs::cs, &kvm_sregs::ss,
                                                 &kvm_sregs::ds, &kvm_sregs::fs, &kvm_sregs::gs};

void events_to_kvm(const CpuState& state, kvm_vcpu_events& events) {
    constexpr uint8_t kSti = 2, kMovSs = 1;
    events.interrupt.shadow = !state.interrupt_shadow ? 0 : state.debug_shadow ? kMovSs : kSti;
    events.nmi.masked = state.nmi_blocked;
    events.smi.smm = state.management_mode;
    events.smi.smm_inside_nmi = state.nmi_blocked_before_smi;
    events.flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING |
                   (events.flags & KVM_VCPUEVENT_VALID_SMM);
}

}  // namespace

bool get_msr(const Handle& vcpu, uint32_t index, uint64_t& value) {
    OneMsr block;
    block.entry.index = index;
    if (vcpu.ask(kGetMsrs, &block) != 1) return false;
    value = block.entry.data;
    return true;
}

bool set_msr(const Handle& vcpu, uint32_t index, uint64_t value) {
    OneMsr block;
    block.entry.index = index;
    block.entry.data = value;
    return vcpu.ask(kSetMsrs, &block) == 1;
}

void to_kvm(const CpuState& state, Registers& registers) {
    for (size_t i = 0; i < std::size(kGeneral); ++i) registers.general.*kGeneral[i] = state.gpr[i];
    registers.general.rip = state.rip;
    registers.general.rflags = state.flags.value();
    kvm_sregs& special = registers.special;
    for (size_t i = 0; i < std::size(kSegments); ++i) {
        special.*kSegments[i] = to_kvm(state.segments[i]);
    }
    special.ldt = to_kvm(state.ldtr);
    special.tr = to_kvm(state.tr);
    special.gdt = to_kvm(state.gdtr);
    special.idt = to_kvm(state.idtr);
    special.cr0 = state.cr0;
    special.cr2 = state.cr2;
    special.cr3 = state.cr3;
    special.cr4 = state.cr4;
    special.efer = state.efer;
    to_area(state, registers.extended.data());
    registers.control.nr_xcrs = 1;
    registers.control.xcrs[0] = {.xcr = 0, .reserved = 0, .value = state.xcr0};
    for (size_t i = 0; i < state.dr.size(); ++i) registers.debug.db[i] = state.dr[i];
    registers.debug.dr6 = state.dr6;
    registers.debug.dr7 = state.dr7;
    events_to_kvm(state, registers.events);
    // A start-up IPI is taken by who has received INIT, whether or not that was one of the kernel's.
    registers.activity.mp_state = state.waiting_for_startup ? KVM_MP_STATE_INIT_RECEIVED
                                  : state.halted            ? KVM_MP_STATE_HALTED
                                                            : KVM_MP_STATE_RUNNABLE;
}

void from_kvm(const Registers& registers, CpuState& state) {
    for (size_t i = 0; i < std::size(kGeneral); ++i) state.gpr[i] = registers.general.*kGeneral[i];
    state.rip = registers.general.rip;
    state.flags.set(registers.general.rflags);
    const kvm_sregs& special = registers.special;
    for (size_t i = 0; i < std::size(kSegments); ++i) {
        state.segments[i] = from_kvm(special.*kSegments[i]);
    }
    state.ldtr = from_kvm(special.ldt);
    state.tr = from_kvm(special.tr);
    state.gdtr = {.base = special.gdt.base, .limit = special.gdt.limit};
    state.idtr = {.base = special.idt.base, .limit = special.idt.limit};
    state.cr0 = special.cr0;
    state.cr2 = special.cr2;
    state.cr3 = special.cr3;
    state.cr4 = special.cr4;
    state.efer = special.efer;
    from_area(registers.extended.data(), state);
    for (unsigned i = 0; i < registers.control.nr_xcrs && i < KVM_MAX_XCRS; ++i) {
        if (registers.control.xcrs[i].xcr == 0) state.xcr0 = registers.control.xcrs[i].value;
    }
    for (size_t i = 0; i < state.dr.size(); ++i) state.dr[i] = registers.debug.db[i];
    state.dr6 = registers.debug.dr6;
    state.dr7 = registers.debug.dr7;
    const kvm_vcpu_events& events = registers.events;
    state.interrupt_shadow = events.interrupt.shadow != 0;
    state.debug_shadow = (events.interrupt.shadow & 1) != 0;
    state.nmi_blocked = events.nmi.masked != 0;
    state.management_mode = events.smi.smm != 0;
    state.nmi_blocked_before_smi = events.smi.smm_inside_nmi != 0;
    if (!registers.has_activity) return;
    const uint32_t activity = registers.activity.mp_state;
    state.halted = activity == KVM_MP_STATE_HALTED;
    state.waiting_for_startup =
        activity == KVM_MP_STATE_UNINITIALIZED || activity == KVM_MP_STATE_INIT_RECEIVED;
}

Result<void> pull(const Handle& vcpu, const GuestMemory& memory, Registers& registers,
                  CpuState& state) {
    // First: it takes an INIT or a start-up that has come, which changes the rest.
    if (registers.has_activity)
        TRY(vcpu.request("KVM_GET_MP_STATE", KVM_GET_MP_STATE, &registers.activity));
    TRY(vcpu.request("KVM_GET_REGS", KVM_GET_REGS, &registers.general));
    TRY(vcpu.request("KVM_GET_SREGS", KVM_GET_SREGS, &registers.special));
    TRY(vcpu.request("KVM_GET_XSAVE", kGetXsave, registers.extended.data()));
    TRY(vcpu.request("KVM_GET_XCRS", KVM_GET_XCRS, &registers.control));
    TRY(vcpu.request("KVM_GET_DEBUGREGS", KVM_GET_DEBUGREGS, &registers.debug));
    TRY(vcpu.request("KVM_GET_VCPU_EVENTS", KVM_GET_VCPU_EVENTS, &registers.events));
    from_kvm(registers, state);
    for (const Stored& each : kStored) {
        if (!get_msr(vcpu, each.index, state.*each.member) && !each.optional) {
            return Error(fmt::format("KVM_GET_MSRS: register {:#x} is not there", each.index));
        }
    }
    uint64_t smbase = 0;
    if (get_msr(vcpu, kSmbaseMsr, smbase)) state.smbase = static_cast<uint32_t>(smbase);
    // KVM loads these itself, from where CR3 points [SDM 3A 4.4.1].
    const bool pae = (state.cr4 & x86::cr4::kPae) != 0 && !state.long_mode() && state.paging();
    for (unsigned i = 0; pae && i < state.pdpte.size(); ++i) {
        const GuestPhys entry((state.cr3 & 0xffffffe0) + 8 * i);
        state.pdpte[i] = memory.load<uint64_t>(entry).value_or(0);
    }
    return {};
}

Result<void> push(const Handle& vcpu, Registers& registers, const CpuState& state) {
    to_kvm(state, registers);
    TRY(vcpu.request("KVM_SET_VCPU_EVENTS", KVM_SET_VCPU_EVENTS, &registers.events));
    TRY(vcpu.request("KVM_SET_SREGS", KVM_SET_SREGS, &registers.special));
    TRY(vcpu.request("KVM_SET_REGS", KVM_SET_REGS, &registers.general));
    TRY(vcpu.request("KVM_SET_XCRS", KVM_SET_XCRS, &registers.control));
    TRY(vcpu.request("KVM_SET_XSAVE", kSetXsave, registers.extended.data()));
    TRY(vcpu.request("KVM_SET_DEBUGREGS", KVM_SET_DEBUGREGS, &registers.debug));
    for (const Stored& each : kStored) {
        if (!set_msr(vcpu, each.index, state.*each.member) && !each.optional) {
            return Error(fmt::format("KVM_SET_MSRS: register {:#x} does not take {:#x}",
                                     each.index, state.*each.member));
        }
    }
    (void)set_msr(vcpu, kSmbaseMsr, state.smbase);  // without SMM there is none
    if (registers.has_activity)
        TRY(vcpu.request("KVM_SET_MP_STATE", KVM_SET_MP_STATE, &registers.activity));
    return {};
}

}  // namespace mynah::kvm
