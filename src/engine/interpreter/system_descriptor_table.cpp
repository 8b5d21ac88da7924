// LGDT LIDT SGDT SIDT LLDT SLDT LTR STR [SDM 2A, 2B].

#include "engine/interpreter/descriptor.h"
#include "engine/interpreter/operand.h"
#include "engine/interpreter/system.h"

namespace mynah::interpreter {

namespace type = x86::system_type;

namespace {

// User-mode instruction prevention [SDM 3A 2.5, CR4.UMIP].
bool allowed_by_umip(Core& core) {
    const bool barred = (core.s.cr4 & x86::cr4::kUmip) != 0 && core.s.cpl() != 0;
    return !barred || core.raised(Exception::gp());
}

template <DescriptorTable CpuState::*kTable>
Outcome store_table(Core& core, const Op& op) {
    if (!allowed_by_umip(core)) return Outcome::kFault;
    const DescriptorTable& table = core.s.*kTable;
    const unsigned size = core.mode.code_size == CodeSize::k64 ? 10 : 6;
    std::byte image[10];
    store_unaligned(image, table.limit);
    store_unaligned(image + 2, table.base);
    uint64_t linear;
    if (!core.operand_linear(op, size, AccessKind::kWrite, linear)) return Outcome::kFault;
    return core.store_bytes(linear, image, size) ? Outcome::kNext : Outcome::kFault;
}

// op.aux: the operand size is 16 bits, so that the base has 24.
template <DescriptorTable CpuState::*kTable>
Outcome load_table(Core& core, const Op& op) {
    if (!privileged(core)) return Outcome::kFault;
    const bool wide = core.mode.code_size == CodeSize::k64;
    const unsigned size = wide ? 10 : 6;
    std::byte image[10] = {};
    uint64_t linear;
    if (!core.operand_linear(op, size, AccessKind::kRead, linear)) return Outcome::kFault;
    if (!core.load_bytes(linear, image, size)) return Outcome::kFault;
    uint64_t base = load_unaligned<uint64_t>(image + 2);
    if (!wide) base &= op.aux != 0 ? 0xffffff : 0xffffffff;
    if (wide && !Core::canonical(base)) return core.raise(Exception::gp());
    core.s.*kTable = {.base = base, .limit = load_unaligned<uint16_t>(image)};
    return core.leave_after(op);
}

template <DescriptorTable CpuState::*kTable>
bool build_load_table(Build& b) {
    b.op.aux = b.mode.code_size != CodeSize::k64 && b.operand_bits() == 16;
    return b.done_ending_block(load_table<kTable>);
}

// --- LLDT and LTR
// ------------------------------------------------------------------------------------

// The checks on a selector of LLDT and LTR; in long mode the descriptor has 16 bytes.
bool read_system_descriptor(Core& core, uint16_t selector, Descriptor& out) {
    const Exception bad = Exception::gp(code_of(selector));
    if ((selector & x86::selector::kTi) != 0) return core.raised(bad);
    if (!read_descriptor(core, selector, bad, out)) return false;
    if (core.s.long_mode() && !read_descriptor_high(core, selector, bad, out)) return false;
    if (out.code_or_data()) return core.raised(bad);
    return true;
}

SegmentRegister system_register(const Core& core, uint16_t selector, const Descriptor& descriptor) {
    SegmentRegister result = descriptor.to_register(selector);
    if (core.s.long_mode()) result.base = descriptor.base64();
    return result;
}

bool load_ldtr(Core& core, uint16_t selector) {
    if (is_null(selector)) {
        core.s.ldtr = null_segment(selector);
        return true;
    }
    Descriptor descriptor;
    if (!read_system_descriptor(core, selector, descriptor)) return false;
    if (descriptor.type() != type::kLdt) return core.raised(Exception::gp(code_of(selector)));
    if (!descriptor.present()) return core.raised(Exception::np(code_of(selector)));
    core.s.ldtr = system_register(core, selector, descriptor);
    return true;
}

bool load_tr(Core& core, uint16_t selector) {
    if (is_null(selector)) return core.raised(Exception::gp());
    Descriptor descriptor;
    if (!read_system_descriptor(core, selector, descriptor)) return false;
    const bool tss16 = descriptor.type() == type::kTss16Available && !core.s.long_mode();
    if (descriptor.type() != type::kTss32Available && !tss16) {
        return core.raised(Exception::gp(code_of(selector)));
    }
    if (!descriptor.present()) return core.raised(Exception::np(code_of(selector)));
    if (!set_busy(core, descriptor, true)) return false;
    core.s.tr = system_register(core, selector, descriptor);
    core.s.tr.attributes |= 2;
    return true;
}

template <bool (*kLoad)(Core&, uint16_t)>
Outcome load_selector_reg(Core& core, const Op& op) {
    if (core.s.real_or_v86()) return core.raise(Exception::ud());
    if (!privileged(core) || !kLoad(core, core.reg<uint16_t>(op.src))) return Outcome::kFault;
    return core.leave_after(op);
}
template <bool (*kLoad)(Core&, uint16_t)>
Outcome load_selector_mem(Core& core, const Op& op) {
    if (core.s.real_or_v86()) return core.raise(Exception::ud());
    uint16_t selector;
    if (!privileged(core) || !load_operand<EaAny>(core, op, selector) || !kLoad(core, selector)) {
        return Outcome::kFault;
    }
    return core.leave_after(op);
}
template <bool (*kLoad)(Core&, uint16_t)>
bool build_load_selector(Build& b) {
    if (b.is_reg(0)) b.op.src = b.slot(0);
    return b.done_ending_block(b.is_reg(0) ? load_selector_reg<kLoad> : load_selector_mem<kLoad>);
}

// --- SLDT and STR
// ------------------------------------------------------------------------------------

template <typename T, SegmentRegister CpuState::*kRegister>
Outcome store_selector_reg(Core& core, const Op& op) {
    if (core.s.real_or_v86()) return core.raise(Exception::ud());
    if (!allowed_by_umip(core)) return Outcome::kFault;
    core.set_reg<T>(op.dst, (core.s.*kRegister).selector);
    return Outcome::kNext;
}
template <SegmentRegister CpuState::*kRegister>
Outcome store_selector_mem(Core& core, const Op& op) {
    if (core.s.real_or_v86()) return core.raise(Exception::ud());
    const bool ok =
        allowed_by_umip(core) && store_operand<EaAny>(core, op, (core.s.*kRegister).selector);
    return ok ? Outcome::kNext : Outcome::kFault;
}
template <SegmentRegister CpuState::*kRegister>
bool build_store_selector(Build& b) {
    if (b.is_mem(0)) return b.done(store_selector_mem<kRegister>);
    b.op.dst = b.slot(0);
    return by_wide_size(b.bits(0),
                        [&](auto t) { b.op.handler = store_selector_reg<decltype(t), kRegister>; });
}

}  // namespace

void add_descriptor_table(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_SGDT] = build_plain_op<store_table<&CpuState::gdtr>>;
    table[ZYDIS_MNEMONIC_SIDT] = build_plain_op<store_table<&CpuState::idtr>>;
    table[ZYDIS_MNEMONIC_LGDT] = build_load_table<&CpuState::gdtr>;
    table[ZYDIS_MNEMONIC_LIDT] = build_load_table<&CpuState::idtr>;
    table[ZYDIS_MNEMONIC_LLDT] = build_load_selector<load_ldtr>;
    table[ZYDIS_MNEMONIC_LTR] = build_load_selector<load_tr>;
    table[ZYDIS_MNEMONIC_SLDT] = build_store_selector<&CpuState::ldtr>;
    table[ZYDIS_MNEMONIC_STR] = build_store_selector<&CpuState::tr>;
}

}  // namespace mynah::interpreter
