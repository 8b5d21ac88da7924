// MOV to and from CR0 to CR8; LMSW SMSW CLTS [SDM 2B MOV--Move to/from Control Registers, 3A 2.5].

#include "engine/interpreter/operand.h"
#include "engine/interpreter/system.h"

namespace mynah::interpreter {

namespace cr0 = x86::cr0;
namespace cr4 = x86::cr4;
namespace efer = x86::efer;

namespace {

// CR3 in PAE mode outside long mode loads the page-directory-pointer registers.
bool uses_pdptes(const CpuState& s, uint64_t cr0_value, uint64_t cr4_value) {
    return (cr0_value & cr0::kPg) != 0 && (cr4_value & cr4::kPae) != 0 &&
           (s.efer & efer::kLme) == 0;
}

// What the manual asks of a value before paging is switched on or off.
bool paging_change_allowed(const CpuState& s, uint64_t value) {
    const bool on = (value & cr0::kPg) != 0;
    if (!on) return !s.code64() && (s.cr4 & cr4::kPcide) == 0;
    if ((s.efer & efer::kLme) == 0) return true;
    const bool tss16 = (s.tr.attributes & 8) == 0;
    return (s.cr4 & cr4::kPae) != 0 && !s.cs().long_mode() && !tss16;
}

}  // namespace

bool write_cr0(Core& core, uint64_t value) {
    CpuState& s = core.s;
    if (value >> 32 != 0) return core.raised(Exception::gp());
    constexpr uint64_t kDefined = cr0::kPe | cr0::kMp | cr0::kEm | cr0::kTs | cr0::kNe | cr0::kWp |
                                  cr0::kAm | cr0::kNw | cr0::kCd | cr0::kPg;
    value = (value & kDefined) | cr0::kEt;
    const bool pg_without_pe = (value & (cr0::kPg | cr0::kPe)) == cr0::kPg;
    const bool nw_without_cd = (value & (cr0::kNw | cr0::kCd)) == cr0::kNw;
    if (pg_without_pe || nw_without_cd) return core.raised(Exception::gp());
    const uint64_t changed = value ^ s.cr0;
    if ((changed & cr0::kPg) != 0 && !paging_change_allowed(s, value))
        return core.raised(Exception::gp());
    const bool loads = (changed & (cr0::kPg | cr0::kCd | cr0::kNw)) != 0;
    if (loads && uses_pdptes(s, value, s.cr4) && !core.mmu.load_pdptes(s, s.cr3)) {
        return core.raised(Exception::gp());
    }
    s.cr0 = value;
    if ((changed & cr0::kPg) != 0) {
        const bool long_mode = (value & cr0::kPg) != 0 && (s.efer & efer::kLme) != 0;
        s.efer = (s.efer & ~efer::kLma) | (long_mode ? efer::kLma : 0);
    }
    if ((changed & (cr0::kPg | cr0::kPe | cr0::kWp)) != 0) core.tlb().flush_all();
    return true;
}

namespace {

bool write_cr3(Core& core, uint64_t value) {
    CpuState& s = core.s;
    if (!s.long_mode()) {
        value &= 0xffffffff;
        if (uses_pdptes(s, s.cr0, s.cr4) && !core.mmu.load_pdptes(s, value))
            return core.raised(Exception::gp());
        s.cr3 = value;
        core.tlb().switch_pcid(0, true);
        return true;
    }
    // Bit 63 with PCIDs: keep what is cached for the new one [SDM 3A 4.10.4.1].
    const bool pcids = (s.cr4 & cr4::kPcide) != 0;
    const bool keep = pcids && value >> 63 != 0;
    if (pcids) value &= ~bit(63);
    if ((value & ~low_mask(core.mmu.physical_bits())) != 0) return core.raised(Exception::gp());
    s.cr3 = value;
    core.tlb().switch_pcid(pcids ? value & 0xfff : 0, !keep);
    return true;
}

bool write_cr4(Core& core, uint64_t value) {
    CpuState& s = core.s;
    if ((value & ~core.shared.cpuid.valid_cr4()) != 0) return core.raised(Exception::gp());
    const uint64_t changed = value ^ s.cr4;
    if (s.long_mode() && (value & cr4::kPae) == 0) return core.raised(Exception::gp());
    if ((changed & value & cr4::kPcide) != 0 && (!s.long_mode() || (s.cr3 & 0xfff) != 0)) {
        return core.raised(Exception::gp());
    }
    constexpr uint64_t kLoads = cr4::kPae | cr4::kPge | cr4::kPse | cr4::kSmep;
    if ((changed & kLoads) != 0 && uses_pdptes(s, s.cr0, value) &&
        !core.mmu.load_pdptes(s, s.cr3)) {
        return core.raised(Exception::gp());
    }
    s.cr4 = value;
    constexpr uint64_t kTranslation =
        cr4::kPse | cr4::kPae | cr4::kPge | cr4::kPcide | cr4::kSmep | cr4::kSmap;
    if ((changed & kTranslation) != 0) core.tlb().flush_all();
    return true;
}

bool write_cr8(Core& core, uint64_t value) {
    if (value > 15) return core.raised(Exception::gp());
    core.ports.write_cr8(static_cast<uint8_t>(value));
    return true;
}

// op.aux is the number, op.dst or op.src the general register. In 64-bit mode the operand has 64
// bits, else 32, whatever the prefixes.
uint64_t operand_mask(const Core& core) {
    return core.mode.code_size == CodeSize::k64 ? ~uint64_t{0} : 0xffffffff;
}

Outcome mov_from_control(Core& core, const Op& op) {
    if (!privileged(core)) return Outcome::kFault;
    const CpuState& s = core.s;
    uint64_t value = 0;
    switch (op.aux) {
        case 0:
            value = s.cr0;
            break;
        case 2:
            value = s.cr2;
            break;
        case 3:
            value = s.cr3;
            break;
        case 4:
            value = s.cr4;
            break;
        case 8:
            value = core.ports.read_cr8();
            break;
        default:
            return core.raise(Exception::ud());
    }
    core.set_reg<uint64_t>(op.dst, value & operand_mask(core));
    return Outcome::kNext;
}

Outcome mov_to_control(Core& core, const Op& op) {
    if (!privileged(core)) return Outcome::kFault;
    const uint64_t value = core.reg<uint64_t>(op.src) & operand_mask(core);
    bool ok = true;
    switch (op.aux) {
        case 0:
            ok = write_cr0(core, value);
            break;
        case 2:
            core.s.cr2 = value;
            break;
        case 3:
            ok = write_cr3(core, value);
            break;
        case 4:
            ok = write_cr4(core, value);
            break;
        case 8:
            ok = write_cr8(core, value);
            break;
        default:
            return core.raise(Exception::ud());
    }
    return ok ? core.leave_after(op) : Outcome::kFault;
}

// The low word of CR0: MP, EM and TS are taken over, PE can only be set.
Outcome load_status_word(Core& core, const Op& op, uint16_t word) {
    constexpr uint64_t kLoaded = cr0::kMp | cr0::kEm | cr0::kTs;
    const uint64_t value = (core.s.cr0 & ~kLoaded) | (word & (kLoaded | cr0::kPe));
    return write_cr0(core, value) ? core.leave_after(op) : Outcome::kFault;
}
Outcome lmsw_reg(Core& core, const Op& op) {
    return privileged(core) ? load_status_word(core, op, core.reg<uint16_t>(op.src))
                            : Outcome::kFault;
}
Outcome lmsw_mem(Core& core, const Op& op) {
    uint16_t word;
    if (!privileged(core) || !load_operand<EaAny>(core, op, word)) return Outcome::kFault;
    return load_status_word(core, op, word);
}
bool build_lmsw(Build& b) {
    if (b.is_reg(0)) b.op.src = b.slot(0);
    return b.done_ending_block(b.is_reg(0) ? lmsw_reg : lmsw_mem);
}

bool smsw_allowed(Core& core) {
    const bool barred = (core.s.cr4 & cr4::kUmip) != 0 && core.s.cpl() != 0;
    return !barred || core.raised(Exception::gp());
}
template <typename T>
Outcome smsw_reg(Core& core, const Op& op) {
    if (!smsw_allowed(core)) return Outcome::kFault;
    core.set_reg<T>(op.dst, static_cast<T>(core.s.cr0));
    return Outcome::kNext;
}
Outcome smsw_mem(Core& core, const Op& op) {
    const bool ok =
        smsw_allowed(core) && store_operand<EaAny>(core, op, static_cast<uint16_t>(core.s.cr0));
    return ok ? Outcome::kNext : Outcome::kFault;
}
bool build_smsw(Build& b) {
    if (b.is_mem(0)) return b.done(smsw_mem);
    b.op.dst = b.slot(0);
    return by_wide_size(b.bits(0), [&](auto type) { b.op.handler = smsw_reg<decltype(type)>; });
}

Outcome clts(Core& core, const Op& op) {
    if (!privileged(core)) return Outcome::kFault;
    core.s.cr0 &= ~cr0::kTs;
    return core.leave_after(op);
}

}  // namespace

bool build_mov_control(Build& b) {
    const bool to_control = ZydisRegisterGetClass(b.operand(0).reg.value) == ZYDIS_REGCLASS_CONTROL;
    const auto number = b.operand(to_control ? 0 : 1).reg.value - ZYDIS_REGISTER_CR0;
    b.op.aux = static_cast<uint16_t>(number);
    if (to_control) {
        b.op.src = b.slot(1);
        return b.done_ending_block(mov_to_control);
    }
    b.op.dst = b.slot(0);
    return b.done(mov_from_control);
}

void add_control_register(BuilderTable& table) {
    table[ZYDIS_MNEMONIC_LMSW] = build_lmsw;
    table[ZYDIS_MNEMONIC_SMSW] = build_smsw;
    table[ZYDIS_MNEMONIC_CLTS] = build_ending_op<clts>;
}

}  // namespace mynah::interpreter
