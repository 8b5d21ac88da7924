#include "cpu/cpu_state.h"

namespace mynah {
namespace {

// What RESET and INIT have in common [SDM 3A table 9-1].
void set_initial_execution_state(CpuState& state) {
    namespace attr = x86::segment_attribute;
    state.gpr = {};
    state.gpr[kRdx] = 0x000806f8;  // processor signature; the engine puts the model's here
    state.rip = 0xfff0;
    state.flags.set(x86::rflags::kOne);
    for (SegmentRegister& segment : state.segments) {
        segment = {.base = 0,
                   .limit = 0xffff,
                   .attributes = attr::kPresent | attr::kCodeOrData | attr::kReadableOrWritable |
                                 attr::kAccessed,
                   .selector = 0};
    }
    SegmentRegister& cs = state.segment(x86::Segment::kCs);
    cs.selector = 0xf000;
    cs.base = 0xffff0000;
    cs.attributes |= attr::kCode;
    state.ldtr = {
        .base = 0, .limit = 0xffff, .attributes = attr::kPresent | x86::system_type::kLdt};
    state.tr = {
        .base = 0, .limit = 0xffff, .attributes = attr::kPresent | x86::system_type::kTss32Busy};
    state.gdtr = state.idtr = {.base = 0, .limit = 0xffff};
    state.cr2 = state.cr3 = state.cr4 = 0;
    state.efer = 0;
    state.dr = {};
    state.dr6 = x86::dr6::kReset;
    state.dr7 = x86::dr7::kReset;
    state.interrupt_shadow = state.debug_shadow = state.nmi_blocked = state.halted = false;
    state.management_mode = false;
}

}  // namespace

CpuState reset_state() {
    CpuState state;
    set_initial_execution_state(state);
    state.cr0 = 0x60000010;
    state.x87.fcw = 0x40;
    state.x87.tags = 0xff;  // every register holds +0.0
    return state;
}

void reset_by_init(CpuState& state) {
    const uint64_t cache_bits = state.cr0 & (x86::cr0::kCd | x86::cr0::kNw);
    set_initial_execution_state(state);
    state.cr0 = x86::cr0::kEt | cache_bits;
}

}  // namespace mynah
